"""A budgeted network as plain data, read as a marked graph or as a torch module."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from dyncompile import dialect
from dyncompile.knobs import Levels
from tests.budgeted import ops
from tests.budgeted.op import Op, Shape, Weights
from tests.support import Array, Feeds

# The inputs of every network. Values are numbered: these first, then results in order.
INPUTS = ("x", "level", "width", "open")
X, LEVEL, WIDTH, OPEN = range(4)
BATCH = "N"  # a batch of any size


@dataclass(frozen=True)
class Network:
    """A network as data.

    Attributes:
        shape: Of ``x``, without the batch: ``(C, H, W)`` or ``(C,)``.
        batch: 1 or ``BATCH``.
        per_sample: Whether ``open`` has shape [1] rather than [].
        levels: How many there are of ``level``, and of ``width``.
        ops: In order; each refers to values by number.
        outputs: Numbers of the values returned.
        seed: Of the weights and of ``x``.
    """

    shape: Shape
    batch: int | str
    per_sample: bool
    levels: tuple[int, int]
    ops: tuple[Op, ...]
    outputs: tuple[int, ...]
    seed: int

    @functools.cached_property
    def results(self) -> list[tuple[Op, tuple[int, ...]]]:
        """Each operator with the numbers of its results."""
        found, count = [], len(INPUTS)
        for op, shapes in zip(self.ops, self._shapes, strict=True):
            found.append((op, tuple(range(count, count + len(shapes)))))
            count += len(shapes)
        return found

    @functools.cached_property
    def shape_of(self) -> list[Shape]:
        """The shape of every value, by its number; nothing of those that are no tensors."""
        return [self.shape, (), (), (), *itertools.chain.from_iterable(self._shapes)]

    def weights(self) -> dict[int, Weights]:
        """Return the weights of each operator that has some, by its first result."""
        drawn = {}
        for op, (first, *_) in self.results:
            rng = np.random.default_rng([self.seed, first])
            found = op.weights(rng, *(self.shape_of[k] for k in op.inputs))
            if found:
                drawn[first] = found
        return drawn

    def used(self) -> set[int]:
        """Return the numbers of the values that operators read."""
        return {number for op in self.ops for number in op.inputs}

    def feeds(self, most: int = 12) -> list[Feeds]:
        """Return feeds at every level and beyond, with both values of ``open``."""
        used = self.used()
        levels, widths = (
            range(-1, count + 1) if number in used else range(1)
            for number, count in zip((LEVEL, WIDTH), self.levels, strict=True)
        )
        flags = [0, 1] if OPEN in used else [1]
        chosen = list(itertools.product(levels, widths, flags))
        rng = np.random.default_rng(self.seed)
        if len(chosen) > most:
            chosen = [
                (levels[k % len(levels)], int(rng.choice(widths)), int(rng.choice(flags)))
                for k in range(most)
            ]
        return [
            self._feed(rng, 1 if self.batch == 1 else 1 + 2 * (n % 2), levels, flag)
            for n, (*levels, flag) in enumerate(chosen)
        ]

    def _feed(
        self, rng: np.random.Generator, batch: int, levels: Sequence[int], flag: int
    ) -> Feeds:
        return {
            "x": rng.integers(-3, 4, (batch, *self.shape)).astype(np.float32),
            "level": np.asarray(levels[0], np.int64),
            "width": np.asarray(levels[1], np.int64),
            "open": np.full((1,) if self.per_sample else (), bool(flag)),
        }

    @functools.cached_property
    def _shapes(self) -> list[tuple[Shape, ...]]:
        known: list[Shape] = [self.shape, (), (), ()]
        found = []
        for op in self.ops:
            found.append(op.shapes(*(known[k] for k in op.inputs)))
            known.extend(found[-1])
        return found


# --- the torch module -------------------------------------------------------------------------


class TorchNetwork(nn.Module):
    """A network written with the markers, as an author would write it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        names = ("level", "width")
        counts = zip(names, network.levels, strict=True)
        self.knobs = {name: Levels(tuple(range(count))) for name, count in counts}
        self.network = network
        self._weights = nn.ModuleDict(
            {
                str(number): nn.ParameterDict(
                    {
                        name: nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False)
                        for name, array in drawn.items()
                    }
                )
                for number, drawn in network.weights().items()
            }
        )

    def forward(self, x: Tensor, level: Tensor, width: Tensor, open: Tensor) -> list[Tensor]:  # noqa: A002
        """Return one tensor per output of the network."""
        values = self.values(x, level, width, open)
        return [values[number] for number in self.network.outputs]

    def values(self, *inputs: Tensor) -> list[Tensor]:
        """Return every value of the network by its number."""
        values = list(inputs)
        for op, (first, *_) in self.network.results:
            read = [values[k] for k in op.inputs]
            values.extend(listed(op.compute(*read, **self._weights_of(first))))
        return values

    def _weights_of(self, number: int) -> dict[str, Tensor]:
        place = str(number)
        return dict(self._weights[place].named_parameters()) if place in self._weights else {}


def torch_arguments(feeds: Mapping[str, Array]) -> tuple[Tensor, ...]:
    """Return the feeds as the arguments of ``TorchNetwork.forward``."""
    return tuple(torch.from_numpy(np.array(feeds[name])) for name in INPUTS)


# --- the marked graph -------------------------------------------------------------------------


def marked_model(network: Network) -> ir.Model:
    """Return the marked graph, as capture would write it."""
    b = ops.Builder(network.batch)
    flag = [1] if network.per_sample else []
    shapes: list[list[int | str]] = [[network.batch, *network.shape], [], [], [*flag]]
    dtypes = (ops.FLOAT, ops.INT64, ops.INT64, ops.BOOL)
    values = [
        ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        for name, dtype, shape in zip(INPUTS, dtypes, shapes, strict=True)
    ]
    inputs, weights = list(values), network.weights()
    for op, (first, *_) in network.results:
        made = op.build(b, *(values[k] for k in op.inputs), **weights.get(first, {}))
        values.extend([made] if isinstance(made, ir.Value) else made)
    outputs = []
    for k, number in enumerate(network.outputs):
        value = values[number]
        value.name = f"output_{k}"
        outputs.append(value)
    graph = ir.Graph(
        inputs,
        outputs,
        nodes=b.nodes,
        initializers=list(b.initializers.values()),
        opset_imports={"": 21, dialect.DOMAIN: dialect.VERSION},
        name="main",
    )
    return ir.Model(graph, ir_version=10)


# --- running it -------------------------------------------------------------------------------


class Judge:
    """Runs a network in single and double precision, and says what rounding can do to outputs."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._single, self._double = TorchNetwork(network), TorchNetwork(network).double()

    def __call__(self, feeds: Feeds) -> tuple[list[Array], bool, float]:
        """Run it once.

        Returns:
            The outputs; whether no result is rounded; and the relative distance of the closest
            score from the bound of its decision.
        """
        x, *rest = torch_arguments(feeds)
        with torch.no_grad():
            single, double = self._single.values(x, *rest), self._double.values(x.double(), *rest)
        margin, exact = 1.0, all(op.exact for op in self._network.ops)
        for op, numbers in self._network.results:
            exact = exact and all(
                torch.equal(single[k].double(), double[k].double()) for k in numbers
            )
            if isinstance(op, ops.Score | ops.Index):
                margin = min(margin, _margin(op, double[op.inputs[0]]))
        return [single[k].numpy() for k in self._network.outputs], exact, margin


def _margin(op: ops.Score | ops.Index, x: Tensor) -> float:
    bounds = [op.bound + ops.BOUND] if isinstance(op, ops.Score) else op.bounds
    distances = [(x.sum() - bound).abs().item() for bound in bounds]
    return float(min(distances) / (1 + x.abs().sum().item()))


def agree(got: Sequence[Array], want: Sequence[Array], *, exact: bool) -> None:
    """Check outputs to 1e-4 of the largest element (see ``dyncompile.verify``).

    Where no result is rounded, only a partial sum of another order can be: 1e-6 is enough.
    """
    for have, wish in zip(got, want, strict=True):
        assert have.dtype == wish.dtype
        assert have.shape == wish.shape
        assert np.isfinite(wish).all()
        size = max(1.0, float(np.abs(wish).max()))
        limit = (1e-6 if exact else 1e-4) * size
        np.testing.assert_allclose(have, wish, rtol=0, atol=limit)


def listed(results: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Return one result as a list of one."""
    return [results] if isinstance(results, Tensor) else results
