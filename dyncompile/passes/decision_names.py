"""The notes on the value of a decision: the names it goes by, and which options each has."""

from __future__ import annotations

__all__ = ["Names", "add_names", "main_name", "merged", "names_noted", "selector_options"]

import json
from collections.abc import Mapping

import onnx_ir as ir

from dyncompile.dialect import TURNED, Budget, Selector

# By name: its option for option 0, 1, ... of the decision; beyond the last, its last goes on.
Names = dict[str, tuple[int, ...]]


def selector_options(marker: Selector | Budget) -> tuple[int, ...]:
    """Return the options that the name of a marker has; of a turned gate, in reverse."""
    if isinstance(marker, Budget):
        return tuple(range(len(marker.counts)))
    options = tuple(range(len(marker.options)))
    return options[::-1] if TURNED in marker.node.metadata_props else options


def main_name(names: Mapping[str, tuple[int, ...]]) -> str:
    """Return the name that speaks for the decision: one that tells every option apart.

    Of several, one that means what the decision does, and of these the first.
    """
    return min(names, key=lambda name: (-len(names[name]), names[name], name))


def names_noted(value: ir.Value, note: str) -> Names:
    """Return what a note says."""
    found = json.loads(value.metadata_props.get(note, "{}"))
    return {name: tuple(map(int, options)) for name, options in found.items()}


def add_names(value: ir.Value, note: str, names: Names) -> None:
    """Add names to a note; one that is noted already keeps whichever options are more."""
    noted = merged(names_noted(value, note), names)
    if noted:
        value.metadata_props[note] = json.dumps(noted, sort_keys=True)


def merged(one: Names, other: Names) -> Names:
    """Return the names of both, each with the more options of either."""
    return {name: max(one.get(name, ()), other.get(name, ()), key=len) for name in {**one, **other}}
