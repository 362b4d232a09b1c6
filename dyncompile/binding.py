"""Match example inputs and knobs with the parameters of ``forward``."""

from __future__ import annotations

__all__ = ["Example", "bind_inputs"]

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Knob
from dyncompile.modules import unwrapped

Example = Tensor | np.ndarray[Any, Any]

_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD


def bind_inputs(
    model: nn.Module,
    example_inputs: Sequence[Example] | Mapping[str, Example] | Example,
    knobs: Mapping[str, Knob],
) -> dict[str, Tensor]:
    """Return the inputs of ``forward`` by name, in its order, knobs at their defaults.

    Knobs in the ``knobs`` of the model may go through the ``**`` of ``forward``; they come last.

    Raises:
        InputError: an input is missing, unknown, or not a tensor of a type NumPy has, or
            ``forward`` does not name its inputs.
        KnobError: a knob is no parameter of ``forward``.
    """
    model = unwrapped(model)
    where = f"{type(model).__name__}.forward"
    parameters = _parameters(model)
    through = _through_keywords(model, parameters, knobs)
    unknown = [name for name in knobs if name not in parameters and name not in through]
    if unknown:
        raise KnobError(
            f"forward has no parameter of this name; it has {', '.join(parameters)}.",
            where=f"knob {unknown[0]!r}",
            remedy="Let forward take the knob as a tensor.",
        )
    order = [name for name in parameters if name not in knobs]
    count = 1 if isinstance(example_inputs, (Tensor, np.ndarray)) else len(example_inputs)
    starred = _takes(model, _VAR_POSITIONAL)
    unnamed = not parameters and (starred or _takes(model, _VAR_KEYWORD))
    if unnamed or (starred and count > len(order)):
        raise InputError(
            "it must name its inputs, and takes any number of them.",
            where=where,
            remedy="Give it one parameter per input, without * and **.",
        )
    given = _by_name(example_inputs, order, where)
    missing = [
        n for n in order if n not in given and parameters[n].default is inspect.Parameter.empty
    ]
    if missing:
        raise InputError(
            f"the input {missing[0]!r} is missing.",
            where=where,
            remedy="Give an example of it, or declare it a knob.",
        )
    extra = [name for name in given if name not in order]
    if extra and extra[0] in knobs:
        raise InputError(
            f"{extra[0]!r} is a knob, not an input: its default stands for it.",
            where=where,
            remedy="Give no example of it.",
        )
    if extra:
        raise InputError(
            f"forward has no input {extra[0]!r}; it has {', '.join(order)}.",
            where=where,
            remedy="Use the names of its parameters.",
        )
    values = {name: _tensor(name, value) for name, value in given.items()}
    values |= {name: torch.from_numpy(np.array(knob.array(name))) for name, knob in knobs.items()}
    return {name: values[name] for name in (*parameters, *through) if name in values}


def _parameters(model: nn.Module) -> dict[str, inspect.Parameter]:
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    parameters = inspect.signature(model.forward).parameters
    return {name: p for name, p in parameters.items() if p.kind in named}


def _through_keywords(
    model: nn.Module, parameters: Mapping[str, object], knobs: Mapping[str, Knob]
) -> list[str]:
    """Return the knobs that ``forward`` takes through ``**``, in the order of their declaration."""
    declared = getattr(model, "knobs", None)
    if not _takes(model, _VAR_KEYWORD) or not isinstance(declared, Mapping):
        return []
    return [name for name in declared if name in knobs and name not in parameters]


def _takes(model: nn.Module, kind: object) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    return any(parameter.kind is kind for parameter in parameters)


def _by_name(
    example_inputs: Sequence[Example] | Mapping[str, Example] | Example,
    order: Sequence[str],
    where: str,
) -> dict[str, Example]:
    if isinstance(example_inputs, Mapping):
        return dict(example_inputs)
    if isinstance(example_inputs, (Tensor, np.ndarray)):
        example_inputs = (example_inputs,)
    if len(example_inputs) > len(order):
        raise InputError(
            f"{len(example_inputs)} example inputs for {', '.join(order) or 'no inputs'}.",
            where=where,
            remedy="Give one per parameter of forward; knobs are filled in.",
        )
    return dict(zip(order, example_inputs, strict=False))


def _tensor(name: str, value: object) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        try:
            return torch.from_numpy(np.array(value))
        except TypeError:  # torch has no such type
            pass
    if isinstance(value, Tensor) and not _is_foreign_to_numpy(value):
        return value.detach()
    if isinstance(value, (Tensor, np.ndarray)):
        raise InputError(
            f"the example is {str(value.dtype).removeprefix('torch.')}, which"
            " NumPy, torch and ONNX Runtime do not all have.",
            where=f"input {name!r}",
            remedy="Take float32 or float16, and convert in forward.",
        )
    raise InputError(
        f"the example is {type(value).__name__}.",
        where=f"input {name!r}",
        remedy="Give a tensor or a numpy array; take containers apart in forward.",
    )


def _is_foreign_to_numpy(value: Tensor) -> bool:
    try:
        torch.empty(0, dtype=value.dtype).numpy()
    except TypeError:
        return True
    return value.is_complex()
