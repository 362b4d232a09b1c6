from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyncompile import markers
from dyncompile.capture import capture_model
from dyncompile.errors import MarkerError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.markers import (
    capture,
    channel_budget,
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


# --- channel budgets -------------------------------------------------------------------------


def ones(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.ones(shape, dtype=dtype)


def kept(y: Tensor, axis: int) -> list[list[int]]:
    """Return which channels are left, per sample; the rest of each is all zero."""
    by_channel = y.movedim(axis, 1).reshape(y.shape[0], y.shape[axis], -1).float()
    assert (by_channel == by_channel[:, :, :1]).all(), "a channel is kept or zero as a whole"
    return by_channel[:, :, 0].int().tolist()


@pytest.mark.parametrize(
    ("level", "counts", "left"),
    [
        pytest.param(torch.tensor(0), (1, 3), [1, 0, 0], id="first"),
        pytest.param(torch.tensor(1), (1, 3), [1, 1, 1], id="all"),
        pytest.param(torch.tensor(1), [1, 2, 2, 3], [1, 1, 0], id="plateau"),
        pytest.param(torch.tensor(-4), (2, 3), [1, 1, 0], id="clamped below"),
        pytest.param(torch.tensor(9), (1, 2), [1, 1, 0], id="clamped above"),
        pytest.param(torch.tensor(5), (2,), [1, 1, 0], id="one level"),
        pytest.param(torch.tensor([0]), (2, 3), [1, 1, 0], id="one element"),
        pytest.param(torch.tensor([[0]]), (2, 3), [1, 1, 0], id="trailing ones"),
        pytest.param(torch.tensor(0, dtype=torch.int32), (2, 3), [1, 1, 0], id="int32"),
        pytest.param(torch.tensor(0, dtype=torch.uint8), (2, 3), [1, 1, 0], id="uint8"),
        pytest.param(torch.tensor(1), np.array([1, 2]), [1, 1, 0], id="counts of numpy"),
        pytest.param(torch.tensor(1), torch.tensor([1, 2]), [1, 1, 0], id="counts of torch"),
    ],
)
def test_a_budget_keeps_the_first_channels(
    level: Tensor, counts: Sequence[int], left: list[int]
) -> None:
    assert kept(channel_budget(ones(1, 3, 2, 2), level, counts), 1) == [left]


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        pytest.param((2, 4), 1, id="features"),
        pytest.param((2, 4), -1, id="features from the end"),
        pytest.param((2, 5, 4), 1, id="signal"),
        pytest.param((2, 5, 4), -1, id="tokens"),
        pytest.param((2, 3, 4, 4), 2, id="middle"),
        pytest.param((2, 4, 3, 3, 2), -4, id="volume"),
    ],
)
def test_a_budget_may_be_per_sample_and_along_any_axis(shape: tuple[int, ...], axis: int) -> None:
    y = channel_budget(ones(*shape), torch.tensor([1, 0]), (1, 3), axis=axis)
    tail = [0] * (shape[axis] - 3)
    assert kept(y, axis) == [[1, 1, 1, *tail], [1, 0, 0, *tail]]


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool], ids=str
)
def test_a_budget_keeps_the_type(dtype: torch.dtype) -> None:
    y = channel_budget(ones(1, 3, 2, dtype=dtype), torch.tensor(0), (2, 3))
    assert y.dtype == dtype
    assert kept(y, 1) == [[1, 1, 0]]


def test_what_a_budget_drops_is_zero_even_if_it_is_no_number() -> None:
    x = torch.tensor([[1.0, float("nan"), float("inf"), float("-inf")]])
    same(channel_budget(x, torch.tensor(0), (1, 4)), torch.tensor([[1.0, 0, 0, 0]]))


@pytest.mark.parametrize(
    "level", [torch.tensor(1), torch.tensor([0, 2])], ids=["scalar", "per sample"]
)
def test_gradcheck_channel_budget(level: Tensor) -> None:
    assert torch.autograd.gradcheck(
        lambda x: channel_budget(x, level, (1, 2, 3)), (double(2, 3, 2),)
    )


def test_the_gradient_of_a_budget_reaches_the_channels_kept() -> None:
    x = X.clone().requires_grad_()
    torch.autograd.backward(channel_budget(x, torch.tensor([0, 1]), (1, 2)).sum())
    same(x.grad, torch.tensor([[1.0, 0], [1, 1]]))


def budgeted(x: Tensor, level: Tensor) -> Tensor:
    return channel_budget(x * 2, level, (1, 2), name="b")


LEVELS = [torch.tensor(0), torch.tensor(1), torch.tensor(7), torch.tensor([1, 0])]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_budget_agrees_and_trains(backend: str) -> None:
    compiled = torch.compile(budgeted, backend=backend, fullgraph=True)
    for level in LEVELS:
        found = []
        for function in (compiled, budgeted):
            x = X.clone().requires_grad_()
            y = function(x, level)
            torch.autograd.backward(y.sum())
            found.append((y, x.grad))
        same(*found)


def test_counts_that_a_trace_does_not_know_are_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor, level: Tensor) -> Tensor:
            return channel_budget(x, level, cast(list[int], torch.tensor([1, 2])), name="b")

    with pytest.raises(MarkerError, match="channel_budget 'b': the counts are a tensor"):
        torch.export.export(Net(), (X, torch.tensor(0)))


def test_an_exported_budget_keeps_its_marker_and_agrees() -> None:
    class Budgeted(nn.Module):
        def forward(self, x: Tensor, level: Tensor) -> Tensor:
            return budgeted(x, level)

    program = torch.export.export(Budgeted(), (X, LEVELS[0]))
    (node,) = [node for node in program.graph.nodes if "channel_budget" in str(node.target)]
    assert node.args[2:] == ([1, 2], 1, "b")
    for level in LEVELS[:3]:
        same(program.module()(X, level), budgeted(X, level))


@pytest.mark.parametrize("level", LEVELS, ids=["first", "last", "beyond", "rows"])
@pytest.mark.parametrize("gradient", [False, True], ids=["plain", "gradient"])
def test_opcheck_channel_budget(level: Tensor, gradient: bool) -> None:
    arguments = (torch.ones(2, 4, 3, requires_grad=gradient), level, [1, 3], 1, "b")
    torch.library.opcheck(torch.ops.dyncompile.channel_budget.default, arguments)


@pytest.mark.parametrize("option", [0, 1])
@pytest.mark.parametrize("level", LEVELS, ids=["first", "last", "beyond", "rows"])
def test_a_path_forces_budgets(level: Tensor, option: int) -> None:
    want = budgeted(X, torch.tensor(option))
    with follow({"b": option}) as taken:
        same(budgeted(X, level), want)
    assert taken["b"].tolist() == torch.full_like(level, option).tolist()


def test_the_level_of_a_budget_is_recorded_as_it_is_clamped() -> None:
    with follow() as taken:
        budgeted(X, torch.tensor([-3, 9]))
    assert taken["b"].tolist() == [0, 1]


def test_budgets_and_switches_on_one_level_are_one_decision() -> None:
    level = torch.tensor(1)
    with follow() as taken:
        x = channel_budget(X, level, (1, 2), name="width")
        switch(level, [channel_budget(x, level, (1, 2)), x])
    assert list(taken) == ["width"]


def test_a_level_that_a_budget_lacks_cannot_be_forced() -> None:
    with pytest.raises(MarkerError, match=r"2 is not one of its 2 options"), follow({"b": 2}):
        budgeted(X, torch.tensor(0))


def test_a_budget_counts_for_every_level_of_its_knob() -> None:
    level = torch.tensor(0)
    with capture(nn.Identity(), {id(level): Levels((0.5, 1.0))}):
        same(channel_budget(X, level, (1, 2)), torch.tensor([[1.0, 0], [3, 0]]))


def with_knob(knob: Knob) -> Tensor:
    level = torch.tensor(0)
    with capture(nn.Identity(), {id(level): knob}):
        return channel_budget(X, level, (1, 2), name="b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: channel_budget(cast(Tensor, 3), LEVELS[0], (1,)),
            "int has no channels along axis 1",
            id="no tensor",
        ),
        pytest.param(
            lambda: channel_budget(ones(4), LEVELS[0], (1,), name="b"),
            r"channel_budget 'b': float32\[4\] has no channels along axis 1.*say axis=",
            id="rank 1",
        ),
        pytest.param(
            lambda: channel_budget(torch.tensor(1.0), LEVELS[0], (1,)),
            "has no channels along axis 1",
            id="rank 0",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1,), axis=0),
            "no channels along axis 0.*axis 0 is the batch",
            id="batch axis",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1,), axis=-2), "axis -2", id="batch from the end"
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1,), axis=2), "axis 2", id="axis beyond"
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1,), axis=-3), "axis -3", id="axis below"
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1,), axis=cast(int, "c")),
            "axis 'c'",
            id="axis of text",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1,), axis=cast(int, 1.0)),
            r"axis 1\.0",
            id="float axis",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (2, 1)),
            r"counts \[2, 1\] do not say how many of 2 channels.*none below the one before",
            id="decreasing",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (0, 2)), r"counts \[0, 2\] do not", id="zero"
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], (1, 3)),
            r"counts \[1, 3\] do not.*from 1 to 2",
            id="beyond the channels",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], ()), r"counts \[\] do not", id="no counts"
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], cast(Any, 2)),
            "the counts are 2.*one whole number per level",
            id="counts no list",
        ),
        pytest.param(
            lambda: channel_budget(X, LEVELS[0], cast(Any, (0.5, 1.0))),
            r"the counts are \(0.5, 1.0\)",
            id="ratios",
        ),
        pytest.param(
            lambda: channel_budget(X, cast(Tensor, 1), (1, 2)),
            "the level is int.*such as a Levels knob",
            id="python level",
        ),
        pytest.param(
            lambda: channel_budget(X, torch.tensor(1.0), (1, 2)),
            r"the level is float32\[\]",
            id="float level",
        ),
        pytest.param(
            lambda: channel_budget(X, YES, (1, 2)), r"the level is bool\[\]", id="bool level"
        ),
        pytest.param(
            lambda: channel_budget(X, torch.tensor([0, 1, 0]), (1, 2)),
            r"shape \[3\] does not fit",
            id="other batch",
        ),
        pytest.param(
            lambda: channel_budget(X, torch.zeros(2, 2, dtype=torch.int64), (1, 2)),
            r"shape \[2, 2\] does not fit",
            id="level per element",
        ),
        pytest.param(
            lambda: with_knob(Levels((1, 2, 3))),
            "channel_budget 'b': it counts channels for 2 levels, and its knob has 3 levels",
            id="levels of the knob",
        ),
        pytest.param(lambda: with_knob(Threshold(0.5)), "its knob has no levels", id="no levels"),
    ],
)
def test_refuses_a_budget(call: Callable[[], object], message: str) -> None:
    with pytest.raises(MarkerError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([(1, 2), (1, 2, 2)], id="fewer first"),
        pytest.param([(1, 1, 2), (1, 2)], id="more first"),
    ],
)
def test_budgets_on_one_level_count_for_the_same_levels(counts: list[tuple[int, ...]]) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor, level: Tensor) -> Tensor:
            level = level + 1  # no knob any more
            for one in counts:
                x = channel_budget(x * 2, level, one, name="b")
            return x

    levels = f"{len(counts[0])} levels and for {len(counts[1])}"
    with pytest.raises(MarkerError, match=f"'b': its budgets count channels for {levels}"):
        capture_model(Net(), (X,), {"level": Levels((1, 2, 3))})


def test_switches_of_one_name_force_and_record_the_options_of_the_longest() -> None:
    index, (a, b, c) = torch.tensor(7), (X, X + 1, X + 2)
    with follow() as taken:
        same(switch(index, [a, b], name="way"), b)
        same(switch(index, [a, b, c], name="way"), c)
    assert taken["way"].tolist() == 2
    with follow({"way": 2}):
        same(switch(index, [a, b], name="way"), b)
        same(switch(index, [a, b, c], name="way"), c)


def test_an_option_that_no_switch_of_the_name_has_cannot_be_forced() -> None:
    def both() -> Tensor:
        index = torch.tensor(0)
        with follow({"way": 3}):
            return switch(index, [X, X], name="way") + switch(index, [X, X, X], name="way")

    with pytest.raises(MarkerError, match="3 is not one of its 3 options"):
        both()


def test_a_level_is_recorded_as_it_is_clamped() -> None:
    with follow() as taken:
        per_level(torch.tensor(9), lambda k: X + k, 3, name="level")
    assert taken["level"].tolist() == 2
