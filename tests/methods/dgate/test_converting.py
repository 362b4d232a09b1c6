"""Backbones that gates can be put into, and those that they cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from dyncompile.errors import InputError
from dyncompile.methods.dgate.converting import convert
from tests.methods.dgate.networks import CASES, backbone, images
from tests.methods.dgate.test_features import hooks_of


class Odd(nn.Module):
    """Runs ``first``, then whatever is given, and answers with ``last``."""

    def __init__(self, middle: Callable[[Tensor], object], last: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.middle = Doing(middle)
        self.unused = nn.Linear(6, 6)
        self.last = last or nn.Linear(6, 3)

    def forward(self, x: Tensor) -> object:
        x = self.first(x)
        self.middle(x)
        return self.last(self.first(x) if isinstance(self.last, nn.Softmax) else x)


class Doing(nn.Module):
    """A function as a module."""

    def __init__(self, fn: Callable[..., object]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> object:
        return self.fn(x)


class Repeating(nn.Module):
    """Runs one layer twice, and knows it by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.alias = self.layer
        self.once = nn.Linear(6, 6)
        self.other_once = self.once
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.once(self.layer(self.layer(x))))
        return scores


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x * mask


X = torch.zeros(2, 6)
ON_VECTORS = (Odd, Repeating)


def tokens(x: Tensor) -> Tensor:
    return x.reshape(2, 3, 2)


REFUSED = {
    "a module that does not exist": (Odd(abs), ["frist"], r"after 'frist': Odd has no .*first"),
    "a nested one": (
        backbone("resnet"),
        ["blocks.7"],
        r"'blocks\.7': ResNet has no.*blocks\.[0-2]",
    ),
    "no name at all": (Odd(abs), [], r"^after: it names no module"),
    "one that does not run": (Odd(abs), ["unused"], r"'unused': it does not run"),
    "a list of modules": (
        backbone("concatenating"),
        ["layers"],
        r"'layers': it does not run .* ModuleList is not",
    ),
    "one that runs twice": (Repeating(), ["layer"], r"'layer': it runs 2 times"),
    "one named twice": (Odd(abs), ["first", "first"], r"'first': it is named twice"),
    "two names of one": (
        Repeating(),
        ["once", "other_once"],
        r"'other_once': it is the same module as 'once'",
    ),
    "the whole network": (Odd(abs), [""], r"after '': no convolution or product runs behind"),
    "the classifier": (Odd(abs), ["last"], r"'last': no convolution or product runs behind it"),
    "what returns a tuple": (
        Odd(lambda x: (x, x)),
        ["middle"],
        r"'middle': it returns a tuple, not one tensor",
    ),
    "what returns a dict": (
        Odd(lambda x: {"map": x}),
        ["middle"],
        r"'middle': it returns a dict of map, not one tensor",
    ),
    "what returns nothing": (Odd(lambda _: None), ["middle"], r"it returns None, not one"),
    "tokens": (
        Odd(tokens),
        ["middle"],
        r"returns float32\[2, 3, 2\], which is neither pooled nor flat.*\[N, C, H, W\]",
    ),
    "integers": (
        Odd(lambda x: x.long()),
        ["middle"],
        r"returns int64\[2, 6\], which are no features",
    ),
    "no batch": (
        Odd(lambda x: x.sum(0)),
        ["middle"],
        r"returns float32\[6\], which is neither pooled nor flat, with a batch of 2",
    ),
    "another batch": (
        Odd(lambda x: x.reshape(4, 3)),
        ["middle"],
        r"returns float32\[4, 3\].* with a batch of 2",
    ),
    "an answer that is a dict": (
        Odd(abs, Doing(lambda x: {"logits": x})),
        ["first"],
        r"^backbone: it returns a dict of logits, and gates need float\[2, classes\]",
    ),
    "an answer in integers": (Odd(abs, Doing(lambda x: x.long())), ["first"], r"int64\[2, 6\]"),
    "an answer without classes": (Odd(abs, Doing(lambda x: x[:, 0])), ["first"], r"float32\[2\]"),
    "an answer with one class": (
        Odd(abs, nn.Linear(6, 1)),
        ["first"],
        r"^backbone: it returns float32\[2, 1\]: 1 class",
    ),
}


@pytest.mark.parametrize(("net", "after", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_have_gates_is_refused_in_one_line(
    net: nn.Module, after: Sequence[str], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        convert(net, after, example=X if isinstance(net, ON_VECTORS) else images("resnet", 1))
    assert "\n" not in str(caught.value)
    assert hooks_of(net) == 0


def test_a_forward_with_several_inputs_is_refused() -> None:
    net = TwoInputs()
    net.add_module("first", nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"^TwoInputs: .*'mask'.* Wrap it in a module"):
        convert(net, ["first"], example=X)


def test_an_example_the_backbone_cannot_run_is_refused() -> None:
    with pytest.raises(InputError, match=r"^Odd: it fails on the example: RuntimeError"):
        convert(Odd(abs), ["first"], example=torch.zeros(2, 5))


@pytest.mark.parametrize(
    "example",
    [[1.0], torch.zeros(()), torch.zeros(0, 6), None],
    ids=["a list", "one number", "no sample", "nothing"],
)
def test_an_example_is_a_tensor_with_a_batch(example: object) -> None:
    with pytest.raises(InputError, match=r"^example: it is .*batch first"):
        convert(Odd(abs), ["first"], example=cast("Tensor", example))


def test_a_grid_that_does_not_fit_the_maps_is_refused() -> None:
    with pytest.raises(InputError, match=r"float32\[1, 8, 4, 4\], which no grid of 3x3 divides"):
        convert(backbone("resnet"), ["blocks.1"], example=images("resnet", 1), pool=3)


@pytest.mark.parametrize("pool", [0, -1, 1.5], ids=str)
def test_a_grid_has_a_side_of_at_least_one(pool: float) -> None:
    with pytest.raises(InputError, match=r"^pool: "):
        convert(
            backbone("resnet"), ["blocks.1"], example=images("resnet", 1), pool=cast("int", pool)
        )


def test_something_that_is_no_module_is_refused() -> None:
    with pytest.raises(InputError, match=r"^backbone: this is function, not a torch"):
        convert(cast("nn.Module", lambda x: x), ["first"], example=X)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(InputError, match=r"score 'sure'"):
        convert(Odd(abs), ["first"], example=X, score="sure")


@pytest.mark.parametrize("name", CASES)
def test_gates_stand_in_the_order_in_which_they_run(name: str) -> None:
    case = CASES[name]
    net = convert(backbone(name), case.after[::-1], example=images(name, 1), pool=case.pool)
    assert net.after == case.after


def test_a_gate_is_as_wide_as_its_pooled_features() -> None:
    example = images("resnet", 2)
    for pool, cells in ((1, 1), (2, 4)):
        net = convert(backbone("resnet"), ["stem", "blocks.1"], example=example, pool=pool)
        shapes = [tuple(cast("nn.Linear", gate).weight.shape) for gate in net.gates]
        assert shapes == [(4, 4 * cells), (4, 8 * cells)]


def test_a_module_that_drops_out_or_normalises_is_in_evaluation_mode_only_meanwhile() -> None:
    net = backbone("resnet").train()
    cast("nn.Module", net.blocks).eval()
    modes = [part.training for part in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in net.parameters()]
    converted = convert(net, ["stem"], example=images("resnet", 1))
    assert converted.backbone is net
    assert converted.training
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert [parameter.requires_grad for parameter in net.parameters()] == wanted
    assert hooks_of(net) == 0


def test_gates_have_the_type_of_their_features() -> None:
    net = convert(backbone("flat").double(), ["inner.0"], example=images("flat", 1).double())
    assert cast("nn.Linear", net.gates[0]).weight.dtype == torch.float64
    assert net(images("flat", 2).double(), torch.tensor(0)).dtype == torch.float64


def test_what_torch_compile_was_given_is_converted() -> None:
    net = backbone("flat")
    compiled = cast("nn.Module", torch.compile(net, backend="eager"))
    assert convert(compiled, ["inner.0"], example=images("flat", 1)).backbone is net
