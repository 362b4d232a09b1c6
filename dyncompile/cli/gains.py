"""What optimising a file changed and should win, in words."""

from __future__ import annotations

__all__ = ["changes", "expectations", "reasons"]

from dyncompile.inspecting import size_in_bytes, spell_macs
from dyncompile.optimizing.gains import Gains


def changes(gains: Gains) -> list[str]:
    """Say what changed, a line each."""
    (ifs, ifs_after), (always, always_after) = gains.ifs, gains.always_macs
    lines = []
    if gains.rewritten:
        loops, loops_after = gains.loops
        what = f"Loops and Scans: {loops} before, {loops_after} now" if loops else "Picked weights"
        lines.append(f"{what} ({', '.join(gains.rewritten)})")
    if gains.selections:
        lines.append(f"Where, and products with a mask, that became branches: {gains.selections}")
    if ifs != ifs_after:
        lines.append(f"Ifs: {ifs} before, {ifs_after} now")
    if gains.weights:
        lines.append(
            f"Weights that now stand in the branches and bodies that use them, or are read there"
            f" through a view: {gains.weights}, {size_in_bytes(gains.weight_bytes)}"
        )
    if gains.blocked:
        lines.append(f"Maps that branches read in ONNX Runtime's blocked layout: {gains.blocked}")
    if always > always_after:
        lines.append(
            f"Ran in every call, now under a decision: {spell_macs(always - always_after)}"
        )
    elif gains.saving > 0:
        lines.append("Work moved into the branch that needs it")
    return lines


def expectations(gains: Gains) -> list[str]:
    """Say what that should win, a line each."""
    lines = []
    if gains.faster_macs:
        lines.append(
            f"{gains.faster_macs / gains.macs:.0%} of the multiply-accumulates read weights that"
            " ONNX Runtime could not prepare for them; now it can"
        )
    if gains.prepares_rounds:
        lines.append(
            "Rounds and picked weights: ONNX Runtime can prepare more of their weights now"
        )
    if gains.blocked:
        lines.append("Additions and concatenations of these maps need no change of layout")
    if gains.saving > 0:
        lines.append(f"Up to {gains.saving:.0%} less to compute, depending on the path")
    if gains.ifs[1] < gains.ifs[0]:
        lines.append(f"Fewer Ifs to enter: {gains.ifs[0] - gains.ifs[1]}")
    return lines or ["Little: what changed multiplies nothing"]


def reasons(gains: Gains) -> list[str]:
    """Say why there is nothing to win."""
    ifs, loops = gains.ifs[0], gains.loops[0]
    if not ifs + loops:
        return ["It has no If, Loop or Scan, and no selection by one decision that skips work"]
    return [
        f"Its {ifs} Ifs and {loops} Loops and Scans stay: work and weights are where they belong"
    ]
