from __future__ import annotations

import dataclasses

import pytest

from dyncompile.measuring.findings import DEAREST, Findings, SetupFound
from dyncompile.reporting.summary import headline, summary
from dyncompile.reporting.view import View
from dyncompile.timing import Spread
from tests.reporting import examples


def told(findings: Findings) -> str:
    return " ".join(summary(View(findings))).replace("\N{NO-BREAK SPACE}", " ")


def changed(findings: Findings, **fields: object) -> Findings:
    """Return the findings with fields of the main setup replaced."""
    main, *others = findings.setups
    setup: SetupFound = dataclasses.replace(main, **fields)  # type: ignore[arg-type]
    return dataclasses.replace(findings, setups=(setup, *others))


@pytest.fixture(name="exact")
def exact_findings() -> Findings:
    """Return two settings and one path, in round figures."""
    small = examples.small()
    main = small.setups[0]
    default = dataclasses.replace(
        next(point for point in main.points if point.is_default),
        mean_us=412.0,
        p95_us=1230.0,
        samples=500,
        right=481,
    )
    slow = dataclasses.replace(main.points[-1], mean_us=800.0, samples=500, right=490)
    path = dataclasses.replace(
        max(main.paths, key=lambda path: path.macs),
        us={"artifact": Spread(840, 830, 850), "static": Spread(800, 790, 810)},
        ratios={"static": Spread(1.05, 1.04, 1.06)},
    )
    return changed(
        small,
        points=(default, slow),
        paths=(path,),
        others={DEAREST: examples.other(800.0), "dense": examples.other(824.0)},
    )


def test_the_summary_says_what_was_found(exact: Findings) -> None:
    assert told(exact) == (
        "At its default knobs the network needs 412 µs a call on average (1.23 ms or less in 95 of"
        " 100 calls), 0.52 of the time of a static network that always runs its dearest path, and"
        " is right on 96.2 % of 500 samples."
        " Over 2 settings of the knobs it goes from 412 µs and 96.2 % right (threshold=0.7"
        " (default)) to 800 µs and 98.0 % right (threshold=1)."
        " With its decisions forced along 1 path (all there are) it takes 1.05 times as long as"
        " static networks that can do only the one path."
        " On the same samples, dense takes 824 µs (2.00 times as long)."
    )


def test_the_headline_is_figures_of_the_summary(exact: Findings) -> None:
    figures = [figure.replace("\N{NO-BREAK SPACE}", " ") for figure, _ in headline(View(exact))]
    assert figures == ["412 µs", "0.52", "96.2 %", "1.05"]


def test_the_headline_says_no_more_than_was_run(exact: Findings) -> None:
    words = " ".join(said for _, said in headline(View(exact)))
    assert "default knobs" in words
    assert "its dearest path" in words
    points = tuple(dataclasses.replace(one, point={}) for one in exact.setups[0].points)
    part = dataclasses.replace(changed(exact, points=points), complete=False)
    words = " ".join(said for _, said in headline(View(part)))
    assert "knobs" not in words
    assert "the dearest of the forced paths" in words


def test_without_labels_nothing_is_said_of_right_or_wrong(exact: Findings) -> None:
    points = tuple(dataclasses.replace(point, right=None) for point in exact.setups[0].points)
    text = told(changed(exact, points=points))
    assert "right" not in text
    assert "dearest path, over 500 samples." in text


def test_without_static_networks_nothing_is_said_of_them(exact: Findings) -> None:
    text = told(changed(exact, paths=(), others={}))
    assert "static" not in text
    assert "needs 412 µs a call" in text


def test_a_sample_of_paths_is_called_one(exact: Findings) -> None:
    text = told(dataclasses.replace(exact, complete=False))
    assert "the dearest of the forced paths" in text
    assert "1 path (not all there are)" in text


def test_noise_is_called_noise(exact: Findings) -> None:
    assert "drawn noise" in told(dataclasses.replace(exact, data=None))
    assert "drawn noise" not in told(exact)


def test_nothing_is_said_of_noise_where_knobs_alone_decide(exact: Findings) -> None:
    text = told(dataclasses.replace(exact, data=None, by_data=False))
    assert "noise" not in text
    assert "no decisions" not in text


def test_a_network_without_decisions_is_called_one() -> None:
    assert "It takes no decisions" in told(examples.without_decisions())


def test_nothing_measured_is_nothing_said(exact: Findings) -> None:
    assert told(dataclasses.replace(exact, setups=())) == ""
    assert headline(View(dataclasses.replace(exact, setups=()))) == ()
