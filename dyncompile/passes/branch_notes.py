"""The notes on an If that a decision was made into: which options lead to which branch."""

from __future__ import annotations

__all__ = ["TESTS", "Around", "around", "branch_taken", "note_around", "options_of"]

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DECISION, ELSE, THEN, UNDER

# What stands between a decision and the condition of an If: the tests of a switch.
TESTS = {"And", "Clip", "Gather", "Identity", "Less", "Not", "Reshape", "Squeeze", "Unsqueeze"}
_SIDES = ((THEN, "then_branch"), (ELSE, "else_branch"))


@dataclass(frozen=True)
class Around:
    """A decision that an If stands under, without standing inside of one of its Ifs.

    Attributes:
        decision: Its name.
        options: Those with which the then branch may run.
        others: All others: with them the else branch runs, whatever the If tests besides.
    """

    decision: str
    options: tuple[int, ...]
    others: tuple[int, ...]


def options_of(node: ir.Node, side: str) -> tuple[int, ...]:
    """Return the options that lead to the branch of an If that a note is about."""
    return tuple(map(int, node.metadata_props[side].split(",")))


def around(node: ir.Node) -> tuple[Around, ...]:
    """Return the decisions that the condition of an If includes, outer ones first."""
    noted = json.loads(node.metadata_props.get(UNDER, "[]"))
    return tuple(Around(name, tuple(options), tuple(others)) for name, options, others in noted)


def note_around(node: ir.Node, found: Iterable[Around]) -> None:
    """Write what ``around`` reads."""
    noted = [[one.decision, one.options, one.others] for one in found]
    if noted:
        node.metadata_props[UNDER] = json.dumps(noted)


def branch_taken(node: ir.Node, path: Mapping[str, int]) -> ir.Graph | None:
    """Return the branch of an If that the path takes; None if the path does not say."""
    name = node.metadata_props.get(DECISION)
    if node.op_type != "If" or name is None:
        return None
    then, otherwise = (node.attributes[branch].as_graph() for _, branch in _SIDES)
    outer = around(node)
    if any(path.get(one.decision) in one.others for one in outer):
        return otherwise
    if name not in path:
        return None
    options = [options_of(node, note) for note, _ in _SIDES]
    option = min(path[name], max(map(max, options)))  # beyond its last, a switch takes its last
    if option in options[1]:
        return otherwise
    is_reached = all(one.decision in path for one in outer)
    return then if is_reached and option in options[0] else None
