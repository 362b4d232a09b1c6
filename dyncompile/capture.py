"""PyTorch module to marked ONNX: one flat graph in which every marker is a node."""

from __future__ import annotations

__all__ = ["capture_model"]

import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import onnx_ir as ir
import onnxscript
import torch
from torch import Tensor, nn

from dyncompile import markers
from dyncompile.binding import Example, bind_inputs
from dyncompile.dialect import DOMAIN, VERSION, Selector, register_schema, switch_op_type
from dyncompile.errors import DyncompileError, InputError, MarkerError
from dyncompile.knobs import Knob

OPSET = 21
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
        model: Traced in evaluation mode; its mode is restored.
        example_inputs: The inputs of ``forward`` in order, or by name, without the knobs.
        knobs: Parameters of ``forward`` that are knobs; they become graph inputs.
        dynamic_shapes: As for ``torch.export.export``, for the inputs that are not knobs.
        opset: ONNX opset of the graph.

    Returns:
        A flat graph with ``Gate`` and ``Switch<n>`` nodes. Inputs are named as in ``forward``,
        knobs last where forward has them; one output is ``output``, several ``output_<i>`` or
        the keys of a dict.

    Raises:
        MarkerError: the model cannot be traced, or holds no marker.
        InputError: the example inputs do not fit ``forward``.
        KnobError: a knob is no parameter of ``forward``.
    """
    if not isinstance(model, nn.Module):
        raise MarkerError(
            f"this is {type(model).__name__}, not a torch.nn.Module.",
            where="model",
            remedy="Pass the module itself, or a factory that returns it.",
        )
    inputs = bind_inputs(model, example_inputs, knobs)
    shapes = _shapes_by_name(inputs, knobs, dynamic_shapes)
    traced = _Traced(model, knobs)
    was_training = model.training
    model.eval()
    try:
        program = _export_program(traced, inputs, shapes)
    finally:
        model.train(was_training)
    names = _output_names(traced.result)
    graph = _export_onnx(program, opset)
    _name_ends(graph, list(inputs), names)
    selectors = [s for node in graph.graph.all_nodes() if (s := Selector.from_node(node))]
    _name_the_rest(selectors)
    for selector in selectors:
        _check_batch(selector)
    if not selectors:
        raise MarkerError(
            "the model has no marker, so nothing would be decided at run time.",
            where=type(model).__name__,
            remedy="Write its decisions with dyncompile.gate, early_exit or switch,"
            " or export it with torch.onnx.export.",
        )
    return graph


def _name_the_rest(selectors: list[Selector]) -> None:
    """Name decisions in branches of torch.cond, where no module path is known."""
    names: dict[ir.Value, str] = {}
    for selector in selectors:
        if not selector.name:
            name = names.setdefault(selector.decision, f"inner#{len(names) + 1}")
            selector.node.attributes["name"] = ir.AttrString("name", name)


def _check_batch(selector: Selector) -> None:
    shape = selector.decision.shape
    if shape is not None and any(size != 1 for size in shape):
        size = "a dynamic batch" if not isinstance(shape[0], int) else f"a batch of {shape[0]}"
        raise MarkerError(
            f"it decides per sample, and the example inputs are {size}.",
            where=f"decision {selector.name!r}",
            remedy="Give example inputs with batch 1, or decide once per call (shape []).",
        )


class _Traced(nn.Module):
    """The model with its inputs by keyword, so that decisions can be named as it runs."""

    def __init__(self, model: nn.Module, knobs: Mapping[str, Knob]) -> None:
        super().__init__()
        self.model = model
        self._declared = knobs
        self.result: object = None

    def forward(self, inputs: dict[str, Tensor]) -> object:
        knobs = {id(inputs[name]): knob for name, knob in self._declared.items()}
        with markers.capture(self.model, knobs):
            self.result = self.model(**inputs)
        return self.result


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
    name = type(error).__name__
    if "DataDependent" in name or "DataDependent" in str(error):
        return MarkerError(
            "Python decides on the value of a tensor, which a compiled graph cannot follow.",
            where=where,
            remedy="Write this decision with dyncompile.gate, early_exit or switch.",
        )
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return MarkerError(
        f"the model cannot be traced: {name}: {first[:200]}.".replace("..", "."),
        where=where,
        remedy="See what torch.export.export says of it.",
    )


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
    operators = onnxscript.values.Opset(DOMAIN, VERSION)

    def gate(take: Any, on: Any, off: Any, name: str) -> Any:  # noqa: ANN401
        return operators.Gate(take, on, off, name=name)

    def switch(index: Any, options: Any, name: str) -> Any:  # noqa: ANN401
        op_type = switch_op_type(len(options))
        register_schema(op_type)
        return getattr(operators, op_type)(index, *options, name=name)

    table: dict[Callable[..., Any], Callable[..., Any]] = {
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
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # every failure of the exporter ends here
        raise _explained(error, "torch.onnx.export") from error
    assert exported is not None
    return exported.model


def _output_names(result: object) -> list[str]:
    if isinstance(result, Mapping):
        return [str(name) for name in result]
    if isinstance(result, (tuple, list)):
        return [f"output_{i}" for i in range(len(result))]
    return ["output"]


def _name_ends(model: ir.Model, inputs: list[str], outputs: list[str]) -> None:
    graph = model.graph
    if len(graph.outputs) != len(outputs):
        outputs = [f"output_{i}" for i in range(len(graph.outputs))]
    for values, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        for value, name in zip(values, names, strict=True):
            value.name = name
    taken = {*inputs, *outputs}
    prefix = "model."
    for value in list(graph.initializers.values()):
        assert value.name is not None
        name = value.name.removeprefix(prefix)
        if name != value.name and name not in taken and name not in graph.initializers:
            del graph.initializers[value.name]
            value.name = name
            graph.register_initializer(value)
