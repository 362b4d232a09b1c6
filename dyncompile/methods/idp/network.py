"""A network whose layers read as many of their input channels as the level says."""

from __future__ import annotations

__all__ = ["IncompleteNet", "default_knobs", "knobs_of"]

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from numbers import Integral

import torch
from torch import Tensor, nn

from dyncompile.errors import InputError
from dyncompile.knobs import Knob, Levels
from dyncompile.markers import channel_budget
from dyncompile.methods.idp.counts import IncompleteLayer
from dyncompile.methods.idp.norms import LevelNorm
from dyncompile.methods.idp.ranged import PerRange

Cut = Callable[[IncompleteLayer, Tensor], Tensor]
Hook = Callable[[nn.Module, tuple[object, ...]], tuple[object, ...] | None]


class IncompleteNet(nn.Module):
    """A network with one budget of channels for all of its incomplete layers.

    ``convert`` builds it. The backbone runs as it is; what an incomplete layer reads is cut to
    its first channels right before the layer.

    Args:
        backbone: What ``convert`` made of the network.
        layers: Its incomplete layers, in the order they run.
        ratios: Of the levels, increasing.
        default: Index of the level used when the caller names none.
        ends: With ranges, the last level of each.

    Attributes:
        ranges: The levels of each range; one range of all levels if there are none.
    """

    def __init__(
        self,
        backbone: nn.Module,
        layers: Sequence[IncompleteLayer],
        ratios: Sequence[float],
        default: int = -1,
        ends: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.layers = tuple(layers)
        self._levels = Levels(tuple(ratios), default)
        stops = [end + 1 for end in ends or [len(ratios) - 1]]
        self.ranges = tuple(map(range, [0, *stops], stops))

    @property
    def knobs(self) -> dict[str, Knob]:
        """``level``, an index into the ratios, and what knobs the backbone has."""
        return {"level": self._levels, **knobs_of(self.backbone)}

    @property
    def ratios(self) -> tuple[float, ...]:
        """The share of the channels that each level keeps."""
        return tuple(map(float, self._levels.values))

    @property
    def switchable(self) -> bool:
        """Whether levels have weights of normalisation of their own."""
        return any(norm.switchable for norm in self.norms())

    def forward(self, x: Tensor, level: Tensor | int | None = None, **knobs: Tensor) -> Tensor:
        """Return what the backbone does at a level.

        Args:
            x: What the backbone takes.
            level: ``int64[]``; None is the default of the knob.
            knobs: Of the backbone; those left out are at their defaults.

        Raises:
            InputError: the level is no index.
            MarkerError: it is a tensor of wrong type or shape.
        """
        if level is None:
            level = self._levels.default
        index = level if isinstance(level, Tensor) else self._index(level, x.device)
        return self._run(
            x,
            lambda layer, z: channel_budget(z, index, layer.counts, axis=layer.axis, name="level"),
            index,
            knobs,
        )

    def _index(self, level: object, device: torch.device) -> Tensor:
        last = len(self.ratios) - 1
        is_whole = isinstance(level, Integral) and not isinstance(level, bool)
        if not is_whole or not 0 <= int(level) <= last:  # type: ignore[call-overload]
            raise InputError(
                f"{level!r} is no index of a level.",
                where="level",
                remedy=f"Give a whole number from 0, the narrowest, to {last}, or an int64 tensor.",
            )
        return torch.tensor(int(level), device=device)  # type: ignore[call-overload]

    def cut_to(self, x: Tensor, counts: Sequence[int], level: int | None = None) -> Tensor:
        """Return what the backbone does with any number of channels in each incomplete layer.

        Args:
            x: What the backbone takes.
            counts: One per incomplete layer, in their order.
            level: Whose normalisation is used, and in training learned; None is of no level.
        """
        kept = {layer.name: count for layer, count in zip(self.layers, counts, strict=True)}
        return self._run(x, lambda layer, z: _first(z, kept[layer.name], layer.axis), level)

    def counts(self, level: int) -> list[int]:
        """Return how much each incomplete layer reads at a level, as ``cut_to`` takes it."""
        return [layer.counts[level] for layer in self.layers]

    def norms(self) -> list[LevelNorm]:
        """Return the normalisations that know levels."""
        return [part for part in self.backbone.modules() if isinstance(part, LevelNorm)]

    def _run(
        self,
        x: Tensor,
        cut: Cut,
        level: Tensor | int | None,
        knobs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        thread = _this_thread()
        with ExitStack() as hooks:

            def put(module: nn.Module, hook: Hook) -> None:
                def in_this_thread(
                    module: nn.Module, args: tuple[object, ...]
                ) -> tuple[object, ...] | None:
                    return hook(module, args) if _this_thread() == thread else None

                handle = module.register_forward_pre_hook(in_this_thread)
                hooks.callback(handle.remove)

            for layer in self.layers:
                put(self.backbone.get_submodule(layer.name), _cutter(cut, layer))
            for part in self.backbone.modules():
                if isinstance(part, LevelNorm | PerRange):
                    put(part, lambda _, args: (args[0], level))
            if not torch.compiler.is_exporting():  # which gives all of them
                knobs = {**default_knobs(self.backbone, x), **(knobs or {})}
            output: Tensor = self.backbone(x, **(knobs or {}))
        return output


def knobs_of(net: nn.Module) -> dict[str, Knob]:
    """Return the knobs that a network declares."""
    declared = getattr(net, "knobs", None)
    return dict(declared) if isinstance(declared, Mapping) else {}


def default_knobs(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return the values of a network's knobs when the caller names none, where ``x`` is."""
    return {
        name: torch.tensor(knob.array(name).tolist(), device=x.device)
        for name, knob in knobs_of(net).items()
    }


def _cutter(cut: Cut, layer: IncompleteLayer) -> Hook:
    def cut_input(module: nn.Module, args: tuple[object, ...]) -> tuple[object, ...]:
        del module
        x, *others = args
        assert isinstance(x, Tensor)
        return cut(layer, x), *others

    return cut_input


def _first(x: Tensor, count: int, axis: int) -> Tensor:
    """Zero all but the first channels."""
    size = x.shape[axis]
    if count >= size:
        return x
    kept = torch.arange(size, device=x.device) < count
    behind = x.ndim - 1 - axis % x.ndim
    return x.where(kept.reshape(-1, *[1] * behind), 0)


def _this_thread() -> int:
    """Return which thread runs this; while torch traces, one runs everything."""
    return 0 if torch.compiler.is_compiling() else threading.get_ident()
