"""From an ordinary network to one that runs at several widths."""

from __future__ import annotations

__all__ = ["convert"]

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from dyncompile.errors import InputError, KnobError, one_line
from dyncompile.methods.idp.counts import IncompleteLayer, check_ratios
from dyncompile.methods.idp.layers import Asked, incomplete_layers
from dyncompile.methods.idp.looking import WeightedLayer, look
from dyncompile.methods.idp.network import IncompleteNet, default_knobs, knobs_of
from dyncompile.methods.idp.norms import with_level_norms
from dyncompile.methods.idp.profiles import Profile, coefficients
from dyncompile.methods.idp.ranged import PerRange
from dyncompile.methods.idp.ranging import check_ranges
from dyncompile.methods.idp.scaling import scale_weight
from dyncompile.modules import unwrapped

NORMS = ("shared", "switchable")


def convert(  # noqa: PLR0913 - every option by name
    net: nn.Module,
    *,
    ratios: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    profile: Profile = "all-one",
    example: Tensor,
    counts: Mapping[str, Sequence[int]] | None = None,
    complete: Iterable[str] | None = None,
    multiple: int = 1,
    ranges: Sequence[float] | None = None,
    norm: Literal["shared", "switchable"] = "shared",
    default: int = -1,
) -> IncompleteNet:
    """Make a network run at several widths, chosen per call.

    Every convolution and linear layer becomes incomplete: at a level it reads the first
    ``floor(ratio * channels)`` of its input channels, at least one. All layers still give all of
    their outputs; those that nothing reads are found by the compiler. Each batch normalisation
    gets mean and variance of each level, the same until ``recalibrate``.

    The network itself is left as it is: everything happens in a copy.

    Args:
        net: Takes one tensor, and its knobs if it has some.
        ratios: Of the levels, increasing, in (0, 1].
        profile: What the input channels of incomplete layers count for, see ``profiles.py``:
            a name, plateaus such as ``(1, 0.5, 0.25)``, or a function.
        example: What the network takes.
        counts: Input channels at each level, for single layers by name (input features of a
            linear layer).
        complete: Layers whose input is not cut, or modules that hold them, by name. The first
            layer, and all that read the input of the network, are complete besides, unless
            ``counts`` names them.
        multiple: Counts are rounded up to a multiple of it.
        ranges: For ``fit`` range by range (multiple profiles; all have the one given here): where
            each range of levels ends, ratios that are levels, the last one last.
        norm: ``switchable`` gives each level its own weight and bias of normalisation, as
            slimmable networks have them.
        default: Index of the level used when the caller names none.

    Raises:
        InputError: an option does not fit the network or the others, or the network fails on
            the example.
        KnobError: the default is not the index of a level.
    """
    coefficients(profile, 4)
    _check_net(net)
    _check_options(example, multiple, norm, default)
    asked = Asked(check_ratios(ratios), _named(counts), _names(complete), int(multiple))
    net = _copied(unwrapped(net))
    seen = look(net, example, default_knobs(net, example))
    layers = incomplete_layers(net, seen, asked)
    ends = _ends(ranges, asked)
    if ends:
        _repeat_ends(net, list(seen.features), ends)
    result = IncompleteNet(net, layers, asked.ratios, int(default), ends)
    with_level_norms(net, len(asked.ratios), switchable=norm == "switchable")
    _put_profile(net, layers, profile)
    result.training = net.training
    if ends:
        check_ranges(result, example)
    return result


def _copied(net: nn.Module) -> nn.Module:
    try:
        return deepcopy(net)
    except Exception as error:  # whatever the parts of a network raise
        is_unfinished = any(map(is_lazy, (*net.parameters(), *net.buffers())))
        raise InputError(
            f"it cannot be copied: {one_line(error)}.",
            where=type(net).__name__,
            remedy="Run it once on the example, so that its lazy parts know their sizes."
            if is_unfinished
            else "Convert it before it runs, or take out what Python does not copy.",
        ) from error


def _put_profile(net: nn.Module, layers: Sequence[IncompleteLayer], profile: Profile) -> None:
    for layer in layers:
        values = coefficients(profile, layer.channels)
        if (values == 1).all():
            continue
        each = torch.from_numpy(values).repeat_interleave(layer.features)
        module = net.get_submodule(layer.name)
        for one in module.copies if isinstance(module, PerRange) else [module]:
            scale_weight(one, each)


def _repeat_ends(net: nn.Module, names: Sequence[str], ends: Sequence[int]) -> None:
    """Give each range its own first and last layer."""
    starts = [0, *(end + 1 for end in ends)]
    ranges = [range(*pair) for pair in pairwise(starts)]
    for name in dict.fromkeys((names[0], names[-1])):
        parent, _, last = name.rpartition(".")
        setattr(net.get_submodule(parent), last, PerRange(net.get_submodule(name), ranges))


# --- checks -----------------------------------------------------------------------------------


def _check_net(net: object) -> None:
    if not isinstance(net, nn.Module):
        raise InputError(
            f"this is {type(net).__name__}, not a torch.nn.Module.",
            where="net",
            remedy="Pass the network itself.",
        )
    if isinstance(net, IncompleteNet | torch.jit.ScriptModule):
        known = (
            "runs at several widths already" if isinstance(net, IncompleteNet) else "is TorchScript"
        )
        raise InputError(
            f"it {known}.", where=type(net).__name__, remedy="Pass the network it was made from."
        )
    for name, part in net.named_modules():
        if isinstance(part, WeightedLayer) and not _has_weight(part):
            raise InputError(
                "a hook makes its weight anew in each call, as weight_norm and pruning do.",
                where=f"layer {name!r}",
                remedy="Use torch.nn.utils.parametrizations, or make the weight permanent.",
            )
    if "level" in knobs_of(net):
        raise InputError(
            "it has a knob of the name 'level' already.",
            where=type(net).__name__,
            remedy="Give that one another name.",
        )


def _has_weight(layer: nn.Module) -> bool:
    own = {*dict(layer.named_parameters(recurse=False)), *dict(layer.named_buffers(recurse=False))}
    return "weight" in own or parametrize.is_parametrized(layer, "weight")


def _check_options(example: object, multiple: object, norm: str, default: object) -> None:
    if not isinstance(example, Tensor) or not example.ndim or not len(example):
        raise InputError(
            "it is not one tensor with the batch first.",
            where="example",
            remedy="Give a tensor such as torch.zeros(1, 3, 32, 32).",
        )
    if norm not in NORMS:
        raise InputError(
            f"there is no norm of this name; there are {', '.join(NORMS)}.",
            where=f"norm {norm!r}",
            remedy="Name one of these.",
        )
    if not isinstance(default, Integral):
        raise KnobError(
            f"{default!r} is no index of a level.",
            where="default",
            remedy="Give a whole number, such as 0 for the first.",
        )
    if isinstance(multiple, bool) or not isinstance(multiple, Integral) or multiple < 1:
        raise InputError(
            f"{multiple!r} is nothing to round up to.",
            where="multiple",
            remedy="Give 1, or what kernels like, such as 8 or 16.",
        )


def _named(counts: Mapping[str, Sequence[int]] | None) -> Mapping[str, Sequence[int]]:
    if counts is None or isinstance(counts, Mapping):
        return counts or {}
    raise InputError(
        f"this is {type(counts).__name__}, not a dict of counts by layer.",
        where="counts",
        remedy='Write it as {"blocks.0.conv": (8, 16, 24, 32)}.',
    )


def _names(complete: Iterable[str] | None) -> Iterable[str]:
    if isinstance(complete, str):
        return (complete,)
    if complete is None or isinstance(complete, Iterable):
        return complete or ()
    raise InputError(
        f"this is {type(complete).__name__}, not the names of layers.",
        where="complete",
        remedy='Write it as ("classifier", "blocks.0").',
    )


def _ends(ranges: Sequence[float] | None, asked: Asked) -> list[int] | None:
    """Return the last level of each range."""
    if ranges is None:
        return None
    if asked.counts:
        raise InputError(
            "a range is the same share of the channels everywhere, and counts are given.",
            where="ranges",
            remedy="Leave out one of them.",
        )
    ratios = asked.ratios
    try:
        ends = [ratios.index(float(end)) for end in ranges]
    except (TypeError, ValueError):
        ends = []
    if not ends or ends != sorted(set(ends)) or ends[-1] != len(ratios) - 1:
        raise InputError(
            f"{ranges!r} are not the ends of ranges of levels.",
            where="ranges",
            remedy=f"Give some of {', '.join(f'{r:g}' for r in ratios)}, increasing, the last"
            " among them.",
        )
    return ends
