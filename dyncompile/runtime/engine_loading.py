"""From an engine on disk to one that the GPU can run, or one line on why it cannot."""

from __future__ import annotations

__all__ = ["deserialised", "import_package", "last_words", "logger"]

import warnings
from functools import cache
from pathlib import Path

from dyncompile.engine_file import ANY_CHIP, TITLES, Engine, read_plan
from dyncompile.errors import TargetError, one_line
from dyncompile.runtime.cuda import Gpu, Handle

_SAME_RELEASE = 3  # major.minor.patch
_WORDS_KEPT = 8
_REASONS = {
    "VERSION_MISMATCH": "another version",
    "UNSUPPORTED_CC": "not for this GPU",
    "OLD_CUDA_DRIVER": "the CUDA driver is too old",
    "OLD_CUDA_RUNTIME": "the CUDA runtime is too old",
    "INSUFFICIENT_GPU_MEMORY": "the GPU has too little memory",
    "MALFORMED_ENGINE": "not an engine",
    "CUDA_ERROR": "CUDA is not installed as it should be",
}


def import_package(flavor: str) -> Handle:
    """Return the package that runs engines of a flavor.

    Raises:
        TargetError: it is not installed, or lacks its libraries.
    """
    try:
        if flavor == "tensorrt":
            import tensorrt as package
        else:
            import tensorrt_rtx as package
    except ModuleNotFoundError as error:
        raise TargetError(
            f"{TITLES[flavor]} is not installed.",
            where="load",
            remedy=f"Install dyncompile[{flavor}].",
        ) from error
    except Exception as error:  # whatever a package raises without its libraries
        raise TargetError(
            f"{TITLES[flavor]} cannot be loaded: {one_line(error)}.",
            where="load",
            remedy=f"Install dyncompile[{flavor}] again.",
        ) from error
    return package


def deserialised(trt: Handle, path: Path, description: Engine, gpu: Gpu) -> tuple[Handle, Handle]:
    """Return an engine and the runtime it needs to live.

    Raises:
        ArtifactError: the file is not the engine that was described.
        TargetError: it was built for another GPU or version, or cannot be read here.
    """
    _check_version(trt, path, description, gpu)
    _check_chip(trt, path, description, gpu)
    plan = read_plan(path, description)
    last_words(trt)
    runtime = trt.Runtime(logger(trt))
    reasons = ", ".join(_reasons(trt, runtime, plan))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise _not_for_here(trt, path, description, gpu, reasons or last_words(trt))
    if reasons:  # said of GPUs that are not on its list, some of which run it
        warnings.warn(
            f"{path}: {TITLES[description.flavor]} says on {gpu.name} ({gpu.chip}): {reasons};"
            " it is tried.",
            RuntimeWarning,
            stacklevel=4,
        )
    return runtime, engine


@cache
def logger(trt: Handle) -> Handle:
    """Return the logger of a package; there is one per process, because it keeps the first."""
    severe = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keep the errors that nobody has asked for yet, and print nothing."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.words: list[str] = []

        def log(self, severity: Handle, msg: str) -> None:
            if severity in severe and len(self.words) < _WORDS_KEPT:
                self.words.append(msg)

    return Logger()


def last_words(trt: Handle) -> str:
    """Return the first error since this was asked, on one line and shortened, and forget them.

    The first says what is wrong, those that follow what it led to.
    """
    keeper = logger(trt)
    words, keeper.words = keeper.words, []  # at once: other threads ask and say too
    return " ".join(words[0].split())[:300].rstrip(".") if words else "it does not say why"


def _check_version(trt: Handle, path: Path, description: Engine, gpu: Gpu) -> None:
    """Engines are read by the release that wrote them."""
    built, here = (
        version.split(".")[:_SAME_RELEASE] for version in (description.version, trt.__version__)
    )
    if built != here:
        raise _not_for_here(trt, path, description, gpu, "another version")


def _check_chip(trt: Handle, path: Path, description: Engine, gpu: Gpu) -> None:
    """TensorRT builds for one chip; what else a plan of TensorRT for RTX runs on, it says."""
    chips = description.chips
    fits = gpu.chip in chips or (ANY_CHIP in chips and _number(gpu.chip) >= _number(ANY_CHIP))
    if description.flavor == "tensorrt" and chips and not fits:
        raise _not_for_here(trt, path, description, gpu, "not for this GPU")


def _number(chip: str) -> int:
    return int(chip.removeprefix("sm").removesuffix("+"))


def _reasons(trt: Handle, runtime: Handle, plan: bytes) -> list[str]:
    """Return why a plan cannot run here, as far as the runtime can tell from its header."""
    if not hasattr(runtime, "get_engine_validity"):
        return []
    validity, flags = runtime.get_engine_validity(plan[: runtime.engine_header_size])
    if validity != trt.EngineValidity.INVALID:
        return []
    kinds = trt.EngineInvalidityDiagnostics
    return [words for name, words in _REASONS.items() if flags & getattr(kinds, name).value]


def _not_for_here(
    trt: Handle,
    path: Path,
    description: Engine,
    gpu: Gpu,
    reason: str,
) -> TargetError:
    title = TITLES[description.flavor]
    chips = ", ".join(description.chips) or "the chips it builds for by default"
    return TargetError(
        f"built by {title} {description.version} for {chips}; here is {title} {trt.__version__}"
        f" and {gpu.name} ({gpu.chip}): {reason}.",
        where=str(path),
        remedy=f"Build it for {gpu.chip} with the version that is installed here.",
    )
