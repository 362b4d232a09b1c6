import gc
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dyncompile import artifact
from dyncompile.errors import DyncompileError, InputError, KnobError
from dyncompile.manifest import Manifest
from dyncompile.runtime import Latency, Net, calibrating, latency_cache, load
from dyncompile.runtime.calibrating import LEAST_CALLS, WARM_UP_CALLS, time_points
from tests.lowered import NESTED_MANIFEST, SWITCH_DECISIONS, SWITCH_MANIFEST, nested, switched
from tests.support import parse

F32 = np.float32
ONES = np.ones((1, 4), F32)
BRIEF = 1e-6
LEVELS = tuple({"level": level} for level in range(3))


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "SECONDS", BRIEF)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    manifest = Manifest("onnx", SWITCH_MANIFEST.knobs, SWITCH_DECISIONS, LEVELS)
    artifact.write(switched(), manifest, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


# --- turns -----------------------------------------------------------------------------------


class Machine:
    """A clock, and a network whose calls take as many ns as its inputs and knobs say."""

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[tuple[int, int]] = []

    def clock(self) -> int:
        return self.now

    def __call__(self, *, sample: int, point: int) -> None:
        self.now += 1000 * sample + point
        self.calls.append((sample, point))


def timed(points: int, samples: int, seconds: float) -> tuple[Machine, list[list[int]]]:
    machine = Machine()
    ms = time_points(
        machine,
        [{"point": n} for n in range(points)],
        [{"sample": n} for n in range(1, samples + 1)],  # type: ignore[dict-item]
        seconds=seconds,
        clock=machine.clock,
    )
    return machine, [np.rint(taken * 1e6).astype(int).tolist() for taken in ms]


def test_every_point_is_timed_on_the_same_samples() -> None:
    _, taken = timed(points=3, samples=10, seconds=100e-6)
    assert taken[1] == [ns + 1 for ns in taken[0]]
    assert taken[2] == [ns + 2 for ns in taken[0]]
    assert len(taken[0]) >= LEAST_CALLS


def test_every_sample_is_timed_before_one_is_timed_twice() -> None:
    _, taken = timed(points=2, samples=8, seconds=1e-3)
    assert len(taken[0]) > 16
    for turn in (taken[0][:8], taken[0][8:16]):
        assert sorted(turn) == [1000 * n for n in range(1, 9)]
    assert taken[0][:8] not in (sorted(taken[0][:8]), taken[0][8:16])


def test_few_calls_are_made_however_long_they_take() -> None:
    machine, taken = timed(points=4, samples=3, seconds=1e-12)
    assert [len(ns) for ns in taken] == [LEAST_CALLS] * 4
    assert len(machine.calls) == 4 * (WARM_UP_CALLS + 2 * LEAST_CALLS)


def test_time_is_shared_by_the_points() -> None:
    machine, _ = timed(points=4, samples=1, seconds=1e-3)
    assert 1e6 <= machine.now < 1.05e6


def test_points_take_turns_at_being_first() -> None:
    machine, _ = timed(points=3, samples=1, seconds=1e-12)
    calls = [point for _, point in machine.calls[3 * WARM_UP_CALLS :]]
    rounds = [calls[k : k + 6] for k in range(0, len(calls), 6)]
    assert rounds[:3] == [[0, 0, 1, 1, 2, 2], [1, 1, 2, 2, 0, 0], [2, 2, 0, 0, 1, 1]]


def test_what_is_timed_follows_the_sample_before_at_the_same_point() -> None:
    machine, taken = timed(points=2, samples=9, seconds=1e-12)
    calls = machine.calls[2 * WARM_UP_CALLS :]
    untimed, counted = calls[0::2], calls[1::2]
    assert [point for _, point in untimed] == [point for _, point in counted]
    assert [sample for sample, _ in untimed[2:]] == [sample for sample, _ in counted[:-2]]
    assert [1000 * sample for sample, point in counted if point == 0] == taken[0]


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_garbage_is_not_collected_meanwhile(fails: bool) -> None:
    seen = []

    def call() -> None:
        seen.append(gc.isenabled())
        if fails and len(seen) > WARM_UP_CALLS:
            raise ValueError

    try:
        time_points(call, [{}], [{}], seconds=BRIEF)
    except ValueError:
        assert fails
    assert not any(seen[WARM_UP_CALLS:])
    assert gc.isenabled()


# --- calibrate -------------------------------------------------------------------------------


def test_every_operating_point_is_measured(file: Path) -> None:
    net = load(file, threads=1)
    found = net.calibrate({"x": np.ones((7, 4), F32)}, seconds=BRIEF)
    assert [latency.point for latency in found.latencies] == list(LEVELS)
    assert {(k.calls, k.samples, k.drawn) for k in found.latencies} == {(5, 5, False)}
    assert all(0 < k.median_ms <= k.p95_ms for k in found.latencies)
    assert found.defaults == {"level": 2}
    assert found.at({}) is found.latencies[2]
    assert (found.conditions.threads, found.conditions.is_here) == (1, True)
    assert found.conditions.providers == net.providers


def test_without_operating_points_the_defaults_are_measured(tmp_path: Path) -> None:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "net.onnx")
    found = load(tmp_path / "net.onnx").calibrate(seconds=BRIEF)
    assert [(k.point, k.drawn) for k in found.latencies] == [({"threshold": 0.5}, True)]


def test_points_are_completed_and_measured_once(tmp_path: Path) -> None:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx")
    points = [{"threshold": 0.1}, {}, {"threshold": float(F32(0.1))}, {"threshold": np.inf}]
    found = net.calibrate([{"x": ONES}], points=points, seconds=BRIEF)
    assert [k.point["threshold"] for k in found.latencies] == [0.1, 0.5, np.inf]


@pytest.mark.parametrize(
    ("arguments", "kind", "problem"),
    [
        pytest.param({"points": [{"speed": 1}]}, KnobError, "knob 'speed': the network", id="knob"),
        pytest.param({"points": [{"level": 3}]}, KnobError, "knob 'level': 3 is not", id="value"),
        pytest.param({"points": [3]}, KnobError, "points: int is not an operating", id="number"),
        pytest.param({"points": {"level": 1}}, KnobError, "points: dict without", id="one-point"),
        pytest.param({"points": []}, KnobError, "points: list without operating", id="no-points"),
        pytest.param({"points": 3}, KnobError, "points: int without operating", id="no-list"),
        pytest.param({"seconds": 0}, InputError, "seconds: 0 is no time", id="no-time"),
        pytest.param({"seconds": np.nan}, InputError, "seconds: nan is no time", id="nan-seconds"),
        pytest.param({"seconds": "1"}, InputError, "seconds: '1' is no time", id="text-seconds"),
        pytest.param({"samples": {"x": [1]}}, InputError, "samples: x int64[1]", id="samples"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(
    file: Path, cache_folder: Path, arguments: dict[str, object], kind: type, problem: str
) -> None:
    with pytest.raises(DyncompileError) as caught:
        load(file).calibrate(**arguments)  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert str(caught.value).startswith(problem)
    assert not cache_folder.exists()


def test_noise_that_the_network_refuses_asks_for_samples(tmp_path: Path) -> None:
    graph = "main (float[N] a, float[3] b) => (float[3] y) { y = Reshape (a, s) }"
    graph = graph.replace("{ y", "{ s = Shape (b)  y")
    artifact.write(parse(graph), Manifest("onnx"), tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx")
    for calibrate in (net.calibrate, net.latencies):
        with pytest.raises(InputError, match=r"drawn inputs do not do: .* Give samples") as caught:
            calibrate()
        assert "\n" not in str(caught.value)
    fitting = {"a": np.ones(3, F32), "b": np.ones(3, F32)}
    assert net.calibrate([fitting], seconds=BRIEF).latencies
    with pytest.raises(InputError, match=r"ONNX Runtime refuses this call"):
        net.calibrate([{**fitting, "a": np.ones(2, F32)}], seconds=BRIEF)


# --- what is kept ----------------------------------------------------------------------------


def test_latencies_are_measured_once_per_machine(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = load(file, threads=1)
    first = net.latencies()
    assert [(k.point, k.drawn) for k in first.latencies] == [(point, True) for point in LEVELS]
    monkeypatch.setattr(calibrating, "time_points", forbidden)
    assert net.latencies() is first
    assert load(file, threads=1).latencies() == first


def forbidden(*_: object, **__: object) -> None:
    raise AssertionError("measured again")


def test_other_threads_are_measured_apart(file: Path) -> None:
    one, two = (load(file, threads=threads).latencies() for threads in (1, 2))
    found = latency_cache.kept_here(latency_cache.digest(file))
    assert found == [one, two]


def test_provider_options_are_measured_apart(file: Path) -> None:
    load(file, threads=1).latencies()
    options = ("CPUExecutionProvider", {"use_arena": "0"})
    found = load(file, threads=1, providers=[options]).calibrate(seconds=BRIEF)
    assert found.conditions.providers == ('CPUExecutionProvider {"use_arena": "0"}',)
    assert len(latency_cache.kept_here(latency_cache.digest(file))) == 2


def test_another_artifact_is_measured_anew(file: Path) -> None:
    load(file).latencies()
    artifact.write(nested(), NESTED_MANIFEST, file)
    assert [k.point for k in load(file).latencies().latencies] == [{"threshold": 0.5}]


def test_samples_and_more_points_are_added_to_what_is_kept(file: Path) -> None:
    net = load(file)
    net.latencies()
    given = net.calibrate([{"x": ONES}], points=[{"level": 1}], seconds=BRIEF)
    drawn = net.calibrate(points=[{"level": 1}], seconds=BRIEF)
    for known in (net.latencies(), load(file).latencies()):
        assert [(k.point["level"], k.drawn) for k in known.latencies] == [
            (0, True),
            (1, False),
            (2, True),
        ]
        assert known.at({"level": 1}) == given.latencies[0]
    assert drawn.latencies[0].drawn


def test_points_that_are_not_kept_yet_are_measured(file: Path) -> None:
    given = load(file).calibrate([{"x": ONES}], points=[{"level": 1}], seconds=BRIEF)
    known = load(file).latencies()
    assert known.at({"level": 1}) == given.latencies[0]
    assert [(k.point["level"], k.drawn) for k in known.latencies] == [
        (1, False),
        (0, True),
        (2, True),
    ]


def test_latencies_measured_elsewhere_are_kept(file: Path) -> None:
    latency = Latency.of({}, np.array([1.0, 2.0, 3.0]), samples=3, drawn=False)
    known = load(file, threads=1).keep_latencies([latency])
    assert [(k.point, k.median_ms) for k in known.latencies] == [({"level": 2}, 2.0)]
    assert load(file, threads=1).latencies().at({}) == known.latencies[0]
    with pytest.raises(KnobError, match="knob 'speed': the network has no such knob"):
        load(file).keep_latencies([Latency.of({"speed": 1}, np.ones(1), samples=1, drawn=False)])


@pytest.mark.parametrize("damage", ["folder", "file"])
def test_latencies_that_cannot_be_kept_are_remembered(
    file: Path, cache_folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = load(file)
    if damage == "folder":
        cache_folder.write_text("a file in its place")
    else:
        file.unlink()
    with pytest.warns(RuntimeWarning, match="latencies are kept for this process only") as caught:
        known = net.latencies()
    assert [len(caught), caught[0].filename] == [1, __file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = net.calibrate([{"x": ONES}], points=[{"level": 0}], seconds=BRIEF)
        monkeypatch.setattr(calibrating, "time_points", forbidden)
        assert net.latencies().latencies == (*given.latencies, *known.latencies[1:])


def test_a_file_replaced_since_it_was_loaded_keeps_nothing(file: Path, cache_folder: Path) -> None:
    net = load(file)
    artifact.write(nested(), NESTED_MANIFEST, file)
    with pytest.warns(RuntimeWarning, match="has changed since it was loaded"):
        assert len(net.latencies().latencies) == 3
    assert not cache_folder.exists()


def test_a_damaged_file_in_the_cache_is_replaced(file: Path, cache_folder: Path) -> None:
    load(file).latencies()
    (kept,) = (cache_folder / "latencies").iterdir()
    kept.write_text(kept.read_text()[:100])
    again = load(file).latencies()
    assert latency_cache.kept_here(latency_cache.digest(file)) == [again]


def test_the_artifact_stays_as_it_was(file: Path) -> None:
    before = file.read_bytes()
    load(file).calibrate([{"x": ONES}], seconds=BRIEF)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_threads_that_ask_at_once_measure_once_while_others_call(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    original: Callable[..., object] = calibrating.time_points

    def once(*arguments: object, **options: object) -> object:
        measured.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(calibrating, "time_points", once)
    net = load(file, threads=1)
    found: list[object] = []

    def ask() -> None:
        found.append(net.latencies())
        found.append(np.array_equal(np.asarray(net(ONES, level=0)), ONES))

    workers = [threading.Thread(target=ask) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(measured) == 1
    assert len(found) == 8
    assert all(one is True or one is net.latencies() for one in found)


def test_a_network_is_freed_with_its_last_name(file: Path) -> None:
    gc.collect()
    net: Net | None = load(file)
    assert net is not None
    net.latencies()
    watch = weakref.ref(net)
    gc.disable()
    try:
        net = None
        assert watch() is None
    finally:
        gc.enable()


def test_a_calibration_needs_neither_torch_nor_onnx(file: Path) -> None:
    program = f"""
import sys
from dyncompile.runtime import load
load({str(file)!r}).calibrate(seconds=0.001)
names = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(names & {{"torch", "onnx", "onnx_ir", "rich", "click"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert len(latency_cache.kept_here(latency_cache.digest(file))) == 1
