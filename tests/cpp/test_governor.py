"""The same times give the same picks, in Python and in C++."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings

from dyncompile.errors import DyncompileError
from tests.cpp.governed_networks import Script, scripts
from tests.cpp.governor_playing import play, request_of
from tests.cpp.probing import Probe

EXAMPLES = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def in_python(script: Script) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing fits
        try:
            return {"ok": play(script)}
        except DyncompileError as error:
            return {"error": (type(error).__name__, error.where, error.problem)}


def in_cpp(probe: Probe, script: Script) -> dict[str, Any]:
    answer = probe("governor", **request_of(script))
    if "error" in answer:
        error = answer["error"]
        return {"error": (error["kind"], error["where"], error["problem"])}
    return answer


def test_the_same_times_give_the_same_picks(probe: Probe) -> None:
    seen: Counter[str] = Counter()

    @EXAMPLES
    @given(scripts())
    def check(script: Script) -> None:
        expected, found = in_python(script), in_cpp(probe, script)
        assert found == expected
        count(expected, seen)

    check()
    assert min(seen[what] for what in WANTED) > 0, seen


WANTED = ("refused", "not measured", "loaded", "stepped", "fits", "knob refused", "missed")


def count(played: dict[str, Any], seen: Counter[str]) -> None:
    """Note what a script came to, so that a drawing that comes to nothing is found."""
    if "error" in played:
        seen["refused"] += 1
        return
    picks = [pick for pick in played["ok"]["picks"] if "fed" in pick]
    seen["knob refused"] += any("problem" in pick for pick in played["ok"]["picks"])
    seen["not measured"] += any(pick["expected_ms"] is None for pick in picks)
    seen["loaded"] += any(pick["load"] > 1 for pick in picks)
    seen["stepped"] += len({str(pick["point"]) for pick in picks}) > 1
    seen["fits"] += any(pick["fits"] for pick in picks)
    seen["missed"] += any(pick["expected_ms"] and not pick["fits"] for pick in picks)
