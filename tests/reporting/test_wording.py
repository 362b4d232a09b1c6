from __future__ import annotations

import math

import pytest

from dyncompile.measuring.findings import Setup
from dyncompile.reporting import wording


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("us", "text"),
    [
        pytest.param(0.0, "0.000 µs", id="nothing"),
        pytest.param(41.26, "41.3 µs", id="microseconds"),
        pytest.param(999.4, "999 µs", id="nearly-a-millisecond"),
        pytest.param(999.6, "1.00 ms", id="rounded-to-a-millisecond"),
        pytest.param(41_260.0, "41.3 ms", id="milliseconds"),
        pytest.param(4_126_000.0, "4 126 ms", id="seconds"),
    ],
)
def test_durations_have_three_digits(us: float, text: str) -> None:
    assert plain(wording.duration(us)) == text


@pytest.mark.parametrize(
    ("macs", "text"),
    [
        pytest.param(0, "0", id="none"),
        pytest.param(999, "999", id="hundreds"),
        pytest.param(12_340, "12.3 k", id="thousands"),
        pytest.param(2_400_000, "2.40 M", id="millions"),
        pytest.param(999_700_000, "1.00 G", id="rounded-up"),
        pytest.param(3e15, "3 000 T", id="very-many"),
    ],
)
def test_amounts_have_three_digits(macs: float, text: str) -> None:
    assert plain(wording.amount(macs)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        pytest.param(0.9614, "96.1 %", id="share"),
        pytest.param(1.0, "100.0 %", id="all"),
        pytest.param(math.nan, "-", id="no-sample"),
    ],
)
def test_shares_are_in_percent(share: float, text: str) -> None:
    assert plain(wording.percent(share)) == text


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        pytest.param("stem", 4, "stem", id="fits"),
        pytest.param("stage1.block2", 7, "sta…ck2", id="middle-left-out"),
        pytest.param("stage1", 1, "…", id="no-room"),
    ],
)
def test_long_names_lose_their_middle(text: str, most: int, short: str) -> None:
    assert wording.shortened(text, most) == short
    assert len(short) <= most


@pytest.mark.parametrize(
    ("size", "noun", "text"),
    [
        pytest.param(1, "path", "1 path", id="one"),
        pytest.param(2, "path", "2 paths", id="several"),
    ],
)
def test_nouns_are_counted(size: int, noun: str, text: str) -> None:
    assert plain(wording.count(size, noun)) == text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a"], "a", id="one"),
        pytest.param(["a", "b"], "a and b", id="two"),
        pytest.param(["a", "b", "c"], "a, b and c", id="three"),
    ],
)
def test_words_are_listed(words: list[str], text: str) -> None:
    assert wording.listed(words) == text


def test_settings_of_knobs_are_short() -> None:
    point: dict[str, float | tuple[float, ...]] = {
        "threshold": 0.5,
        "level": 1,
        "scores": (0.25, 0.25),
        "mixed": (0.5, math.inf),
    }
    assert wording.spell_point(point) == ("threshold=0.5, level=1, scores=0.25, mixed=(0.5, inf)")
    assert wording.spell_point({}) == "no knobs"


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        pytest.param(Setup(1, ("CPUExecutionProvider",)), "1 thread, CPU", id="one-thread"),
        pytest.param(
            Setup(None, ("CUDAExecutionProvider", "CPUExecutionProvider")),
            "threads as it likes, CUDA then CPU",
            id="two-providers",
        ),
    ],
)
def test_setups_are_named(setup: Setup, text: str) -> None:
    assert plain(wording.spell_setup(setup)) == text
