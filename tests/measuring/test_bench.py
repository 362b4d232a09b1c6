from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import Levels, artifact, cost, switch
from dyncompile.errors import ArtifactError, DyncompileError, InputError, VerificationError
from dyncompile.manifest import Decision, Manifest
from dyncompile.measuring.against import find_against
from dyncompile.measuring.findings import (
    ARTIFACT,
    COMPILED,
    DEAREST,
    DENSE,
    EAGER,
    SCORED,
    STATIC,
    Findings,
    PointFound,
)
from dyncompile.timing import Spread
from tests.budgeted_networks import COUNTS, EXAMPLE, Budgeted
from tests.lowered import NO_COST, tagged
from tests.measuring.conftest import SAMPLES, Made
from tests.measuring.networks import (
    CLASSES,
    WIDTH,
    Conditional,
    Masked,
    exits,
    ladder,
    others,
)
from tests.support import parse

QUICK: dict[str, Any] = {"seconds": 1e-3, "compiled": False}
SWEEP = {"threshold": (0.0, 0.6, 1.0)}


@pytest.fixture(scope="module")
def findings(made: Made) -> Findings:
    return dyncompile.bench(made.net, against=exits(), data=made.data, sweeps=SWEEP, **QUICK)


def eager(made: Made, number: int, threshold: float) -> tuple[int, dict[str, int]]:
    """Return the class of a sample, and the path it takes."""
    x, knob = torch.from_numpy(made.x[number : number + 1]), torch.full((2,), threshold)
    with torch.no_grad(), dyncompile.follow() as taken:
        logits = exits()(x, threshold=knob)
    options = {name: int(option.item()) for name, option in taken.items()}
    path = {"block": options["block"], "first": options["first"]}
    if not path["first"]:
        path["second"] = options["second"]
    return int(logits.argmax()), path


@pytest.mark.parametrize("place", range(4), ids=["default", "0", "0.6", "1"])
def test_what_it_decides_for_itself_is_counted(findings: Findings, made: Made, place: int) -> None:
    point = findings.setups[0].points[place]
    threshold = [0.5, 0.0, 0.6, 1.0][place]
    assert point.point["threshold"] == pytest.approx([threshold] * 2)
    assert point.is_default == (place == 0)
    seen = [eager(made, number, threshold) for number in range(SAMPLES)]
    hits = [found == label for (found, _), label in zip(seen, made.labels, strict=True)]
    assert point.samples == SAMPLES
    assert point.right == sum(hits)
    paths = Counter(tuple(sorted(path.items())) for _, path in seen)
    assert {tuple(sorted(t.path.items())): t.samples for t in point.taken} == paths
    assert [t.samples for t in point.taken] == sorted(paths.values(), reverse=True)
    for taken in point.taken:
        right = [hit for (_, path), hit in zip(seen, hits, strict=True) if path == taken.path]
        assert taken.right == sum(right)
    for decision in findings.decisions:
        table = [[0] * 3 for _ in range(CLASSES)]
        for (_, path), label in zip(seen, made.labels, strict=True):
            table[label][path.get(decision.name, 2)] += 1
        assert [list(row) for row in point.options[decision.name]] == table
    model, _ = artifact.read(made.net)
    macs = [cost.along(model, [path])[0].macs for _, path in seen]
    assert point.macs == pytest.approx(np.mean(macs))


def test_every_path_is_forced_and_timed(findings: Findings) -> None:
    for setup in findings.setups:
        paths = [dict(found.path) for found in setup.paths]
        assert paths == [
            {"block": block, "first": first, **({} if first else {"second": second})}
            for block in (0, 1)
            for first in (0, 1)
            for second in ((0, 1) if not first else (0,))
        ]
        for found in setup.paths:
            assert set(found.us) == {ARTIFACT, STATIC, SCORED}
            assert set(found.ratios) == {STATIC, SCORED}
            assert all(map(is_time, (*found.us.values(), *found.ratios.values())))
    assert findings.complete
    (first,) = findings.setups
    square = WIDTH * WIDTH
    shortest = next(p for p in first.paths if p.path == {"block": 0, "first": 1})
    longest = next(p for p in first.paths if p.path == {"block": 1, "first": 0, "second": 0})
    assert shortest.macs == square + WIDTH * CLASSES
    assert longest.macs == 4 * square + 3 * WIDTH * CLASSES


def is_time(spread: Spread) -> bool:
    return 0 < spread.low <= spread.median <= spread.high < math.inf


def test_the_model_itself_runs_beside_the_artifact(findings: Findings) -> None:
    for setup in findings.setups:
        assert set(setup.others) == {DEAREST, DENSE, EAGER}
        assert all(is_time(other.us) and other.mean_us > 0 for other in setup.others.values())
        assert all(is_time(p.us) and 4 <= p.timed <= SAMPLES for p in setup.points)
    assert set(findings.others) == {STATIC, SCORED, DEAREST, DENSE, EAGER}
    assert "PyTorch" in findings.others[STATIC]


def test_the_parts_add_up_to_the_mean_and_are_on_the_way(findings: Findings) -> None:
    for setup in findings.setups:
        default = setup.points[0]
        assert sum(part.us for part in setup.parts) == pytest.approx(default.mean_us)
        taken = {pair for one in default.taken for pair in one.path.items()}
        places = {(part.decision, part.option) for part in setup.parts}
        assert places <= taken | {("", 0)}
        assert ("", 0) in places
        for part in setup.parts:
            assert sum(part.operators.values()) == pytest.approx(part.us)


def test_every_number_of_threads_is_measured(tmp_path: Path) -> None:
    model = parse("m (float[1,4] x) => (float[1,4] y) {y = Abs(x)}")
    artifact.write(model, Manifest("onnx"), tmp_path / "net.onnx")
    found = dyncompile.bench(tmp_path / "net.onnx", limit=4, threads=(2, 1, 2), **QUICK)
    assert [one.setup.threads for one in found.setups] == [2, 1]
    assert [one.setup.providers for one in found.setups] == [("CPUExecutionProvider",)] * 2
    assert all(len(one.paths) == len(one.points) == 1 for one in found.setups)


TWO = """m (float[1,4] x) => (float[1,4] y, float[1,4] z, float[4] w) {
    y = Neg(x)
    z = Abs(x)
    flat = Constant <value_ints = [4]> ()
    w = Reshape(x, flat)
}"""


def test_the_output_that_scores_classes_may_be_named(tmp_path: Path) -> None:
    artifact.write(parse(TWO), Manifest("onnx"), tmp_path / "net.onnx")
    x = np.array([[1, 2, -3, 0], [4, 2, 1, -9]], np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.array([2, 3]))
    options = {**QUICK, "data": tmp_path / "d.npz"}
    found = dyncompile.bench(tmp_path / "net.onnx", logits="y", **options)
    assert found.setups[0].points[0].right == 2
    assert found.classes == ("0", "1", "2", "3")
    found = dyncompile.bench(tmp_path / "net.onnx", logits="z", **options)
    assert found.setups[0].points[0].right == 2
    with pytest.raises(InputError, match="2 outputs could score the classes, of y, z, w"):
        dyncompile.bench(tmp_path / "net.onnx", **options)
    with pytest.raises(InputError, match=r"'w' is float32\[4\], not float\[1, C\]"):
        dyncompile.bench(tmp_path / "net.onnx", logits="w", **options)
    np.savez(tmp_path / "d.npz", x=x, y=np.array([2, 4]))
    with pytest.raises(InputError, match="there is a label 4, and the network tells 4 classes"):
        dyncompile.bench(tmp_path / "net.onnx", logits="y", **options)


def test_findings_say_what_they_are_of(findings: Findings, made: Made) -> None:
    assert findings.artifact == "net.onnx"
    assert findings.artifact_bytes == made.net.stat().st_size
    assert findings.data == "data.npz"
    assert findings.classes == ("cat", "dog", "fox")
    assert not findings.notes


def test_findings_are_json(made: Made) -> None:
    found = dyncompile.bench(made.net, data=made.data, sweeps={"threshold": (math.inf,)}, **QUICK)
    entry = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert entry["setups"][0]["points"][1]["point"] == {"threshold": ["inf", "inf"]}
    assert len(entry["setups"][0]["paths"]) == 6
    assert entry["setups"][0]["points"][0]["options"].keys() == {"block", "first", "second"}


def test_latencies_are_kept_for_the_runtime(made: Made) -> None:
    found = dyncompile.bench(made.net, data=made.data, sweeps=SWEEP, **QUICK)
    kept = dyncompile.load(made.net, threads=1).latencies()
    for point in found.setups[0].points:
        known = kept.at(point.point)
        assert known is not None
        assert known.mean_ms == pytest.approx(point.mean_us / 1e3)
        assert not known.drawn


def test_a_threshold_is_swept_over_its_range(made: Made) -> None:
    found = dyncompile.bench(made.net, limit=4, **QUICK)
    values = [point.point["threshold"] for point in found.setups[0].points]
    assert values == [[step / 8] * 2 for step in (4, 0, 1, 2, 3, 5, 6, 7, 8)]


def test_levels_are_driven_by_the_knob(made: Made) -> None:
    found = dyncompile.bench(made.ladder, against=ladder(), **QUICK)
    (setup,) = found.setups
    assert [point.point for point in setup.points] == [{"level": k} for k in (2, 0, 1)]
    routes = [(dict(one.point), dict(one.path)) for one in setup.paths]
    assert routes == [
        ({"level": level}, {"rungs": level, "block": block})
        for level in (2, 0, 1)
        for block in (0, 1)
    ]
    for point in setup.points:
        (row,) = point.options["rungs"]
        assert row[int(np.asarray(point.point["level"]))] == point.samples
    assert all(is_time(one.us[STATIC]) for one in setup.paths)


@pytest.mark.parametrize("lowering", ["switch", "slice"])
def test_the_levels_of_budgets_are_held_against_networks_of_their_channels(
    lowering: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    file, module = tmp_path / "net.onnx", Budgeted()
    dyncompile.export(module, EXAMPLE, file, budgets=lowering, verify=False)
    found = dyncompile.bench(file, against=module, **QUICK)
    (setup,) = found.setups
    assert [point.point for point in setup.points] == [{"level": k} for k in (3, 0, 1, 2)]
    routes = [(one.point["level"], dict(one.path)) for one in setup.paths]
    assert routes == [(k, {"width": k, "block": on}) for k in (3, 0, 1, 2) for on in (0, 1)]
    macs = {(one.path["width"], one.path["block"]): one.macs for one in setup.paths}
    assert macs == {(k, on): macs_of(COUNTS[k], on) for k in range(4) for on in (0, 1)}
    model, manifest = artifact.read(file)
    assert manifest is not None
    with ExitStack() as stack:
        example = {"x": EXAMPLE[0].numpy()}
        for source in (module, None):
            against = find_against(source, None, (model, manifest), example, stack, compiled=False)
            assert against.markers in (None, {"width", "block"})
            for one in setup.paths:
                network = against.statics.network(one.path, scored=False)
                assert [value.name for value in network.graph.inputs] == ["x"]
                score = COUNTS[one.path["width"]]  # decides nothing any more
                assert cost.total(network).macs == one.macs - score


def macs_of(count: int, on: int) -> int:
    """Return what the network of a level multiplies: stem, body, score and head."""
    return 36 * 27 * count + on * 36 * 9 * count**2 + count + 5 * count


def test_without_data_noise_is_drawn_and_said_so(made: Made) -> None:
    found = dyncompile.bench(made.net, sweeps=SWEEP, **QUICK)
    assert found.data is None
    assert found.by_data
    assert found.classes == ()
    assert [point.right for point in found.setups[0].points] == [None] * 4
    assert len(found.setups[0].points[0].options["block"]) == 1
    assert any("noise" in note for note in found.notes)
    assert any("No labels" in note for note in found.notes)
    again = dyncompile.bench(made.net, sweeps=SWEEP, **QUICK)
    assert [p.taken for p in again.setups[0].points] == [p.taken for p in found.setups[0].points]


def test_it_is_found_that_knobs_alone_decide(tmp_path: Path) -> None:
    class Widths(nn.Module):
        knobs: ClassVar = {"level": Levels((0.5, 1))}

        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor, level: Tensor) -> Tensor:
            y: Tensor = switch(level, (self.small(x), self.large(x).relu()))
            return y

    dyncompile.export(Widths(), torch.randn(1, 4), tmp_path / "net.onnx", verify=False)
    found = dyncompile.bench(tmp_path / "net.onnx", **QUICK)
    assert len(found.decisions) == 1
    assert not found.by_data


def test_without_labels_nothing_is_said_about_accuracy(made: Made, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=made.x, weight=np.ones(SAMPLES, np.float32))
    found = dyncompile.bench(made.net, data=tmp_path / "x.npz", sweeps=SWEEP, **QUICK)
    assert all(one.right is None for one in points(found))
    assert any("'weight' is neither" in note for note in found.notes)
    assert any("No labels" in note for note in found.notes)


def points(found: Findings) -> tuple[PointFound, ...]:
    return found.setups[0].points


def test_a_limit_spreads_over_the_data(made: Made) -> None:
    found = dyncompile.bench(made.net, data=made.data, limit=5, sweeps=SWEEP, **QUICK)
    kept = [0, 6, 12, 17, 23]
    hits = [eager(made, k, 0.5)[0] == made.labels[k] for k in kept]
    assert points(found)[0].samples == 5
    assert points(found)[0].right == sum(hits)


def test_a_network_that_decides_nothing_has_one_path(tmp_path: Path) -> None:
    model = parse("m (float[1,4] x) => (float[1,4] y) {y = Abs(x)}")
    artifact.write(model, Manifest("onnx"), tmp_path / "net.onnx")
    found = dyncompile.bench(tmp_path / "net.onnx", **QUICK)
    (setup,) = found.setups
    assert [dict(one.path) for one in setup.paths] == [{}]
    assert set(setup.paths[0].us) == {ARTIFACT, STATIC}
    assert [part.decision for part in setup.parts] == [""]
    assert any("decides nothing" in note for note in found.notes)
    assert not found.setups[0].others


def test_another_onnx_file_runs_beside_it(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "cond.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Conditional(exits()).eval(),
            (torch.zeros(1, WIDTH), torch.full((2,), 0.5)),
            dynamo=True,
            input_names=["x", "threshold"],
            verbose=False,
        )
    assert program is not None
    program.save(file)
    found = dyncompile.bench(made.net, against=file, data=made.data, sweeps=SWEEP, **QUICK)
    assert set(found.setups[0].others) == {DEAREST, "cond.onnx"}
    assert "taken from the artifact" in found.others[STATIC]


@pytest.mark.parametrize("measured", ["told", "plain"])
def test_a_file_with_telemetry_is_compared_by_the_outputs_of_the_model(
    measured: str, made: Made, tmp_path: Path
) -> None:
    told = tmp_path / "told.onnx"
    example = (torch.zeros(1, WIDTH),)
    dyncompile.export(exits(), example, told, verify=False, telemetry=True)
    file, other = (told, made.net) if measured == "told" else (made.net, told)
    found = dyncompile.bench(file, against=other, data=made.data, sweeps=SWEEP, **QUICK)
    plain = dyncompile.bench(made.net, data=made.data, sweeps=SWEEP, **QUICK)
    (setup,), (wanted,) = found.setups, plain.setups
    assert set(setup.others) == {DEAREST, other.name}
    assert [(one.path, one.macs) for one in setup.paths] == [
        (one.path, one.macs) for one in wanted.paths
    ]
    assert [(one.right, one.taken) for one in setup.points] == [
        (one.right, one.taken) for one in wanted.points
    ]
    assert found.decisions == plain.decisions


def test_decisions_without_a_marker_are_not_forced_and_said_so(tmp_path: Path) -> None:
    torch.manual_seed(4)
    net = Masked().eval()
    dyncompile.export(net, (torch.ones(1, WIDTH),), tmp_path / "net.onnx")
    found = dyncompile.bench(tmp_path / "net.onnx", against=net, **QUICK)
    (setup,) = found.setups
    assert [dict(one.path) for one in setup.paths] == [{"block": 0}, {"block": 1}]
    (mask,) = (d.name for d in found.decisions if d.name != "block")
    assert any("Not forced" in note and mask in note for note in found.notes)
    assert all(mask in taken.path for taken in setup.points[0].taken)
    alone = dyncompile.bench(tmp_path / "net.onnx", **QUICK)
    assert len(alone.setups[0].paths) == 4


LOOP = """main (float[1,4] x) => (float[1,4] z) {
    bound = Constant <value = float {1.0}> ()
    rounds = Constant <value = int64 {3}> ()
    go = Constant <value = bool {1}> ()
    y = Loop (rounds, go, x) <body = round (int64 i, bool before, float[1,4] h)
        => (bool after, float[1,4] next) {
        after = Identity (before)
        top = ReduceMax <keepdims = 0> (h)
        inner = Greater (top, bound)
        next = If (inner) <
            then_branch = on () => (float[1,4] a) { a = Neg (h) },
            else_branch = off () => (float[1,4] b) { b = Add (h, h) }>
    }>
    last = ReduceSum <keepdims = 0> (y)
    outer = Greater (last, bound)
    z = If (outer) <
        then_branch = more () => (float[1,4] c) { c = Exp (y) },
        else_branch = less () => (float[1,4] d) { d = Abs (y) }>
}"""


def test_decisions_inside_of_a_loop_are_not_forced_and_said_so(tmp_path: Path) -> None:
    model = tagged(parse(LOOP), [("next", "inner", "1", "0"), ("z", "outer", "1", "0")])
    decisions = tuple(Decision(n, "gate", (n,), (), NO_COST) for n in ("inner", "outer"))
    artifact.write(model, Manifest("onnx", {}, decisions), tmp_path / "net.onnx")
    found = dyncompile.bench(tmp_path / "net.onnx", **QUICK)
    (setup,) = found.setups
    assert [dict(one.path) for one in setup.paths] == [{"outer": 0}, {"outer": 1}]
    assert any(note.endswith("inside of a loop: inner.") for note in found.notes)
    (point,) = setup.points
    assert point.options["inner"] == ((0, 0, point.samples),)
    assert sum(point.options["outer"][0][:2]) == point.samples
    assert {part.decision for part in setup.parts} <= {"", "outer"}


@pytest.mark.parametrize("source", ["module", "file"])
def test_what_computes_something_else_is_refused(made: Made, tmp_path: Path, source: str) -> None:
    against: Any = others()
    if source == "file":
        against = tmp_path / "other.onnx"
        model, manifest = artifact.read(made.net)
        assert manifest is not None
        bias = model.graph.initializers["stem.bias"]
        bias.const_value = ir.tensor(np.ones(WIDTH, np.float32))
        artifact.write(model, manifest, against)
    with pytest.raises(VerificationError, match="differ by"):
        dyncompile.bench(made.net, against=against, data=made.data, **QUICK)


def test_a_file_with_other_inputs_is_refused(made: Made, tmp_path: Path) -> None:
    model = parse("m (float[1,4] z) => (float[1,4] y) {y = Abs(z)}")
    artifact.write(model, Manifest("onnx"), tmp_path / "other.onnx")
    with pytest.raises(InputError, match="it reads z; the artifact reads x, threshold"):
        dyncompile.bench(made.net, against=tmp_path / "other.onnx", **QUICK)


def test_a_compiler_that_fails_becomes_a_note(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(module: object) -> object:
        raise RuntimeError(f"no compiler\nfor {type(module).__name__}")

    monkeypatch.setattr(torch, "compile", compile_)
    found = dyncompile.bench(made.net, against=exits(), limit=4, seconds=1e-3)
    assert COMPILED not in found.setups[0].others
    assert COMPILED not in found.others
    assert any(note.startswith(f"{COMPILED} is left out: RuntimeError") for note in found.notes)
    assert all("\n" not in note for note in found.notes)


def test_a_marked_file_is_dense_and_refused(tmp_path: Path) -> None:
    file = tmp_path / "marked.onnx"
    artifact.write(
        parse("m (float[1,4] x) => (float[1,4] y) {y = Abs(x)}"), Manifest("marked"), file
    )
    with pytest.raises(ArtifactError, match="has no paths to measure"):
        dyncompile.bench(file, **QUICK)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"providers": ("CUDA",)}, "there is no provider 'CUDA'. ONNX Runtime has"),
        ({"threads": (0,)}, "0 is not a number of threads"),
        ({"seconds": 0.0}, "0.0 is no time"),
        ({"limit": 0}, "0 samples are none"),
        ({"sweeps": {"threshold": (2.0,)}}, "2.0 is not a threshold"),
        ({"sweeps": {"other": (0.5,)}}, "no such knob"),
        ({"weights": "w.pt"}, "only a factory"),
        ({"against": "net.py"}, "it names no factory"),
    ],
    ids=["provider", "threads", "seconds", "limit", "range", "knob", "weights", "factory"],
)
def test_what_does_not_fit_is_refused_in_one_line(
    made: Made, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DyncompileError) as caught:
        dyncompile.bench(made.net, **{**QUICK, **options})
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
