"""Cut every layer at random in each forward of training."""

from __future__ import annotations

__all__ = ["Truncated", "draw_ratio", "straight_gradients"]

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dyncompile.methods.idp.counts import IncompleteLayer
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.methods.idp.ranged import PerRange
from dyncompile.methods.idp.scaling import along_input, input_channels, scale_of, scale_weight
from dyncompile.training.loss import cross_entropy_of


def draw_ratio(mean: float | None) -> float:
    """Return ``1 - d``, d exponential with this mean, drawn until it is at most 1; None gives 1."""
    while mean is not None:
        drawn = float(torch.empty(()).exponential_(1 / mean))
        if drawn <= 1:
            return 1 - drawn
    return 1.0


@dataclass(frozen=True)
class Truncated:
    """The cross-entropy of a network whose layers each read a random part of their input.

    Attributes:
        mean: Of what is left out; None leaves nothing out.
        level: The widest level there is.
        straight: Whether weights are cut in place of inputs, see ``straight_gradients``.
    """

    mean: float | None
    level: int
    straight: bool

    def __call__(self, net: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        """Return ``float[]``, as ``train`` wants it."""
        assert isinstance(net, IncompleteNet)
        widest = net.ratios[self.level]
        counts = [self._count(layer, widest * draw_ratio(self.mean)) for layer in net.layers]
        if self.straight:
            _cut_weights(net, counts)
            counts = [layer.channels * layer.features for layer in net.layers]
        return cross_entropy_of(net.cut_to(batch, counts, self.level), labels)

    def _count(self, layer: IncompleteLayer, ratio: float) -> int:
        return min(layer.count(ratio), layer.counts[self.level])


@contextmanager
def straight_gradients(net: IncompleteNet) -> Iterator[None]:
    """Give weights the gradient of a complete layer without a profile, while the block runs.

    As in the released code of McDanel et al.: a weight's gradient is the product of what comes
    back and what the layer was given, whole, also where its channel counts for less or is cut.
    """
    with ExitStack() as stack:
        for _, layer in _weights(net):
            scale = scale_of(layer)
            if scale is None:
                is_plain = not parametrize.is_parametrized(layer, "weight")
                scale_weight(layer, torch.ones(input_channels(layer)))
                scale = scale_of(layer)
                if is_plain:
                    stack.callback(parametrize.remove_parametrizations, layer, "weight")
            assert scale is not None
            scale.straight = True
            stack.callback(scale.reset)
        yield


def _cut_weights(net: IncompleteNet, counts: Sequence[int]) -> None:
    kept = {layer.name: count for layer, count in zip(net.layers, counts, strict=True)}
    for name, layer in _weights(net):
        scale = scale_of(layer)
        assert scale is not None
        place = torch.arange(input_channels(layer), device=scale.coefficients.device)
        scale.kept = along_input(layer, place < kept[name])


def _weights(net: IncompleteNet) -> Iterator[tuple[str, nn.Module]]:
    """Go through the layers that are cut; of one that each range has, all."""
    for layer in net.layers:
        module = net.backbone.get_submodule(layer.name)
        for each in module.copies if isinstance(module, PerRange) else [module]:
            yield layer.name, each
