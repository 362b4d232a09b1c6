import dataclasses
import math

import numpy as np
import pytest

from dyncompile.errors import ArtifactError, KnobError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.runtime.calibration import Calibration, Conditions, Latency, full_point
from tests.damaged_calibrations import damaged

HERE = Conditions("a processor", 4, "1.2.3", None, ("CPUExecutionProvider",))
KNOBS: dict[str, Knob] = {"level": Levels((1, 2, 4)), "t": Threshold((0.7, math.inf))}


def latency(point: dict[str, object], ms: float = 1.0, *, drawn: bool = False) -> Latency:
    full = full_point(KNOBS, point)
    return Latency.of(full, np.array([ms, ms, 4 * ms]), samples=2, drawn=drawn)


def calibration(*latencies: Latency, date: str = "2030-01-01") -> Calibration:
    return Calibration(HERE, full_point(KNOBS, {}), latencies, date)


def test_a_latency_sums_up_its_calls() -> None:
    found = Latency.of({}, np.arange(101.0), samples=7, drawn=True)
    assert found == Latency({}, 50.0, 50.0, 95.0, 101, 7, drawn=True)


# --- points ----------------------------------------------------------------------------------


def test_a_full_point_has_all_knobs_as_plain_numbers() -> None:
    point = full_point(KNOBS, {"level": np.int64(1)})
    assert point == {"level": 1, "t": [0.7, math.inf]}
    assert type(point["level"]) is int
    assert full_point(KNOBS, {"t": 0.1}) == {"level": 2, "t": [0.1, 0.1]}


@pytest.mark.parametrize(
    ("point", "problem"),
    [
        pytest.param({"speed": 1}, "knob 'speed': the network has no such knob.", id="unknown"),
        pytest.param({"level": 3}, "knob 'level': 3 is not a level.", id="out-of-range"),
        pytest.param({"t": math.nan}, "knob 't': nan is not a threshold.", id="nan"),
        pytest.param(0.5, "points: float is not an operating point.", id="number"),
        pytest.param("level", "points: str is not an operating point.", id="name"),
    ],
)
def test_what_is_no_point_is_refused(point: object, problem: str) -> None:
    with pytest.raises(KnobError) as caught:
        full_point(KNOBS, point)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("point", "found"),
    [
        pytest.param({}, 0, id="defaults"),
        pytest.param({"level": 2}, 0, id="one-knob-named"),
        pytest.param({"level": 1}, 1, id="another-level"),
        pytest.param({"t": np.float32(0.1)}, 2, id="one-number-for-a-vector"),
        pytest.param({"t": (0.1, 0.1)}, 2, id="a-vector"),
        pytest.param({"t": (0.1, 0.1, 0.1)}, None, id="a-longer-vector"),
        pytest.param({"level": 0}, None, id="not-measured"),
        pytest.param({"speed": 0}, None, id="unknown-knob"),
    ],
)
def test_a_latency_is_found_by_its_point(point: dict[str, object], found: int | None) -> None:
    known = calibration(latency({}), latency({"level": 1}), latency({"t": 0.1}))
    expected = None if found is None else known.latencies[found]
    assert known.at(point) is expected  # type: ignore[arg-type]


# --- merging ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "wins"),
    [
        pytest.param(False, False, "new", id="data-replaces-data"),
        pytest.param(True, False, "new", id="data-replaces-noise"),
        pytest.param(True, True, "new", id="noise-replaces-noise"),
        pytest.param(False, True, "old", id="noise-leaves-data"),
    ],
)
def test_the_newer_latency_of_a_point_wins_but_data_goes_before_noise(
    old: bool, new: bool, wins: str
) -> None:
    points = {"old": latency({}, 1.0, drawn=old), "new": latency({}, 2.0, drawn=new)}
    other = latency({"level": 1})
    merged = calibration(points["old"], other).merged(calibration(points["new"], date="2030-02-02"))
    assert merged.latencies == (points[wins], other)
    assert merged.date == "2030-02-02"


def test_merging_adds_points() -> None:
    first, second = latency({"level": 0}), latency({"level": 1})
    assert calibration(first).merged(calibration(second)).latencies == (first, second)


# --- JSON ------------------------------------------------------------------------------------


def test_json_keeps_everything() -> None:
    known = calibration(latency({"t": -math.inf}), latency({"level": 0}, drawn=True))
    text = known.to_json()
    assert "Infinity" not in text
    assert Calibration.from_json(text, "here") == known
    alone = dataclasses.replace(known, conditions=dataclasses.replace(HERE, threads=3))
    assert Calibration.from_json(alone.to_json(), "here").conditions.threads == 3


DAMAGED = damaged(calibration(latency({})).to_json())


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_and_newer_json_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="here: no latencies that this version can read"):
        Calibration.from_json(text, "here")
