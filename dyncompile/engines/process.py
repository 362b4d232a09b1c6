"""Have an engine built by another process, and end that process whatever happens."""

from __future__ import annotations

__all__ = ["run_build"]

import secrets
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

from dyncompile.engine_file import TITLES
from dyncompile.engines.adapter import out_of_memory
from dyncompile.engines.child import Child
from dyncompile.engines.messages import is_out_of_memory, last_words
from dyncompile.engines.request import BuildRequest, BuildResult
from dyncompile.engines.worker import timing_cache_beside
from dyncompile.errors import ArtifactError, TargetError
from dyncompile.files import check_writable, replacing
from dyncompile.progress import Progress, untold


def run_build(
    request: BuildRequest, *, timeout: float | None = None, progress: Progress = untold
) -> BuildResult:
    """Build an engine in a process of its own.

    Args:
        request: What to build. The plan, and the timing cache, appear only when all has succeeded.
        timeout: Seconds after which the build is given up; None waits.
        progress: Called with the builder's outermost phase, its steps done, and all of its steps.

    Raises:
        TargetError: the builder refuses, fails, crashes, runs out of memory or out of time.
        ArtifactError: a file cannot be written.
        KeyboardInterrupt: the build has been cancelled; nothing of it is left.
    """
    for path in (request.plan, request.timing_cache):
        if path is not None:
            check_writable(path)
    part = request.plan.with_name(f".{request.plan.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with Child(replace(request, plan=part).to_json()) as child:
            result = _follow(child, request, timeout, progress)
            _keep(request, part)
    finally:
        part.unlink(missing_ok=True)
        timing_cache_beside(part).unlink(missing_ok=True)
    return result


def _follow(
    child: Child, request: BuildRequest, timeout: float | None, progress: Progress
) -> BuildResult:
    deadline = None if timeout is None else time.monotonic() + timeout
    at = "starting"
    for message in child.messages(deadline):
        if message is None:
            raise TargetError(
                f"{_title(request)} was not done after {timeout:g} s; it was at {at!r}.",
                where=str(request.model),
                remedy="Allow a longer timeout, or build a smaller network.",
            )
        match message:
            case {"at": str(phase)}:
                at = phase
            case {"progress": [str(part), int(done), int(total)]}:
                progress(part, done, total)
            case {"refused": [str(problem), str(where), str(remedy)]}:
                raise TargetError(problem, where=where, remedy=remedy)
            case {"failed": str(said)}:
                raise TargetError(
                    f"{_title(request)} failed at {at!r}: {said}.",
                    where=str(request.model),
                    remedy="Change what the message names, or build with another version of it.",
                )
            case {"result": str(text)}:
                return BuildResult.from_json(text)
    raise _death(child, request, at)


def _death(child: Child, request: BuildRequest, at: str) -> TargetError:
    code = child.exit_code()
    said = last_words(child.said())
    if code == -getattr(signal, "SIGKILL", 9):
        return TargetError(
            f"{_title(request)} was killed at {at!r}, as systems do when memory runs out.",
            where=str(request.model),
            remedy="Close what else uses memory, build for fewer chips at once, or in fp16.",
        )
    if is_out_of_memory(said):
        return out_of_memory(request, said)
    how = f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
    return TargetError(
        f"{_title(request)} {how} at {at!r}; its last words: {said}.",
        where=str(request.model),
        remedy="Build with another version of it, or change what the words name.",
    )


def _title(request: BuildRequest) -> str:
    return f"the builder of {TITLES[request.flavor]}"


def _keep(request: BuildRequest, part: Path) -> None:
    times = timing_cache_beside(part)
    if request.timing_cache is not None and times.is_file():
        with replacing(request.timing_cache) as file, times.open("rb") as measured:
            shutil.copyfileobj(measured, file)
    try:
        part.replace(request.plan)
    except OSError as error:
        raise ArtifactError(
            f"cannot be written: {error.strerror or error}.",
            where=str(request.plan),
            remedy="Write to a folder you may write to.",
        ) from error
