"""What a lowered graph may compute, and what it does compute.

The oracle reads the *marked* graph only, so it shares nothing with the passes it judges.

A *decision* is a bool or an int64; ``Not`` of it, and reshapes of it, are the same decision
seen from another side. A *choice* takes one of several options by a decision: a ``Gate``,
a ``Switch<n>``, or ``f * Cast(decision)``, whose options are nothing and ``f``. An option
*needs* whatever its value is computed from.

The rule: a node ``n`` may run unless one decision ``D`` alone forbids it. Fix ``D`` to option
``k``, let every choice by ``D`` keep that option only, let every other choice keep all of its
options, and walk back from the outputs: ``n`` is needed under ``D = k`` if the walk meets it.
``n`` must not run when the options of ``D`` that need it do not include the one taken.

- A decision computed from ``n`` never forbids it: the walk meets ``n`` through the decision,
  under each option.
- Nested decisions: each forbids by itself, so work of an inner option is asked for both.
- Two decisions that forbid only together do not count: where ``n`` is needed if ``D`` is 0 and
  ``E`` is 1, and for another reason if ``D`` is 1, neither alone says no.
- Work that the sides of two *different* decisions share is needed when either wants it. No
  decision alone forbids it, so it may stand outside both. So may the work a decision is
  computed from, if users of the decision are on several sides.

Work is compared by what it computes, not by name: one run of ``MatMul``, ``Gemm`` or ``Conv``
is its operator, the bytes of its input and those of its weight. A pass may rename, move, copy
into branches and wrap weights as it likes; what it may not do is run more.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import load_op

from dyncompile.dialect import DECISION, ELSE, THEN, UNDER, Selector
from tests.support import Array, Feeds, runnable_proto

Work = tuple[str, bytes, bytes]

COMPUTE = ("MatMul", "Gemm", "Conv")
_SAME_DECISION = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast"}


class Meter:
    """A model in the reference evaluator that counts the work it does."""

    def __init__(self, model: ir.Model) -> None:
        self._done: list[Work] = []
        ops = [_counted(op_type, self._done) for op_type in COMPUTE]
        self._evaluator = ReferenceEvaluator(runnable_proto(model), new_ops=ops)

    def __call__(self, feeds: Mapping[str, Array]) -> tuple[list[Array], list[Work]]:
        """Return the outputs, and the work in the order it was done."""
        self._done.clear()
        outputs = cast(list[Array], self._evaluator.run(None, dict(feeds)))
        return outputs, list(self._done)


@dataclass(frozen=True)
class _Choice:
    """Option ``i`` of the node is taken under the options ``takes[i]`` of the decision."""

    decision: ir.Value
    flipped: bool
    options: tuple[ir.Value | None, ...]

    def kept(self, known: frozenset[int]) -> Iterator[ir.Value]:
        last = len(self.options) - 1
        for option in {min(k, last) for k in known}:
            value = self.options[last - option if self.flipped else option]
            if value is not None:
                yield value


class Allowance:
    """The work that one marked graph may do for given feeds: the rule of this module."""

    def __init__(self, marked: ir.Model) -> None:
        self._graph = marked.graph
        self._meter = Meter(marked)
        self._choices = {
            node.outputs[0]: choice for node in marked.graph if (choice := _choice_of(node))
        }
        self._options: dict[ir.Value, int] = {}
        for choice in self._choices.values():
            count = max(self._options.get(choice.decision, 2), len(choice.options))
            self._options[choice.decision] = count
        self._decisions = list(self._options)
        self._compute = [node for node in marked.graph if node.op_type in COMPUTE]
        self._needed = [self._when_needed(node) for node in self._compute]
        values = [decision.name for decision in self._decisions]
        self._decide = ReferenceEvaluator(_with_outputs(marked, values))

    def __call__(self, feeds: Feeds) -> Counter[Work]:
        """Return the work that may be done."""
        taken = self.taken(feeds)
        _, done = self._meter(feeds)
        assert len(done) == len(self._compute), "a marked graph is flat and runs everything"
        pairs = zip(done, self._needed, strict=True)
        return Counter(
            work
            for work, when in pairs
            if when is not None and all(taken[d] in options for d, options in when.items())
        )

    def taken(self, feeds: Feeds) -> dict[ir.Value, int]:
        """Return the option each decision takes, clamped to those there are."""
        if not self._decisions:
            return {}
        values = cast(list[Array], self._decide.run(None, feeds))
        return {
            decision: int(np.clip(int(value.item()), 0, self._options[decision] - 1))
            for decision, value in zip(self._decisions, values, strict=True)
        }

    def paths(self, most: int) -> list[dict[str, int]]:
        """Return an option for each decision, by name: all combinations, or a sample of them."""
        options = {str(decision.name): count for decision, count in self._options.items()}
        if math.prod(options.values()) <= most:
            every = itertools.product(*map(range, options.values()))
            return [dict(zip(options, taken, strict=True)) for taken in every]
        draw = random.Random(0)
        return [{d: draw.randrange(n) for d, n in options.items()} for _ in range(most)]

    def weights_along(self, path: Mapping[str, int]) -> Counter[str]:
        """Return the weights of the work that may be done on a path."""
        return Counter(
            _weight_of(node)
            for node, when in zip(self._compute, self._needed, strict=True)
            if when is not None and all(path[str(d.name)] in known for d, known in when.items())
        )

    def _when_needed(self, node: ir.Node) -> dict[ir.Value, frozenset[int]] | None:
        """Return, per decision, the options under which the node is needed; None if never."""
        every = {d: frozenset(range(count)) for d, count in self._options.items()}
        if node not in self._walk(every):
            return None
        return {
            decision: frozenset(
                k for k in options if node in self._walk({**every, decision: frozenset([k])})
            )
            for decision, options in every.items()
        }

    def _walk(self, known: Mapping[ir.Value, frozenset[int]]) -> set[ir.Node]:
        met: set[ir.Node] = set()
        waiting: list[ir.Value] = list(self._graph.outputs)
        while waiting:
            value = waiting.pop()
            node = value.producer()
            if node is None or node in met:
                continue
            met.add(node)
            choice = self._choices.get(value)
            if choice is None:
                waiting.extend(v for v in node.inputs if v is not None)
            else:
                waiting.append(choice.decision)
                waiting.extend(choice.kept(known[choice.decision]))
        return met


def assert_lazy(marked: ir.Model, lowered: ir.Model, many_feeds: Iterable[Feeds]) -> None:
    """Check that the lowered graph does no work that one decision makes needless."""
    allowance, meter = Allowance(marked), Meter(lowered)
    for feeds in many_feeds:
        _, done = meter(feeds)
        excess = Counter(done) - allowance(feeds)
        taken = {decision.name: option for decision, option in allowance.taken(feeds).items()}
        assert not excess, f"{excess.total()} compute nodes run in vain when {taken}"


def assert_lazy_on_paths(marked: ir.Model, lowered: ir.Model, *, most: int) -> None:
    """Check the same without running it, on every path, or on as many as ``most``.

    Decisions of the marked graph are named after their values, each piece of work has a weight
    of its own, and the weights of the lowered graph stand where they stood.
    """
    allowance = Allowance(marked)
    for path in allowance.paths(most):
        excess = Counter(_weights_read(lowered.graph, path)) - allowance.weights_along(path)
        assert not excess, f"{sorted(excess)} run in vain when {path}"


def _weights_read(graph: ir.Graph, path: Mapping[str, int]) -> Iterator[str]:
    for node in graph:
        if node.op_type in COMPUTE:
            yield _weight_of(node)
        elif node.op_type == "If":
            notes = node.metadata_props
            options = {
                branch: [int(number) for number in notes[note].split(",")]
                for note, branch in ((THEN, "then_branch"), (ELSE, "else_branch"))
            }
            taken = min(path[notes[DECISION]], max(map(max, options.values())))
            around = json.loads(notes.get(UNDER, "[]"))
            if any(path[outer] not in leading for outer, leading, _ in around):
                yield from _weights_read(node.attributes["else_branch"].as_graph(), path)
                continue
            for branch, numbers in options.items():
                if taken in numbers:
                    yield from _weights_read(node.attributes[branch].as_graph(), path)


def _weight_of(node: ir.Node) -> str:
    weight = node.inputs[1]
    assert weight is not None, "compute nodes have a weight"
    return str(weight.name)


def _choice_of(node: ir.Node) -> _Choice | None:
    selector = Selector.from_node(node)
    if selector:
        decision, flipped = _origin(selector.decision)
        return _Choice(decision, flipped, selector.options)
    if node.op_type == "Mul":
        for mask, work in (node.inputs, node.inputs[::-1]):
            assert mask is not None
            cast_ = mask.producer()
            if cast_ is not None and cast_.op_type == "Cast":
                decision, flipped = _origin(mask)
                if decision.dtype == ir.DataType.BOOL:
                    return _Choice(decision, flipped, (None, work))
    return None


def _origin(value: ir.Value) -> tuple[ir.Value, bool]:
    """Return the value a decision is a reshape or a negation of, and whether it is negated."""
    flipped = False
    while (node := value.producer()) is not None:
        if node.op_type == "Not":
            flipped = not flipped
        elif node.op_type not in _SAME_DECISION:
            break
        source = node.inputs[0]
        assert source is not None
        if node.op_type == "Cast" and source.dtype != ir.DataType.BOOL:
            break
        value = source
    return value, flipped


def _with_outputs(model: ir.Model, names: Iterable[str | None]) -> onnx.ModelProto:
    proto = runnable_proto(model)
    del proto.graph.output[:]
    for name in names:
        proto.graph.output.add().name = name or ""
    return proto


def _counted(op_type: str, done: list[Work]) -> type[OpRun]:
    op: Any = load_op("", op_type, 21)

    def _run(self: OpRun, *inputs: Array, **attributes: object) -> tuple[Array, ...]:
        done.append((op_type, inputs[0].tobytes(), inputs[1].tobytes()))
        return cast(tuple[Array, ...], op._run(self, *inputs, **attributes))  # noqa: SLF001

    return type(op_type, (op,), {"_run": _run, "op_domain": ""})
