from pathlib import Path

import pytest
import torch
from torch import nn

import dyncompile
from dyncompile.methods import idp


def separable() -> nn.Sequential:
    """A depthwise convolution whose channels the next layer may read more of than it computes."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
    )
    for norm in (net[1], net[4]):
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.normal_(norm.bias)
    return net.eval()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"counts": {"3": (2, 4)}}, id="counts of one layer"),
        pytest.param({"complete": ("6",)}, id="the next layer is complete"),
    ],
)
def test_layers_that_read_more_than_there_is_are_exported(
    options: dict[str, object], tmp_path: Path
) -> None:
    example = torch.randn(1, 3, 5, 5)
    net = idp.convert(separable(), ratios=(0.5, 1.0), example=example, **options)  # type: ignore[arg-type]
    assert dyncompile.export(net, (example,), tmp_path / "net.onnx") is not None
