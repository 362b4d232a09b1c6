import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import pipeline
from dyncompile.capture import capture_model
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import attach_functions
from dyncompile.errors import InputError, VerificationError
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Manifest
from dyncompile.passes.decision_values import values_by_name
from dyncompile.targets import ort
from dyncompile.verify import Report, draw_samples, verify
from tests.support import Array

F32 = np.float32
ONES = np.ones((1, 4), F32)
SAMPLES = draw_samples({"x": ONES}, 4)


class Network(nn.Module):
    """A gate, its opposite, a switch over a knob and an exit."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.knobs = {"threshold": Threshold(0.5, 0, 1), "level": Levels((1, 2, 3))}
        self.block, self.other, self.head = (nn.Linear(4, 4) for _ in range(3))
        self.widths = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor, threshold: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        take = x.mean(1) > 0
        x = self.dropout(dyncompile.gate(take, self.block(x), x, name="skip"))
        x = x + dyncompile.gate(~take, self.other(x), torch.zeros_like(x), name="opposite")
        early = self.head(x)
        confident = early.softmax(1).amax(1) > threshold
        late = dyncompile.switch(level, [width(x) for width in self.widths], name="width")
        y = dyncompile.early_exit(confident, early, late.relu(), name="exit")
        return y, take.float() + confident.float()


class PerLevel(nn.Module):
    """What differs per level, with a gate in each."""

    knobs: Mapping[str, Levels] = {"level": Levels((1, 2))}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        def run(k: int) -> Tensor:
            block: Tensor = self.blocks[k](x)
            return dyncompile.gate(x.sum(1) > k, block, x)

        return dyncompile.per_level(level, run, 2, name="level")


class Chain(nn.Module):
    """Seven gates: 128 paths."""

    knobs: Mapping[str, Levels] = {}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scores = nn.Linear(4, 7)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(7))

    def forward(self, x: Tensor) -> Tensor:
        takes = self.scores(x)[0] > 0
        for number, block in enumerate(self.blocks):
            x = dyncompile.gate(takes[number], block(x), x, name=f"g{number}")
        return x


class Bounded(nn.Module):
    """A gate on ``a > bound``, joined with ``b > bound`` in different ways."""

    knobs: Mapping[str, Levels] = {}

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.limit = nn.Parameter(torch.tensor([1.0]))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[:, 0] > self.limit, x[:, 1] > self.limit
        match self.kind:
            case "nested":
                y = dyncompile.gate(a, torch.exp(x), x, name="inner")
                return dyncompile.gate(x[:, 1] > 0, y * 3, x, name="outer")
            case "consequence":
                y = dyncompile.gate(a, x * 2, x, name="first")
                return dyncompile.gate(y.sum(1) > 3, y * 3, y, name="second")
            case "index":
                return dyncompile.switch(a.long() + b.long(), [x, x * 2, -x], name="d")
            case "argmax":
                scores = torch.stack([x[:, 2] - 0.5, x[:, 0] - self.limit], 1)
                return dyncompile.switch(scores.argmax(1), [x, x * 2], name="d")
        soft = torch.sigmoid(x[:, 0])
        takes = {"and": a & b, "or": a | b, "soft": a.float() + soft - soft.detach()}
        return dyncompile.gate(takes.get(self.kind, a), x * 2, x, name="d")


@dataclass
class Case:
    """A module and what became of it."""

    module: nn.Module
    model: ir.Model
    manifest: Manifest

    def verify(self, *samples: Array, **options: Any) -> Report:  # noqa: ANN401
        given = [{"x": sample} for sample in samples] or SAMPLES
        return verify(self.model, self.manifest, self.module, given, **options)

    def add(self, weight: str, amount: float) -> None:
        """Change a weight of the artifact."""
        value = values_by_name(self.model)[weight]
        assert value.const_value is not None
        array = value.const_value.numpy() + F32(amount)
        value.const_value = ir.tensor(array.astype(F32), name=weight)


def case(module: nn.Module, target: Any = "onnx") -> Case:  # noqa: ANN401
    kind: Any = type(module)
    model, manifest = _compiled(kind, getattr(module, "kind", None), target)
    return Case(module, model.clone(), manifest)


@functools.cache
def _compiled(kind: Any, option: str | None, target: Any) -> tuple[ir.Model, Manifest]:  # noqa: ANN401
    module = kind(option) if option else kind()
    model = capture_model(module, (torch.randn(1, 4),), module.knobs)
    if target == "onnx":
        for _ in pipeline.run(model, ort.passes()):
            pass
    manifest = manifest_from_model(model, module.knobs, target)
    if target == "marked":
        attach_functions(model)
    return model, manifest


def row(*values: float) -> Array:
    return np.asarray([values], F32)


def test_an_artifact_that_agrees_passes() -> None:
    report = case(Network()).verify()
    assert report.operating_points == (
        {"level": 0},
        {"level": 1},
        {"level": 2},
        {"level": 2, "threshold": -math.inf},
        {"level": 2, "threshold": math.inf},
    )
    assert report.samples == 5
    assert report.complete
    assert report.paths == 3 * 4
    assert report.largest_difference < 1e-6
    assert report.near_ties == ()
    assert report.unforced == ()


def test_the_report_says_what_samples_reached_by_themselves() -> None:
    report = case(Network()).verify(row(1, 2, 3, 4), row(1, 2, 3, 5))
    counts = dict.fromkeys(["skip", "exit", "width"], 0)
    for path, count in report.reached:
        assert set(path) <= set(counts)
        for name in path:
            counts[name] += count
    assert counts["skip"] == counts["exit"] == 3 * 2
    assert ("skip", 0) in report.unreached
    assert ("skip", 1) not in report.unreached


@pytest.mark.parametrize("target", ["onnx", "marked"])
def test_the_model_and_the_module_are_left_as_they_are(target: str) -> None:
    made = case(Network(), target)
    made.module.train()
    made.module.get_submodule("dropout").eval()
    before = ir.to_proto(made.model).SerializeToString(deterministic=True)
    made.verify()
    assert ir.to_proto(made.model).SerializeToString(deterministic=True) == before
    assert made.module.training
    assert not made.module.get_submodule("dropout").training


def test_a_marked_artifact_is_compared_freely() -> None:
    report = case(Network(), "marked").verify()
    assert report.paths == 0
    assert not report.complete
    assert len(report.operating_points) == 5


def test_levels_with_decisions_of_their_own_are_forced_at_each_level() -> None:
    report = case(PerLevel()).verify(row(-1, -1, -1, -1))
    assert report.complete
    assert report.paths == 4
    assert ("root[0]", 1) in report.unreached


def test_progress_is_reported() -> None:
    calls: list[tuple[str, int, int]] = []
    case(Network()).verify(progress=lambda *call: calls.append(call))
    assert calls[0] == ("operating points", 0, 5)
    assert ("operating points", 5, 5) in calls
    assert calls[-1] == ("paths", 12, 12)


def test_a_wrong_weight_in_a_branch_that_no_sample_takes_is_found_on_its_path() -> None:
    made = case(Chain())
    sample = row(0.5, -1, 2, 0.25)
    free = made.verify(sample)
    (taken, _), *others = free.reached
    assert not others
    unused = next(name for name, option in taken.items() if option == 0)
    weight = f"blocks.{unused.removeprefix('g')}.bias"
    made.add(weight, 0.01)
    with pytest.raises(VerificationError, match=f"sample 0, path .*{unused}=1.*'output'") as found:
        made.verify(sample)
    assert "\n" not in str(found.value)


def test_more_than_64_paths_are_sampled_every_way() -> None:
    report = case(Chain()).verify()
    assert not report.complete
    assert report.paths == 64
    made = case(Chain())
    made.add("blocks.6.bias", 0.01)
    with pytest.raises(VerificationError, match=r"path .*g6=1"):
        made.verify(-ONES)


@pytest.mark.parametrize(
    "kind", ["plain", "and", "or", "soft", "index", "argmax", "nested", "consequence"]
)
def test_a_near_tie_is_reported_and_compared_on_the_path_of_the_artifact(kind: str) -> None:
    made = case(Bounded(kind))
    made.add("limit", 2e-5)
    other = {"and": 5.0, "nested": 5.0}.get(kind, 0.0)
    report = made.verify(row(1 + 1e-5, other, 0.5, 0.5))
    names = {"nested": "inner", "consequence": "first"}
    (tie,) = report.near_ties
    assert (tie.decision, tie.sample) == (names.get(kind, "d"), 0)
    assert tie.margin == pytest.approx(1e-5, rel=0.05)
    assert report.largest_difference < 1e-6


@pytest.mark.parametrize(
    "kind", ["plain", "and", "or", "soft", "index", "argmax", "nested", "consequence"]
)
def test_a_decision_that_falls_differently_by_a_margin_is_an_error(kind: str) -> None:
    made = case(Bounded(kind))
    made.add("limit", 0.4)
    other = {"and": 5.0, "nested": 5.0}.get(kind, 0.0)
    name = {"nested": "inner", "consequence": "first"}.get(kind, "d")
    with pytest.raises(
        VerificationError, match=rf"sample 0: the decision '{name}' is 0 .* 0\.[12]"
    ):
        made.verify(row(1.2, other, 0.5, 0.5))


def test_a_tie_of_one_part_does_not_excuse_the_other() -> None:
    made = case(Bounded("and"))
    made.add("limit", 2.0)  # x[0] ties with 3, and x[1] is far from it
    with pytest.raises(VerificationError, match="'d' is 0 in the artifact and 1 in the model"):
        made.verify(row(3 + 1e-6, 1.5, 0, 0))


def test_a_test_of_a_decision_that_is_turned_round_is_found() -> None:
    made = case(Chain())
    node = next(n for n in made.model.graph.all_nodes() if n.op_type == "If")
    condition = node.inputs[0]
    assert condition is not None
    turned = ir.node("Not", [condition])
    turned.outputs[0].name = "turned"
    assert isinstance(node.graph, ir.Graph)
    node.graph.insert_before(node, turned)
    node.replace_input_with(0, turned.outputs[0])
    with pytest.raises(VerificationError, match="differ by"):
        made.verify()


def test_nan_and_infinities_count_as_equal_at_the_same_places() -> None:
    made = case(Bounded("plain"))
    assert made.verify(row(2, math.nan, math.inf, -math.inf)).largest_difference == 0


def test_a_decision_that_is_used_as_a_mask_too_is_not_forced() -> None:
    made = case(Bounded("plain"))
    (decision,) = made.manifest.decisions
    shared = dataclasses.replace(decision, aliases=(("mask.mul", (0, 1)),))
    made.manifest = dataclasses.replace(made.manifest, decisions=(shared,))
    report = made.verify(ONES)
    assert report.unforced == ("d",)
    assert report.paths == 1


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "samples: there are none"),
        ([{"y": ONES}], "sample 0: it holds y; the artifact takes x"),
        ([{"x": ONES, "level": np.asarray(0)}], "sample 0: it holds level, x"),
        ([{"x": np.ones((1, 3), F32)}], "sample 0: the model fails: RuntimeError"),
        ([{"x": np.ones((2, 4), F32)}], "once per row, and this one has 2 rows"),
    ],
    ids=["none", "unknown", "knob", "shape", "batch"],
)
def test_samples_that_do_not_fit_are_refused(samples: list[dict[str, Array]], message: str) -> None:
    made = case(Network())
    with pytest.raises(InputError, match=message):
        verify(made.model, made.manifest, made.module, samples)


def test_an_artifact_with_other_outputs_is_refused() -> None:
    made = case(Bounded("plain"))
    made.module.register_forward_hook(lambda _, __, output: output.double())
    with pytest.raises(VerificationError, match=r"gives float32\[1, 4\], the model float64"):
        made.verify()


def test_drawn_samples_are_seeded_and_keep_what_is_not_a_float() -> None:
    inputs: dict[str, Array] = {"x": ONES, "ids": np.arange(3)}
    first, *drawn = draw_samples(inputs, 2)
    np.testing.assert_array_equal(first["x"], ONES)
    assert len(drawn) == 2
    for one, again in zip(drawn, draw_samples(inputs, 2)[1:], strict=True):
        np.testing.assert_array_equal(one["x"], again["x"])
        np.testing.assert_array_equal(one["ids"], inputs["ids"])
        assert one["x"].dtype == F32
    assert not np.array_equal(drawn[0]["x"], drawn[1]["x"])


def test_a_weight_that_is_returned_is_compared() -> None:
    class Echo(Bounded):
        def forward(self, x: Tensor) -> tuple[Tensor, None, Tensor]:  # type: ignore[override]
            return super().forward(x), None, self.limit

    module = Echo("plain")
    model = capture_model(module, torch.randn(1, 4), {})
    manifest = manifest_from_model(model, {}, "marked")
    report = verify(model, manifest, module, SAMPLES)
    assert report.largest_difference < 1e-6


def test_a_module_from_torch_compile_is_held_against_its_artifact() -> None:
    made = case(Bounded("plain"))
    made.module = torch.compile(made.module, backend="eager")  # type: ignore[assignment]
    assert made.verify().complete


def test_buffers_are_left_as_they_are() -> None:
    made = case(Bounded("plain"))
    seen = torch.zeros(1)
    made.module.register_buffer("seen", seen)

    def count(module: nn.Module, _: object) -> None:
        before = module.get_buffer("seen")
        before += 1
        module.seen = before + 1

    made.module.register_forward_pre_hook(count)
    made.verify()
    assert made.module.seen is seen
    assert seen.item() == 0


def test_the_tolerance_is_that_of_the_precision_or_of_the_output() -> None:
    made = case(Chain())
    made.add("blocks.6.bias", 5e-4)
    with pytest.raises(VerificationError, match=r"where 0\.0001 is allowed"):
        made.verify(-ONES)
    made.manifest = dataclasses.replace(made.manifest, precision="float16")
    assert 1e-4 < made.verify(-ONES).largest_difference < 1e-2
    with pytest.raises(VerificationError, match="where 1e-05 is allowed"):
        made.verify(-ONES, tolerance=1e-5)


def test_an_output_of_half_precision_has_its_own_tolerance() -> None:
    class Half(Bounded):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).half()

    module = Half("plain")
    model = capture_model(module, torch.randn(1, 4), {})
    manifest = manifest_from_model(model, {}, "marked")
    assert manifest.precision == "float32"
    module.register_forward_hook(lambda _, __, output: output * 1.002)
    assert verify(model, manifest, module, SAMPLES).largest_difference > 1e-4
