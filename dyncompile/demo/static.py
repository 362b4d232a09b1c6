"""The static networks that the artifact is measured against."""

from __future__ import annotations

__all__ = ["StaticPath", "export_static"]

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from dyncompile.capture import OPSET
from dyncompile.demo.network import EXITS, DigitsNet, confidence


class StaticPath(nn.Module):
    """The same network, able to do one path only: what an engineer would write by hand.

    Args:
        model: The network whose weights are used.
        path: The decisions, by name; exits left out are not taken, skips left out run.
        scores: Also compute and return the scores that the decisions on the path need.
    """

    def __init__(self, model: DigitsNet, path: Mapping[str, int], *, scores: bool = False) -> None:
        super().__init__()
        self.model = model
        self.path = dict(path)
        self.scores = scores

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, then the scores if asked for."""
        x, scores = self.model.stem(image), []
        for stage, exit_name in zip(self.model.stages, (*EXITS, None), strict=True):
            x = stage.widen(x)
            if self.scores:
                scores.append(stage.skip.score(x))
            if self.path.get(stage.skip.name, 1):
                x = stage.skip.block(x)
            leaves = exit_name is None or self.path.get(exit_name, 0)
            if leaves or self.scores:
                logits = stage.classify(x)
            if self.scores and exit_name:
                scores.append(confidence(logits))
            if leaves:
                break
        return logits, *scores


def export_static(network: StaticPath, image: Tensor, file: Path) -> None:
    """Write a static network with torch's own exporter, with the opset of the artifact."""
    with _quiet():
        program = torch.onnx.export(
            network.eval(), (image,), dynamo=True, opset_version=OPSET, verbose=False
        )
    assert program is not None
    program.save(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what torch says about operators this network does not use."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
