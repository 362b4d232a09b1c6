"""Networks with gates as artifacts: the same numbers, and no work behind a gate that fires."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import dyncompile
from dyncompile import pipeline
from dyncompile.capture import capture_model
from dyncompile.errors import KnobError
from dyncompile.methods.dgate.features import exit_macs
from dyncompile.methods.dgate.scores import SCORES
from dyncompile.targets import ort
from tests.laziness import assert_lazy
from tests.methods.dgate.networks import CASES, Stopping, gated, images, thresholds_inside

# The concatenations of densenet are those of "concatenating", at a multiple of the time.
every_case = pytest.mark.parametrize("name", [name for name in CASES if name != "densenet"])


class Export:
    """A network with three levels, exported and verified at each and along all paths."""

    def __init__(self, name: str, score: str, folder: Path) -> None:
        self.net, self.x = gated(name, score), images(name, 6)
        gates, ends = len(self.net.gates), (self.net.score.always, self.net.score.never)
        inner = [1.0] * gates if score == "patience" else thresholds_inside(self.net, self.x)
        rows = [[ends[0]] * gates, inner, [ends[1]] * gates]
        self.net.set_levels(rows, (0.25, 0.5, 1.0), 1)
        self.path = folder / f"{name}-{score}.onnx"
        samples = {"x": self.x[:3, None]}
        self.report = dyncompile.export(self.net, (self.x[:1],), self.path, samples=samples)
        self.artifact = dyncompile.load(self.path)


Exported = Callable[..., Export]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Give networks by name and score; each is exported once."""
    folder = tmp_path_factory.mktemp("exported")
    return functools.cache(lambda name, score="margin": Export(name, score, folder))


@every_case
def test_an_artifact_is_the_network_at_every_level_and_on_every_path(
    name: str, exported: Exported
) -> None:
    made = exported(name)
    assert made.report is not None
    assert made.report.complete
    assert not made.report.unforced
    assert [point["effort"] for point in made.report.operating_points[:3]] == [0, 1, 2]
    stopping = Stopping(made.net, made.net.table[1].tolist())
    exits = set()
    for sample in made.x:
        number, wanted = stopping(sample)
        got = made.artifact(sample[None].numpy(), effort=1)
        assert isinstance(got, np.ndarray)
        np.testing.assert_allclose(got[0], wanted, rtol=1e-4, atol=1e-5)
        exits.add(number)
    assert len(exits) > 1


@every_case
def test_the_cost_of_each_exit_is_the_one_counted_in_pytorch(name: str, exported: Exported) -> None:
    made = exported(name)
    *exits, dense = exit_macs(made.net, made.x)
    gates = {decision.name: decision for decision in made.artifact.decisions}
    for number, macs in enumerate(exits, 1):
        off, on = gates[f"gate{number}"].sides
        saved = dense - macs
        if name == "branching" and number == 2:  # what runs before, but is needed later only
            saved += 4 * 4 * 5 * 6 * 9
        assert (off.macs, on.macs) == (saved, 0)


def test_nothing_runs_in_vain(exported: Exported) -> None:
    made = exported("concatenating", "patience")  # the score that reads the gates before, too
    net, x = made.net, made.x
    marked = capture_model(net, (x[:1],), net.knobs)
    lowered = marked.clone()
    for _ in pipeline.run(lowered, ort.passes()):
        pass
    own = {f"threshold{n}": np.array(net.score.always, np.float32) for n in (1, 2, 3)}
    closed = {"threshold1": np.array(net.score.never, np.float32)}
    arrays = {"x": x[:1].numpy(), **own}
    feeds = [
        {**arrays, "effort": np.array(level), **other}
        for level in range(3)
        for other in ({}, closed)
    ]
    assert_lazy(marked, lowered, feeds)


@pytest.mark.parametrize("score", SCORES)
def test_each_segment_holds_its_gate_and_nothing_of_the_next(
    score: str, exported: Exported
) -> None:
    made = exported("concatenating", score)
    assert made.report is not None
    assert made.report.complete
    graph: ir.Graph | None = ir.load(made.path).graph
    segments = []
    while graph is not None:
        segments.append(graph)
        inner = [node.attributes["else_branch"] for node in graph if node.op_type == "If"]
        graph = inner[0].as_graph() if inner else None
    assert len(segments) == 4
    for segment in segments[:3]:
        kinds = [node.op_type for node in segment]
        compared = "LessOrEqual" if score == "entropy" else "GreaterOrEqual"
        assert [kinds.count(kind) for kind in ("If", "Conv", "Gemm", compared)] == [1, 1, 1, 1]
        assert len(kinds) < 22, "a segment is a layer, a gate and little else"


def test_knobs_of_an_artifact_decide_as_those_of_the_network(exported: Exported) -> None:
    made = exported("concatenating")
    assert dict(made.artifact.knobs) == made.net.knobs
    sample = made.x[:1]
    with torch.no_grad():
        heads = [head.numpy() for head in made.net.heads(sample)]
    calls: list[tuple[dict[str, float], Any]] = [
        ({"effort": 0}, heads[0]),
        ({"effort": 0, "threshold1": math.inf}, heads[1]),
        ({"effort": 2}, heads[3]),
    ]
    for knobs, wanted in calls:
        np.testing.assert_allclose(made.artifact(sample.numpy(), **knobs), wanted, atol=1e-5)
    with pytest.raises(KnobError):
        made.artifact(sample.numpy(), effort=3)


@pytest.mark.parametrize("score", SCORES)
def test_nan_is_not_let_out_by_an_artifact(score: str, exported: Exported) -> None:
    broken = np.full((1, 3, 8, 8), np.nan, np.float32)
    _, taken = exported("concatenating", score).artifact.trace(broken, effort=0)
    assert taken == {"gate1": 0, "gate2": 0, "gate3": 0}


def test_a_network_with_gates_can_be_compiled_by_torch() -> None:
    net, x = gated("flat"), images("flat", 3)
    compiled = cast("nn.Module", torch.compile(net, backend="eager"))
    with torch.no_grad():
        for level in range(2):
            wanted = net(x, torch.tensor(level))
            torch.testing.assert_close(compiled(x, torch.tensor(level)), wanted)
