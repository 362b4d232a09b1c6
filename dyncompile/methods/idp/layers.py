"""Which layers of a network read less at a lower level, and how much."""

from __future__ import annotations

__all__ = ["Asked", "incomplete_layers"]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn

from dyncompile.errors import InputError
from dyncompile.methods.idp.counts import IncompleteLayer, count_at, explicit_counts
from dyncompile.methods.idp.looking import Seen
from dyncompile.methods.idp.scaling import input_channels


@dataclass(frozen=True)
class Asked:
    """What ``convert`` was asked for; see there."""

    ratios: tuple[float, ...]
    counts: Mapping[str, Sequence[int]]
    complete: Iterable[str]
    multiple: int


def incomplete_layers(net: nn.Module, seen: Seen, asked: Asked) -> list[IncompleteLayer]:
    """Return the layers to cut, in the order they run.

    Raises:
        InputError: ``counts`` or ``complete`` name what is not there or contradict each other,
            counts do not fit their layer, or no layer is left.
    """
    kept = _complete(net, seen, asked.complete)
    for name in asked.counts:
        if name not in seen.features:
            raise _no_layer(net, "counts", name, seen)
        if name in kept:
            raise InputError(
                "its input is to be cut, and complete.",
                where=f"counts {name!r}",
                remedy="Leave it out of counts, or of complete.",
            )
    kept |= ({*seen.reads_input, *list(seen.features)[:1]}) - asked.counts.keys()
    layers = [
        _layer(net.get_submodule(name), name, features, asked)
        for name, features in seen.features.items()
        if name not in kept
    ]
    if not layers:
        raise InputError(
            "no layer of it could read fewer channels.",
            where=type(net).__name__,
            remedy="Give a network with a convolution or linear layer behind the first, and not"
            " all of them as complete.",
        )
    return layers


def _layer(module: nn.Module, name: str, features: int, asked: Asked) -> IncompleteLayer:
    axis, size = -1 if isinstance(module, nn.Linear) else 1, input_channels(module)
    if size % features:
        features = 1
    if name in asked.counts:
        counts = explicit_counts(name, asked.counts[name], len(asked.ratios), size)
        multiple = None
    else:
        multiple, channels = asked.multiple, size // features
        counts = tuple(count_at(ratio, channels, multiple) * features for ratio in asked.ratios)
    return IncompleteLayer(name, size // features, features, axis, asked.ratios, counts, multiple)


def _complete(net: nn.Module, seen: Seen, names: Iterable[str]) -> set[str]:
    """Return the layers that the caller wants complete."""
    found: set[str] = set()
    for name in names:
        inside = {each for each in seen.features if each == name or each.startswith(f"{name}.")}
        if not inside:
            raise _no_layer(net, "complete", name, seen)
        found |= inside
    return found


def _no_layer(net: nn.Module, where: str, name: object, seen: Seen) -> InputError:
    known = list(seen.features)
    close = get_close_matches(str(name), known, 4) or known[:4]
    return InputError(
        f"{type(net).__name__} has no convolution or linear layer of this name that runs.",
        where=f"{where} {name!r}",
        remedy=f"Near it are {', '.join(close)}." if close else "It has none at all.",
    )
