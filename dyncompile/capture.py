"""PyTorch module to marked ONNX: one flat graph in which every marker is a node."""

from __future__ import annotations

__all__ = ["capture_model"]

import io
import logging
import re
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import onnx_ir as ir
import onnxscript
import torch
from torch import Tensor, nn
from torch.export.graph_signature import OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from dyncompile import markers
from dyncompile.binding import Example, bind_inputs
from dyncompile.dialect import (
    DOMAIN,
    VERSION,
    Budget,
    Selector,
    register_schema,
    switch_op_type,
)
from dyncompile.errors import DyncompileError, InputError, MarkerError
from dyncompile.folding import fold_constants
from dyncompile.knobs import Knob
from dyncompile.modules import evaluating, unwrapped, without_parametrizations
from dyncompile.passes.name_uniquely import NameUniquely

OPSET = 21
_OUTPUT_TYPES = {
    *(ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.BOOL),
    *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
    *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
}
_Shapes = Mapping[str, Any] | Sequence[Any] | None


def capture_model(
    model: nn.Module,
    example_inputs: Sequence[Example] | Mapping[str, Example] | Tensor,
    knobs: Mapping[str, Knob],
    dynamic_shapes: _Shapes = None,
    opset: int = OPSET,
) -> ir.Model:
    """Trace a model to a marked graph.

    Args:
        model: Traced in evaluation mode; the mode of each of its parts is restored. Of a
            module from ``torch.compile``, the one inside is traced.
        example_inputs: The inputs of ``forward`` in order, or by name, without the knobs.
        knobs: Parameters of ``forward`` that are knobs; they become graph inputs.
        dynamic_shapes: As for ``torch.export.export``, for the inputs that are not knobs.
        opset: ONNX opset of the graph.

    Returns:
        A flat graph with ``Gate`` and ``Switch<n>`` nodes. Inputs are named as in ``forward``,
        knobs last where forward has them. One output is ``output``, those of a tuple are
        ``output_<i>``, those of a dict its keys, and of nested ones both, as in ``boxes_0``;
        a name that an input or an earlier output has gets ``_out`` at its end. Outputs that
        are None are left out.

    Raises:
        MarkerError: the model cannot be traced, holds no marker, returns what is no tensor,
            or changes its buffers.
        InputError: the example inputs do not fit ``forward``.
        KnobError: a knob is no parameter of ``forward``.
    """
    if not isinstance(model, nn.Module):
        raise MarkerError(
            f"this is {type(model).__name__}, not a torch.nn.Module.",
            where="model",
            remedy="Pass the module itself, or a factory that returns it.",
        )
    model = unwrapped(model)
    inputs = bind_inputs(model, example_inputs, knobs)
    shapes = _shapes_by_name(inputs, knobs, dynamic_shapes)
    with evaluating(model):
        traced = _Traced(without_parametrizations(model), knobs)
        program = _export_program(traced, inputs, shapes)
    _check_changes_nothing(program, model)
    names = _output_names(program, inputs)
    graph = _export_onnx(program, opset)
    _name_ends(graph, list(inputs), names)
    NameUniquely()(graph)
    found = [
        marker
        for node in graph.graph.all_nodes()
        if (marker := Selector.from_node(node) or Budget.from_node(node))
    ]
    _name_the_rest(found)
    for marker in found:
        _check_batch(marker)
    _check_levels(marker for marker in found if isinstance(marker, Budget))
    if not found:
        raise MarkerError(
            "the model has no marker, so nothing would be decided at run time.",
            where=type(model).__name__,
            remedy="Write its decisions with dyncompile.gate, early_exit or switch,"
            " or export it with torch.onnx.export.",
        )
    return graph


def _name_the_rest(found: list[Selector | Budget]) -> None:
    """Name decisions in branches of torch.cond, where no module path is known."""
    names: dict[ir.Value, str] = {}
    for marker in found:
        if not marker.name:
            name = names.setdefault(marker.decision, f"inner#{len(names) + 1}")
            marker.node.attributes["name"] = ir.AttrString("name", name)


def _check_batch(marker: Selector | Budget) -> None:
    shape = marker.decision.shape
    if shape is not None and any(size != 1 for size in shape):
        size = "a dynamic batch" if not isinstance(shape[0], int) else f"a batch of {shape[0]}"
        raise MarkerError(
            f"it decides per sample, and the example inputs are {size}.",
            where=f"decision {marker.name!r}",
            remedy="Give example inputs with batch 1, or decide once per call (shape []).",
        )


def _check_levels(budgets: Iterable[Budget]) -> None:
    """Budgets on one level count for the same number of levels, whatever the level is."""
    first: dict[ir.Value, Budget] = {}
    for budget in budgets:
        before = first.setdefault(budget.decision, budget)
        if len(before.counts) != len(budget.counts):
            raise MarkerError(
                f"its budgets count channels for {len(before.counts)} levels and for"
                f" {len(budget.counts)}.",
                where=f"decision {budget.name!r}",
                remedy="Give every budget on this level one count per level.",
            )


class _Traced(nn.Module):
    """The model with its inputs by keyword, so that decisions can be named as it runs."""

    def __init__(self, model: nn.Module, knobs: Mapping[str, Knob]) -> None:
        super().__init__()
        self.model = model
        self._declared = knobs

    def forward(self, inputs: dict[str, Tensor]) -> object:
        knobs = {id(inputs[name]): knob for name, knob in self._declared.items()}
        with markers.capture(self.model, knobs):
            before = dict(self.model.named_buffers())
            result = self.model(**inputs)
        for name, buffer in self.model.named_buffers():
            if buffer is not before.get(name):  # torch.export does not see an assignment
                raise _has_state(self.model, name)
        return result


def _shapes_by_name(
    inputs: Mapping[str, Tensor], knobs: Mapping[str, Knob], shapes: _Shapes
) -> dict[str, Any] | None:
    if shapes is None:
        return None
    data = [name for name in inputs if name not in knobs]
    if not isinstance(shapes, Mapping):
        shapes = dict(zip(data, shapes, strict=False))
    unknown = [name for name in shapes if name not in data]
    if unknown:
        raise InputError(
            f"there is no input {unknown[0]!r}; there are {', '.join(data)}.",
            where="dynamic_shapes",
            remedy="Name inputs of forward that are not knobs.",
        )
    return {"inputs": {name: shapes.get(name) for name in inputs}}


def _export_program(
    traced: _Traced, inputs: dict[str, Tensor], shapes: dict[str, Any] | None
) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(traced, (inputs,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # torch raises many kinds; each becomes one line
        raise _explained(error, type(traced.model).__name__) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch has to say about its own internals off the user's screen."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.fx")]
    loggers += [logging.getLogger("torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _explained(error: Exception, model: str) -> DyncompileError:
    """Say in one line what stopped the trace, and where in the user's code."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DyncompileError):
            return cause
        cause = cause.__cause__ or cause.__context__
    where = _user_line(error) or model
    if "DataDependent" in type(error).__name__ or "DataDependent" in str(error):
        return MarkerError(
            "Python decides on the value of a tensor, which a compiled graph cannot follow.",
            where=where,
            remedy="Write this decision with dyncompile.gate, early_exit or switch.",
        )
    if "Constraints violated" in str(error):
        said = _lines(error)
        line = next((line for line in said if "specialized" in line), said[0])
        return MarkerError(
            f"a size is not as dynamic as declared: {line[:200].strip('- .')}.",
            where="dynamic_shapes",
            remedy="Give example inputs of at least 2 along dynamic dimensions, and declare"
            " only those that forward leaves free.",
        )
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    first = _lines(root)[0][:200].rstrip(".")
    return MarkerError(
        f"the model cannot be traced: {type(root).__name__}: {first}.",
        where=where,
        remedy="See what torch.export.export says of it.",
    )


def _lines(error: BaseException) -> list[str]:
    """Return what an error says, without colours and blank lines; at least one line."""
    plain = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", str(error))
    return [line.strip() for line in plain.splitlines() if line.strip()] or ["no message"]


def _user_line(error: BaseException) -> str | None:
    """The innermost line of the traceback that is neither torch's nor ours."""
    ours = Path(__file__).parent
    theirs = Path(torch.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.exists() and ours not in path.parents and theirs not in path.parents:
            return f"{path.name}:{frame.lineno}"
    return None


def _export_onnx(program: torch.export.ExportedProgram, opset: int) -> ir.Model:
    register_schema("Gate")
    register_schema("ChannelBudget")
    operators = onnxscript.values.Opset(DOMAIN, VERSION)

    def gate(take: Any, on: Any, off: Any, name: str) -> Any:  # noqa: ANN401
        return operators.Gate(take, on, off, name=name)

    def switch(index: Any, options: Any, name: str) -> Any:  # noqa: ANN401
        op_type = switch_op_type(len(options))
        register_schema(op_type)
        return getattr(operators, op_type)(index, *options, name=name)

    def channel_budget(x: Any, level: Any, counts: Any, axis: int, name: str) -> Any:  # noqa: ANN401
        return operators.ChannelBudget(x, level, counts=list(counts), axis=axis, name=name)

    table: dict[Callable[..., Any], Callable[..., Any]] = {
        torch.ops.dyncompile.channel_budget.default: channel_budget,
        torch.ops.dyncompile.gate.default: gate,
        torch.ops.dyncompile.switch.default: switch,
    }
    try:
        with _quiet():
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                custom_translation_table=table,
                optimize=False,
                verbose=False,
            )
            assert exported is not None
            fold_constants(exported.model)
    except Exception as error:  # every failure of the exporter ends here
        raise _explained(error, "torch.onnx.export") from error
    return exported.model


def _check_changes_nothing(program: torch.export.ExportedProgram, model: nn.Module) -> None:
    """An artifact has no state, so a module must not have one either."""
    if any(_changes_something(node) for node in program.graph.nodes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = program.run_decompositions({})  # says what is changed in the end
    harmless = {OutputKind.USER_OUTPUT, OutputKind.USER_INPUT_MUTATION}
    for spec in program.graph_signature.output_specs:
        if spec.kind not in harmless:
            raise _has_state(model, str(spec.target).removeprefix("model."))


def _has_state(model: nn.Module, buffer: str) -> MarkerError:
    return MarkerError(
        "forward changes it in evaluation mode, and an artifact keeps nothing from one call to"
        " the next.",
        where=f"{type(model).__name__}: buffer {buffer!r}",
        remedy="Take it as an input and return what becomes of it.",
    )


def _changes_something(node: torch.fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _output_names(program: torch.export.ExportedProgram, inputs: Mapping[str, Tensor]) -> list[str]:
    """Name what the graph returns, in its order."""
    out_spec = program.call_spec.out_spec
    assert out_spec is not None
    numbered = pytree.tree_unflatten(range(out_spec.num_leaves), out_spec)
    paths = iter([path for path, _ in pytree.tree_leaves_with_path(numbered)])
    names: list[str] = []
    taken = set(inputs)
    for spec in program.graph_signature.output_specs:
        if spec.kind != OutputKind.USER_OUTPUT:
            continue
        name = _spell_path(next(paths))
        if isinstance(spec.arg, TensorArgument):
            while name in taken:
                name += "_out"
            taken.add(name)
            names.append(name)
        elif getattr(spec.arg, "value", ...) is not None:
            raise MarkerError(
                f"it is {_spell_argument(spec.arg)}, not a tensor.",
                where=f"output {name!r}",
                remedy="Return tensors only, alone or in tuples, lists and dicts.",
            )
    return names


def _spell_path(path: Sequence[Any]) -> str:
    words = []
    for key in path:
        part = next(getattr(key, a) for a in ("key", "idx", "name") if hasattr(key, a))
        words.append(str(part))
    is_named = bool(path) and not isinstance(path[0], pytree.SequenceKey)
    return "_".join(words if is_named else ["output", *words])


def _spell_argument(argument: object) -> str:
    value = getattr(argument, "value", None)
    return "a size" if value is None else f"the {type(value).__name__} {value!r}"


def _name_ends(model: ir.Model, inputs: list[str], outputs: list[str]) -> None:
    graph = model.graph
    named = list(zip(graph.outputs, outputs, strict=True))
    graph.outputs.clear()
    for value, name in zip(graph.inputs, inputs, strict=True):
        value.name = name
    for value, name in named:
        result = value
        if value.producer() is None or value.is_graph_output():  # has a name of its own
            copy = ir.node("Identity", [value])
            graph.append(copy)
            copy.outputs[0].type, copy.outputs[0].shape = value.type, value.shape
            result = copy.outputs[0]
        result.name = name
        graph.outputs.append(result)
        if value.dtype not in _OUTPUT_TYPES:
            raise MarkerError(
                f"it is {str(value.dtype).lower()}, which NumPy and so the artifact's caller"
                " do not have.",
                where=f"output {name!r}",
                remedy="Convert it with .float() in forward.",
            )
    taken = {*inputs, *outputs}
    prefix = "model."
    for value in list(graph.initializers.values()):
        assert value.name is not None
        name = value.name.removeprefix(prefix)
        if name != value.name and name not in taken and name not in graph.initializers:
            del graph.initializers[value.name]
            value.name = name
            graph.register_initializer(value)
