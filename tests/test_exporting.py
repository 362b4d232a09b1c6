"""Whole networks, from a module to an artifact that verification accepts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import (
    ArtifactError,
    InputError,
    KnobError,
    Levels,
    MarkerError,
    Threshold,
    early_exit,
    gate,
    level_value,
    per_level,
    switch,
)
from dyncompile.passes.scopes import nested_nodes


class Block(nn.Module):
    """Two convolutions with BatchNorm and a projection where the shape changes."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.project = nn.Conv2d(width_in, width, 1, stride) if stride > 1 else nn.Identity()

    def body(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.second(torch.relu(self.norm(self.first(x))))
        return hidden


class Downsampling(nn.Module):
    """The path that skips a block shares the projection of the path that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block(3, 8, stride=2)
        self.score = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        take = (self.score(x.mean((2, 3))) > 0).flatten()
        skip = self.block.project(x)
        return torch.relu(gate(take, self.block.body(x) + skip, skip, name="block"))


class Forms(nn.Module):
    """The ways in which people write a skippable residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(4, 4) for _ in range(4)])

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        a, b, c, d = cast("list[Block]", self.blocks)
        x = x + gate(take[0], a.body(x), 0.0, name="zero")
        x = torch.relu(x + b.body(x) * take[1].float())
        x = gate(take[2], x + c.body(x), x, name="identity")
        return gate(~take[2], x, torch.tanh(d.body(x)), name="opposite")


class Recurrent(nn.Module):
    """Gates whose LSTM state runs along the depth, as in SkipNet."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(4, 4) for _ in range(3)])
        self.controller = nn.LSTM(4, 5)
        self.score = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = (torch.zeros(1, 1, 5), torch.zeros(1, 1, 5))
        for block in cast("list[Block]", self.blocks):
            hidden, state = self.controller(x.mean((2, 3))[None], state)
            take = (self.score(hidden[0]) > 0).flatten()
            x = gate(take, torch.relu(x + block.body(x)), x)
        return x


class States(nn.Module):
    """A gate over a tuple: a recurrent cell that may keep its state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 6)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        update = x.abs().amax(1) > threshold
        new = self.cell(x, (h, c))
        h, c = gate(update, (new[0], new[1]), (h, c), name="update")
        return h, c


class ExitInBlock(nn.Module):
    """Exits whose heads are inside of other exits, several outputs, a vector of thresholds."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(3, 8, 2), Block(8, 8), Block(8, 8)])
        self.heads = nn.ModuleList([nn.Linear(8, 5) for _ in range(3)])

    def forward(self, x: Tensor, threshold: Tensor) -> dict[str, Tensor]:
        first, second, third = cast("list[Block]", self.blocks)
        x = torch.relu(first.body(x))
        early = self.heads[0](x.mean((2, 3)))
        sure = early.softmax(1).amax(1) > threshold[0]
        y = torch.relu(second.body(x))
        middle = self.heads[1](y.mean((2, 3)))
        surer = middle.softmax(1).amax(1) > threshold[1]
        last = self.heads[2](torch.relu(third.body(y)).mean((2, 3)))
        one = torch.ones(1, dtype=torch.int64)
        deep = early_exit(surer, (middle, one), (last, one * 2), name="middle")
        logits, index = early_exit(sure, (early, one * 0), deep, name="early")
        return {"logits": logits, "exit": index}


class Leveled(nn.Module):
    """One knob that decides in several places, with a data-dependent gate between."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(3, 8, 2), Block(8, 8), Block(8, 8)])

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        first, second, third = cast("list[Block]", self.blocks)
        x = per_level(level, lambda k: torch.relu(first.body(x)) * (k + 1.0))
        x = gate(x.mean((1, 2, 3)) > 0.3, torch.relu(second.body(x)), x)
        x = x * level_value(level, [1.0, 0.5, 0.25])
        return switch(level, [x, torch.relu(third.body(x)), torch.tanh(third.body(x))], name="last")


class WithCond(nn.Module):
    """Control flow of torch's own, around and inside of which markers stand."""

    def __init__(self) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x: Tensor, flag: Tensor) -> Tensor:
        one, two, three = self.linears
        x = torch.cond(flag, lambda x: torch.relu(one(x)), lambda x: two(x) + 1, (x,))
        other: Tensor = torch.cond(flag, three, lambda x: x * 2, (x,))
        return gate(x.mean(1) > 0, other, x)


class WithLoop(nn.Module):
    """A loop before a gate and a loop as the work of a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, count: Tensor) -> Tensor:
        def repeat(x: Tensor) -> Tensor:
            step = torch.zeros((), dtype=torch.int64)
            _, x = torch.while_loop(  # type: ignore[no-untyped-call]
                lambda i, _: i < count,
                lambda i, x: (i + 1, torch.tanh(self.linear(x))),
                (step, x),
            )
            return x

        x = repeat(x)
        return gate(x.mean(1) > 0, repeat(x + 1), x)


def image(size: int = 8, channels: int = 3) -> Tensor:
    return torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(0))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...], dict[str, object]]] = {
    "downsampling": (Downsampling, (image(),), {}),
    "forms": (Forms, (image(6, 4), torch.tensor([True, False, True])), {}),
    "lstm gates": (Recurrent, (image(6, 4),), {}),
    "tuple": (
        States,
        (torch.randn(1, 4), torch.zeros(1, 6), torch.zeros(1, 6)),
        {"threshold": Threshold(1.0, 0)},
    ),
    "exit in a block": (ExitInBlock, (image(),), {"threshold": Threshold((0.3, 0.3), 0, 1)}),
    "levels": (Leveled, (image(),), {"level": Levels((1, 0.5, 0.25), 0)}),
    "torch.cond": (WithCond, (torch.randn(1, 4), torch.tensor(True)), {}),
    "while_loop": (WithLoop, (torch.randn(1, 4), torch.tensor(3)), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_network_agrees_with_its_artifact(case: str, tmp_path: Path) -> None:
    build, inputs, knobs = CASES[case]
    model = seeded(build)
    path = tmp_path / "net.onnx"
    report = dyncompile.export(model, inputs, path, knobs=knobs)  # type: ignore[arg-type]
    assert report is not None
    assert report.paths > 0
    assert report.complete
    lowered = ir.load(path)
    assert not any(node.domain == "dyncompile" for node in lowered.graph.all_nodes())


def test_the_projection_both_paths_need_runs_once_and_always() -> None:
    graph = lowered(Downsampling, (image(),))
    outside = [node.op_type for node in graph]
    assert outside.count("Conv") == 1
    assert inside(graph, "Conv") == 2


def test_every_form_of_a_residual_block_becomes_a_branch() -> None:
    graph = lowered(Forms, (image(6, 4), torch.tensor([True, False, True])))
    assert "Conv" not in [node.op_type for node in graph]
    assert inside(graph, "Conv") == 8


def test_a_recurrent_controller_stays_outside_of_the_branches() -> None:
    graph = lowered(Recurrent, (image(6, 4),))
    assert [node.op_type for node in graph].count("LSTM") == 3
    assert inside(graph, "Conv") == 6
    assert inside(graph, "LSTM") == 0


def test_a_loop_that_only_one_side_needs_goes_into_its_branch() -> None:
    graph = lowered(WithLoop, (torch.randn(1, 4), torch.tensor(3)))
    assert [node.op_type for node in graph].count("Loop") == 1
    assert inside(graph, "Loop") == 1


def test_the_same_model_gives_the_same_bytes_in_another_folder(tmp_path: Path) -> None:
    contents = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "net.onnx"
        dyncompile.export(seeded(Forms), CASES["forms"][1], path, verify=False)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert str(tmp_path).encode() not in contents[0]
    assert b"test_exporting" not in contents[0]


def test_a_marked_file_is_compiled_later(tmp_path: Path) -> None:
    build, inputs, knobs = CASES["exit in a block"]
    marked, late, direct = (tmp_path / f"{name}.onnx" for name in ("marked", "late", "direct"))
    model = seeded(build)
    dyncompile.export(model, inputs, marked, knobs=knobs, target="marked")  # type: ignore[arg-type]
    dyncompile.export(marked, None, late)
    dyncompile.export(model, inputs, direct, knobs=knobs)  # type: ignore[arg-type]
    x = inputs[0].numpy()
    for threshold in (0.0, 0.3, (0.9, 0.0), np.inf):
        wanted = dyncompile.load(direct)(x, threshold=threshold)
        for path in (marked, late):
            got = dyncompile.load(path)(x, threshold=threshold)
            for a, b in zip(got, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert dyncompile.load(late).decisions == dyncompile.load(direct).decisions


def test_default_knobs_let_onnxruntime_run_the_file_alone(tmp_path: Path) -> None:
    build, inputs, knobs = CASES["levels"]
    path = tmp_path / "net.onnx"
    dyncompile.export(seeded(build), inputs, path, knobs=knobs, default_knobs=True)  # type: ignore[arg-type]
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    alone = session.run(None, {"x": inputs[0].numpy()})[0]
    fed = dyncompile.load(path)(inputs[0].numpy(), level=0)
    np.testing.assert_array_equal(alone, fed)


def test_a_scalar_decision_leaves_the_batch_free(tmp_path: Path) -> None:
    class Free(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor, fast: Tensor) -> Tensor:
            slow: Tensor = self.linear(x)
            return gate(fast > 0.5, x, slow, name="fast")

    path = tmp_path / "net.onnx"
    batch = torch.export.Dim("batch")
    dyncompile.export(
        Free(),
        torch.randn(2, 4),
        path,
        {"fast": Threshold(0.0)},
        dynamic_shapes={"x": {0: batch}},
    )
    (output,) = np.atleast_3d(dyncompile.load(path)(np.ones((7, 4), np.float32))).T
    assert output.shape == (4, 7)


class Bad(nn.Module):
    """A model that is wrong in one way."""

    def __init__(self, forward: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.wrong = forward

    def forward(self, x: Tensor) -> object:
        return self.wrong(x)


def python_if(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x * 2
    return x


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(python_if, r"test_exporting.py:\d+: Python decides .*\.gate", id="if"),
        pytest.param(lambda x: x * 2, r"no marker", id="no marker"),
        pytest.param(lambda x: gate(x.sum(1) > 0, x * 2, x), r"per sample.*batch", id="batch"),
        pytest.param(lambda x: gate(x.sum(1) > 0, x * 2, x[:, :1]), r"disagree", id="sides"),
        pytest.param(lambda x: gate(x.sum(1).long(), x * 2, x), r"int64\[2\]", id="type"),
    ],
)
def test_says_what_is_wrong_and_writes_nothing(
    wrong: Callable[[Tensor], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(MarkerError, match=message):
        dyncompile.export(Bad(wrong), torch.randn(2, 4), path)
    assert not list(tmp_path.iterdir())


def test_refuses_what_is_no_module(tmp_path: Path) -> None:
    with pytest.raises(MarkerError, match=r"not a torch.nn.Module"):
        dyncompile.export(torch.relu, torch.randn(1, 4), tmp_path / "net.onnx")  # type: ignore[arg-type]


def test_refuses_inputs_and_knobs_that_forward_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model, inputs = seeded(Forms), CASES["forms"][1]
    with pytest.raises(KnobError, match=r"knob 'effort'.*x, take"):
        dyncompile.export(model, inputs, path, {"effort": Threshold(0.5)})
    with pytest.raises(InputError, match=r"'take' is missing"):
        dyncompile.export(model, inputs[:1], path)
    with pytest.raises(InputError, match=r"samples"):
        dyncompile.export(model, inputs, path, samples={"x": np.zeros((2, 4, 6, 6))})
    assert not list(tmp_path.iterdir())


def test_refuses_to_lower_twice(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    dyncompile.export(seeded(Forms), CASES["forms"][1], path, verify=False)
    with pytest.raises(ArtifactError, match=r"already lowered.*marked file"):
        dyncompile.export(path, None, tmp_path / "again.onnx")


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = build()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return model.eval()


def lowered(build: Callable[[], nn.Module], inputs: tuple[Tensor, ...]) -> ir.Graph:
    from dyncompile import pipeline
    from dyncompile.capture import capture_model
    from dyncompile.targets import ort as target

    model = capture_model(seeded(build), inputs, {})
    for _ in pipeline.run(model, target.passes()):
        pass
    return model.graph


def inside(graph: ir.Graph, op_type: str) -> int:
    """Count an operator within branches and bodies."""
    return sum(node.op_type == op_type for owner in graph for node in nested_nodes(owner))


# --- what forward may take and return ---------------------------------------------------------


class Returning(nn.Module):
    """A network with a gate that returns what a function makes of its result."""

    def __init__(self, make: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.bias = nn.Parameter(torch.ones(4))
        self.make = make

    def forward(self, x: Tensor) -> object:
        return self.make(gate(x.mean(1) > 0, self.linear(x), x, name="d"))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda y: y, ["output"]),
        (lambda y: (y,), ["output_0"]),
        (lambda y: [y, y * 2], ["output_0", "output_1"]),
        (lambda y: {"logits": y, "twice": y * 2}, ["logits", "twice"]),
        (lambda y: {"x": y, "x_out": y * 2}, ["x_out", "x_out_out"]),
        (lambda y: {"boxes": (y, y * 2), "n": {"k": y}}, ["boxes_0", "boxes_1", "n_k"]),
        (lambda y: (y, None), ["output_0"]),
        (lambda y: {"aux": None, "y": y}, ["y"]),
        (lambda y: (y, y), ["output_0", "output_1"]),
    ],
    ids=["one", "tuple of one", "list", "dict", "input", "nested", "None", "None first", "twice"],
)
def test_outputs_are_named_as_they_are_returned(
    make: Callable[[Tensor], object], names: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    dyncompile.export(Returning(make), torch.randn(1, 4), path, samples=[{"x": torch.ones(1, 4)}])
    assert [value.name for value in ir.load(path).graph.outputs] == names


def test_inputs_and_weights_may_be_returned(tmp_path: Path) -> None:
    class Echo(Returning):
        def forward(self, x: Tensor) -> object:
            y = gate(x.mean(1) > 0, self.linear(x), x, name="d")
            return {"x": x, "bias": self.bias, "y": y}

    path = tmp_path / "net.onnx"
    dyncompile.export(Echo(abs), torch.randn(1, 4), path, samples={"x": torch.ones(1, 1, 4)})
    assert [v.name for v in ir.load(path).graph.outputs] == ["x_out", "bias", "y"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y: (y, 3), r"output 'output_1': it is the int 3, not a tensor"),
        (lambda y: {"y": y, "s": "no"}, r"output 's': it is the str 'no', not a tensor"),
        (lambda y: {"y": y, "b": y.bfloat16()}, r"output 'b': it is bfloat16.*\.float\(\)"),
    ],
    ids=["int", "str", "bfloat16"],
)
def test_other_outputs_are_refused(
    make: Callable[[Tensor], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MarkerError, match=message) as caught:
        dyncompile.export(Returning(make), torch.randn(1, 4), tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_an_input_may_be_named_as_an_output_a_weight_or_a_value_of_the_graph(
    tmp_path: Path,
) -> None:
    class Named(Returning):
        def forward(  # type: ignore[override]
            self, output: Tensor, bias: Tensor, linear: Tensor, val_0: Tensor
        ) -> object:
            y = gate((output + bias + linear).mean(1) > 0, self.linear(output), output)
            return y + self.bias + torch.relu(val_0)

    path = tmp_path / "net.onnx"
    dyncompile.export(Named(abs), tuple(torch.randn(4, 1, 4)), path)
    graph = ir.load(path).graph
    assert [v.name for v in graph.inputs] == ["output", "bias", "linear", "val_0"]
    assert [v.name for v in graph.outputs] == ["output_out"]


def test_an_input_that_forward_overwrites_is_no_output(tmp_path: Path) -> None:
    class InPlace(Returning):
        def forward(self, x: Tensor) -> object:
            x += 1
            return gate(x.mean(1) > 0, self.linear(x), x)

    path = tmp_path / "net.onnx"
    x = torch.zeros(1, 4)
    dyncompile.export(InPlace(abs), x, path)
    assert [v.name for v in ir.load(path).graph.outputs] == ["output"]
    assert not x.any()


@pytest.mark.parametrize("how", ["copy", "assign"])
def test_a_model_with_a_state_is_refused_and_left_as_it_is(how: str, tmp_path: Path) -> None:
    class Counting(Returning):
        seen: Tensor

        def __init__(self) -> None:
            super().__init__(abs)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x: Tensor) -> object:
            if how == "copy":
                self.seen += 1
            else:
                self.seen = self.seen + 1
            return gate(x.mean(1) > 0, self.linear(x), x) * self.seen

    model = Counting()
    with pytest.raises(MarkerError, match=r"Counting: buffer 'seen': forward changes it"):
        dyncompile.export(model, torch.randn(1, 4), tmp_path / "net.onnx")
    assert model.seen.item() == 0


def test_half_precision_is_verified_with_its_own_tolerance(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = Returning(lambda y: torch.softmax(y * 3, 1)).half()
    x = torch.randn(1, 4, generator=torch.Generator().manual_seed(0)).half()
    dyncompile.export(model, x, path)
    _, manifest = dyncompile.artifact.read(path)
    assert manifest is not None
    assert manifest.precision == "float16"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64])
def test_inputs_of_types_that_not_all_have_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError, match=f"input 'x': the example is {name}, which"):
        dyncompile.export(Returning(abs), torch.ones(1, 4).to(dtype), tmp_path / "net.onnx")


def test_every_part_keeps_its_mode(tmp_path: Path) -> None:
    model = Returning(lambda y: y).train()
    model.linear.eval()
    dyncompile.export(model, torch.randn(1, 4), tmp_path / "net.onnx", verify=False)
    assert model.training
    assert not model.linear.training


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"t": 0.5}, r"knobs\['t'\]: 0\.5 is not a knob"),
        (3, r"knobs: this is int, not a dict"),
        ({1: Threshold(0.5)}, r"knobs\[1\]"),
    ],
)
def test_what_is_no_knob_is_refused(knobs: object, message: str, tmp_path: Path) -> None:
    path, x = tmp_path / "net.onnx", torch.randn(1, 4)
    with pytest.raises(KnobError, match="^" + message):
        dyncompile.export(Returning(abs), x, path, knobs)  # type: ignore[arg-type]
    model = Returning(abs)
    model.knobs = knobs  # type: ignore[assignment]
    with pytest.raises(KnobError, match=r"^Returning\." + message):
        dyncompile.export(model, x, path)
    assert not list(tmp_path.iterdir())


def test_a_knob_of_a_marked_file_keeps_its_type_and_shape(tmp_path: Path) -> None:
    build, inputs, knobs = CASES["exit in a block"]
    marked, path = tmp_path / "marked.onnx", tmp_path / "net.onnx"
    model = seeded(build)
    dyncompile.export(model, inputs, marked, knobs, "marked", verify=False)  # type: ignore[arg-type]
    for knob in (Threshold(0.5), Threshold((0.1, 0.2, 0.3)), Levels((1, 2))):
        with pytest.raises(KnobError, match=r"knob 'threshold': it is .*graph float32\[2\]"):
            dyncompile.export(marked, None, path, {"threshold": knob})
    assert not path.exists()
    dyncompile.export(marked, None, path, {"threshold": Threshold((0.9, 0.8))})
    assert dyncompile.load(path).knobs["threshold"].default == (0.9, 0.8)


def test_a_module_from_torch_compile_is_exported_and_verified(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = Returning(lambda y: y)
    compiled = cast("nn.Module", torch.compile(model, backend="eager"))
    report = dyncompile.export(compiled, torch.randn(1, 4), path)
    assert report is not None
    assert report.complete
    assert "linear.weight" in {v.name for v in weights_of(path)}


def test_forward_must_name_its_inputs(tmp_path: Path) -> None:
    class Starred(Returning):
        def forward(self, *xs: Tensor) -> object:
            return gate(xs[0].mean(1) > 0, self.linear(xs[0]), xs[0])

    with pytest.raises(InputError, match=r"Starred\.forward: it must name its inputs"):
        dyncompile.export(Starred(abs), torch.randn(1, 4), tmp_path / "net.onnx")


def test_a_dynamic_size_of_one_says_what_to_do(tmp_path: Path) -> None:
    class Free(Returning):
        def forward(self, x: Tensor) -> object:
            return gate(x.mean() > 0, self.linear(x), x)

    shapes = {"x": {0: torch.export.Dim("batch")}}
    with pytest.raises(MarkerError, match=r"^dynamic_shapes: .*at least 2 along") as caught:
        dyncompile.export(
            Free(abs), torch.randn(1, 4), tmp_path / "net.onnx", dynamic_shapes=shapes
        )
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_the_reason_why_a_trace_fails_is_the_first_one(tmp_path: Path) -> None:
    def fail(y: Tensor) -> Tensor:
        del y
        raise RuntimeError("a consequence") from ValueError("\x1b[31mthe first reason\x1b[0m\n!")

    with pytest.raises(MarkerError, match=r"traced: ValueError: the first reason\. See") as caught:
        dyncompile.export(Returning(fail), torch.randn(1, 4), tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def weights_of(path: Path) -> list[ir.Value]:
    graph = ir.load(path).graph
    return [v for g in (graph, *graph.subgraphs()) for v in g.initializers.values()]


def test_an_unknown_lowering_of_budgets_is_answered_with_those_there_are(tmp_path: Path) -> None:
    said = r"^budgets: 'cut' is no way .* Give 'auto', 'switch' or 'slice'\.$"
    with pytest.raises(InputError, match=said):
        dyncompile.export(
            Returning(abs), torch.randn(1, 4), tmp_path / "net.onnx", budgets=cast("Any", "cut")
        )
