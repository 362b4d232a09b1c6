"""Whether a file is still the one that was loaded."""

from __future__ import annotations

__all__ = ["Stamp", "changed", "digest_of", "stamp"]

from pathlib import Path

from dyncompile.errors import ArtifactError
from dyncompile.runtime import latency_cache

Stamp = tuple[int, int]


def stamp(path: Path) -> Stamp:
    """Return the size and the time of a file.

    Raises:
        ArtifactError: there is no such file.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns


def digest_of(path: Path, loaded: Stamp) -> str:
    """Return what names the file in the cache of latencies.

    Raises:
        ArtifactError: it cannot be read, or has changed since it was loaded.
    """
    try:
        digest = latency_cache.digest(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if stamp(path) != loaded:
        raise changed(path)
    return digest


def changed(path: Path) -> ArtifactError:
    """Return the error for a file that is another one by now."""
    return ArtifactError(
        "the file has changed since it was loaded.",
        where=str(path),
        remedy="Load it again.",
    )


def _unreadable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"cannot be read: {error.strerror or error}.",
        where=str(path),
        remedy="Check the name of the file.",
    )
