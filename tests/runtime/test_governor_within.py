import gc
import math
import subprocess
import sys
import threading
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest

from dyncompile import artifact
from dyncompile.errors import DyncompileError, InputError, KnobError
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Decision, Manifest, OperatingPoint, Side
from dyncompile.runtime import Latency, Net, calibrating, load
from tests.lowered import NESTED_MANIFEST, SWITCH_DECISIONS, SWITCH_MANIFEST, nested, switched
from tests.support import parse

F32 = np.float32
ONES = np.ones((1, 4), F32)
OUTPUTS = (np.abs(ONES), -ONES, np.exp(ONES))  # by level
LEVELS = tuple({"level": level} for level in range(3))
HOUR = 3.6e6  # kept latencies are so long that no call of a test is ever seen to be slow


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "SECONDS", 1e-6)


@pytest.fixture
def net(tmp_path: Path) -> Net:
    manifest = Manifest("onnx", SWITCH_MANIFEST.knobs, SWITCH_DECISIONS, LEVELS)
    artifact.write(switched(), manifest, tmp_path / "net.onnx")
    return load(tmp_path / "net.onnx", threads=1)


@pytest.fixture
def exits(tmp_path: Path) -> Net:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "exits.onnx")
    return load(tmp_path / "exits.onnx", threads=1)


def latency(point: OperatingPoint, hours: float, tail: float = 1.0) -> Latency:
    ms = hours * HOUR
    return Latency(point, ms, ms, tail * ms, 9, 9, drawn=False)


def keep(net: Net, *hours: float, tail: float = 1.0) -> None:
    net.keep_latencies(latency({"level": k}, taken, tail) for k, taken in enumerate(hours))


# --- what runs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "options", "budget", "level"),
    [
        pytest.param((1, 2, 3), {}, 9, 2, id="all-fit"),
        pytest.param((1, 2, 3), {}, 2.5, 1, id="some-fit"),
        pytest.param((3, 1, 2), {}, 2.5, 2, id="what-takes-longer-is-better"),
        pytest.param((1, 2, 3), {"quality": [0.7, 0.9, 0.8]}, 9, 1, id="unless-graded"),
        pytest.param((1, 2, 3), {"quality": np.array([3, 2, 1])}, 9, 0, id="the-other-way"),
        pytest.param((1, 2, 3), {"points": LEVELS[:2]}, 9, 1, id="of-some"),
        pytest.param((1, 2, 3), {"points": iter(LEVELS[:1])}, 9, 0, id="of-one"),
        pytest.param((1, 2, 3), {"points": [{}]}, 9, 2, id="of-the-default"),
        pytest.param((1, 2, 3), {"points": [{}, {}], "quality": [1, 2]}, 9, 2, id="of-one-twice"),
        pytest.param((1, 2, 3), {}, math.inf, 2, id="no-limit"),
    ],
)
def test_the_best_level_that_fits_runs(
    net: Net, hours: tuple[float, ...], options: dict[str, object], budget: float, level: int
) -> None:
    keep(net, *hours)
    governed = net.within(budget * HOUR, **options)  # type: ignore[arg-type]
    assert governed.picked.point == {"level": level}
    for _ in range(3):
        np.testing.assert_allclose(np.asarray(governed(ONES)), OUTPUTS[level], rtol=1e-6)
        np.testing.assert_array_equal(np.asarray(governed(x=ONES)), np.asarray(governed(ONES)))
    assert governed.picked.fits


def test_a_level_that_computes_more_is_better_even_where_it_is_faster(tmp_path: Path) -> None:
    sides = tuple(Side(macs, 0) for macs in (1, 4, 9))
    manifest = Manifest(
        "onnx",
        SWITCH_MANIFEST.knobs,
        (Decision("level", "switch", ("level",), (), sides),),
        LEVELS,
    )
    artifact.write(switched(), manifest, tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx", threads=1)
    keep(net, 1, 3, 2)
    governed = net.within(9 * HOUR)
    assert governed.points == (LEVELS[0], LEVELS[2])
    assert governed.picked.point == {"level": 2}
    assert net.within(9 * HOUR, quality=[1, 3, 2]).picked.point == {"level": 1}


@pytest.mark.parametrize(("percentile", "level"), [(95, 0), (50, 1)])
def test_data_dependent_points_count_by_percentile(net: Net, percentile: int, level: int) -> None:
    keep(net, 1, 2, 3, tail=2)
    assert net.within(2 * HOUR, percentile=percentile).picked.point == {"level": level}


def test_where_nothing_fits_the_fastest_runs_and_says_so(net: Net) -> None:
    keep(net, 2, 1, 3)
    with pytest.warns(RuntimeWarning, match="nothing fits 4 ms") as caught:
        governed = net.within(milliseconds=4)
    assert [len(caught), caught[0].filename] == [1, __file__]
    assert str(caught[0].message) == "level=1: 3.6e+06 ms (p95, load 1.00); nothing fits 4 ms."
    np.testing.assert_array_equal(np.asarray(governed(ONES)), OUTPUTS[1])
    assert (governed.picked.point, governed.picked.fits) == ({"level": 1}, False)


def test_a_threshold_is_governed_at_the_points_given(exits: Net) -> None:
    points = [{"threshold": t} for t in (0.1, 0.5, 1.0)]
    exits.keep_latencies([latency(points[0], 1), latency(points[1], 2), latency(points[2], 3)])
    governed = exits.within(2.5 * HOUR, points=points)
    assert governed.points == tuple(points)
    outputs, pick = governed.run(ONES)
    assert pick.point == {"threshold": 0.5}
    np.testing.assert_allclose(np.asarray(outputs), np.exp(ONES), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(governed(ONES, threshold=1.0)), ONES)
    assert (governed.picked.point, governed.picked.fits) == ({"threshold": 1.0}, False)
    np.testing.assert_array_equal(np.asarray(governed(ONES, threshold=math.inf)), ONES)
    assert governed.picked.expected_ms is None
    governed(ONES)
    assert governed.picked.point == {"threshold": 0.5}


def test_vectors_of_thresholds_are_governed(tmp_path: Path) -> None:
    manifest = Manifest("onnx", {"t": Threshold((0.1, 0.2)), "level": Levels((1, 2))})
    graph = """main (float[2] x, float[2] t, int64 level) => (float[2] y)
        { s = Cast <to = 1> (level)  z = Mul (t, s)  y = Add (x, z) }"""
    artifact.write(parse(graph), manifest, tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx", threads=1)
    points: list[OperatingPoint] = [{"t": t, "level": 1} for t in ((0.25, 0.5), (0.5, math.inf))]
    net.keep_latencies([latency(points[0], 1), latency(points[1], 3)])
    governed = net.within(2 * HOUR, points=points)
    zeros = np.zeros(2, F32)
    np.testing.assert_array_equal(np.asarray(governed(zeros)), np.array([0.25, 0.5], F32))
    np.testing.assert_array_equal(np.asarray(governed(zeros, level=0)), zeros)
    assert governed.picked.expected_ms is None
    governed(zeros, t=np.array([0.5, np.inf], F32))
    assert governed.picked.point == {"t": [0.5, math.inf], "level": 1}


def test_a_network_without_knobs_is_run(tmp_path: Path) -> None:
    graph = "main (float[2] x) => (float[2] y) { y = Neg (x) }"
    artifact.write(parse(graph), Manifest("onnx"), tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx", threads=1)
    net.keep_latencies([latency({}, 1)])
    governed = net.within(2 * HOUR)
    np.testing.assert_array_equal(np.asarray(governed([1.0, 2.0])), np.array([-1, -2], F32))
    assert governed.picked.fits
    assert str(governed.picked).startswith("no knobs: 3.6e+06 ms")


def test_several_threads_share_a_governor(net: Net) -> None:
    keep(net, 1, 2, 3)
    governed = net.within(2.5 * HOUR)
    wrong: list[object] = []

    def work(fixed: dict[str, int], level: int) -> None:
        for _ in range(100):
            outputs, pick = governed.run(ONES, **fixed)
            if pick.point != {"level": level} or not np.allclose(outputs, OUTPUTS[level]):
                wrong.append(pick)

    workers = [
        threading.Thread(target=work, args=arguments)
        for arguments in (({}, 1), ({}, 1), ({"level": 0}, 0), ({"level": 2}, 2))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert wrong == []


# --- what has been measured ------------------------------------------------------------------


def forbidden(*_: object, **__: object) -> None:
    raise AssertionError("measured again")


def test_samples_are_measured_once(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    governed = net.within(HOUR, samples={"x": np.ones((5, 4), F32)})
    assert {k.drawn for k in net.latencies().latencies} == {False}
    assert len(net.latencies().latencies) == 3
    assert governed.picked.fits
    monkeypatch.setattr(calibrating, "time_points", forbidden)
    for again in (net, load(net.path, threads=1)):
        assert again.within(HOUR, samples=[{"x": ONES}]).picked.fits
        assert again.within(HOUR).points == governed.points


def test_samples_measure_what_is_missing_or_known_from_noise(net: Net) -> None:
    given = net.calibrate([{"x": ONES}], points=[{"level": 0}], seconds=1e-6)
    net.calibrate(points=[{"level": 1}], seconds=1e-6)
    net.within(HOUR, samples=[{"x": ONES}, {"x": -ONES}])
    known = net.latencies()
    assert known.at({"level": 0}) == given.latencies[0]
    assert [known.at(p).samples for p in LEVELS[1:]] == [2, 2]  # type: ignore[union-attr]


def test_noise_counts_where_it_was_asked_for(net: Net) -> None:
    net.calibrate(seconds=1e-6)
    assert net.within(HOUR).picked.fits


def test_what_another_process_measured_is_found(net: Net) -> None:
    net.calibrate([{"x": ONES}], points=[{"level": 0}], seconds=1e-6)
    keep(load(net.path, threads=1), 1, 2, 3)
    assert net.within(2.5 * HOUR).picked.point == {"level": 1}


def test_what_cannot_be_kept_is_remembered(net: Net, cache_folder: Path) -> None:
    cache_folder.write_text("a file in its place")
    with pytest.warns(RuntimeWarning, match="latencies are kept for this process only") as caught:
        net.within(HOUR, samples=[{"x": ONES}])
    assert [len(caught), caught[0].filename] == [1, __file__]
    assert net.within(HOUR).picked.fits


@pytest.mark.parametrize(
    ("known", "problem"),
    [
        pytest.param([], "latencies: level=0 and 2 more points not measured", id="none"),
        pytest.param(
            [0, 1], "latencies: level=2 not measured on this machine. Give samples=", id="1"
        ),
    ],
)
def test_without_measurements_and_samples_nothing_is_governed(
    net: Net, cache_folder: Path, known: list[int], problem: str
) -> None:
    if known:
        keep(net, *[1] * len(known))
    with pytest.raises(InputError) as caught:
        net.within(4)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
    assert cache_folder.exists() == bool(known)


@pytest.mark.parametrize(
    ("arguments", "kind", "problem"),
    [
        pytest.param({"milliseconds": 0}, InputError, "milliseconds: 0 is no time", id="zero"),
        pytest.param({"milliseconds": -4}, InputError, "milliseconds: -4 is no", id="negative"),
        pytest.param({"milliseconds": math.nan}, InputError, "milliseconds: nan is", id="nan"),
        pytest.param({"percentile": 99}, InputError, "percentile: 99 is not measured", id="p99"),
        pytest.param({"points": [{"speed": 1}]}, KnobError, "knob 'speed': the network", id="knob"),
        pytest.param({"points": [{"level": 3}]}, KnobError, "knob 'level': 3 is not", id="level"),
        pytest.param({"points": []}, KnobError, "points: list without operating", id="no-points"),
        pytest.param({"points": {"level": 1}}, KnobError, "points: dict without", id="one-point"),
        pytest.param({"quality": [1, 2]}, InputError, "quality: not a number for each", id="few"),
        pytest.param({"quality": [1, 2, math.nan]}, InputError, "quality: not a", id="nan-grade"),
        pytest.param({"quality": 3}, InputError, "quality: not a number for each of 3", id="one"),
        pytest.param({"quality": ["a", 2, 3]}, InputError, "quality: not a number", id="text"),
        pytest.param({"quality": [[1], [2], [3]]}, InputError, "quality: not a", id="nested"),
        pytest.param({"samples": {"x": [1]}}, InputError, "samples: x int64[1]", id="samples"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_measured(
    net: Net, cache_folder: Path, arguments: dict[str, object], kind: type, problem: str
) -> None:
    with pytest.raises(DyncompileError) as caught:
        net.within(**{"milliseconds": 4, "samples": [{"x": ONES}], **arguments})  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
    assert not cache_folder.exists()


def test_one_operating_point_is_nothing_to_choose_from(exits: Net) -> None:
    keep_all = exits.calibrate(seconds=1e-6)
    assert len(keep_all.latencies) == 1
    with pytest.raises(InputError, match=r"points: .* one operating point, .* threshold\.$"):
        exits.within(4)


@pytest.mark.parametrize(
    ("arguments", "named", "kind", "problem"),
    [
        pytest.param((), {}, InputError, "input 'x': not given", id="no-input"),
        pytest.param((ONES[0],), {}, InputError, "input 'x': float32[4] does not", id="shape"),
        pytest.param((ONES,), {"speed": 1}, KnobError, "argument 'speed'", id="unknown-knob"),
        pytest.param((ONES,), {"level": 7}, KnobError, "knob 'level': 7 is not", id="no-level"),
    ],
)
def test_calls_are_refused_as_by_the_network(
    net: Net, arguments: tuple[object, ...], named: dict[str, object], kind: type, problem: str
) -> None:
    keep(net, 1, 2, 3)
    governed = net.within(2.5 * HOUR)
    with pytest.raises(DyncompileError) as caught:
        governed(*arguments, **named)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(problem)
    np.testing.assert_array_equal(np.asarray(governed(ONES)), OUTPUTS[1])


# --- what it holds ---------------------------------------------------------------------------


def test_a_governor_and_its_network_are_freed_together(net: Net) -> None:
    keep(net, 1, 2, 3)
    copy: Net | None = load(net.path, threads=1)
    assert copy is not None
    governed = copy.within(HOUR)
    copy_watch, watch = weakref.ref(copy), weakref.ref(governed)
    gc.disable()
    try:
        copy = None
        assert copy_watch() is not None
        del governed
        assert (watch(), copy_watch()) == (None, None)
    finally:
        gc.enable()


def test_a_governor_needs_neither_torch_nor_onnx(net: Net) -> None:
    keep(net, 1, 2, 3)
    program = f"""
import sys
import numpy as np
from dyncompile.runtime import load
governed = load({str(net.path)!r}, threads=1).within({2.5 * HOUR})
governed(np.ones((1, 4), np.float32))
names = {{name.partition(".")[0] for name in sys.modules}}
print(governed.picked.point, sorted(names & {{"torch", "onnx", "onnx_ir", "rich", "click"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'level': 1} []"


def test_nothing_is_said_where_something_fits(net: Net) -> None:
    keep(net, 1, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.within(1.5 * HOUR)(ONES)
