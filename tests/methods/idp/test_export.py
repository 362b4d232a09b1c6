"""Incomplete networks as files."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx_ir import Model

import dyncompile
from dyncompile.methods import idp
from tests.methods.idp.networks import images, network, norms, patterns


def recalibrated(name: str = "plain", **options: Any) -> idp.IncompleteNet:  # noqa: ANN401
    """Return a network whose levels have statistics of their own."""
    net = idp.convert(network(name), example=images(1), profile="linear", **options)
    if norms(net):
        idp.recalibrate(net, patterns(), batch_size=48)
    return net.eval()


def weights(model: Model) -> list[ir.Value]:
    """Return the initializers of a model, those of its branches too."""
    graphs = [model.graph, *(graph for graph in model.graph.subgraphs())]
    return [value for graph in graphs for value in graph.initializers.values()]


@pytest.mark.parametrize(
    ("name", "budgets", "options"),
    [
        pytest.param("plain", "slice", {"ratios": (0.5, 1)}, id="recalibrated"),
        pytest.param(
            "plain", "switch", {"ratios": (0.5, 1), "norm": "switchable"}, id="switchable"
        ),
        pytest.param("perceptron", "switch", {"ranges": (0.5, 1)}, id="ranges"),
        pytest.param("grouped", "auto", {"ratios": (0.5, 1)}, id="groups, transposed"),
    ],
)
def test_a_file_does_what_the_network_does(
    name: str, budgets: Literal["auto", "switch", "slice"], options: dict[str, Any], tmp_path: Path
) -> None:
    net, x = recalibrated(name, **options), images(3)
    dyncompile.export(net, (images(1),), tmp_path / "net.onnx", budgets=budgets)
    loaded = dyncompile.load(tmp_path / "net.onnx")
    assert loaded.knobs == net.knobs
    for level in range(len(net.ratios)):
        for image in x.split(1):  # type: ignore[no-untyped-call]
            with torch.no_grad():
                wanted = net(image, level).numpy()
            np.testing.assert_allclose(loaded(image.numpy(), level=level), wanted, atol=1e-5)


def test_a_file_holds_weights_with_their_profile_in_them(tmp_path: Path) -> None:
    net = recalibrated("perceptron")
    before = deepcopy(net)
    dyncompile.export(net, (images(1),), tmp_path / "net.onnx", target="marked", verify=False)
    held = [value.const_value for value in weights(ir.load(tmp_path / "net.onnx"))]
    arrays = [array.numpy() for array in held if array is not None]
    layer: Any = net.backbone.get_submodule("layers.3")
    scaled = layer.weight.detach().numpy()
    raw = layer.parametrizations.weight.original.detach().numpy()

    def times(wanted: np.ndarray[Any, Any]) -> int:
        same = [array for array in arrays if array.shape == wanted.shape]
        return sum(np.array_equal(array, w) for array in same for w in (wanted, wanted.T))

    assert times(scaled) == 1
    assert times(raw) == 0
    assert torch.equal(net(images(), 1), before(images(), 1))  # and is as it was
