"""How the channel budgets of one decision are lowered, and why so."""

from __future__ import annotations

__all__ = ["Lowering", "Way", "choose_way"]

import math
from collections.abc import Sequence
from typing import Literal

import onnx_ir as ir

from dyncompile.errors import GraphError
from dyncompile.passes.channels.groups import ChannelGroups
from dyncompile.passes.channels.region import BudgetRegion
from dyncompile.passes.constants import is_fixed

Way = Literal["switch", "slice", "chain"]
Lowering = Literal["auto", "switch", "slice", "chain"]

_MOST_COPIES = 32  # of a region, one per combination of levels
_MOST_WEIGHTS = 4.0  # times the weights of the region that copies may hold once loaded
_SMALL = 64_000_000  # bytes of weights that are few, however often they are held
_MOST_SUMS = 8  # levels of a chain that nobody asked for, since every sum is built for every level
_DEEPEST = 24  # levels of a chain, whose sums stand inside of each other


def choose_way(
    asked: Lowering,
    ways: Sequence[Way],
    region: BudgetRegion,
    copies: int,
    groups: ChannelGroups | None,
) -> tuple[Way, str]:
    """Return how budgets are lowered, and why.

    Args:
        asked: What was asked for.
        ways: What ``auto`` chooses from.
        region: What levels change, each level by itself.
        copies: How many copies of it a switch needs, with other knobs.
        groups: What each level adds, if a chain is considered.

    Raises:
        GraphError: it cannot be done as asked for, or takes too many copies.
    """
    obstacle = _obstacle(asked, groups)
    if groups is not None and obstacle is None:
        return "chain", "every level adds channels to those before it; no weight is held twice"
    name = region.budgets[0].name
    if obstacle and asked == "chain":
        raise GraphError(
            f"its levels do not simply add to each other: {obstacle}.",
            where=f"channel_budget {name!r}",
            remedy="Lower budgets by switch.",
        )
    way, why = _copied(asked, ways, region, copies)
    if way == "switch" and copies > _MOST_COPIES:
        more = ", or, with one knob, lower budgets by slice" if "slice" in ways else ""
        raise GraphError(
            f"{copies} combinations of levels would need a copy of the network each;"
            f" {_MOST_COPIES} is the most.",
            where=f"channel_budget {name!r}",
            remedy=f"Give fewer levels, or keep the parts of different knobs apart{more}.",
        )
    return way, f"no chain, as {obstacle}; {why}" if obstacle else why


def _obstacle(asked: Lowering, groups: ChannelGroups | None) -> str | None:
    count = 0 if groups is None else len(groups.lives)
    if count > _DEEPEST:
        return f"{count} levels are more than {_DEEPEST} sums inside of each other"
    if asked == "auto" and count > _MOST_SUMS:
        return f"{count} levels build up to {count * (count + 1) // 2} partial sums of each layer"
    return None if groups is None else groups.obstacle


def _copied(
    asked: Lowering, ways: Sequence[Way], region: BudgetRegion, copies: int
) -> tuple[Way, str]:
    """Return which lowering copies the region, and why."""
    count = len(region.groups)
    held, whole = _weights(region)
    times = held / whole if whole else 1.0
    sizes = f"{count} levels hold {times:.1f} times the weights that they cut, {_bytes(whole)}"
    if count == 1:
        return "switch", "there is one level"
    if copies > count and asked == "slice":
        raise GraphError(
            "its part of the network overlaps with that of another knob, and slices serve one"
            " knob.",
            where=f"channel_budget {region.budgets[0].name!r}",
            remedy="Lower budgets by switch.",
        )
    if copies > count:
        return "switch", f"it overlaps with another knob; {sizes}"
    if asked != "auto":
        return asked, f"asked for; as a switch, {sizes}"
    if "slice" in ways and count > _MOST_COPIES:
        return "slice", f"{count} levels are more than {_MOST_COPIES} copies"
    if "slice" in ways and times > _MOST_WEIGHTS and held > _SMALL:
        return "slice", f"as a switch, {sizes}"
    return "switch", f"as fast as static networks; {sizes}"


def _weights(region: BudgetRegion) -> tuple[int, int]:
    """Return the bytes of weights that all levels of a region hold together, and the whole does."""
    whole: dict[ir.Value, int] = {}
    held: dict[tuple[ir.Value, int, str], int] = {}  # each part that a level cuts out, once
    for node in region.nodes:
        for place, value in enumerate(node.inputs):
            if value is None or not is_fixed(value) or value.const_value is None:
                continue
            whole[value] = value.const_value.nbytes
            for level, (live,) in enumerate(region.groups):
                if live.is_needed(node.outputs[0]):
                    cut = live.wanted(node, 0)[place]
                    shares = (one.count / one.size for one in cut.values() if one.size)
                    part = value, level, str(sorted(cut.items()))
                    held[part] = round(whole[value] * math.prod(shares))
    return sum(held.values()), sum(whole.values())


def _bytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count >= 1e6 else f"{count / 1e3:.3g} kB"
