"""Run the passes for files made elsewhere, and find out what that changed."""

from __future__ import annotations

__all__ = ["rewrite"]

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from dyncompile import cost, pipeline
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import DECISION, ELSE, THEN, Selector
from dyncompile.optimizing.gains import Gains, Survey, compare
from dyncompile.optimizing.overriding import under_all_names
from dyncompile.optimizing.path_sample import sample_paths
from dyncompile.optimizing.work_done import adds_work, operators_along
from dyncompile.passes import GatesFromSelects
from dyncompile.paths import DecisionTree, Path
from dyncompile.progress import Progress
from dyncompile.targets import ort

_MOST_PATHS = 16


def rewrite(model: ir.Model, passes: Sequence[ir.passes.PassBase], tell: Progress) -> Gains:
    """Rewrite a model in place, and return what changed.

    Args:
        model: Its nodes have unique names; decisions are named after them.
        passes: Those to run.
        tell: Called with the name of a pass, its number, and how many there are.
    """
    before, original = Survey.from_model(model), _tagged(model)
    loop_passes = {type(one).__name__ for one in ort.LOOPS}
    selections, gates, rewritten = 0, 0, []
    for number, step in enumerate(pipeline.run(model, passes), 1):
        tell(step.name, number, len(passes))
        found = sum(Selector.from_node(node) is not None for node in model.graph.all_nodes())
        if step.name == GatesFromSelects.__name__:
            selections = found - gates
        gates = found
        if step.modified and step.name in loop_passes:
            rewritten.append(step.name)
    after = Survey.from_model(model)
    if rewritten:  # rounds have become decisions: no path is like one before
        return compare(before, after, [], selections=selections, rewritten=rewritten)
    pairs = list(_paths(model))
    added = any(
        adds_work(operators_along(original.graph, old), operators_along(model.graph, new))
        for old, new in pairs
    )
    return compare(before, after, _macs(original, model, pairs), selections=selections, added=added)


def _tagged(model: ir.Model) -> ir.Model:
    """Return a copy whose Ifs are decisions of the same names as the gates made from them."""
    copy = model.clone()
    for node in copy.graph.all_nodes():
        if node.op_type == "If" and not node.domain:
            node.metadata_props.update({DECISION: node.name or "", THEN: "1", ELSE: "0"})
    return copy


def _paths(model: ir.Model) -> Iterator[tuple[Path, Path]]:
    """Yield paths of the model, each with the options of the original that it goes with."""
    decisions = manifest_from_model(model, {}, "onnx").decisions
    paths, _ = sample_paths(DecisionTree.from_model(model), _MOST_PATHS)
    for path in paths:
        yield under_all_names(decisions, path), path


def _macs(
    original: ir.Model, model: ir.Model, pairs: Sequence[tuple[Path, Path]]
) -> list[tuple[int, int]]:
    """Compare paths; what is a choice to one side only takes its expensive side there."""
    old = cost.along(original, [before for before, _ in pairs])
    new = cost.along(model, [after for _, after in pairs])
    return [(was.macs, now.macs) for was, now in zip(old, new, strict=True)]
