from __future__ import annotations

import math

import numpy as np
import pytest

from dyncompile import artifact
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.manifest import Manifest
from dyncompile.measuring.observed import observed_values
from dyncompile.measuring.points import measured_points
from tests.lowered import NESTED_DECISIONS, NESTED_MANIFEST, nested
from tests.measuring.conftest import Made

F32 = np.float32


def test_scores_of_decisions_in_branches_are_seen_too(made: Made) -> None:
    model, manifest = artifact.read(made.net)
    assert manifest is not None
    samples = [{"x": row[None]} for row in made.x]
    values = observed_values(model, manifest, samples, ["threshold"])["threshold"]
    assert values == sorted(set(values))
    assert 1 / 3 <= values[0] < values[-1] <= 1
    assert all(value == float(f"{value:.3g}") for value in values)


def test_values_lie_between_the_scores() -> None:
    manifest = Manifest("onnx", {"threshold": Threshold(0.5)}, NESTED_DECISIONS)
    means = np.arange(11, dtype=F32)
    samples = [{"x": np.full((1, 4), mean, F32)} for mean in means]
    found = observed_values(nested(), manifest, samples, ["threshold"])
    assert found == {"threshold": pytest.approx(np.linspace(1, 9, 7), rel=5e-3)}


def test_a_knob_that_nothing_is_compared_with_has_no_values() -> None:
    x = {"x": np.zeros((1, 4), F32)}
    assert observed_values(nested(), NESTED_MANIFEST, [x], ["other"]) == {}


def test_points_are_the_defaults_the_manifest_and_the_sweeps() -> None:
    knobs: dict[str, Knob] = {
        "level": Levels((1, 2, 4)),
        "low": Threshold(0.5, 0, 1),
        "free": Threshold((1, 2)),
    }
    points = measured_points(knobs, [{"level": 0}, {"level": 2}], {}, {"free": [1.5]})
    assert points[0] == {"level": 2, "low": 0.5, "free": [1, 2]}
    assert points[1] == {"level": 0, "low": 0.5, "free": [1, 2]}
    assert [p["low"] for p in points[2:10]] == [0, 0.125, 0.25, 0.375, 0.625, 0.75, 0.875, 1]
    assert [p["free"] for p in points[10:]] == [[v] * 2 for v in (-math.inf, 1.5, math.inf)]
    swept = measured_points(knobs, [{"level": 0}], {"level": (1.0,), "low": (0.1,), "free": ()})
    assert [(p["level"], p["low"]) for p in swept] == [(2, 0.5), (1, 0.5), (2, 0.1)]
