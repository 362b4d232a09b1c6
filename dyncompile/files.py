"""Files that appear whole or not at all."""

from __future__ import annotations

__all__ = ["check_writable", "make_folder", "replacing", "temporary_folder"]

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dyncompile.errors import ArtifactError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its name when the block succeeds.

    When the block fails, the temporary file is removed and whatever had the name keeps it.

    Raises:
        ArtifactError: the folder is missing or read-only, the disk is full, or the name
            belongs to something that is not a file.
    """
    if not path.parent.is_dir():
        raise ArtifactError(
            f"the folder {str(path.parent)!r} does not exist.",
            where=str(path),
            remedy="Create it, or write elsewhere.",
        )
    if path.exists() and not path.is_file():
        raise ArtifactError(
            "this is not a file.", where=str(path), remedy="Give the name of a file to write."
        )
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        raise ArtifactError(
            f"cannot be written: {error.strerror or error}.",
            where=str(path),
            remedy="Free some space." if full else "Write to a folder you may write to.",
        ) from error


def check_writable(path: Path) -> None:
    """Find out before the work is done whether a file can be written; leaves nothing behind.

    Raises:
        ArtifactError: as ``replacing``.
    """

    class Writable(Exception):  # noqa: N818 - not an error
        pass

    with suppress(Writable), replacing(path):
        raise Writable


def make_folder(folder: Path, remedy: str) -> None:
    """Make a folder, and those around it, where they are missing.

    Raises:
        ArtifactError: it cannot be made; with this remedy.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"the folder cannot be made: {error.strerror or error}.",
            where=str(folder),
            remedy=remedy,
        ) from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone at the end.

    Raises:
        ArtifactError: there is no place for one.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="dyncompile-")
    except OSError as error:
        raise ArtifactError(
            f"no temporary folder can be made: {error.strerror or error}.",
            where=error.filename or "TMPDIR",
            remedy="Free some space, or name a folder with room in TMPDIR.",
        ) from error
    with folder as name:
        yield Path(name)
