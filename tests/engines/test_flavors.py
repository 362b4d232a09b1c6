from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dyncompile.engines import flavors
from dyncompile.engines.flavors import Asked, choose_flavor, load_builder
from dyncompile.errors import TargetError
from tests.engines.stand_in import load

FULL, RTX = "tensorrt_11_4", "tensorrt_rtx_1_7"


def install(monkeypatch: pytest.MonkeyPatch, *versions: str, gpu: str | None = None) -> None:
    """Pretend that these packages are installed, and no others, and that this GPU is here."""
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    for version in versions:
        package = load(version)
        monkeypatch.setitem(sys.modules, package.__name__, package)
    found = {load(version).__name__ for version in versions}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in found or None)
    monkeypatch.setattr(flavors, "chip_here", lambda: gpu)


@pytest.mark.parametrize(
    ("installed", "gpu", "chips", "flavor", "chosen", "why"),
    [
        pytest.param(
            [FULL, RTX], "sm86", (), "tensorrt", ("sm86",), "the GPU that is here is sm86", id="gpu"
        ),
        pytest.param(
            [FULL, RTX], "sm86", ("SM86",), "tensorrt", ("sm86",), "that is here", id="its chip"
        ),
        pytest.param(
            [FULL, RTX], "sm86", ("sm80+",), "tensorrt", ("sm80+",), "that is here", id="any chip"
        ),
        pytest.param(
            [FULL, RTX],
            "sm86",
            ("sm86", "sm120"),
            "tensorrt-rtx",
            ("sm86", "sm120"),
            "sm86, sm120 is asked for and the GPU that is here is sm86",
            id="another chip",
        ),
        pytest.param(
            [FULL, RTX], None, (), "tensorrt-rtx", ("sm80+",), "there is no GPU here", id="no gpu"
        ),
        pytest.param([RTX], "sm86", (), "tensorrt-rtx", ("sm80+",), "only one", id="only rtx"),
        pytest.param([FULL], "sm90", (), "tensorrt", ("sm90",), "sm90", id="only tensorrt"),
    ],
)
def test_the_builder_that_can_build_here_is_chosen(  # noqa: PLR0913, PLR0917
    monkeypatch: pytest.MonkeyPatch,
    installed: list[str],
    gpu: str | None,
    chips: tuple[str, ...],
    flavor: str,
    chosen: tuple[str, ...],
    why: str,
) -> None:
    install(monkeypatch, *installed, gpu=gpu)
    choice = choose_flavor("auto", chips)
    assert (choice.flavor, choice.chips) == (flavor, chosen)
    assert why in choice.why
    assert choice.version in choice.why


@pytest.mark.parametrize(
    ("installed", "gpu", "asked", "chips", "said"),
    [
        pytest.param([], None, "auto", (), "neither .* pip install", id="none"),
        pytest.param([RTX], "sm86", "tensorrt", (), "TensorRT is not installed", id="not that"),
        pytest.param([FULL], None, "tensorrt-rtx", (), "RTX is not installed", id="not rtx"),
        pytest.param([FULL], None, "auto", (), "there is none here", id="no gpu"),
        pytest.param([FULL, RTX], None, "tensorrt", (), "there is none here", id="asked, no gpu"),
        pytest.param(
            [FULL], "sm90", "auto", ("sm89",), "'sm89': .* here, sm90", id="not the chip here"
        ),
        pytest.param(
            [RTX],
            None,
            "auto",
            ("sm89", "sm13"),
            r"'sm13': .* knows sm80\+, sm120, sm121, sm75, sm80, sm86, sm89",
            id="unknown chip",
        ),
        pytest.param([RTX], None, "auto", ("current",), "'current'", id="no name of a chip"),
        pytest.param([RTX], None, "auto", ("sm80+", "sm89"), "stands alone", id="two kinds"),
    ],
)
def test_what_cannot_be_built_here_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    installed: list[str],
    gpu: str | None,
    asked: Asked,
    chips: tuple[str, ...],
    said: str,
) -> None:
    install(monkeypatch, *installed, gpu=gpu)
    with pytest.raises(TargetError, match=said):
        choose_flavor(asked, chips)


def test_a_version_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FULL, gpu="sm86")
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "9.3.0.post12")
    with pytest.raises(TargetError, match=r"TensorRT 9\.3\.0\.post12 is installed; 10\.0 or newer"):
        choose_flavor("auto")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param(
            "raise ImportError('libnvinfer.so.11: cannot open shared object file')",
            "does not load: ImportError: libnvinfer.so.11",
            id="a library is missing",
        ),
        pytest.param("import nothing_of_this_name", "ModuleNotFoundError", id="half installed"),
        pytest.param(
            "raise RuntimeError('no licence')", "RuntimeError: no licence", id="it raises"
        ),
        pytest.param("trt =", "SyntaxError", id="damaged"),
        pytest.param("__version__ = '1.9'", r"it knows sm80\+\.", id="it names no chips"),
    ],
)
def test_a_package_that_does_not_load_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, said: str
) -> None:
    (tmp_path / "tensorrt_rtx.py").write_text(code)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.delitem(sys.modules, "tensorrt_rtx")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError, match=said):
        choose_flavor("tensorrt-rtx", ("sm89",))


def test_a_builder_is_there_where_it_has_to_be() -> None:
    """Where engines have to be built, no test of them is skipped."""
    if os.environ.get("DYNCOMPILE_BUILDER") == "required":
        assert load_builder("tensorrt-rtx").__version__
