"""How to build an engine of a file with NVIDIA's own command."""

from __future__ import annotations

__all__ = ["trtexec_lines"]

import shlex
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

Sizes = tuple[int, ...]


def trtexec_lines(
    model: ir.Model, file: Path, ranges: Mapping[str, tuple[Sizes, Sizes, Sizes]] | None = None
) -> list[str]:
    """Return the command for TensorRT 11, and below it, as comments, what to mind.

    Args:
        model: What is in the file.
        file: The file, written for target ``tensorrt``.
        ranges: The least, best and most sizes of inputs with free sizes; of others they are 1,
            to be filled in.
    """
    given = dict(ranges or {})
    free = [v for v in model.graph.inputs if v.shape is not None and not v.shape.is_static()]
    words = ["trtexec", f"--onnx={file}", f"--saveEngine={file.with_suffix('.plan')}"]
    for number, option in enumerate(("--minShapes", "--optShapes", "--maxShapes")):
        shapes = []
        for value in free:
            name, ones = str(value.name), _ones(value)
            sizes = given.get(name, (ones, ones, ones))[number]
            shapes.append(f"{_quoted(name)}:{'x'.join(map(str, sizes))}")
        if shapes:
            words.append(f"{option}={','.join(shapes)}")
    lines = [shlex.join([*words, "--skipInference"])]
    unknown = [str(value.name) for value in free if value.name not in given]
    if unknown:
        lines.append(f"# sizes of {', '.join(unknown)} that are free stand as 1: fill in your own")
    lines.append("# with TensorRT 10 add --stronglyTyped")
    return lines


def _ones(value: ir.Value) -> Sizes:
    assert value.shape is not None
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


def _quoted(name: str) -> str:
    """Quote names that hold what separates them."""
    return f"'{name}'" if set(name) & set(":,=") else name
