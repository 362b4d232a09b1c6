"""Which builders are here, what they build for, and which one to use."""

from __future__ import annotations

__all__ = ["Asked", "Choice", "choose_flavor", "load_builder", "rtx_chips"]

import importlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dyncompile.engine_file import ANY_CHIP, TITLES
from dyncompile.engines.adapter import PACKAGES, SINCE
from dyncompile.engines.gpu import chip_here
from dyncompile.engines.request import Flavor
from dyncompile.errors import TargetError, one_line

Asked = Literal["auto", "tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True)
class Choice:
    """The builder to use.

    Attributes:
        flavor: Which.
        version: Its version.
        chips: What it builds for.
        why: Why this one, as a sentence.
    """

    flavor: Flavor
    version: str
    chips: tuple[str, ...]
    why: str


def choose_flavor(asked: Asked, chips: Sequence[str] = ()) -> Choice:
    """Choose the builder that can build here for these chips.

    ``auto`` is TensorRT where there is a GPU and nothing else is asked for, otherwise TensorRT for
    RTX, which needs no GPU.

    Args:
        asked: A flavor, or ``auto``.
        chips: As ``sm89``; ``sm80+`` is every chip from sm80 on; none is what the builder is best
            at: the GPU that is here for TensorRT, ``sm80+`` for TensorRT for RTX.

    Raises:
        TargetError: no builder is installed, it cannot be used, or does not build for these chips.
    """
    wanted = tuple(dict.fromkeys(chip.lower() for chip in chips))
    if len(wanted) > 1 and ANY_CHIP in wanted:
        raise TargetError(
            f"{ANY_CHIP} stands alone: it is a plan of its own kind.",
            where=f"chips {', '.join(wanted)}",
            remedy=f"Name single chips, or {ANY_CHIP} only.",
        )
    if asked not in get_args(Asked):
        raise TargetError(
            f"there is no flavor {asked!r}.",
            where="flavor",
            remedy=f"Give one of {', '.join(get_args(Asked))}.",
        )
    if asked == "tensorrt":
        return _with_tensorrt(wanted, chip_here(), "it was asked for")
    if asked == "tensorrt-rtx":
        return _with_rtx(wanted, "it was asked for")
    return _choose(wanted)


def load_builder(flavor: Flavor) -> Any:  # noqa: ANN401 - TensorRT has no types
    """Return the builder's package.

    Raises:
        TargetError: it is not installed, does not load, or is too old.
    """
    package, title = PACKAGES[flavor], TITLES[flavor]
    least = ".".join(map(str, SINCE[flavor]))
    install = f"pip install 'dyncompile[{flavor}]'"
    if not _is_installed(flavor):
        raise TargetError(f"{title} is not installed.", where=package, remedy=f"{install}.")
    try:
        trt = importlib.import_module(package)
    except Exception as error:  # whatever a package raises
        if _is_interrupted(error):
            raise KeyboardInterrupt from error
        raise TargetError(
            f"{title} is installed but does not load: {one_line(error)}.",
            where=package,
            remedy="Install what it names, or install the package anew.",
        ) from error
    version = getattr(trt, "__version__", "")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers < SINCE[flavor]:
        raise TargetError(
            f"{title} {version or 'of unknown version'} is installed; {least} or newer is needed.",
            where=package,
            remedy=f"{install} --upgrade.",
        )
    return trt


def _is_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C came while a package was loading, which it may report as its own failure."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _choose(wanted: tuple[str, ...]) -> Choice:
    have_full, have_rtx = _is_installed("tensorrt"), _is_installed("tensorrt-rtx")
    if not have_full and not have_rtx:
        raise TargetError(
            "neither TensorRT nor TensorRT for RTX is installed.",
            where="flavor auto",
            remedy="pip install 'dyncompile[tensorrt-rtx]', which builds without a GPU.",
        )
    here = chip_here()
    if have_full and here and set(wanted) <= {here, ANY_CHIP}:
        return _with_tensorrt(wanted, here, f"the GPU that is here is {here}")
    if not have_rtx:
        return _with_tensorrt(wanted, here, "it is the only one installed")
    return _with_rtx(wanted, _why_rtx(wanted, here, have_full=have_full))


def _why_rtx(wanted: tuple[str, ...], here: str | None, *, have_full: bool) -> str:
    if not have_full:
        return "it is the only one installed"
    if here is None:
        return "there is no GPU here, and it needs none"
    return f"{', '.join(wanted)} is asked for and the GPU that is here is {here}"


def _with_tensorrt(wanted: tuple[str, ...], here: str | None, why: str) -> Choice:
    trt = load_builder("tensorrt")
    if here is None:
        raise TargetError(
            "TensorRT builds on the GPU it builds for, and there is none here.",
            where="flavor tensorrt",
            remedy="Build on that GPU, or with --flavor tensorrt-rtx, which needs none.",
        )
    unable = [chip for chip in wanted if chip not in {here, ANY_CHIP}]
    if unable:
        raise TargetError(
            f"TensorRT builds for the GPU that is here, {here}, and for {ANY_CHIP}.",
            where=f"chip {unable[0]!r}",
            remedy=f"Build on that GPU, name {here} or {ANY_CHIP}, or take --flavor tensorrt-rtx.",
        )
    chips = wanted or (here,)
    return Choice("tensorrt", trt.__version__, chips, f"TensorRT {trt.__version__}: {why}.")


def _with_rtx(wanted: tuple[str, ...], why: str) -> Choice:
    trt = load_builder("tensorrt-rtx")
    known = [ANY_CHIP, *rtx_chips(trt)]
    unable = [chip for chip in wanted if chip not in known]
    if unable:
        raise TargetError(
            f"TensorRT for RTX {trt.__version__} does not build for it; it knows "
            f"{', '.join(known)}.",
            where=f"chip {unable[0]!r}",
            remedy="Name one of these; for other GPUs build with --flavor tensorrt on that GPU.",
        )
    chips = wanted or (ANY_CHIP,)
    title = f"TensorRT for RTX {trt.__version__}"
    return Choice("tensorrt-rtx", trt.__version__, chips, f"{title}: {why}.")


def rtx_chips(trt: Any) -> list[str]:  # noqa: ANN401
    """Return the chips that the package of TensorRT for RTX names."""
    members = getattr(getattr(trt, "ComputeCapability", None), "__members__", ())
    return [name.lower() for name in members if re.fullmatch(r"SM\d+", name)]


def _is_installed(flavor: Flavor) -> bool:
    try:
        return importlib.util.find_spec(PACKAGES[flavor]) is not None
    except ValueError:  # a module without a description of itself
        return True
