from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyncompile import markers
from dyncompile.errors import MarkerError
from dyncompile.knobs import Levels
from dyncompile.markers import (
    capture,
    early_exit,
    follow,
    gate,
    level_value,
    per_level,
    switch,
)

X = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
Y = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
YES, NO = torch.tensor(True), torch.tensor(False)


def same(got: object, want: object) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_all_names_exist() -> None:
    assert all(hasattr(markers, name) for name in markers.__all__)


# --- what eager computes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("take", "rows"),
    [
        pytest.param(YES, [1, 1], id="scalar, on"),
        pytest.param(NO, [0, 0], id="scalar, off"),
        pytest.param(torch.tensor([True, False]), [1, 0], id="per sample"),
        pytest.param(torch.tensor([[False], [True]]), [0, 1], id="per sample, trailing ones"),
        pytest.param(torch.tensor([1.0, 0.0]), [1, 0], id="float"),
        pytest.param(torch.tensor([0.9999999, 1e-7]), [1, 0], id="float off by rounding"),
        pytest.param(torch.tensor(float("nan")), [0, 0], id="nan is off"),
    ],
)
def test_gate_chooses(take: Tensor, rows: list[int]) -> None:
    want = torch.stack([(Y, X)[1 - row][k] for k, row in enumerate(rows)])
    same(gate(take, Y, X), want)
    same(early_exit(take, Y, X), want)


def test_gate_chooses_between_structures() -> None:
    state = (X, [Y, X[:, :1]])
    other = (Y, [X, Y[:, :1]])
    same(gate(torch.tensor([True, False]), state, other)[1][1], torch.tensor([[1.0], [30.0]]))
    assert isinstance(gate(YES, [X, Y], [Y, X]), list)


@pytest.mark.parametrize(("take", "want"), [(YES, X), (NO, torch.full_like(X, 7))])
def test_a_number_stands_for_a_filled_tensor(take: Tensor, want: Tensor) -> None:
    same(gate(take, X, 7), want)
    same(gate(~take, cast(Tensor, 7), X), want)


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        pytest.param(torch.tensor(1), [1, 1], id="scalar"),
        pytest.param(torch.tensor(-3), [0, 0], id="clamped below"),
        pytest.param(torch.tensor(9), [2, 2], id="clamped above"),
        pytest.param(torch.tensor([2, 0]), [2, 0], id="per sample"),
        pytest.param(torch.tensor([[2], [1]]), [2, 1], id="per sample, trailing ones"),
        pytest.param(torch.tensor(1, dtype=torch.int32), [1, 1], id="int32"),
        pytest.param(torch.tensor([0.0, 0, 1]), [2, 2], id="one-hot"),
        pytest.param(torch.tensor([[0.0, 1, 0], [1, 0, 0]]), [1, 0], id="one-hot per sample"),
    ],
)
def test_switch_chooses(index: Tensor, rows: list[int]) -> None:
    options = [X, Y, X + Y]
    want = torch.stack([options[row][k] for k, row in enumerate(rows)])
    same(switch(index, options), want)
    same(switch(index, [(o, o + 1) for o in options])[1], want + 1)


@pytest.mark.parametrize(("level", "value"), [(-1, 0.5), (0, 0.5), (1, 2.0), (5, 2.0)])
def test_level_value_is_clamped(level: int, value: float) -> None:
    same(level_value(torch.tensor(level), [0.5, 2.0]), torch.tensor(value))


def test_level_value_of_ints_is_int64() -> None:
    assert level_value(torch.tensor(0), [4, 8]).dtype == torch.int64


@pytest.mark.parametrize(("asked", "ran"), [(0, 0), (2, 2), (-4, 0), (7, 2)])
def test_per_level_runs_only_the_level_asked_for(asked: int, ran: int) -> None:
    calls: list[int] = []

    def at(level: int) -> Tensor:
        calls.append(level)
        return X * level

    same(per_level(torch.tensor(asked), at, 3), X * ran)
    assert calls == [ran]


# --- gradients -------------------------------------------------------------------------------


def double(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return drawn.requires_grad_()


@pytest.mark.parametrize("take", [YES, torch.tensor([True, False])], ids=["scalar", "rows"])
def test_gradcheck_gate(take: Tensor) -> None:
    def function(on: Tensor, off: Tensor) -> Tensor:
        return cast(Tensor, torch.ops.dyncompile.gate(take, on, off, "d"))

    assert torch.autograd.gradcheck(function, (double(2, 3), double(2, 3)))


@pytest.mark.parametrize("index", [torch.tensor(1), torch.tensor([2, 0])], ids=["scalar", "rows"])
def test_gradcheck_switch(index: Tensor) -> None:
    def function(*options: Tensor) -> Tensor:
        return cast(Tensor, torch.ops.dyncompile.switch(index, list(options), "d"))

    assert torch.autograd.gradcheck(function, (double(2, 3), double(2, 3), double(2, 3)))


def gradients(
    function: Callable[..., Tensor], decision: Tensor, sides: Sequence[Tensor]
) -> list[Tensor]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (decision, *sides)]
    out = function(leaves[0], *leaves[1:])
    weights = torch.arange(1, out.numel() + 1, dtype=out.dtype).reshape(out.shape)
    return list(torch.autograd.grad((out * weights).sum(), leaves))


@pytest.mark.parametrize(
    "take",
    [
        pytest.param(torch.tensor(1.0), id="scalar, on"),
        pytest.param(torch.tensor(0.0), id="scalar, off"),
        pytest.param(torch.tensor([1.0, 0.0]), id="per sample"),
        pytest.param(torch.tensor([[1.0], [0.0]]), id="per sample, trailing ones"),
    ],
)
def test_float_decision_trains_as_mask_and_blend(take: Tensor) -> None:
    def blend(m: Tensor, on: Tensor, off: Tensor) -> Tensor:
        m = m.reshape(-1, 1) if m.ndim else m
        return m * on + (1 - m) * off

    same(gradients(gate, take, (X, Y)), gradients(blend, take, (X, Y)))


@pytest.mark.parametrize(
    "hot",
    [
        pytest.param(torch.tensor([0.0, 1.0, 0.0]), id="scalar"),
        pytest.param(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), id="per sample"),
    ],
)
def test_one_hot_trains_as_a_weighted_sum(hot: Tensor) -> None:
    def blend(h: Tensor, *options: Tensor) -> Tensor:
        return (h.reshape(-1, 3, 1) * torch.stack(options, 1)).sum(1)

    def choose(h: Tensor, *options: Tensor) -> Tensor:
        return switch(h, options)

    sides = (X, Y, X - Y)
    same(gradients(choose, hot, sides), gradients(blend, hot, sides))


def test_straight_through_decision_reaches_its_logit() -> None:
    logit = torch.tensor([0.3, -0.2], requires_grad=True)
    soft = logit.sigmoid()
    hard = (soft > 0.5).float()
    y = gate(hard + soft - soft.detach(), X, Y)
    torch.autograd.backward(y.sum())
    wanted = (X - Y).sum(1) * (soft * (1 - soft)).detach()
    assert logit.grad is not None
    torch.testing.assert_close(logit.grad, wanted)


# --- torch.compile, torch.export, operator checks --------------------------------------------


class Network(nn.Module):
    """Tuples, a switch, a number as a side, and a decision from data."""

    def forward(self, x: Tensor, open_: Tensor, level: Tensor) -> Tensor:
        a, b = gate(open_, (x + 1, x * 2), (x, x))
        y = switch(level, [a, b, a + b])
        return early_exit(y.sum() > 20, y, gate(~open_, y * 3, 0))


ARGUMENTS = [
    (X, torch.tensor(taken), torch.tensor(level)) for taken in (True, False) for level in range(3)
]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_network_agrees(backend: str) -> None:
    model = Network()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for arguments in ARGUMENTS:
        same(compiled(*arguments), model(*arguments))


def test_compiled_network_has_the_same_gradients() -> None:
    def loss(take: Tensor, on: Tensor, off: Tensor) -> Tensor:
        return gate(take, on * 2, off * 3)

    take = torch.tensor([1.0, 0.0])
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    same(gradients(compiled, take, (X, Y)), gradients(loss, take, (X, Y)))


def test_exported_network_keeps_its_markers_and_agrees() -> None:
    model = Network()
    program = torch.export.export(model, ARGUMENTS[0])
    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert called.count(torch.ops.dyncompile.gate.default) == 4
    assert called.count(torch.ops.dyncompile.switch.default) == 1
    for arguments in ARGUMENTS:
        same(program.module()(*arguments), model(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((YES, X, Y, "d"), id="bool"),
        pytest.param((torch.tensor([1.0, 0.0], requires_grad=True), X, Y, "d"), id="float"),
        pytest.param((YES, double(2, 2), double(2, 2), "d"), id="sides with gradient"),
    ],
)
def test_opcheck_gate(arguments: tuple[Any, ...]) -> None:
    torch.library.opcheck(torch.ops.dyncompile.gate.default, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((torch.tensor(1), [X, Y], "d"), id="scalar"),
        pytest.param((torch.tensor([5, 0]), [X], "d"), id="one option"),
        pytest.param((torch.tensor([0, 1]), [double(2, 2), double(2, 2)], "d"), id="gradient"),
        pytest.param((torch.eye(2, requires_grad=True), [X, Y], "d"), id="one-hot"),
    ],
)
def test_opcheck_switch(arguments: tuple[Any, ...]) -> None:
    torch.library.opcheck(torch.ops.dyncompile.switch.default, arguments)


# --- names, paths, recording -----------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, *, twice: bool = False, name: str | None = None) -> None:
        super().__init__()
        self.twice = twice
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        x = gate(x.sum() > 0, x + 1, x, name=self.name)
        return gate(x.sum() > 100, x + 1, x) if self.twice else x


class Stack(nn.Module):
    def __init__(self, *blocks: Block) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def test_decisions_are_named_by_module_path() -> None:
    model = Stack(Block(), Block(twice=True), Block(name="chosen"))
    with follow() as taken:
        model(X)
    wanted = {"blocks.0": 1, "blocks.1": 1, "blocks.1#2": 0, "chosen": 1}
    assert {name: int(option) for name, option in taken.items()} == wanted


def test_names_start_again_with_each_call_of_the_root() -> None:
    model = Stack(Block())
    with follow() as taken:
        model(X)
        model(-X)
    assert {name: int(option) for name, option in taken.items()} == {"blocks.0": 0}


def test_gates_that_share_a_decision_share_a_name() -> None:
    with follow() as taken:
        for side in (X, Y):
            gate(YES, side, side)
    assert list(taken) == ["root"]


@pytest.mark.parametrize("option", [0, 1])
def test_a_path_forces_gates(option: int) -> None:
    with follow({"d": option}) as taken:
        same(gate(torch.tensor([True, False]), X, Y, name="d"), (Y, X)[option])
    assert taken["d"].tolist() == [option, option]


@pytest.mark.parametrize(
    "index", [torch.tensor(0), torch.tensor([1.0, 0.0, 0.0])], ids=["index", "one-hot"]
)
def test_a_path_forces_switches(index: Tensor) -> None:
    with follow({"s": 2}) as taken:
        same(switch(index, [X, Y, X + Y], name="s"), X + Y)
    assert np.all(taken["s"] == 2)


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        torch.tensor([[0], [1]]),
        torch.tensor([0, 1]),
    ],
    ids=["one-hot", "trailing ones", "rows"],
)
def test_a_path_forces_switches_per_sample(index: Tensor) -> None:
    with follow({"s": 2}):
        same(switch(index, [X, Y, X + Y], name="s"), X + Y)


def test_a_path_forces_per_level() -> None:
    with follow({"level": 1}) as taken:
        same(per_level(torch.tensor(0), lambda k: X * k, 2, name="level"), X)
    assert int(taken["level"]) == 1


def test_decisions_inside_per_level_carry_the_level() -> None:
    def at(level: int) -> Tensor:
        return gate(X.sum() > 0, X * level, X)

    with follow() as taken:
        per_level(torch.tensor(2), at, 3, name="level")
    assert sorted(taken) == ["level", "root[2]"]


def test_a_forced_decision_still_trains() -> None:
    take = torch.tensor([1.0, 0.0], requires_grad=True)
    x = X.clone().requires_grad_()
    with follow({"d": 1}):
        torch.autograd.backward(gate(take, x * 2, x, name="d").sum())
    same(x.grad, torch.full_like(X, 2))


def test_a_path_with_an_unknown_name_is_refused() -> None:
    with (
        pytest.raises(MarkerError, match=r"follow\('other'\): .*the model has d\."),
        follow({"other": 1}),
    ):
        gate(YES, X, Y, name="d")


def test_an_error_inside_follow_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), follow({"other": 1}):
        raise ZeroDivisionError


def test_follow_leaves_no_hooks_behind() -> None:
    with follow():
        pass
    taken: dict[str, object] = {}
    with follow() as seen:
        Stack(Block())(X)
    Stack(Block())(X)
    taken.update(seen)
    assert list(taken) == ["blocks.0"]


def test_one_name_for_two_decisions_is_refused() -> None:
    with follow(), pytest.raises(MarkerError, match="two different decisions have this name"):
        gate(X.sum() > 0, X, gate(X.sum() > 1, X, Y, name="d"), name="d")


def test_one_decision_may_have_two_names() -> None:
    with follow({"a": 0, "b": 1}) as taken:
        same(gate(YES, X, gate(YES, X, Y, name="a"), name="b"), X)
    assert {name: int(option) for name, option in taken.items()} == {"a": 0, "b": 1}


def test_a_knob_says_how_many_levels_there_are() -> None:
    level, root = torch.tensor(9), nn.Identity()
    with capture(root, {id(level): Levels((1, 2, 3))}):
        same(per_level(level, lambda k: X * k), X * 2)


# --- what cannot be meant --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: gate(YES, X, X[:1], name="d"),
            r"gate 'd': the sides disagree: float32\[2, 2\] and float32\[1, 2\]",
            id="shapes",
        ),
        pytest.param(
            lambda: gate(YES, X, X.double()),
            r"float32\[2, 2\] and float64\[2, 2\]",
            id="types",
        ),
        pytest.param(lambda: gate(YES, (X, X), (X,)), "different structure", id="structures"),
        pytest.param(lambda: gate(YES, (), ()), "different structure", id="nothing to choose"),
        pytest.param(lambda: gate(YES, 1, 2), "cannot choose between int and int", id="numbers"),
        pytest.param(lambda: gate(YES, "a", X), "cannot choose between str and", id="text"),
        pytest.param(
            lambda: gate(cast(Tensor, True), X, Y), "the decision is bool", id="python bool"
        ),
        pytest.param(
            lambda: gate(torch.tensor(1), X, Y), r"decision is int64\[\]", id="int decision"
        ),
        pytest.param(
            lambda: gate(torch.ones(3), X, Y), r"shape \[3\] does not fit", id="other batch"
        ),
        pytest.param(
            lambda: gate(torch.ones(2, 2), X, Y), r"shape \[2, 2\] does not", id="per element"
        ),
        pytest.param(
            lambda: gate(torch.ones(1), X[0, 0], Y[0, 0]), r"shape \[1\] does not", id="rank 0"
        ),
        pytest.param(lambda: switch(torch.tensor(0), []), "there is no option", id="no options"),
        pytest.param(
            lambda: switch(torch.tensor(0), [X, X[:1]]), "the sides disagree", id="options"
        ),
        pytest.param(
            lambda: switch(torch.tensor(0), [X, (X,)]),
            "option 1 has another structure",
            id="option structures",
        ),
        pytest.param(lambda: switch(YES, [X, Y]), "for a bool use gate", id="bool index"),
        pytest.param(
            lambda: switch(torch.ones(3), [X, Y]),
            "does not choose among 2",
            id="one-hot length",
        ),
        pytest.param(
            lambda: switch(torch.tensor(0.0), [X, Y]), "Give shape", id="float scalar index"
        ),
        pytest.param(
            lambda: switch(torch.tensor([0, 1, 0]), [X, Y]), r"shape \[3\]", id="index batch"
        ),
        pytest.param(
            lambda: switch(cast(Tensor, 1), [X, Y]),
            "the index",
            id="python int index",
        ),
    ],
)
def test_refuses(call: Callable[[], object], message: str) -> None:
    with pytest.raises(MarkerError, match=message):
        call()
