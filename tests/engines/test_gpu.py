from __future__ import annotations

import ctypes
from typing import Any

import pytest

from dyncompile.engines.gpu import chip_here


class Driver:
    """Answers as a driver does; ``fails`` is the call that does not succeed."""

    def __init__(self, fails: str = "") -> None:
        self._fails = fails

    def _code(self, call: str) -> int:
        return 100 if call == self._fails else 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - the driver's names
        return self._code("init")

    def cuDeviceGet(self, _device: Any, _ordinal: int) -> int:  # noqa: ANN401, N802
        return self._code("device")

    def cuDeviceGetAttribute(self, answer: Any, attribute: int, _device: Any) -> int:  # noqa: ANN401, N802
        answer._obj.value = {75: 8, 76: 9}[attribute]  # noqa: SLF001 - what byref refers to
        return self._code("attribute")


def test_the_chip_is_asked_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Driver())
    assert chip_here() == "sm89"


@pytest.mark.parametrize("fails", ["init", "device", "attribute"])
def test_a_driver_that_does_not_answer_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Driver(fails))
    assert chip_here() is None


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert chip_here() is None
