"""Graphs as text, made legal, checked, and given to the real parser and builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import pytest

from dyncompile import pipeline
from dyncompile.errors import TargetError
from dyncompile.targets.trt.passes import CHECKING, LEGALISING
from tests.support import HEADER


def parse(graph: str, header: str = HEADER) -> ir.Model:
    """Read a graph in ONNX text syntax."""
    return ir.from_onnx_text(header + graph)


def made_legal(model: ir.Model, passes: Sequence[ir.passes.PassBase] = LEGALISING) -> ir.Model:
    """Run passes on a copy."""
    copy = model.clone()
    for _ in pipeline.run(copy, passes):
        pass
    return copy


def checked(model: ir.Model) -> ir.Model:
    """Make a copy legal and check it."""
    return made_legal(model, (*LEGALISING, *CHECKING))


def assert_refused(model: ir.Model, node: str, *words: str) -> None:
    """Check that no builder would see the model, and that the error names the node."""
    with pytest.raises(TargetError) as raised:
        checked(model)
    assert node in raised.value.where
    for word in words:
        assert word in str(raised.value)
    assert raised.value.remedy


@dataclass(frozen=True)
class Built:
    """What the builder made.

    Attributes:
        inputs: Of the parsed network, by name: whether it is a shape tensor.
        warnings: What parser and builder said, but for what is always said.
    """

    inputs: dict[str, bool]
    warnings: tuple[str, ...]


def assert_builds(model: ir.Model) -> Built:
    """Build a legal model with TensorRT for RTX; skips the test where it is not installed."""
    trt = pytest.importorskip("tensorrt_rtx")
    said: list[str] = []
    logger = _logger(trt, said)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    data = ir.to_proto(model).SerializeToString()
    assert parser.parse(data), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, inputs))
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, said
    quiet = ("Make sure ", "CUDA", "cudaError", "Unused Input", "used only at compile-time")
    warnings = tuple(text for text in said if not any(words in text for words in quiet))
    return Built({t.name: bool(t.is_shape_tensor) for t in inputs}, warnings)


def parser_accepts(model: ir.Model) -> bool:
    """Whether the real parser reads a model."""
    trt = pytest.importorskip("tensorrt_rtx")
    logger = _logger(trt, [])
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    return bool(trt.OnnxParser(network, logger).parse(ir.to_proto(model).SerializeToString()))


def _logger(trt: Any, said: list[str]) -> Any:  # noqa: ANN401
    def log(self: object, severity: Any, message: str) -> None:  # noqa: ANN401, ARG001
        if severity <= trt.ILogger.WARNING:
            said.append(message)

    def init(self: Any) -> None:  # noqa: ANN401
        trt.ILogger.__init__(self)

    return type("Logger", (trt.ILogger,), {"__init__": init, "log": log})()


def _profile(builder: Any, inputs: list[Any]) -> Any:  # noqa: ANN401
    """Let unknown sizes and shape tensors run from 1 to 3."""
    profile = builder.create_optimization_profile()
    for tensor in inputs:
        shape = list(tensor.shape)
        if tensor.is_shape_tensor:
            count = shape[0] if shape else 1
            profile.set_shape_input(tensor.name, *([n] * count for n in (1, 2, 3)))
        elif -1 in shape:
            ranges = [[n if size < 0 else size for size in shape] for n in (1, 2, 3)]
            profile.set_shape(tensor.name, *ranges)
    return profile
