from __future__ import annotations

import io

import pytest

from dyncompile.engines.messages import Messages, last_words, readable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "IBuilder::build: Error Code 4: API Usage Error (No profile. In validate at "
            "/_src/optimizer/api/network.cpp:4023)",
            "IBuilder::build: Error Code 4: API Usage Error (No profile.)",
            id="a place in the sources",
        ),
        pytest.param("ModelImporter.cpp:1071: Odd input.", "Odd input", id="a file in front"),
        pytest.param("a\n  b\n\tc", "a b c", id="lines"),
        pytest.param("refused\nCuda Runtime (cudaError 35: no driver)", "refused", id="no gpu"),
        pytest.param("x" * 999, "x" * 300, id="long"),
    ],
)
def test_a_message_is_made_readable(text: str, expected: str) -> None:
    assert readable(text) == expected


def test_harmless_warnings_are_dropped_and_others_told_once() -> None:
    messages = Messages()
    for text in ("Make sure input k has Int64 binding.", "odd", "odd", "Unused Input: t"):
        messages.warn(text)
    assert messages.warnings == ("odd",)


@pytest.mark.parametrize("serious", [False, True], ids=["as a warning", "as an error"])
def test_a_warning_of_a_wrong_graph_is_found(serious: bool) -> None:
    messages = Messages()
    assert messages.wrong_graph is None
    (messages.fail if serious else messages.warn)("uint8 zero point. Defaulting to INT8 instead.")
    assert messages.wrong_graph == "uint8 zero point. Defaulting to INT8 instead"


def test_ranges_that_do_not_fit_are_told_from_a_wrong_graph() -> None:
    messages = Messages()
    messages.fail("Profile kMIN values are not self-consistent.")
    assert messages.wrong_graph is None
    assert messages.wrong_ranges == "Profile kMIN values are not self-consistent"


def test_the_reason_is_the_last_error_that_is_not_the_missing_gpu() -> None:
    messages = Messages()
    assert messages.why() == "it gave no reason"
    messages.fail("first")
    messages.fail("second")
    messages.fail("catchCudaError (cudaError 35)")
    assert messages.why() == "second"
    assert not messages.out_of_memory
    messages.fail("Requested 8 bytes: Out of Memory")
    assert messages.out_of_memory


def test_what_is_said_is_echoed_as_it_comes() -> None:
    echo = io.StringIO()
    messages = Messages(echo)
    messages.warn("one\ntwo")
    messages.warn("Unused Input: t")
    messages.fail("three")
    assert echo.getvalue() == "one two\nthree\n"


def test_the_last_words_are_the_last_lines() -> None:
    assert last_words([]) == "none"
    assert last_words(["a\n", "b\n", "\n", "c\n", "d\n"]) == "b / c / d"
