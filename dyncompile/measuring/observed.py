"""Values of a threshold without a range, from the scores that samples have."""

from __future__ import annotations

__all__ = ["observed_values"]

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.manifest import Manifest
from dyncompile.margins import fetch_scores
from dyncompile.measuring.findings import Setup
from dyncompile.measuring.sessions import Feeds, content_of, open_network

_COMPARISONS = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_VIEWS = {"Cast", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}
_MOST_SAMPLES = 64
_SHARES = np.linspace(0.1, 0.9, 7)
_LABEL = "the artifact with its scores"
_CPU = Setup(1, ("CPUExecutionProvider",))


def observed_values(
    model: ir.Model, manifest: Manifest, samples: Sequence[Feeds], knobs: Collection[str]
) -> dict[str, list[float]]:
    """Return values between the scores that decisions compare with each threshold.

    The artifact runs on up to 64 samples, with these thresholds at their defaults and at both
    infinities, so that it comes to late decisions too. Of all different scores seen, seven
    quantiles from 10 % to 90 % are taken, rounded to three digits.

    Args:
        model: A lowered graph; left as it is.
        manifest: What goes with it.
        samples: Inputs by name, without the knobs.
        knobs: The thresholds asked for; one that no decision compares with a score as it is
            has no entry in the result.
    """
    if not knobs:
        return {}
    copy = model.clone()
    found = [fetch_scores(copy, decision) for decision in manifest.decisions]
    places = [
        (knob, scores.outputs[value][0])
        for scores in found
        for node in scores.nodes
        for knob, value in _compared(node, knobs)
        if value in scores.outputs
    ]
    if not places:
        return {}
    with ExitStack() as stack:
        session = open_network(content_of(copy, _LABEL, stack), _CPU, _LABEL)
    seen: dict[str, list[NDArray[Any]]] = {}
    for feeds in _feeds(manifest, samples, knobs):
        outputs = session.run(feeds)
        for knob, output in places:
            seen.setdefault(knob, []).append(outputs[output].ravel())
    return {
        knob: values
        for knob, arrays in seen.items()
        if (values := _quantiles(np.concatenate(arrays), manifest.knobs[knob]))
    }


def _compared(node: ir.Node, knobs: Collection[str]) -> Iterator[tuple[str, ir.Value]]:
    """Yield the knob that a comparison reads, and what it is compared with."""
    if node.op_type not in _COMPARISONS:
        return
    one, other = node.inputs
    for bound, score in ((one, other), (other, one)):
        while bound is not None and (producer := bound.producer()) is not None:
            is_view = producer.op_type in _VIEWS and not producer.domain
            bound = producer.inputs[0] if is_view else None  # noqa: PLW2901 - walked back
        if bound is not None and bound.name in knobs and score is not None:
            yield str(bound.name), score


def _feeds(
    manifest: Manifest, samples: Sequence[Feeds], knobs: Collection[str]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    for sample in samples[:_MOST_SAMPLES]:
        for value in (None, -math.inf, math.inf):
            given = {
                name: knob.array(name, value if name in knobs else None)
                for name, knob in manifest.knobs.items()
            }
            yield {**sample, **given}


def _quantiles(scores: NDArray[Any], knob: object) -> list[float]:
    finite = np.unique(scores[np.isfinite(scores)].astype(np.float64))
    if not finite.size:
        return []
    low, high = getattr(knob, "low", -math.inf), getattr(knob, "high", math.inf)
    values = (float(f"{value:.3g}") for value in np.quantile(finite, _SHARES))
    return [value for value in dict.fromkeys(values) if low <= value <= high]
