"""Read ONNX files that other tools made."""

from __future__ import annotations

__all__ = ["OLDEST_OPSET", "read_foreign"]

from pathlib import Path

import onnx_ir as ir
from onnx_ir import serde
from onnx_ir.passes.common import InlinePass, TopologicalSortPass

from dyncompile import artifact
from dyncompile.dialect import DOMAIN
from dyncompile.errors import ArtifactError, InputError
from dyncompile.optimizing.well_formed import fault_in
from dyncompile.passes.infer_types import infer_inside, quiet
from dyncompile.passes.pin_foreign_nodes import is_foreign

OLDEST_OPSET = 13
_NOTES = "dyncompile."
_OLDEST_IR_VERSION = 4  # from here on a constant need not be an input


def read_foreign(path: Path, *, fold_defaults: bool = False) -> tuple[ir.Model, bool]:
    """Read a file made elsewhere, its functions inlined, with all shapes that can be inferred.

    Args:
        path: Of the file.
        fold_defaults: Whether inputs that have a default value become constants.

    Returns:
        The graph, and whether functions were inlined.

    Raises:
        ArtifactError: missing, damaged, or no ONNX file.
        InputError: written by dyncompile, or of an opset before 13.
    """
    with quiet(serde.__name__):  # the error says it
        model, manifest = artifact.read(path)
    marked = manifest is not None and manifest.target == "marked"
    if marked or any(node.domain == DOMAIN for node in model.graph.all_nodes()):
        raise InputError(
            "this file has markers, and is compiled from them.",
            where=str(path),
            remedy=f"Run dyncompile export {path.name} -o net.onnx.",
        )
    if manifest is not None:
        raise InputError(
            "this file is already compiled.",
            where=str(path),
            remedy="Use it as it is: dyncompile inspect tells what it does.",
        )
    imports = model.opset_imports
    version = imports.get("", imports.get("ai.onnx", OLDEST_OPSET))
    if version < OLDEST_OPSET:
        raise InputError(
            f"it is of opset {version}.",
            where=str(path),
            remedy=f"Convert it to opset {OLDEST_OPSET} or later, as onnx.version_converter does.",
        )
    if (fault := fault_in(model)) is not None:
        raise ArtifactError(f"{fault}.", where=str(path), remedy="Copy or export it again.")
    _sort(model, path)
    had_functions = bool(model.functions)
    model = _inlined(model)
    _forget_notes(model)
    if fold_defaults:
        constants = [v for v in model.graph.inputs if v.is_initializer()]
        kept = [v for v in model.graph.inputs if v not in constants]
        model.graph.inputs.clear()
        model.graph.inputs.extend(kept)
    model.ir_version = max(model.ir_version, _OLDEST_IR_VERSION)
    if _lacks_types(model):
        infer_inside(model)
    return model, had_functions and not model.functions


def _sort(model: ir.Model, path: Path) -> None:
    """Bring nodes behind those they read from, where a tool left them in another order."""
    seen: set[ir.Node] = set()
    for node in model.graph.all_nodes():  # a node before those inside of it
        producers = [value.producer() for value in node.inputs if value is not None]
        if any(producer is not None and producer not in seen for producer in producers):
            break
        seen.add(node)
    else:
        return
    try:
        TopologicalSortPass()(model)
    except (ValueError, ir.passes.PassError) as error:
        raise ArtifactError(
            "the graph runs in circles.", where=str(path), remedy="Copy or export it again."
        ) from error


def _inlined(model: ir.Model) -> ir.Model:
    """Return the model without functions of its own; as it is where onnx-ir cannot inline."""
    if not model.functions:
        return model
    copy = model.clone()
    try:
        InlinePass()(copy)
    except (ValueError, ir.passes.PassError):  # versions differ, graphs as attributes, cycles
        return model
    return copy


def _forget_notes(model: ir.Model) -> None:
    """Drop notes of this compiler that a file kept while losing its manifest."""
    for graph in model.graphs():
        for value in (*graph.inputs, *graph.initializers.values()):
            _forget(value)
        for node in graph:
            _forget(node)
            for value in node.outputs:
                _forget(value)


def _forget(item: ir.Node | ir.Value) -> None:
    if item.metadata_props:
        for key in [key for key in item.metadata_props if key.startswith(_NOTES)]:
            del item.metadata_props[key]


def _lacks_types(model: ir.Model) -> bool:
    """Whether shape inference can help; where there are sequences it takes them for tensors."""
    nodes = list(model.graph.all_nodes())
    if any("Sequence" in node.op_type or "Optional" in node.op_type for node in nodes):
        return False
    return any(
        value.shape is None or value.dtype is None
        for node in nodes
        if not is_foreign(node)
        for value in node.outputs
    )
