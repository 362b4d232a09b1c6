"""From a trained backbone to a network with decision gates."""

from __future__ import annotations

__all__ = ["convert"]

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from torch import Tensor, nn

from dyncompile.errors import InputError, one_line
from dyncompile.methods.dgate.features import Taps, exit_macs, macs_until, pooled
from dyncompile.methods.dgate.gates import DecisionGates
from dyncompile.methods.dgate.scores import score_from_name
from dyncompile.modules import running_example, unwrapped

_FEATURES = "[N, C, H, W] or [N, C]"


def convert(
    backbone: nn.Module,
    after: Sequence[str],
    *,
    example: Tensor,
    pool: int = 1,
    score: str = "margin",
) -> DecisionGates:
    """Attach decision gates to a trained network.

    A gate is a linear classifier on the output of a named module; a 4-D output is averaged over
    the image first. The backbone is used as it is, and not changed. The gates are untrained:
    go on with ``fit``, then ``calibrate``.

    Args:
        backbone: Takes a tensor ``T[N, ...]``, returns scores of classes, ``float[N, classes]``.
        after: Names of the modules, as ``named_modules`` has them, in any order. Each runs once
            and returns ``float[N, C, H, W]`` or ``float[N, C]``.
        example: What the backbone takes.
        pool: Side of the grid that features ``[N, C, H, W]`` are averaged to; 1 averages over
            the whole image.
        score: What the gates decide by: ``margin``, ``distance``, ``softmax``, ``entropy`` or
            ``patience``.

    Raises:
        InputError: a module is missing, does not run once, returns other features, or has no
            work behind it; or the backbone takes or returns something else.
    """
    if not isinstance(backbone, nn.Module):
        raise InputError(
            f"this is {type(backbone).__name__}, not a torch.nn.Module.",
            where="backbone",
            remedy="Pass the trained network itself.",
        )
    score_from_name(score)
    if not isinstance(pool, int) or pool < 1:
        raise InputError(
            f"{pool!r} is not the side of a grid.",
            where="pool",
            remedy="Give 1, or 2 and more for a finer one.",
        )
    backbone = unwrapped(backbone)
    names = [after] if isinstance(after, str) else list(after)
    _check_names(backbone, names)
    _check_example(backbone, example)
    seen = _run(backbone, names, example)
    classes = _classes(seen.output, len(example))
    for name in names:
        _check_runs_once(name, seen.runs.get(name, 0))
        _check_features(name, seen.values[name], len(example), pool)
    order = [name for name in seen.runs if name in names]
    *until, total = macs_until(backbone, order, example)
    for name, macs in zip(order, until, strict=True):
        _check_something_behind(name, macs, total)
    gates = [_gate(seen.values[name], pool, classes) for name in order]
    net = DecisionGates(backbone, order, gates, score, pool)
    net.training = backbone.training  # and leave the parts of the backbone as they are
    first, *_, dense = exit_macs(net, example)
    net.set_levels(net.table, (first / dense, 1.0))
    return net


@dataclass
class _Seen:
    output: object = None
    runs: dict[str, int] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)


def _gate(features: object, pool: int, classes: int) -> nn.Linear:
    assert isinstance(features, Tensor)
    width = pooled(features, pool).shape[1]
    return nn.Linear(width, classes, device=features.device, dtype=features.dtype)


def _run(backbone: nn.Module, names: Sequence[str], example: Tensor) -> _Seen:
    seen = _Seen()
    with running_example(backbone), Taps(backbone, names, _kept) as taps:
        seen.output = backbone(example)
    for name, value in taps.seen:
        seen.runs[name] = seen.runs.get(name, 0) + 1
        seen.values[name] = value
    return seen


def _kept(output: object) -> object:
    """Keep a tensor as it is now; what comes later may write over it."""
    return output.clone() if isinstance(output, Tensor) else output


# --- checks -----------------------------------------------------------------------------------


def _check_names(backbone: nn.Module, names: Sequence[str]) -> None:
    modules = dict(backbone.named_modules(remove_duplicate=False))
    if not names:
        raise InputError(
            "it names no module, so there would be no gate.",
            where="after",
            remedy=f"Name modules of {type(backbone).__name__}, as named_modules has them.",
        )
    taken: dict[int, str] = {}
    for name in names:
        if name not in modules:
            raise _unknown(backbone, name, list(modules))
        if not name:
            raise _nothing_behind(name)
        first = taken.setdefault(id(modules[name]), name)
        if first != name or names.count(name) > 1:
            raise InputError(
                "it is named twice." if first == name else f"it is the same module as {first!r}.",
                where=f"after {name!r}",
                remedy="Name it once.",
            )


def _unknown(backbone: nn.Module, name: object, known: Sequence[str]) -> InputError:
    children = [child for child, _ in backbone.named_children()]
    close = get_close_matches(str(name), known, 4) or children[:6]
    return InputError(
        f"{type(backbone).__name__} has no module of this name.",
        where=f"after {name!r}",
        remedy=f"Near it are {', '.join(close)}; print(backbone) shows all."
        if close
        else "It has no modules inside.",
    )


def _check_example(backbone: nn.Module, example: object) -> None:
    if not isinstance(example, Tensor) or not example.ndim or not len(example):
        kind = _spell(example)
        raise InputError(
            f"it is {kind}, and a backbone takes one tensor with the batch first.",
            where="example",
            remedy="Give a tensor such as torch.zeros(1, 3, 32, 32).",
        )
    try:
        inspect.signature(backbone.forward).bind(example)
    except TypeError as error:
        raise InputError(
            f"its forward takes something else than one tensor: {one_line(error)}.",
            where=type(backbone).__name__,
            remedy="Wrap it in a module whose forward takes the images alone.",
        ) from error
    except ValueError:  # some compiled modules have no signature
        return


def _classes(output: object, batch: int) -> int:
    if (
        not isinstance(output, Tensor)
        or not output.is_floating_point()
        or output.ndim != 2
        or output.shape[0] != batch
    ):
        raise InputError(
            f"it returns {_spell(output)}, and gates need float[{batch}, classes].",
            where="backbone",
            remedy="Wrap it in a module that returns the scores of its classes alone.",
        )
    if output.shape[1] < 2:
        raise InputError(
            f"it returns {_spell(output)}: {output.shape[1]} class.",
            where="backbone",
            remedy="Give a classifier with a score for each of two classes or more.",
        )
    return output.shape[1]


def _check_runs_once(name: str, runs: int) -> None:
    if runs == 0:
        raise InputError(
            "it does not run when the backbone is called on the example.",
            where=f"after {name!r}",
            remedy="Name a module that is called; a ModuleList is not, its elements are.",
        )
    if runs > 1:
        raise InputError(
            f"it runs {runs} times, so it is not one place in the network.",
            where=f"after {name!r}",
            remedy="Name the module around it, or write that place with a module of its own.",
        )


def _check_features(name: str, features: object, batch: int, pool: int) -> None:
    where = f"after {name!r}"
    if not isinstance(features, Tensor):
        raise InputError(
            f"it returns {_spell(features)}, not one tensor.",
            where=where,
            remedy=f"Name a module that returns {_FEATURES}, inside or behind it.",
        )
    if not features.is_floating_point():
        raise InputError(
            f"it returns {_spell(features)}, which are no features.",
            where=where,
            remedy=f"Name a module that returns floats {_FEATURES}.",
        )
    if features.ndim not in {2, 4} or features.shape[0] != batch:
        raise InputError(
            f"it returns {_spell(features)}, which is neither pooled nor flat, with a batch of"
            f" {batch}.",
            where=where,
            remedy=f"Name a module that returns {_FEATURES}; tokens have to be averaged by one.",
        )
    sides = features.shape[2:]
    if any(side % pool for side in sides):
        raise InputError(
            f"it returns {_spell(features)}, which no grid of {pool}x{pool} divides.",
            where=where,
            remedy="Give pool=1, or a divisor of both sides.",
        )


def _check_something_behind(name: str, macs: int, total: int) -> None:
    if macs == total:
        raise _nothing_behind(name)


def _nothing_behind(name: str) -> InputError:
    return InputError(
        "no convolution or product runs behind it, so a gate there saves nothing.",
        where=f"after {name!r}",
        remedy="Name a module in the middle of the network.",
    )


def _spell(value: object) -> str:
    """Say what a module returned: its type, and the shape of a tensor."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} of {', '.join(map(str, value))}"
    return "None" if value is None else f"a {type(value).__name__}"
