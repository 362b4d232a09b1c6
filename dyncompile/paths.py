"""The paths of a lowered graph: which decisions can be taken together."""

from __future__ import annotations

__all__ = ["MOST_PATHS", "DecisionTree", "Path", "Paths", "chosen_paths"]

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DECISION, ELSE, THEN
from dyncompile.errors import GraphError
from dyncompile.passes.branch_notes import around
from dyncompile.passes.scopes import graphs_of

Path = dict[str, int]

MOST_PATHS = 64
_SEED = 0


@dataclass(frozen=True)
class Paths:
    """Some or all paths of a graph.

    Attributes:
        paths: The option of each decision that is met on the way, in the order they are met.
        complete: Whether these are all paths there are.
    """

    paths: tuple[Path, ...]
    complete: bool


def chosen_paths(found: Sequence[Paths], first: int = 0) -> tuple[list[tuple[int, Path]], bool]:
    """Choose among the paths that there are at several operating points.

    Args:
        found: The paths at each point.
        first: The point that matters most.

    Returns:
        Number of the point and path, and whether these are all. Of more than 64, those at the
        first point, and of the others what takes a decision a new way.
    """
    complete = all(paths.complete for paths in found)
    everything = [(number, path) for number, paths in enumerate(found) for path in paths.paths]
    if complete and len(everything) <= MOST_PATHS:
        return everything, True
    chosen = [(first, path) for path in found[first].paths]
    seen = {pair for _, path in chosen for pair in path.items()}
    for number, path in everything:
        if number != first and not seen.issuperset(path.items()):
            seen.update(path.items())
            chosen.append((number, path))
    return chosen, complete and len(chosen) == len(everything)


@dataclass(frozen=True)
class _Choice:
    """An If made from a decision: the options that lead to each branch, and what is in it."""

    decision: str
    branches: tuple[tuple[frozenset[int], tuple[_Choice, ...]], ...]

    @property
    def options(self) -> frozenset[int]:
        return frozenset().union(*(options for options, _ in self.branches))

    def under(self, option: int) -> tuple[_Choice, ...]:
        option = min(option, max(self.options))  # beyond its last, a switch takes its last
        for options, inner in self.branches:
            if option in options:
                return inner
        return ()


_Todo = tuple[_Choice, "_Todo"] | None  # what is still ahead, a linked list shared by paths


@dataclass(frozen=True)
class DecisionTree:
    """The choices of a lowered graph in the order it comes to them.

    A decision is taken once on a path and holds wherever it is met again; a switch that
    became several Ifs is one decision. It has as many options as the largest switch on it; beyond
    its last, a smaller one takes its last. Ifs without a decision (``torch.cond`` in the model)
    and bodies of loops are no choice: what they hold is met either way.
    """

    choices: tuple[_Choice, ...]

    @classmethod
    def from_model(cls, model: ir.Model, free: Collection[str] = ()) -> DecisionTree:
        """Read the Ifs of a lowered graph.

        Args:
            model: A lowered graph.
            free: Decisions that nobody can choose, and that count as no choice therefore.

        Raises:
            GraphError: an If names its decision, but not the options it splits.
        """
        choices = tuple(_choices(model.graph, free))
        return cls(_extended(choices, _counts(choices)))

    def path(self, options: Mapping[str, int]) -> Path:
        """Return the path along the given options; a decision not given takes its first."""
        return self._trace(lambda name, known: options.get(name, min(known)))

    def walk(self, fixed: Mapping[str, int]) -> Iterator[Path]:
        """Yield all paths, lower options first, on which ``fixed`` decisions are as given."""
        pending: list[tuple[_Todo, Path]] = [(_ahead(self.choices, None), {})]
        while pending:
            todo, taken = pending.pop()
            while todo is not None:
                choice, rest = todo
                name = choice.decision
                if name not in taken and name not in fixed:
                    pending.extend(
                        (_ahead(choice.under(option), rest), {**taken, name: option})
                        for option in sorted(choice.options, reverse=True)
                    )
                    break
                option = taken.setdefault(name, fixed.get(name, 0))
                todo = _ahead(choice.under(option), rest)
            else:
                yield taken

    def paths(self, fixed: Mapping[str, int] | None = None, limit: int = MOST_PATHS) -> Paths:
        """Return all paths, or where there are more than ``limit`` a sample of them.

        The sample is the same on every call: all decisions at their first option (all off);
        all at their last (all on); every option of every decision on an otherwise all-off
        path, reached through the decisions around it; each decision changed on the all-on
        path, as far as the limit goes; random paths up to the limit. So every decision goes
        every way it can, and only that may exceed the limit.

        Args:
            fixed: Decisions known already, such as those that follow from knobs.
            limit: How many paths to list before sampling.
        """
        fixed = fixed or {}
        listed = [path for _, path in zip(range(limit + 1), self.walk(fixed), strict=False)]
        if len(listed) <= limit:
            return Paths(tuple(listed), complete=True)
        sample: dict[frozenset[tuple[str, int]], Path] = {}
        for path in self._all_ways(fixed):
            sample.setdefault(frozenset(path.items()), path)
        for path in self._variations(fixed, tries=8 * limit):
            if len(sample) >= limit:
                break
            sample.setdefault(frozenset(path.items()), path)
        return Paths(tuple(sample.values()), complete=False)

    def _all_ways(self, fixed: Mapping[str, int]) -> Iterator[Path]:
        """Yield all off, all on, and a path for every option of every decision."""
        yield self._trace(lambda name, known: fixed.get(name, min(known)))
        yield self._trace(lambda name, known: fixed.get(name, max(known)))
        seen: set[tuple[str, int]] = set()
        for choice, enclosing in self._reachable(fixed):
            name = choice.decision
            for option in sorted(choice.options & enclosing.get(name, choice.options)):
                if (name, option) not in seen and fixed.get(name, option) == option:
                    seen.add((name, option))
                    around = {outer: min(allowed) for outer, allowed in enclosing.items()}
                    yield self.path({**around, **fixed, name: option})

    def _variations(self, fixed: Mapping[str, int], tries: int) -> Iterator[Path]:
        """Yield all on with each decision changed, then random paths."""
        last_options: Path = {}
        for choice, _ in self._reachable(fixed):
            last_options.setdefault(choice.decision, max(choice.options))
        for name, last in last_options.items():
            changed = {**fixed, name: fixed.get(name, max(last - 1, 0))}
            yield self._trace(lambda one, known, c=changed: c.get(one, max(known)))  # type: ignore[misc]
        draw = random.Random(_SEED)
        for _ in range(tries):
            yield self._trace(lambda name, known: fixed.get(name, draw.choice(sorted(known))))

    def _reachable(
        self, fixed: Mapping[str, int]
    ) -> Iterator[tuple[_Choice, dict[str, frozenset[int]]]]:
        """Yield each choice with the options of the decisions around it that lead to it."""
        pending: list[tuple[_Choice, dict[str, frozenset[int]]]] = [
            (choice, {}) for choice in reversed(self.choices)
        ]
        while pending:
            choice, enclosing = pending.pop()
            yield choice, enclosing
            name = choice.decision
            for options, inner in reversed(choice.branches):
                allowed = options & enclosing.get(name, options)
                if name in fixed:
                    allowed &= {fixed[name]}
                if allowed:
                    pending.extend((one, {**enclosing, name: allowed}) for one in reversed(inner))

    def _trace(self, choose: Callable[[str, frozenset[int]], int]) -> Path:
        taken: Path = {}
        todo = _ahead(self.choices, None)
        while todo is not None:
            choice, rest = todo
            name = choice.decision
            if name not in taken:
                taken[name] = choose(name, choice.options)
            todo = _ahead(choice.under(taken[name]), rest)
        return taken


def _ahead(choices: tuple[_Choice, ...], rest: _Todo) -> _Todo:
    for choice in reversed(choices):
        rest = (choice, rest)
    return rest


def _choices(graph: ir.Graph, free: Collection[str]) -> Iterator[_Choice]:
    for node in graph:
        name = node.metadata_props.get(DECISION)
        if name is None or name in free or node.op_type != "If":
            for inner in graphs_of(node):
                yield from _choices(inner, free)
            continue
        sides = ((THEN, "then_branch"), (ELSE, "else_branch"))
        choice = _Choice(name, tuple(_branch(node, note, branch, free) for note, branch in sides))
        otherwise = choice.branches[1][1]
        for outer in reversed(around(node)):
            if outer.decision not in free:
                leading = (frozenset(outer.options), (choice,))
                leaving = (frozenset(outer.others), otherwise)
                choice = _Choice(outer.decision, (leading, leaving))
        yield choice


def _counts(choices: Iterable[_Choice]) -> dict[str, int]:
    """Return how many options each decision has, over all its choices."""
    counts: dict[str, int] = {}
    pending = list(choices)
    while pending:
        choice = pending.pop()
        counts[choice.decision] = max(counts.get(choice.decision, 0), 1 + max(choice.options))
        pending += [one for _, inner in choice.branches for one in inner]
    return counts


def _extended(choices: Iterable[_Choice], counts: Mapping[str, int]) -> tuple[_Choice, ...]:
    """Return the choices with all options of their decision; those beyond go with the last."""
    found = []
    for choice in choices:
        last = max(choice.options)
        beyond = range(last + 1, counts[choice.decision])
        branches = tuple(
            (options.union(beyond) if last in options else options, _extended(inner, counts))
            for options, inner in choice.branches
        )
        found.append(_Choice(choice.decision, branches))
    return tuple(found)


def _branch(
    node: ir.Node, note: str, branch: str, free: Collection[str]
) -> tuple[frozenset[int], tuple[_Choice, ...]]:
    try:
        options = frozenset(map(int, node.metadata_props[note].split(",")))
    except (KeyError, ValueError) as error:
        raise GraphError(
            f"this If does not say which options lead to its {branch}.",
            where=f"node {node.name!r}",
            remedy="Export the network again.",
        ) from error
    return options, tuple(_choices(node.attributes[branch].as_graph(), free))
