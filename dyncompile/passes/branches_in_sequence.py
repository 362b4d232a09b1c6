"""Take branches inside of branches apart, so that they stand one after the other."""

from __future__ import annotations

__all__ = ["BranchesInSequence"]

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from dyncompile.dialect import DECISION, ELSE, THEN
from dyncompile.passes.absent_values import has_known_sizes, return_zeros
from dyncompile.passes.branch_notes import Around, around, note_around, options_of
from dyncompile.passes.build_branches import like
from dyncompile.passes.decision_values import unused_name
from dyncompile.passes.name_uniquely import NameUniquely
from dyncompile.passes.nested_ifs import (
    SIDES,
    Place,
    Use,
    decides,
    fits,
    gives_only,
    handed_on,
    if_like,
    is_test,
    read_from,
    returned,
)
from dyncompile.passes.scopes import graphs_of


@dataclass(frozen=True)
class BranchesInSequence(ir.passes.InPlacePass):
    """Let Ifs that stand in branches of Ifs stand after each other in the main graph.

    Before::

        y = If(c) { a = Conv(x, v); b = If(d) { Conv(a, w) } else { Neg(a) }; Relu(b) } else { x }

    After::

        a = If(c) { Conv(x, v) } else { zeros }
        b1 = If(c and d) { Conv(a, w) } else { zeros }
        b2 = If(c and not d) { Neg(a) } else { b1 }
        y = If(c) { Relu(b2) } else { x }

    TensorRT for RTX builds Ifs inside of Ifs for fixed sizes only. Each piece of work runs where
    it ran before. What the conditions add is no new decision: the first If of a kind tests the
    decision that it tested, and notes the other ones. A decision that is computed in a branch
    leaves it as a value that is false where the branch does not run. An If that is decided by
    the one around it gives way to the branch that it takes.

    Only graphs whose inputs have free sizes change. An If stays where it is if it hands over what
    has sizes that follow from no input. Types have to be known.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take all Ifs of the main graph apart."""
        if all(isinstance(n, int) for given in model.graph.inputs for n in given.shape or ()):
            return ir.passes.PassResult(model, modified=False)
        every = _every_option(model)
        extended = _name_all_options(model.graph, every, {})
        modified = _Sequencer(model.graph, every).run()
        if modified:
            NameUniquely()(model)  # what is handed over has the name of what it was
        return ir.passes.PassResult(model, modified=modified or extended)


def _every_option(model: ir.Model) -> dict[str, frozenset[int]]:
    found: defaultdict[str, frozenset[int]] = defaultdict(frozenset)
    for node in filter(decides, model.graph.all_nodes()):
        for note in SIDES.values():
            found[node.metadata_props[DECISION]] |= set(options_of(node, note))
    return found


def _name_all_options(
    graph: ir.Graph, every: Mapping[str, frozenset[int]], reached: Mapping[str, frozenset[int]]
) -> bool:
    """Say of an If what options beyond its last do: they take its last. Return whether any do.

    Apart from the other Ifs of its switch, the note of one would not tell any more.
    """
    modified = False
    for node in graph:
        if not decides(node):
            for body in graphs_of(node):
                modified |= _name_all_options(body, every, reached)
            continue
        name = node.metadata_props[DECISION]
        here = reached.get(name, every[name])
        last = max(max(options_of(node, note), default=0) for note in SIDES.values())
        for side, note in SIDES.items():
            options = set(options_of(node, note))
            beyond = {option for option in here if option > last and last in options}
            if beyond:
                node.metadata_props[note] = _listed(options | beyond)
                modified = True
            body, leading = node.attributes[side].as_graph(), here & (options | beyond)
            modified |= _name_all_options(body, every, {**reached, name: leading})
    return modified


@dataclass
class _Sequencer:
    """Takes the Ifs of a main graph apart, given the options that each decision has."""

    home: ir.Graph
    every: dict[str, frozenset[int]]
    _nots: dict[ir.Value, ir.Value] = field(default_factory=dict)
    _reached: dict[ir.Value, ir.Graph] = field(default_factory=dict)  # tests that imply a branch

    def run(self) -> bool:
        """Return whether there was anything to take apart."""
        modified = False
        waiting = [node for node in self.home if decides(node)][::-1]
        while waiting:
            outer = waiting.pop()
            place = next(filter(self._is_possible, _places(outer)), None)
            if place is None:
                continue
            modified = True
            waiting += self._take_apart(place)
            if outer.graph is self.home:
                waiting.append(outer)
        return modified

    def _is_possible(self, place: Place) -> bool:
        if self._is_settled(place):
            return True
        handed = [value for value, _ in handed_on(place.branch, place.needed())]
        sizes = all(has_known_sizes(value, self.home) for value in handed)
        return sizes and None not in self._shapes(place.inner)

    def _is_settled(self, place: Place) -> bool:
        """Whether what stands around an If decides it too."""
        return not all(self._leading(place, note) for note in SIDES.values())

    def _shapes(self, inner: ir.Node) -> list[ir.Value | None]:
        """Return, for each output of an If, what one side returns if it has the other's sizes."""
        pairs = zip(*(graph.outputs for graph in graphs_of(inner)), strict=True)
        return [
            next(
                (v for v, w in (pair, pair[::-1]) if has_known_sizes(v, self.home) and fits(v, w)),
                None,
            )
            for pair in pairs
        ]

    def _take_apart(self, place: Place) -> list[ir.Node]:
        """Put what stands in a branch before the rest of it; return the Ifs it is now."""
        self._take_initializers(place.branch)
        if self._is_settled(place):
            side = next((side for side, note in SIDES.items() if self._leading(place, note)), None)
            side = side or place.side  # nothing leads here
            self._take_initializers(place.inner.attributes[side].as_graph())
            place.settle(side)
            return []
        place.copy_constants()
        tests = place.known_tests()
        place.branch.remove(tests)
        self.home.insert_before(place.outer, tests)
        before = place.needed()
        first = [self._first_part(place, before)] if before else []
        new = [*first, *self._sides(place)]
        self._replace(place, dict(zip(place.inner.outputs, new[-1].outputs, strict=True)))
        return new

    def _take_initializers(self, branch: ir.Graph) -> None:
        for name, value in list(branch.initializers.items()):
            del branch.initializers[name]
            value.name = unused_name(name, self.home.initializers)
            self.home.register_initializer(value)

    def _first_part(self, place: Place, nodes: list[ir.Node]) -> ir.Node:
        """Put nodes of a branch into an If of their own, from which others read."""
        handed, outputs = handed_on(place.branch, nodes), list[ir.Value]()
        place.branch.remove(nodes)
        here = ir.Graph([], [], nodes=nodes, name="first")
        there = ir.Graph([], [], nodes=[], name="absent")
        for value, uses in handed:
            tests = [use for use in uses if is_test(*use)]
            for result, readers in ((value, [u for u in uses if u not in tests]), (value, tests)):
                if not readers:
                    continue
                outputs.append(like(result))
                for user, index in readers:  # first, since a graph may have returned it
                    read_from(user, index, outputs[-1], place.branch)
                if readers is tests:  # nothing else reads it: a test may be forced
                    result = returned(result, here)  # noqa: PLW2901
                    self._reached[outputs[-1]] = place.branch
                here.outputs.append(result)
                return_zeros(
                    there, [value], place.condition, self.home, holds=place.side != "then_branch"
                )
        graphs = (here, there) if place.side == "then_branch" else (there, here)
        node = if_like(place.outer, place.condition, graphs, outputs)
        self.home.insert_before(place.outer, node)
        return node

    def _sides(self, place: Place) -> Iterator[ir.Node]:
        """Put an If of a branch before the If that it stands in, a side at a time."""
        then, otherwise = graphs_of(place.inner)
        if gives_only(otherwise):
            yield self._side(place, THEN, then, otherwise)
        elif gives_only(then):
            yield self._side(place, ELSE, otherwise, then)
        else:
            first = self._side(place, THEN, then, self._last_resort(place))
            passed = ir.Graph([], [], nodes=[], name="passed")
            for output in first.outputs:
                passed.outputs.append(returned(output, passed))
            yield first
            yield self._side(place, ELSE, otherwise, passed)

    def _last_resort(self, place: Place) -> ir.Graph | None:
        """Return what the first of two sides returns if it is not reached; None is zeros."""
        if not place.is_rung():
            return None
        values = dict(zip(place.branch.outputs, place.other.outputs, strict=True))
        other = place.other
        other.outputs.clear()
        other.outputs.extend(values[value] for value in place.inner.outputs)
        return other

    def _side(self, place: Place, note: str, work: ir.Graph, other: ir.Graph | None) -> ir.Node:
        """Return an If, in the main graph, that does the work of one side of an If."""
        condition = self._when(place, holds=note == THEN)
        shaped = [value for value in self._shapes(place.inner) if value is not None]
        if other is None:
            other = ir.Graph([], [], nodes=[], name="absent")
            return_zeros(other, shaped, condition, self.home)
        outputs = [like(value) for value in place.inner.outputs]
        for output, value in zip(outputs, shaped, strict=True):
            output.shape = value.shape
        node = if_like(place.inner, condition, (work, other), outputs)
        name, options = node.metadata_props[DECISION], self._leading(place, note)
        node.metadata_props[THEN] = _listed(options)
        node.metadata_props[ELSE] = _listed(self.every[name] - options)
        note_around(node, [one for one in self._around(place) if one.decision != name])
        self.home.insert_before(place.outer, node)
        return node

    def _around(self, place: Place) -> list[Around]:
        name = place.outer.metadata_props[DECISION]
        leading = options_of(place.outer, SIDES[place.side])
        others = sorted(self.every[name] - set(leading))
        return [*around(place.outer), Around(name, leading, tuple(others))]

    def _leading(self, place: Place, note: str) -> frozenset[int]:
        """Return the options of its decision that lead to a side of an If, from outside."""
        options = frozenset(options_of(place.inner, note))
        for one in self._around(place):
            if one.decision == place.inner.metadata_props[DECISION]:
                options &= set(one.options)
        return options

    def _when(self, place: Place, *, holds: bool) -> ir.Value:
        """Return whether a side of an If is reached."""
        test, reached = place.test, place.condition
        if holds and self._reached.get(test) is place.branch:
            return test
        if place.side != "then_branch":
            reached = self._not(reached)
        both = [reached, test if holds else self._not(test)]
        node = ir.Node("", "And", both, name=f"{place.inner.name}.reached")
        value, shapes = node.outputs[0], [one.shape for one in both if one.shape is not None]
        value.name, value.dtype = node.name, ir.DataType.BOOL
        value.shape = max(shapes, key=_count) if len(shapes) == len(both) else None
        self.home.insert_before(place.outer, node)
        return value

    def _not(self, value: ir.Value) -> ir.Value:
        if value not in self._nots:
            node, maker = ir.Node("", "Not", [value]), value.producer()
            result = self._nots[value] = node.outputs[0]
            result.name, result.type, result.shape = f"{value.name}.not", value.type, value.shape
            if maker is None:
                self.home.insert_before(self.home[0], node)
            else:
                self.home.insert_after(maker, node)
        return self._nots[value]

    def _replace(self, place: Place, results: dict[ir.Value, ir.Value]) -> None:
        """Let what an If in a branch returned be read from the main graph."""
        outer, branch = place.outer, place.branch
        if place.is_rung():
            for old, value in zip(outer.outputs, branch.outputs, strict=True):
                results[value].name, old.name = old.name, None
                old.replace_all_uses_with(results[value], replace_graph_outputs=True)
            self.home.remove(outer, safe=True)
            branch.outputs.clear()
        for value, result in results.items():
            uses: list[Use] = list(value.uses())
            uses += [(None, k) for k, output in enumerate(branch.outputs) if output is value]
            for user, index in uses:
                read_from(user, index, result, branch)
        branch.remove(place.inner, safe=True)


def _places(outer: ir.Node) -> Iterator[Place]:
    """Yield the first If in each branch of another."""
    for side in SIDES:
        inner = next(filter(decides, outer.attributes[side].as_graph()), None)
        if inner is not None:
            yield Place(outer, side, inner)


def _count(shape: ir.Shape) -> tuple[int, bool]:
    return len(shape), any(size != 1 for size in shape)


def _listed(options: Iterable[int]) -> str:
    return ",".join(map(str, sorted(options)))
