"""Which layers of a network read less, and what stays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from dyncompile import backbones
from dyncompile.errors import DyncompileError, InputError, KnobError
from dyncompile.knobs import Levels
from dyncompile.methods import idp
from tests.methods.idp.networks import BUILDERS, images, network, state


@pytest.mark.parametrize(
    ("build", "shape", "count"),
    [
        pytest.param(backbones.mlp, (1, 28, 28), 2, id="mlp"),
        pytest.param(lambda: backbones.vgg16(width=2), (3, 32, 32), 14, id="vgg16"),
        pytest.param(lambda: backbones.mobilenet(width=2), (3, 32, 32), 13, id="mobilenet"),
        pytest.param(lambda: backbones.cifar_resnet(8, width=2), (3, 32, 32), 9, id="cifar_resnet"),
        pytest.param(
            lambda: backbones.densenet201(growth=2, depths=(1, 1)), (3, 32, 32), 6, id="densenet201"
        ),
        pytest.param(backbones.alexnet, (3, 32, 32), 7, id="alexnet"),
    ],
)
def test_all_layers_but_the_first_read_less(
    build: Callable[[], nn.Module], shape: tuple[int, ...], count: int
) -> None:
    net = idp.convert(build(), example=torch.zeros(1, *shape)).eval()
    weighted = [n for n, m in net.backbone.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert {layer.name for layer in net.layers} == set(weighted[1:])
    assert len(net.layers) == count
    assert net(torch.zeros(2, *shape), 0).shape == (2, 10)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_last_level_is_the_network_and_the_network_is_left_alone(name: str) -> None:
    before, x = network(name), images()
    was = state(before)
    net = idp.convert(before, example=x)
    with torch.no_grad():
        assert torch.equal(net(x, 3), before(x))
        assert torch.equal(net(x), before(x))
        assert torch.equal(net.backbone(x), before(x))
        assert not torch.equal(net(x, 0), before(x))
    assert all(torch.equal(value, was[key]) for key, value in before.state_dict().items())
    assert not before._forward_pre_hooks  # noqa: SLF001


def test_the_knob_says_the_ratios_and_the_default() -> None:
    net = idp.convert(network(), ratios=(0.5, 1), example=images(), default=0)
    assert net.knobs == {"level": Levels((0.5, 1.0), 0)}
    with torch.no_grad():
        assert torch.equal(net(images()), net(images(), 0))


def test_a_map_that_was_flattened_is_cut_at_whole_channels() -> None:
    head = idp.convert(network(), example=images()).layers[-1]
    assert (head.name, head.channels, head.features) == ("head", 12, 4)
    assert head.counts == (12, 24, 36, 48)


def test_the_mode_of_each_part_stays() -> None:
    before = network().train()
    before.get_submodule("stem").eval()
    net = idp.convert(before, example=images(), ranges=(0.5, 1.0))
    assert net.training
    for name, part in net.backbone.named_modules():
        assert part.training == (not name.startswith("stem"))


def test_counts_are_rounded_up_to_a_multiple() -> None:
    layers = idp.convert(network(), example=images(), multiple=8).layers
    assert [layer.counts for layer in layers] == [(8, 8, 8, 8), (32, 32, 48, 48)]


def test_single_layers_have_counts_of_their_own() -> None:
    net = idp.convert(network(), example=images(), counts={"body.0": [1, 2, 2, 7]})
    assert [layer.counts for layer in net.layers] == [(1, 2, 2, 7), (12, 24, 36, 48)]


def test_the_first_layer_reads_less_only_if_it_has_counts() -> None:
    net = idp.convert(network(), example=images(), counts={"stem.0": [1, 1, 2, 3]})
    assert [layer.name for layer in net.layers] == ["stem.0", "body.0", "head"]


@pytest.mark.parametrize(
    ("complete", "left"),
    [
        pytest.param("head", ["body.0"], id="a layer"),
        pytest.param(["body"], ["head"], id="what holds it"),
        pytest.param((), ["body.0", "head"], id="none"),
    ],
)
def test_complete_layers_are_not_cut(complete: Any, left: list[str]) -> None:  # noqa: ANN401
    net = idp.convert(network(), example=images(), complete=complete)
    assert [layer.name for layer in net.layers] == left


class TwoStems(nn.Module):
    """Two layers read the input."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.left(x) + self.right(x))
        return scores


class Twice(nn.Module):
    """One layer that runs twice, and one that never does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.spare = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.block(self.block(self.stem(x)))
        return scores


@pytest.mark.parametrize(
    ("net", "left"),
    [
        pytest.param(TwoStems(), ["head"], id="two read the input"),
        pytest.param(Twice(), ["block"], id="one runs twice"),
    ],
)
def test_what_runs_decides(net: nn.Module, left: list[str]) -> None:
    assert [layer.name for layer in idp.convert(net, example=torch.ones(1, 4)).layers] == left


class Odd(nn.Module):
    """Says of its own accord what is wrong."""

    def forward(self, x: Tensor) -> Tensor:
        raise DyncompileError(f"{list(x.shape)} is odd.", where="Odd", remedy="Make it even.")


class Uncopied(nn.Module):
    """Holds what Python does not copy."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = Lock()


def scripted() -> nn.Module:
    """Return a network whose layers are no modules of Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced: nn.Module = torch.jit.trace(network(), images())  # type: ignore[no-untyped-call]
    return traced


def pruned() -> nn.Module:
    """Return a network with a weight that a hook makes."""
    net = network()
    prune.random_unstructured(net.get_submodule("head"), "weight", 0.5)  # type: ignore[no-untyped-call]
    return net


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"profile": "lin"}, "profile 'lin': there is no profile", id="profile"),
        pytest.param({"ratios": (1, 0.5)}, "ratios: ", id="ratios"),
        pytest.param({"counts": {"bdy": (1,) * 4}}, "counts 'bdy': Plain has no", id="no layer"),
        pytest.param({"counts": {"head": (9, 8, 9, 9)}}, "counts 'head': ", id="decreasing"),
        pytest.param({"counts": {"head": (9,) * 4}, "complete": "head"}, "and complete", id="both"),
        pytest.param({"complete": ["tail"]}, "complete 'tail': Plain has no", id="complete"),
        pytest.param({"complete": [""]}, "complete '': Plain has no", id="complete nothing"),
        pytest.param({"complete": ["body", "head"]}, "no layer of it could", id="all complete"),
        pytest.param({"multiple": 0}, "multiple: 0 is nothing", id="multiple"),
        pytest.param({"norm": "own"}, "norm 'own': there is no norm", id="norm"),
        pytest.param({"ranges": (0.3, 1)}, "ranges: ", id="no level"),
        pytest.param({"ranges": (0.25, 0.5)}, "ranges: ", id="not the last"),
        pytest.param({"ranges": 0.5}, "ranges: ", id="a number"),
        pytest.param(
            {"ranges": (0.5, 1), "counts": {"head": (9,) * 4}}, "Leave out one", id="ranges, counts"
        ),
        pytest.param({"example": torch.zeros(1, 5, 4, 4)}, "Plain: it fails on", id="fails"),
        pytest.param({"example": 3}, "example: it is not one tensor", id="no tensor"),
        pytest.param({"net": 3}, "net: this is int", id="no network"),
        pytest.param({"net": scripted()}, "it is TorchScript", id="script"),
        pytest.param({"net": pruned()}, "layer 'head': a hook makes its weight", id="pruned"),
        pytest.param({"counts": "head"}, "counts: this is str, not a dict", id="counts of text"),
        pytest.param({"complete": 3}, "complete: this is int, not the names", id="no names"),
        pytest.param({"multiple": 1.5}, "multiple: 1.5 is nothing", id="no multiple"),
        pytest.param({"profile": lambda n: n / 0}, "it fails for 4 channels: Zero", id="failing"),
        pytest.param({"net": nn.Linear(4, 4), "example": torch.ones(1, 4)}, "no layer", id="one"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(options: dict[str, Any], said: str) -> None:
    asked = {"net": network(), "example": images(), **options}
    with pytest.raises(InputError, match=said) as error:
        idp.convert(asked.pop("net"), **asked)
    assert "\n" not in str(error.value)


def test_near_names_are_told() -> None:
    with pytest.raises(InputError, match=r"Near it are .*body\.0"):
        idp.convert(network(), example=images(), complete=["body.1"])


@pytest.mark.parametrize(
    ("default", "said"),
    [
        pytest.param(4, "not an index of 4 values", id="beyond"),
        pytest.param("last", "'last' is no index of a level", id="a word"),
        pytest.param(None, "None is no index of a level", id="none"),
    ],
)
def test_a_default_that_is_no_level_is_refused(default: object, said: str) -> None:
    with pytest.raises(KnobError, match=said):
        idp.convert(network(), example=images(), default=default)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    one, eight = np.int64(1), np.int64(8)
    net = idp.convert(network(), example=images(), default=one, multiple=eight)  # type: ignore[arg-type]
    assert net.counts(0) == idp.convert(network(), example=images(), multiple=8).counts(0)
    assert net.knobs["level"].to_json()["default"] == 1


def test_another_knob_named_level_is_refused() -> None:
    net = network()
    net.knobs = {"level": Levels((1, 2))}  # type: ignore[assignment]
    with pytest.raises(InputError, match="Plain: it has a knob of the name 'level'"):
        idp.convert(net, example=images())


def test_a_network_is_converted_once() -> None:
    net = idp.convert(network(), example=images())
    with pytest.raises(InputError, match="IncompleteNet: it runs at several widths already"):
        idp.convert(net, example=images())


def test_an_error_of_ours_in_forward_stays_what_it_is() -> None:
    with pytest.raises(DyncompileError, match=r"Odd: \[2, 3, 4, 4\] is odd\. Make it even\."):
        idp.convert(Odd(), example=images())


def test_a_network_that_cannot_be_copied_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match="Uncopied: it cannot be copied: TypeError"):
        idp.convert(Uncopied(), example=images())


def test_lazy_parts_have_to_run_once() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LazyBatchNorm2d(), nn.Conv2d(4, 2, 1))
    with pytest.raises(InputError, match=r"Run it once on the example") as error:
        idp.convert(net, example=images())
    assert "\n" not in str(error.value)
    net(images())
    assert [layer.name for layer in idp.convert(net, example=images()).layers] == ["2"]
