"""What a budgeted network has to multiply, and what a model does multiply.

The oracle knows no rule of any operator. Written with smooth functions and random weights, the
network depends on all that it can depend on: a pair of channels of a weight is needed at a level
if the outputs have a gradient there. The gradient is nonzero where the input channel is alive and
the output channel is read, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import load_op
from torch import Tensor
from torch.nn import functional

from dyncompile import markers
from tests.budgeted import ops
from tests.budgeted.network import Network, TorchNetwork, listed, torch_arguments
from tests.budgeted.ops import Op
from tests.support import Array, Feeds, runnable_proto

_COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_DRAWS = 3


def macs_run(model: ir.Model, feeds: Mapping[str, Array]) -> int:
    """Return how many multiply-accumulates a call takes, counted as it runs."""
    total = 0

    def counted(op_type: str) -> type[OpRun]:
        op: Any = load_op("", op_type, 21)

        def _run(self: OpRun, *inputs: Array, **attributes: object) -> tuple[Array, ...]:
            nonlocal total
            results = op._run(self, *inputs, **attributes)  # noqa: SLF001
            total += _macs(op_type, inputs[0], inputs[1], results[0])
            return cast(tuple[Array, ...], results)

        return type(op_type, (op,), {"_run": _run, "op_domain": ""})

    known = {value.name for value in model.graph.inputs}
    new_ops = [counted(op_type) for op_type in _COUNTED]
    evaluator = ReferenceEvaluator(runnable_proto(model), new_ops=new_ops)
    evaluator.run(None, {name: array for name, array in feeds.items() if name in known})
    return total


def _macs(op_type: str, x: Array, weight: Array, y: Array) -> int:
    if op_type == "Conv":
        return y.size * math.prod(weight.shape[1:])
    if op_type == "ConvTranspose":
        return x.size * math.prod(weight.shape[1:])
    return y.size * int(x.shape[-1])


def macs_needed(network: Network, feeds: Feeds) -> int:
    """Return how many of them the outputs depend on, all decisions as they fall for the feeds.

    A group of a grouped convolution counts whole if any of it is needed.
    """
    model = TorchNetwork(network)
    with torch.no_grad(), markers.follow() as taken:
        model(*torch_arguments(feeds))
    knobs = model.knobs  # the feeds say what these are
    path = {name: int(option.item()) for name, option in taken.items() if name not in knobs}
    total = 0
    operators = {first: op for op, (first, *_) in network.results}
    for number, pairs in _dependence(network, feeds, path).items():
        op = operators[number]
        positions = _uses(network, op, number)
        if isinstance(op, ops.Linear):
            total += positions * int(pairs.sum())
            continue
        assert isinstance(op, ops.Conv | ops.ConvTranspose)
        alive = pairs.reshape(op.groups, -1)
        if op.groups > 1:
            alive = np.repeat(alive.any(1, keepdims=True), alive.shape[1], axis=1)
        kernel = op.kernel**2 if isinstance(op, ops.Conv) else 4
        total += positions * kernel * int(alive.sum())
    return total * len(feeds["x"])


def _uses(network: Network, op: Op, number: int) -> int:
    """Return how often each weight of a layer is used in one sample."""
    at = op.inputs[0] if isinstance(op, ops.ConvTranspose) else number
    shape = network.shape_of[at]
    return math.prod(shape[:1] if len(shape) == 2 else shape[1:])


def _dependence(network: Network, feeds: Feeds, path: Mapping[str, int]) -> dict[int, Array]:
    """Return, for each layer, which pairs of its channels the outputs depend on."""
    found: dict[int, Array] = {}
    for draw in range(_DRAWS):
        for number, pairs in _dependence_once(network, feeds, path, draw).items():
            found[number] = found.get(number, np.zeros_like(pairs)) | pairs
    return found


def _dependence_once(
    network: Network, feeds: Feeds, path: Mapping[str, int], seed: int
) -> dict[int, Array]:
    rng = torch.Generator().manual_seed(seed)
    arguments = list(torch_arguments(feeds))
    arguments[0] = torch.randn(arguments[0].shape, generator=rng, dtype=torch.float64)
    layers: dict[int, Tensor] = {}
    drawn = network.weights()
    values = list(arguments)
    with markers.follow(path):
        for op, (first, *_) in network.results:
            w = _random_weights(drawn.get(first, {}), rng)
            if isinstance(op, ops.Conv | ops.ConvTranspose | ops.Linear):
                layers[first] = w["weight"].requires_grad_()
            values.extend(_smooth(op, w, [values[k] for k in op.inputs]))
    target = torch.zeros((), dtype=torch.float64)
    for number in network.outputs:
        noise = torch.randn(values[number].shape, generator=rng, dtype=torch.float64)
        target = target + (values[number] * noise).sum()
    if not target.requires_grad:
        return {}
    gradients = torch.autograd.grad(target, list(layers.values()), allow_unused=True)
    return {
        number: gradient.flatten(2).any(-1).numpy()
        if gradient.ndim > 2
        else (gradient != 0).numpy()
        for number, gradient in zip(layers, gradients, strict=True)
        if gradient is not None
    }


def _random_weights(drawn: ops.Weights, rng: torch.Generator) -> dict[str, Tensor]:
    return {
        name: torch.rand(array.shape, generator=rng, dtype=torch.float64) + 0.5
        if name.startswith("var")
        else torch.randn(array.shape, generator=rng, dtype=torch.float64)
        for name, array in drawn.items()
    }


def _smooth(op: Op, w: Mapping[str, Tensor], xs: list[Tensor]) -> Sequence[Tensor]:
    """Compute with functions that depend on all that they read, and keep zeros."""
    result: Tensor | Sequence[Tensor]
    match op:
        case ops.Norm():
            result = _normed(xs[0], w, "")
        case ops.LevelNorm():
            result = _normed(xs[1], w, str(min(max(int(xs[0]), 0), op.levels - 1)))
        case ops.Unary() if op.name in ops.ZERO_KEEPING:
            result = functional.leaky_relu(xs[0], 0.5)
        case ops.Pool():
            size, stride, pad = (3, 1, 1) if op.kind == "wide" else (2, 2, 0)
            result = functional.avg_pool2d(xs[0], size, stride, pad)
        case ops.GlobalPool():
            result = replace(op, kind="mean").compute(xs[0])
        case ops.Binary(_, "Sub"):
            result = xs[0] - 0.7 * xs[1]
        case ops.Binary(_, "Add"):
            result = xs[0] + 0.7 * xs[1]
        case _:
            result = op.compute(*xs, **w)
    return listed(result)


def _normed(x: Tensor, w: Mapping[str, Tensor], level: str) -> Tensor:
    """Normalise; torch's own gradient is wrong where that of the output is transposed."""
    names = ("weight", "bias", "mean", "var")
    shape = (-1, *[1] * (x.ndim - 2))
    weight, bias, mean, var = (w[f"{name}{level}"].reshape(shape) for name in names)
    return (x - mean) / var.sqrt() * weight + bias
