"""Open models made elsewhere in ONNX Runtime."""

from __future__ import annotations

__all__ = ["open_file", "open_pair"]

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx_ir as ir

from dyncompile import artifact
from dyncompile.errors import DyncompileError, InputError, TargetError, one_line
from dyncompile.passes.pin_foreign_nodes import is_unknown

_DATA = "weights.data"
_INLINE_UP_TO = 65536  # shapes and other constants that shape inference reads are smaller
_ALIGNMENT = 4096


def open_pair(
    models: Mapping[str, ir.Model], libraries: Sequence[Path], stack: ExitStack
) -> list[Any]:
    """Open models that are in memory and share weights, on the CPU.

    Args:
        models: By what errors call them. Their weights are moved to a file that both read.
        libraries: Of custom operators.
        stack: Keeps this file until it closes.

    Raises:
        InputError: one has operators that ONNX Runtime does not know, or a library is none.
        TargetError: ONNX Runtime is missing, or refuses one for another reason.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    with (folder / _DATA).open("wb") as data:
        _move_weights(models.values(), data)
    sessions = []
    for number, (what, model) in enumerate(models.items()):
        path = folder / f"{number}.onnx"
        path.write_bytes(artifact.serialise(model, "optimize"))
        try:
            sessions.append(_open(path, libraries))
        except DyncompileError:
            raise
        except Exception as error:  # its errors share no class of their own
            raise _refusal(model, what, one_line(error).replace(str(path), what)) from error
    return sessions


def _move_weights(models: Iterable[ir.Model], data: BinaryIO) -> None:
    """Write every large weight once, and let the models refer to it."""
    places: dict[int, int] = {}
    kept = []  # alive, so that no id is used twice
    for value in (v for m in models for g in m.graphs() for v in g.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING:
            continue
        if tensor.nbytes <= _INLINE_UP_TO:
            if isinstance(tensor, ir.ExternalTensor):  # its file is not in this folder
                value.const_value = ir.Tensor(np.array(tensor.numpy()), dtype=tensor.dtype)
            continue
        if id(tensor) not in places:
            places[id(tensor)] = data.tell()
            kept.append(tensor)
            data.write(tensor.tobytes())
            data.write(bytes(-data.tell() % _ALIGNMENT))
        shape = ir.Shape(tensor.shape.numpy())
        value.const_value = ir.ExternalTensor(
            _DATA,
            places[id(tensor)],
            tensor.nbytes,
            tensor.dtype,
            shape=shape,
            name=str(value.name),
        )


def open_file(path: Path, libraries: Sequence[Path]) -> Any:  # noqa: ANN401
    """Open a file as it is.

    Raises:
        TargetError: ONNX Runtime refuses it.
    """
    try:
        return _open(path, libraries)
    except DyncompileError:
        raise
    except Exception as error:
        raise TargetError(
            f"ONNX Runtime refuses it: {one_line(error)}.",
            where=str(path),
            remedy="Check that the file runs at all, or skip the comparison: --no-verify.",
        ) from error


def _open(path: Path, libraries: Sequence[Path]) -> Any:  # noqa: ANN401
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise TargetError(
            "ONNX Runtime is not installed.",
            where="optimize",
            remedy="Install dyncompile[cpu], or skip the comparison: --no-verify, verify=False.",
        ) from error
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for library in libraries:
        try:
            options.register_custom_ops_library(str(library.resolve()))  # else searched for
        except Exception as error:  # its errors share no class of their own
            raise InputError(
                f"no library of custom operators: {one_line(error)}.",
                where=str(library),
                remedy="Give the .so, .dll or .dylib that registers them.",
            ) from error
    return ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def _refusal(model: ir.Model, what: str, said: str) -> InputError | TargetError:
    unknown = sorted(
        {f"{node.domain}.{node.op_type}" for node in model.graph.all_nodes() if is_unknown(node)}
    )
    remedy = "skip the comparison: --no-verify, verify=False."
    if unknown:
        return InputError(
            f"ONNX Runtime cannot open {what}, which has the custom operators"
            f" {', '.join(unknown)}: {said}.",
            where="optimize",
            remedy=f"Give the library that has them, --custom-ops lib.so, or {remedy}",
        )
    return TargetError(
        f"ONNX Runtime refuses {what}: {said}.",
        where="optimize",
        remedy=f"Check that the file runs at all, or {remedy}",
    )
