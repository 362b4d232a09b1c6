"""Random dynamic networks: drawn as plain data, read as a marked graph or as a torch module.

All numbers are small whole numbers, so every runtime computes them exactly, in any order of
summation: outputs are compared for equality, and no decision is ever a near-tie.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from dyncompile import markers
from dyncompile.knobs import Levels, Threshold
from tests.support import Array, Feeds, parse

VECTOR, IMAGE = (1, 4), (1, 2, 3, 3)

# The inputs of every network. Values are numbered: these first, then results in order.
INPUTS = ("x", "open0", "open1", "level", "threshold")
X, OPEN0, OPEN1, LEVEL, THRESHOLD = range(5)
LEVELS = 4


@dataclass(frozen=True)
class Dense:
    """MatMul or Conv with weight number ``weight``."""

    x: int
    weight: int


@dataclass(frozen=True)
class Relu:
    """An operator that costs nothing."""

    x: int


@dataclass(frozen=True)
class Add:
    """A join of two values."""

    a: int
    b: int


@dataclass(frozen=True)
class Score:
    """The decision ``sum(x) > threshold + bound``, shape [1] per sample, else []."""

    x: int
    bound: int
    per_sample: bool


@dataclass(frozen=True)
class Index:
    """The index ``sum over bounds of (sum(x) > bound)``, int64 of shape [1] or []."""

    x: int
    bounds: tuple[int, ...]
    per_sample: bool


@dataclass(frozen=True)
class Not:
    """The opposite decision."""

    decision: int


@dataclass(frozen=True)
class Both:
    """The decision that holds where two others do."""

    a: int
    b: int


@dataclass(frozen=True)
class Gate:
    """A gate over one or more values; as many results."""

    decision: int
    on: tuple[int, ...]
    off: tuple[int, ...]


@dataclass(frozen=True)
class Switch:
    """A switch over one or more values; as many results; one of several names of its index."""

    index: int
    options: tuple[tuple[int, ...], ...]
    alias: int = 0

    def name(self) -> str | None:
        """Return the name given to it, if any."""
        return f"alias{self.alias}.{self.index}" if self.alias else None


@dataclass(frozen=True)
class AddGated:
    """The residual form ``x + gate(decision, f, 0)``."""

    decision: int
    x: int
    f: int


@dataclass(frozen=True)
class AddMasked:
    """The residual form ``x + f * mask``."""

    decision: int
    x: int
    f: int


Op = Dense | Relu | Add | Score | Index | Not | Both | Gate | Switch | AddGated | AddMasked


@dataclass(frozen=True)
class Network:
    """A network as data.

    Attributes:
        shape: Of every tensor: ``VECTOR`` or ``IMAGE``.
        per_sample: Whether ``open0`` and ``open1`` have shape [1] rather than [].
        ops: In order; each refers to values by number.
        outputs: Numbers of the values returned.
        seed: Of the weights and of ``x``.
    """

    shape: tuple[int, ...]
    per_sample: bool
    ops: tuple[Op, ...]
    outputs: tuple[int, ...]
    seed: int

    def results(self) -> Iterator[tuple[Op, tuple[int, ...]]]:
        """Yield each operator with the numbers of its results."""
        number = len(INPUTS)
        for op in self.ops:
            count = 1
            if isinstance(op, Gate):
                count = len(op.on)
            elif isinstance(op, Switch):
                count = len(op.options[0])
            yield op, tuple(range(number, number + count))
            number += count

    def weights(self) -> dict[int, NDArray[np.float32]]:
        """Return the weights: all different, whole, and so sparse that values stay small."""
        numbers = sorted({op.weight for op in self.ops if isinstance(op, Dense)})
        return {number: _weight(self.shape, self.seed, number) for number in numbers}

    def feeds(self) -> list[Feeds]:
        """Return feeds that take every value of each input in use, in all combinations."""
        used = self._used()
        rng = np.random.default_rng(self.seed)
        flag = (1,) if self.per_sample else ()
        choices: dict[int, list[object]] = {
            OPEN0: [False, True],
            OPEN1: [False, True],
            LEVEL: list(range(-1, LEVELS + 1)),  # out of range: clamped
            THRESHOLD: [-2.5, 1.0],
        }
        drawn = [values if k in used else values[:1] for k, values in choices.items()]
        return [
            {
                "x": rng.integers(-2, 3, self.shape).astype(np.float32),
                "open0": np.full(flag, first),
                "open1": np.full(flag, second),
                "level": np.asarray(level, np.int64),
                "threshold": np.asarray(threshold, np.float32),
            }
            for first, second, level, threshold in itertools.product(*drawn)
        ]

    def _used(self) -> set[int]:
        used: set[int] = set()
        for op in self.ops:
            match op:
                case Score():
                    used.add(THRESHOLD)
                case Not(a):
                    used.add(a)
                case Both(a, b):
                    used |= {a, b}
                case Gate(a) | Switch(a) | AddGated(a) | AddMasked(a):
                    used.add(a)
                case _:
                    pass
        return used


def _weight(shape: tuple[int, ...], seed: int, number: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, number])
    if shape == VECTOR:
        matrix = np.eye(4, dtype=np.float32)[rng.permutation(4)] * rng.choice([-1, 1], 4)
        matrix[rng.integers(4), rng.integers(4)] += 1
        return np.asarray(matrix + 0.0, np.float32)  # no negative zeros
    kernel = np.zeros((2, 2, 3, 3), np.float32)
    for channel in range(2):
        kernel[channel, rng.integers(2), rng.integers(3), rng.integers(3)] = rng.choice([-1, 1])
        kernel[channel, rng.integers(2), 1, 1] += 1
    return kernel


# --- the strategy ---------------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn, *, max_layers: int = 14) -> Network:
    """Draw a network of nested gates and switches."""
    shape = draw(st.sampled_from([VECTOR, VECTOR, IMAGE]))
    sketch = _Sketch(draw, max_layers)
    last = sketch.region(X, depth=draw(st.integers(1, 3)))
    others = draw(st.lists(st.sampled_from(sketch.tensors), max_size=2))
    outputs = tuple(dict.fromkeys([last, *others]))
    return Network(
        shape=shape,
        per_sample=draw(st.booleans()),
        ops=tuple(sketch.ops),
        outputs=tuple(value for value in outputs if value != X) or (sketch.dense(X),),
        seed=draw(st.integers(0, 9)),
    )


@dataclass
class _Sketch:
    draw: st.DrawFn
    layers_left: int
    ops: list[Op] = field(default_factory=list)
    count: int = len(INPUTS)
    weight_count: int = 0
    tensors: list[int] = field(default_factory=lambda: [X])
    decisions: list[int] = field(default_factory=lambda: [OPEN0, OPEN1])
    indices: list[int] = field(default_factory=lambda: [LEVEL])

    def region(self, x: int, depth: int) -> int:
        """Append one to three elements in a row; return the last value."""
        for _ in range(self.draw(st.integers(1, 3))):
            x = self.element(x, depth)
        return x

    def element(self, x: int, depth: int) -> int:
        if depth == 0 or self.layers_left <= 0:
            return self.draw(st.sampled_from([self.layer, self.residual]))(x)
        kinds = [
            self.skip,
            self.two_sides,
            self.shared_sides,
            self.two_gates,
            self.tuple_gate,
            self.early_exit,
            self.residual_form,
            self.stateful,
            self.ladder,
            self.disjoint,
            self.subsets,
            self.two_switches,
        ]
        plain = [self.layer, self.residual]
        kind = self.draw(st.sampled_from(range(len(plain) + len(kinds))))
        return plain[kind](x) if kind < len(plain) else kinds[kind - len(plain)](x, depth - 1)

    # elements without a decision

    def layer(self, x: int) -> int:
        x = self.dense(x)
        return self.add_op(Relu(x)) if self.draw(st.booleans()) else x

    def residual(self, x: int) -> int:
        return self.add_op(Add(x, self.draw(st.sampled_from(self.tensors))))

    # elements with one; a region is a block of any kind

    def skip(self, x: int, depth: int) -> int:
        return self.gate(self.decision(x), self.region(x, depth), x)

    def two_sides(self, x: int, depth: int) -> int:
        return self.gate(self.decision(x), self.region(x, depth), self.region(x, depth))

    def shared_sides(self, x: int, depth: int) -> int:
        decision, shared = self.decision(x), self.region(x, 0)
        on, off = self.region(shared, depth), self.draw(st.sampled_from([shared, None]))
        y = self.gate(decision, on, self.region(shared, 0) if off is None else off)
        return self.add_op(Add(y, shared)) if self.draw(st.booleans()) else y

    def two_gates(self, x: int, depth: int) -> int:
        decision = self.decision(x)
        shared = self.region(x, 0)
        first = self.gate(decision, self.region(shared, depth), x)
        between = self.dense(first) if self.draw(st.booleans()) else first
        on = self.region(between, 0)
        if self.draw(st.booleans()):
            on = self.add_op(Add(on, shared))
        opposite = self.draw(st.booleans())
        if opposite:
            return self.gate(self.negated(decision), on, between)
        return self.gate(decision, on, between)

    def tuple_gate(self, x: int, depth: int) -> int:
        decision, state = self.decision(x), self.draw(st.sampled_from(self.tensors))
        on = self.region(x, depth), self.region(state, 0)
        y, state = self.gates(decision, on, (x, state))
        return self.add_op(Add(y, self.dense(state))) if self.draw(st.booleans()) else y

    def early_exit(self, x: int, depth: int) -> int:
        head = self.dense(x)
        confident = self.score(head)
        return self.gate(confident, head, self.region(x, depth))

    def residual_form(self, x: int, depth: int) -> int:
        decision = self.decision(x)
        f = self.region(x, depth)
        masked = self.draw(st.booleans())
        op = AddMasked(decision, x, f) if masked else AddGated(decision, x, f)
        return self.add_op(op)

    def stateful(self, x: int, depth: int) -> int:
        """A recurrent gate: its state runs along the depth whatever is skipped."""
        state = x
        for _ in range(2):
            state = self.dense(self.add_op(Add(state, x)))
            x = self.gate(self.score(state), self.region(x, depth), x)
        return x

    def ladder(self, x: int, depth: int) -> int:
        index = self.index(x)
        trunk, options = x, []
        for _ in range(self.draw(st.integers(2, 4))):
            trunk = self.region(trunk, min(depth, 1))
            options.append(self.dense(trunk) if self.draw(st.booleans()) else trunk)
        return self.switch(index, options)

    def disjoint(self, x: int, depth: int) -> int:
        index = self.index(x)
        count = self.draw(st.integers(2, 4))
        return self.switch(index, [self.region(x, min(depth, 1)) for _ in range(count)])

    def subsets(self, x: int, depth: int) -> int:
        """Options that are sums of arbitrary subsets of some works."""
        index = self.index(x)
        works = [self.region(x, min(depth, 1)) for _ in range(self.draw(st.integers(1, 3)))]
        options = []
        for _ in range(self.draw(st.integers(2, 4))):
            option = x
            for work in works:
                if self.draw(st.booleans()):
                    option = self.add_op(Add(option, work))
            options.append(option)
        return self.switch(index, options)

    def two_switches(self, x: int, depth: int) -> int:
        """Two switches on one index, each with its own number of options."""
        index = self.index(x)
        for _ in range(2):
            count = self.draw(st.integers(1, 4))
            options = [self.region(x, min(depth, 1)) for _ in range(count)]
            x = self.switch(index, options, self.draw(st.integers(0, 2)))
        return x

    # decisions

    def decision(self, x: int) -> int:
        kind = self.draw(st.sampled_from(["known", "known", "score", "not", "both"]))
        if kind == "score":
            return self.score(self.draw(st.sampled_from([x, *self.tensors])))
        known = self.draw(st.sampled_from(self.decisions))
        if kind == "not":
            return self.negated(known)
        if kind == "both":
            other = self.draw(st.sampled_from(self.decisions))
            return self.add_decision(Both(known, other))
        return known

    def negated(self, decision: int) -> int:
        return self.add_decision(Not(decision))

    def score(self, x: int) -> int:
        bound = self.draw(st.integers(-2, 2))
        return self.add_decision(Score(x, bound, self.draw(st.booleans())))

    def index(self, x: int) -> int:
        if self.draw(st.booleans()):
            return self.draw(st.sampled_from(self.indices))
        bounds = tuple(range(-2, -2 + 2 * self.draw(st.integers(1, 3)), 2))
        self.indices.append(self._append(Index(x, bounds, self.draw(st.booleans()))))
        return self.indices[-1]

    # operators

    def dense(self, x: int) -> int:
        self.layers_left -= 1
        weight = self.weight_count
        if weight and self.draw(st.integers(0, 3)) == 3:
            weight = self.draw(st.integers(0, weight - 1))
        else:
            self.weight_count += 1
        return self.add_op(Dense(x, weight))

    def gate(self, decision: int, on: int, off: int) -> int:
        return self.gates(decision, (on,), (off,))[0]

    def gates(self, decision: int, on: tuple[int, ...], off: tuple[int, ...]) -> list[int]:
        return self._several(Gate(decision, on, off), len(on))

    def switch(self, index: int, options: list[int], alias: int = 0) -> int:
        return self._several(Switch(index, tuple((option,) for option in options), alias), 1)[0]

    def add_op(self, op: Op) -> int:
        self.tensors.append(self._append(op))
        return self.tensors[-1]

    def add_decision(self, op: Op) -> int:
        self.decisions.append(self._append(op))
        return self.decisions[-1]

    def _several(self, op: Op, count: int) -> list[int]:
        first = self._append(op, count)
        numbers = list(range(first, first + count))
        self.tensors.extend(numbers)
        return numbers

    def _append(self, op: Op, count: int = 1) -> int:
        self.ops.append(op)
        self.count += count
        return self.count - count


# --- the marked graph -----------------------------------------------------------------------


def marked_text(network: Network) -> str:
    """Write a network as a marked graph in ONNX text syntax."""
    return _Writer(network).text()


def marked_model(network: Network) -> ir.Model:
    """Read a network as a marked model; all values are typed."""
    return parse(marked_text(network))


class _Writer:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._lines: list[str] = []
        self._types: list[str] = []
        self._constants: dict[str, str] = {}
        self._names = dict(enumerate(INPUTS))
        self._shapes: dict[int, str] = {}
        self._tensor = "float" + _dims(network.shape)
        self._axes = list(range(1, len(network.shape)))

    def text(self) -> str:
        network = self._network
        flag = "bool[1]" if network.per_sample else "bool"
        self._shapes = {OPEN0: flag, OPEN1: flag, LEVEL: "int64"}
        for op, results in network.results():
            self._write(op, results)
        for number, weight in network.weights().items():
            self._constant(f"w{number}", "float" + _dims(weight.shape), weight.ravel().tolist())
        inputs = f"{self._tensor} x, {flag} open0, {flag} open1, int64 level, float threshold"
        outputs = ", ".join(f"{self._tensor} {self._names[k]}" for k in network.outputs)
        kept = {self._names[k] for k in network.outputs}
        types = [entry for entry in self._types if entry.split(" ")[1] not in kept]
        declared = ",\n  ".join([*self._constants.values(), *types])
        body = "\n".join(f"  {line}" for line in self._lines)
        return f"main ({inputs}) => ({outputs}) <\n  {declared}\n> {{\n{body}\n}}"

    def _write(self, op: Op, results: tuple[int, ...]) -> None:
        out = results[0]
        match op:
            case Dense(x, weight):
                dense = "MatMul" if self._network.shape == VECTOR else "Conv"
                pads = "" if dense == "MatMul" else " <pads = [1, 1, 1, 1]>"
                self._node(out, f"{dense}{pads} ({self._names[x]}, w{weight})", self._tensor)
            case Relu(x):
                self._node(out, f"Relu ({self._names[x]})", self._tensor)
            case Add(a, b):
                self._node(out, f"Add ({self._names[a]}, {self._names[b]})", self._tensor)
            case Gate() | Switch():
                self._selector(op, results)
            case AddGated(decision, x, f):
                self._residual(out, x, self._gate(out, decision, f, self._zeros()))
            case AddMasked(decision, x, f):
                mask_type = "float" + self._shapes[decision].removeprefix("bool")
                mask = self._line(f"mask{out}", f"Cast <to = 1> ({self._names[decision]})")
                self._types.append(f"{mask_type} {mask}")
                masked = self._line(f"masked{out}", f"Mul ({self._names[f]}, {mask})")
                self._types.append(f"{self._tensor} {masked}")
                self._residual(out, x, masked)
            case _:
                self._decision(op, out)

    def _selector(self, op: Gate | Switch, results: tuple[int, ...]) -> None:
        match op:
            case Gate(decision, on, off):
                for k, one, other in zip(results, on, off, strict=True):
                    self._names[k] = self._gate(k, decision, one, self._names[other])
            case Switch(index, options):
                for column, k in enumerate(results):
                    chosen = ", ".join(self._names[option[column]] for option in options)
                    switch = f'Switch{len(options)} <name = "{op.name() or f"s{index}"}">'
                    self._node(
                        k,
                        f"dyncompile.{switch} ({self._names[index]}, {chosen})",
                        self._tensor,
                    )

    def _decision(self, op: Op, out: int) -> None:
        match op:
            case Not(decision):
                self._shapes[out] = self._shapes[decision]
                self._node(out, f"Not ({self._names[decision]})", self._shapes[out])
            case Both(a, b):
                self._shapes[out] = max(self._shapes[a], self._shapes[b], key=len)
                self._node(out, f"And ({self._names[a]}, {self._names[b]})", self._shapes[out])
            case Score(x, bound, per_sample):
                shape = "[1]" if per_sample else ""
                self._constant(f"bound{out}", "float", [float(bound)])
                limit = self._line(f"limit{out}", f"Add (threshold, bound{out})")
                self._types.append(f"float {limit}")
                score = self._sum(out, x, per_sample=per_sample)
                self._shapes[out] = f"bool{shape}"
                self._node(out, f"Greater ({score}, {limit})", f"bool{shape}")
            case Index(x, bounds, per_sample):
                self._index(out, x, bounds, per_sample=per_sample)
            case _:
                raise AssertionError(op)

    def _index(self, out: int, x: int, bounds: tuple[int, ...], *, per_sample: bool) -> None:
        shape = "[1]" if per_sample else ""
        score = self._sum(out, x, per_sample=per_sample)
        total = ""
        for k, bound in enumerate(bounds):
            self._constant(f"bound{out}_{k}", "float", [float(bound)])
            above = self._line(f"above{out}_{k}", f"Greater ({score}, bound{out}_{k})")
            self._types.append(f"bool{shape} {above}")
            step = self._line(f"step{out}_{k}", f"Cast <to = 7> ({above})")
            self._types.append(f"int64{shape} {step}")
            if total:
                step = self._line(f"total{out}_{k}", f"Add ({total}, {step})")
                self._types.append(f"int64{shape} {step}")
            total = step
        self._names[out] = total
        self._shapes[out] = f"int64{shape}"

    def _sum(self, out: int, x: int, *, per_sample: bool) -> str:
        axes = self._axes if per_sample else [0, *self._axes]
        self._constant(f"axes{out}", f"int64[{len(axes)}]", axes)
        score = self._line(f"score{out}", f"ReduceSum <keepdims = 0> ({self._names[x]}, axes{out})")
        self._types.append(f"float{'[1]' if per_sample else ''} {score}")
        return score

    def _gate(self, out: int, decision: int, on: int, off: str) -> str:
        marker = f'dyncompile.Gate <name = "d{decision}">'
        sides = f"{self._names[decision]}, {self._names[on]}, {off}"
        gate = self._line(f"gate{out}", f"{marker} ({sides})")
        self._types.append(f"{self._tensor} {gate}")
        return gate

    def _residual(self, out: int, x: int, f: str) -> None:
        self._node(out, f"Add ({self._names[x]}, {f})", self._tensor)

    def _zeros(self) -> str:
        self._constant("zeros", self._tensor, [0.0] * int(np.prod(self._network.shape)))
        return "zeros"

    def _constant(self, name: str, kind: str, values: Sequence[float]) -> None:
        listed = ", ".join(f"{value:g}" for value in values)
        self._constants[name] = f"{kind} {name} = {{{listed}}}"

    def _node(self, out: int, call: str, kind: str) -> None:
        self._names[out] = self._line(f"v{out}", call)
        self._types.append(f"{kind} v{out}")

    def _line(self, name: str, call: str) -> str:
        self._lines.append(f"{name} = {call}")
        return name


def _dims(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


# --- the torch module -----------------------------------------------------------------------


class TorchNetwork(nn.Module):
    """A network written with the markers, as an author would write it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.knobs = {"level": Levels(tuple(range(LEVELS))), "threshold": Threshold(0.0)}
        self._network = network
        self._weights = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(weight)) for weight in network.weights().values()]
        )
        self._places = {number: place for place, number in enumerate(network.weights())}

    def forward(
        self, x: Tensor, open0: Tensor, open1: Tensor, level: Tensor, threshold: Tensor
    ) -> tuple[Tensor, ...]:
        """Return one tensor per output of the network."""
        values = dict(enumerate([x, open0, open1, level, threshold]))
        for op, results in self._network.results():
            match op:
                case Gate(decision, on, off):
                    on_side = tuple(values[k] for k in on)
                    off_side = tuple(values[k] for k in off)
                    chosen = markers.gate(values[decision], on_side, off_side)
                    values.update(zip(results, chosen, strict=True))
                case Switch(index, options):
                    sides = [tuple(values[k] for k in option) for option in options]
                    chosen = markers.switch(values[index], sides, name=op.name())
                    values.update(zip(results, chosen, strict=True))
                case _:
                    values[results[0]] = self._compute(op, values)
        return tuple(values[k] for k in self._network.outputs)

    def _compute(self, op: Op, values: Mapping[int, Tensor]) -> Tensor:
        match op:
            case Dense(x, weight):
                kernel = self._weights[self._places[weight]]
                return _dense(values[x], kernel)
            case Relu(x):
                return values[x].relu()
            case Add(a, b):
                return values[a] + values[b]
            case AddGated(decision, x, f):
                return values[x] + markers.gate(values[decision], values[f], 0)
            case AddMasked(decision, x, f):
                return values[x] + values[f] * values[decision].to(values[f].dtype)
            case _:
                return self._decide(op, values)

    def _decide(self, op: Op, values: Mapping[int, Tensor]) -> Tensor:
        match op:
            case Not(decision):
                return ~values[decision]
            case Both(a, b):
                return values[a] & values[b]
            case Score(x, bound, per_sample):
                return _total(values[x], per_sample) > values[THRESHOLD] + bound
            case Index(x, bounds, per_sample):
                total = _total(values[x], per_sample)
                return torch.stack([(total > bound).long() for bound in bounds]).sum(0)
            case _:
                raise AssertionError(op)


def _dense(x: Tensor, kernel: Tensor) -> Tensor:
    return x @ kernel if kernel.ndim == 2 else nn.functional.conv2d(x, kernel, padding=1)


def _total(x: Tensor, per_sample: bool) -> Tensor:
    return x.flatten(1).sum(1) if per_sample else x.sum()


def torch_arguments(feeds: Mapping[str, Array]) -> tuple[Tensor, ...]:
    """Return the feeds as the arguments of ``TorchNetwork.forward``."""
    return tuple(torch.from_numpy(np.array(feeds[name])) for name in INPUTS)
