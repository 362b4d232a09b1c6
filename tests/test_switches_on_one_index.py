"""Switches with different numbers of options on one index: each clamps for itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import dyncompile
from dyncompile import Levels, artifact, channel_budget, follow, load, per_level, switch
from dyncompile.manifest import Decision, TargetName

WIDTH = 4
ROWS = np.random.default_rng(0).normal(size=(8, 1, WIDTH)).astype(np.float32)


@dataclass(frozen=True)
class Plan:
    """Switches in a row.

    Attributes:
        counts: How many options each has.
        names: The name of each, if it has one.
        is_knob: Whether the index is a knob; it is computed otherwise.
        is_inside: Whether the last stands in the last option of the one before.
    """

    counts: tuple[int, ...]
    names: tuple[str | None, ...]
    is_knob: bool = False
    is_inside: bool = False


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw two or three switches."""
    counts = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3).filter(lambda c: max(c) > 1))
    names = draw(st.tuples(*(st.sampled_from([None, "a", "b"]) for _ in counts)))
    return Plan(tuple(counts), names, draw(st.booleans()), draw(st.booleans()))


class Switching(nn.Module):
    """What a plan says; every option is a layer of its own."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.plan = plan
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(sum(plan.counts)))
        self.knobs = (
            {"level": Levels(tuple(range(max(plan.counts))), default=1)} if plan.is_knob else {}
        )

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        index = (2 * x.sum()).long() if level is None else level  # often beyond the options
        layers = iter(self.layers)
        places = [[next(layers) for _ in range(count)] for count in self.plan.counts]
        *before, (own, name) = zip(places, self.plan.names, strict=True)
        for number, (some, called) in enumerate(before):
            options = [layer(x) for layer in some]
            if self.plan.is_inside and number == len(before) - 1:
                inner = [layer(options[-1]) for layer in own]
                options[-1] = switch(index, inner, name=name)
            x = switch(index, options, name=called)
        if not self.plan.is_inside:
            x = switch(index, [layer(x) for layer in own], name=name)
        return x


def options_by_name(decisions: tuple[Decision, ...]) -> dict[str, int]:
    """Return how many options there are under each name."""
    found = {decision.name: len(decision.sides) for decision in decisions}
    found |= {name: 1 + max(own) for one in decisions for name, own in one.aliases}
    return found


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(plan=plans(), target=st.sampled_from(["onnx", "tensorrt"]))
@example(plan=Plan((2, 3), (None, None), is_knob=True), target="onnx")
@example(plan=Plan((2, 3), ("a", "b")), target="tensorrt")
@example(plan=Plan((2, 4), ("a", "b"), is_inside=True), target="onnx")
def test_a_network_of_them_is_verified_and_traced(
    tmp_path_factory: pytest.TempPathFactory, target: TargetName, plan: Plan
) -> None:
    model, path = Switching(plan), tmp_path_factory.mktemp("net") / "net.onnx"
    x = torch.from_numpy(ROWS[0])
    report = dyncompile.export(model, (x,), path, target=target, telemetry=True)
    assert report is not None
    assert report.complete
    net = load(path, threads=1)
    (decision,) = net.decisions
    assert len(decision.sides) == max(plan.counts)
    for row in ROWS:
        for point in [{"level": k} for k in range(max(plan.counts))] if plan.is_knob else [{}]:
            with follow() as taken:
                want = model(torch.from_numpy(row), *map(torch.tensor, point.values()))
            got, told = net.trace(row, **point)
            np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-5, atol=1e-5)
            assert told == {name: int(option) for name, option in taken.items()}


def exported(model: nn.Module, path: Path, **options: object) -> tuple[Decision, ...]:
    report = dyncompile.export(model, (torch.from_numpy(ROWS[0]),), path, **options)  # type: ignore[arg-type]
    assert report is not None
    return load(path).decisions


def test_each_option_costs_what_every_switch_does_then(tmp_path: Path) -> None:
    plan = Plan((2, 4), ("short", "long"), is_inside=True)
    (decision,) = exported(Switching(plan), tmp_path / "net.onnx")
    assert decision.name == "long"
    assert decision.aliases == (("short", (0, 1, 1, 1)),)
    layers = [side.macs // WIDTH**2 for side in decision.sides]
    assert layers == [1, 2, 2, 2]  # from 1 on, the short one takes its last, which holds the other


def test_a_marked_file_lists_each_name_with_its_own_options(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    plan = Plan((2, 4, 3), ("a", "b", "a"))
    decisions = exported(Switching(plan), path, target="marked")
    assert options_by_name(decisions) == {"a": 3, "b": 4}
    dyncompile.export(path, None, tmp_path / "lowered.onnx")
    (decision,) = load(tmp_path / "lowered.onnx").decisions
    assert (decision.name, decision.aliases) == ("b", (("a", (0, 1, 2, 2)),))


class WithLevels(nn.Module):
    """Switches of two options on the index of something with three."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        index = (2 * x.sum()).long()
        a, b, c, d, e, f = self.layers
        if self.kind == "budget":
            x = e(channel_budget(f(x).relu(), index, (1, 2, 4), name="many"))
        else:
            x = per_level(index, lambda k: (c, d, e)[k](x), 3, name="many")
        result: Tensor = switch(index, [a(x), b(x)], name="few")
        return result


@pytest.mark.parametrize("kind", ["budget", "per_level"])
def test_levels_share_an_index_with_a_shorter_switch(kind: str, tmp_path: Path) -> None:
    (decision,) = exported(WithLevels(kind), tmp_path / "net.onnx", telemetry=True)
    assert decision.name == "many"
    assert decision.aliases == (("few", (0, 1, 1)),)


class Alike(nn.Module):
    """All options of the longer switch are one value, so that only the shorter one is left."""

    def forward(self, x: Tensor) -> Tensor:
        index = (2 * x.sum()).long()
        same = switch(index, [x.exp(), x.exp(), x.exp()], name="way")
        return switch(index, [same, same.neg()], name="way")


def test_a_decision_may_lack_options_that_make_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    (decision,) = exported(Alike(), path, telemetry=True)
    _, manifest = artifact.read(path)
    assert manifest is not None
    assert list(options_by_name(manifest.decisions)) == [decision.name] == ["way"]
