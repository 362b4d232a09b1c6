"""What is on disk of an engine: the builder's plan, and beside it what the plan is.

``net.engine`` is the plan as the builder gave it; ``net.engine.json`` describes it: what it was
built with and for, its inputs and outputs, its size and digest, and the manifest of the network.
Free of onnx and of any builder.
"""

from __future__ import annotations

__all__ = [
    "ANY_CHIP",
    "FORMAT",
    "SUFFIX",
    "TITLES",
    "Binding",
    "Engine",
    "description_path",
    "read_engine",
    "read_plan",
    "write_engine",
]

import dataclasses
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

from dyncompile.errors import ArtifactError
from dyncompile.files import replacing
from dyncompile.json_fields import Text, count, digest, one_of, parse, quoted, reason, want
from dyncompile.manifest import Manifest

FORMAT = 1
SUFFIX = ".engine"
ANY_CHIP = "sm80+"  # every chip from sm80 on
TITLES = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT for RTX"}  # by flavor
_REMEDY = "Keep the two files together, or build the engine again."


@dataclass(frozen=True)
class Binding:
    """One input or output of an engine.

    Attributes:
        name: As in the graph.
        dtype: Element type by its numpy name, such as ``float16``; as the builder calls it, in
            lower case, where numpy has none (``bfloat16``).
        shape: Its sizes; -1 where one is known at run time only.
        location: Where the engine reads or writes it: memory of the GPU, or of the host.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    location: Literal["device", "host"] = "device"


@dataclass(frozen=True)
class Engine:
    """What an engine is, apart from its bytes.

    Attributes:
        flavor: Which builder made it: ``tensorrt`` or ``tensorrt-rtx``.
        version: Of the builder.
        chips: What it was built for, such as ``sm89``.
        precision: Element type of the arithmetic.
        inputs: In the order of the network, knobs among them.
        outputs: In the order of the network.
        manifest: Knobs, decisions and operating points of the network.
        bytes: Size of the plan; filled in by ``write_engine``.
        sha256: Its digest, in hexadecimal; filled in by ``write_engine``.
    """

    flavor: str
    version: str
    chips: tuple[str, ...]
    precision: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    manifest: Manifest
    bytes: int = 0
    sha256: str = ""

    def to_json(self) -> str:
        """Return JSON with sorted keys, one line per entry."""
        entry = {
            "format": FORMAT,
            "flavor": self.flavor,
            "version": self.version,
            "chips": self.chips,
            "precision": self.precision,
            "inputs": [vars(binding) for binding in self.inputs],
            "outputs": [vars(binding) for binding in self.outputs],
            "bytes": self.bytes,
            "sha256": self.sha256,
            "manifest": json.loads(self.manifest.to_json()),
        }
        return json.dumps(entry, sort_keys=True, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: Text, where: str) -> Engine:
        """Read what ``to_json`` wrote; fields this version does not know are ignored.

        Args:
            text: The description.
            where: The file it comes from, for messages.

        Raises:
            ArtifactError: not a description, damaged, or written by a newer version.
        """
        try:
            entry = want(dict, parse(text), "the description")
            version = count(entry["format"], "format")
            if not version:
                raise ValueError("format is 0")  # noqa: TRY301
        except (KeyError, ValueError) as error:
            raise _damaged(where, error) from error
        if version > FORMAT:
            raise ArtifactError(
                f"written by a newer dyncompile (format {version}); this one reads up to {FORMAT}.",
                where=where,
                remedy="Upgrade dyncompile.",
            )
        try:
            engine = _engine(cls, entry, where)
            _check_names(engine)
        except (KeyError, ValueError) as error:
            raise _damaged(where, error) from error
        return engine


def description_path(path: Path) -> Path:
    """Return where the description of an engine is."""
    return path.with_name(f"{path.name}.json")


def write_engine(path: Path, plan: Path, engine: Engine) -> Engine:
    """Write an engine and its description, both whole or neither.

    The same plan and description give the same bytes on any day, machine and folder.

    Args:
        path: The engine to write; the description goes beside it.
        plan: What the builder wrote; it is copied.
        engine: What it is; ``bytes`` and ``sha256`` are filled in.

    Returns:
        What was written.

    Raises:
        ArtifactError: a file cannot be read or written.
    """
    try:
        source = plan.open("rb")
    except OSError as error:
        raise _unreadable(plan, error) from error
    with source, replacing(description_path(path)) as description, replacing(path) as file:
        shutil.copyfileobj(source, file)
        size, digest = source.tell(), _digest(source)
        manifest = dataclasses.replace(engine.manifest, external_data=None)
        engine = dataclasses.replace(engine, bytes=size, sha256=digest, manifest=manifest)
        description.write(engine.to_json().encode())
        description.flush()
        os.fsync(description.fileno())  # both are on the disk before the first takes its name
    return engine


def read_engine(path: Path) -> Engine:
    """Read the description of an engine, and check that the engine is the one it describes.

    Raises:
        ArtifactError: a file is missing or damaged, the description was written by a newer
            version, or the two files do not belong together.
    """
    try:
        with path.open("rb") as file:
            engine = _description(path)
            size = file.seek(0, 2)
            _check_pair(path, engine, size, _digest(file) if size == engine.bytes else "")
    except OSError as error:
        raise _unreadable(path, error) from error
    return engine


def read_plan(path: Path, engine: Engine) -> bytes:
    """Return the bytes of an engine that was described before.

    Raises:
        ArtifactError: it cannot be read, or is another engine by now.
    """
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    _check_pair(path, engine, len(plan), hashlib.sha256(plan).hexdigest())
    return plan


def _description(path: Path) -> Engine:
    partner = description_path(path)
    try:
        text = partner.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ArtifactError(
            f"its description {quoted(partner.name)} is missing.", where=str(path), remedy=_REMEDY
        ) from error
    except OSError as error:
        raise _unreadable(partner, error) from error
    except ValueError as error:
        raise _damaged(str(partner), error) from error
    return Engine.from_json(text, str(partner))


def _check_pair(path: Path, engine: Engine, size: int, sha256: str) -> None:
    if size != engine.bytes:
        problem = f"it has {size} bytes; its description is of an engine of {engine.bytes}."
    elif sha256 != engine.sha256:
        problem = "it is not the engine that its description is of: the digests differ."
    else:
        return
    raise ArtifactError(problem, where=str(path), remedy=_REMEDY)


def _digest(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _engine(cls: type[Engine], entry: dict[str, Any], where: str) -> Engine:
    size, sha256 = count(entry["bytes"], "bytes"), digest(entry["sha256"])
    if not size:
        raise ValueError("bytes is 0")
    manifest = want(dict, entry["manifest"], "manifest")
    return cls(
        flavor=one_of(tuple(TITLES), entry["flavor"], "flavor"),
        version=want(str, entry["version"], "version"),
        chips=tuple(want(str, chip, "a chip") for chip in want(list, entry["chips"], "chips")),
        precision=want(str, entry["precision"], "precision"),
        inputs=tuple(map(_binding, want(list, entry["inputs"], "inputs"))),
        outputs=tuple(map(_binding, want(list, entry["outputs"], "outputs"))),
        manifest=Manifest.from_entry(manifest, where),
        bytes=size,
        sha256=sha256,
    )


def _binding(entry: object) -> Binding:
    found = want(dict, entry, "an input or output")
    name = want(str, found["name"], "the name of an input or output")
    what = quoted(name)
    shape = want(list, found["shape"], f"the shape of {what}")
    sizes = tuple(want(int, size, f"a size of {what}") for size in shape)
    if any(size < -1 for size in sizes):
        raise ValueError(f"the shape of {what} is {shape}")
    location: Literal["device", "host"]
    location = one_of(("device", "host"), found["location"], f"the location of {what}")
    return Binding(name, want(str, found["dtype"], f"the dtype of {what}"), sizes, location)


def _check_names(engine: Engine) -> None:
    """Names are unique, and every knob is an input."""
    inputs = {binding.name for binding in engine.inputs}
    names = inputs | {binding.name for binding in engine.outputs}
    if len(names) != len(engine.inputs) + len(engine.outputs):
        raise ValueError("two inputs or outputs have one name")
    for knob in engine.manifest.knobs:
        if knob not in inputs:
            raise ValueError(f"the knob {quoted(knob)} is no input")


def _unreadable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"cannot be read: {error.strerror or error}.",
        where=str(path),
        remedy="Check the name of the file.",
    )


def _damaged(where: str, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"the description of the engine is damaged: {reason(error)}.",
        where=where,
        remedy="Build the engine again.",
    )
