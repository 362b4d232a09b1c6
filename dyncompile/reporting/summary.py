"""The report in a few sentences, and in a few figures."""

from __future__ import annotations

__all__ = ["headline", "summary"]

import statistics
from collections.abc import Iterator

from dyncompile.measuring.findings import SCORED, STATIC, PointFound
from dyncompile.reporting.view import View
from dyncompile.reporting.wording import clean, count, duration, listed, percent, shortened, times

LONGEST_NAME = 48
_RIVALS = {
    STATIC: "static networks that can do only the one path",
    SCORED: "ones that also compute the scores behind its decisions",
}


def headline(view: View) -> tuple[tuple[str, str], ...]:
    """Return the figures to see first, each with what it is."""
    return tuple(_headline(view))


def _headline(view: View) -> Iterator[tuple[str, str]]:
    point = view.default
    if point is not None:
        knobs = ", default knobs" if point.point else ""
        yield duration(point.mean_us), f"mean time a call{knobs}"
        if view.static_us:
            words = f"of the static network of {_dearest(view)}"
            yield times(point.mean_us / view.static_us), words
        if point.right is not None:
            right = percent(point.right / max(point.samples, 1))
            yield right, f"of {count(point.samples, 'sample')} right"
    if ratios := _ratios(view, STATIC):
        yield times(statistics.median(ratios)), "of static networks, path for path (median)"


def summary(view: View) -> tuple[str, ...]:
    """Return what was found, in sentences; only what the findings hold."""
    return tuple(map(clean, _sentences(view)))


def _sentences(view: View) -> Iterator[str]:
    if view.default is not None:
        yield _at_default(view, view.default)
    if len(view.points) > 1:
        yield _over_knobs(view)
    rivals = [
        _beside(ratios, words)
        for label, words in _RIVALS.items()
        if (ratios := _ratios(view, label))
    ]
    if rivals:
        which = "all there are" if view.findings.complete else "not all there are"
        forced = f"With its decisions forced along {count(len(view.paths), 'path')} ({which})"
        yield f"{forced} it takes {listed(rivals)}."
    if view.others and view.default:
        mean = view.default.mean_us
        others = [
            f"{shortened(name, LONGEST_NAME)} takes {duration(other.mean_us)}"
            f" ({times(other.mean_us / mean)} times as long)"
            for name, other in view.others.items()
        ]
        yield f"On the same samples, {listed(others)}."
    if not view.findings.decisions:
        yield "It takes no decisions, so every call does the same work."
    elif view.findings.by_data and view.findings.data is None and view.points:
        yield (
            "The samples are drawn noise: which way the decisions go on real data, and so the"
            " mean time there, is not known from them."
        )


def _at_default(view: View, point: PointFound) -> str:
    knobs = "At its default knobs" if point.point else "Free running"
    often = f"{duration(point.p95_us)} or less in 95 of 100 calls"
    parts = [f"{knobs} the network needs {duration(point.mean_us)} a call on average ({often})"]
    if view.static_us:
        parts.append(
            f"{times(point.mean_us / view.static_us)} of the time of a static network that"
            f" always runs {_dearest(view)}"
        )
    text = ", ".join(parts)
    if point.right is None:
        return f"{text}, over {count(point.samples, 'sample')}."
    right = percent(point.right / max(point.samples, 1))
    return f"{text}, and is right on {right} of {count(point.samples, 'sample')}."


def _over_knobs(view: View) -> str:
    ordered = sorted(view.points, key=lambda point: point.mean_us)
    ends = [
        f"{duration(point.mean_us)}"
        + (
            f" and {percent(point.right / max(point.samples, 1))} right"
            if point.right is not None
            else ""
        )
        + f" ({view.point_name(point)})"
        for point in (ordered[0], ordered[-1])
    ]
    return f"Over {count(len(ordered), 'setting')} of the knobs it goes from {' to '.join(ends)}."


def _ratios(view: View, label: str) -> list[float]:
    return [found.ratios[label].median for found in view.paths if label in found.ratios]


def _beside(ratios: list[float], words: str) -> str:
    low, high = times(min(ratios)), times(max(ratios))
    if low == high:
        return f"{low} times as long as {words}"
    return f"{low} to {high} times as long as {words} (median {times(statistics.median(ratios))})"


def _dearest(view: View) -> str:
    return "its dearest path" if view.findings.complete else "the dearest of the forced paths"
