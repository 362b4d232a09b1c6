"""The state of a training on disk, and whose it is."""

from __future__ import annotations

__all__ = ["Checkpoint", "Identity", "identify"]

import hashlib
import io
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dyncompile.errors import ArtifactError
from dyncompile.files import replacing
from dyncompile.training.batches import fetch
from dyncompile.training.recipe import Recipe
from dyncompile.training.surroundings import frozen_parts

_FORMAT = "dyncompile training 1"
_PROBED = 16
_ANOTHER = "Name another file for this training, or delete this one."

_UNSEEN = {
    ("data", "content"): "its data has other samples",
    ("weights", "frozen"): "its frozen weights have other values",
}

Identity = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds the state of a training after whole epochs.

    Attributes:
        file: Its name.
        identity: What the training is known by; a file of any other is refused.
    """

    file: Path
    identity: Identity

    def write(self, epoch: int, **parts: Any) -> None:  # noqa: ANN401 - models, optimizers, schedules
        """Replace the file, whole or not at all.

        Args:
            epoch: How many epochs are done.
            parts: What has a ``state_dict``, by name.

        Raises:
            ArtifactError: the file cannot be written.
        """
        content = {"format": _FORMAT, "identity": self.identity, "epoch": epoch}
        states = {name: part.state_dict() for name, part in parts.items()}
        buffer = io.BytesIO()
        torch.save({**content, "states": states}, buffer)
        with replacing(self.file) as stream:
            stream.write(buffer.getbuffer())

    def restore(self, **parts: Any) -> int | None:  # noqa: ANN401 - as write
        """Give every part the state it has in the file.

        Returns:
            How many epochs are done; None if there is no file.

        Raises:
            ArtifactError: the file cannot be read, is no checkpoint, or is one of another
                training.
        """
        if not self.file.exists():
            return None
        content = self._read()
        if difference := _difference(content["identity"], self.identity):
            raise self._refused(
                f"this is the checkpoint of another training: {difference}.", _ANOTHER
            )
        try:
            for name, part in parts.items():
                part.load_state_dict(content["states"][name])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise self._refused("this checkpoint is damaged.", _ANOTHER) from error
        return int(content["epoch"])

    def _read(self) -> dict[str, Any]:
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise self._refused(
                f"cannot be read: {error.strerror or error}.", "Name a file you may read."
            ) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, on files of other kinds
                found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises what its parts raise
            raise self._refused(
                "this is no checkpoint of a training, or it is damaged.", _ANOTHER
            ) from error
        parts = {"format", "identity", "epoch", "states"}
        if isinstance(found, dict) and parts <= found.keys() and found["format"] == _FORMAT:
            return found
        raise self._refused("this is no checkpoint of a training.", _ANOTHER)

    def _refused(self, problem: str, remedy: str) -> ArtifactError:
        return ArtifactError(problem, where=str(self.file), remedy=remedy)


def identify(
    model: nn.Module, data: Dataset[Any], recipe: Recipe, held: Mapping[str, Tensor]
) -> Identity:
    """Return what settles a training, but for its loss and augmentation.

    Of the data that is its size and, unless they change from one look to the next, what a few
    samples are like; of the model its parameters and buffers, which of them are trained, and the
    values of the others and of what is held. The number of workers may change.
    """
    settings = asdict(recipe)
    del settings["workers"]
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    fixed = {name for name, _ in model.named_parameters()} - trained
    frozen = set(frozen_parts(model))
    for prefix, part in model.named_modules():
        if part in frozen:
            fixed |= {name for name, _ in part.named_buffers(prefix)}
    state = {name: v for name, v in model.state_dict().items() if isinstance(v, Tensor)}
    still = [state[name] for name in sorted(fixed & state.keys())]
    for name, mask in sorted(held.items()):
        still += [mask, state[name].where(mask, 0)]
    return {
        "recipe": settings,
        "data": {"size": len(data), "content": _sketch(data)},  # type: ignore[arg-type]
        "model": {name: _describe(value, name in trained) for name, value in state.items()},
        "weights": {"frozen": _digest(still)},
    }


def _sketch(data: Dataset[Any]) -> list[float] | None:
    """Return mean, deviation and label of a few samples; None if they change between looks."""
    size = len(data)  # type: ignore[arg-type]
    indices = sorted({size * k // _PROBED for k in range(_PROBED)})

    def look() -> list[float]:
        batch, labels = fetch(data, indices)
        rows = batch.detach().cpu().double().reshape(len(batch), -1)
        parts = rows.mean(1), rows.std(1, correction=0), labels.double().flatten()
        return torch.cat(parts).tolist()

    first = look()
    return first if first == look() else None


def _are_alike(was: object, now: object) -> bool:
    """Compare; sketches only nearly, as samples may be computed anew, and rounded otherwise."""
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return all(map(partial(math.isclose, rel_tol=1e-3, abs_tol=1e-5), was, now))
    return was == now


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _describe(tensor: Tensor, trained: bool) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind}{list(tensor.shape)}{' to train' * trained}"


def _difference(theirs: Identity, ours: Identity) -> str | None:
    """Return the first thing in which two trainings differ, in words."""
    for section, values in ours.items():
        others = theirs.get(section, {})
        for name in {**values, **others}:
            was, now = others.get(name, "nothing"), values.get(name, "nothing")
            if _are_alike(was, now):
                continue
            if (section, name) in _UNSEEN:
                return _UNSEEN[section, name]
            return f"its {section} has {name} {was}, this one has {now}"
    return None
