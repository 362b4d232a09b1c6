"""Latencies kept in the user's cache folder, one file per artifact and conditions.

The name of a file is the sha256 of the artifact (whose manifest has the digest of weights in a
second file) and a digest of the conditions. Files appear whole; of two that write one at the
same time, the last wins. What cannot be read is as good as not there.
"""

from __future__ import annotations

__all__ = ["MOST_FILES", "digest", "keep", "kept", "kept_here"]

import dataclasses
import hashlib
import json
from contextlib import suppress
from pathlib import Path

from dyncompile.errors import ArtifactError
from dyncompile.files import make_folder, replacing
from dyncompile.runtime.calibration import Calibration, Conditions
from dyncompile.runtime.user_cache import prune, user_folder

MOST_FILES = 200


def digest(artifact: Path) -> str:
    """Return what names an artifact in the cache.

    Raises:
        OSError: it cannot be read.
    """
    with artifact.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept(artifact: str, conditions: Conditions) -> Calibration | None:
    """Return what is kept of an artifact, by its digest, under these conditions."""
    found = _read(_file(artifact, conditions))
    return found if found and found.conditions == conditions else None


def kept_here(artifact: str) -> list[Calibration]:
    """Return all that is kept of an artifact, by its digest, for this machine."""
    files: list[Path] = []
    with suppress(OSError):
        files = sorted(_folder().glob(f"{artifact}-*.json"))
    known = [found for file in files if (found := _read(file)) and found.conditions.is_here]
    return sorted(known, key=lambda c: (c.conditions.providers, c.conditions.threads or 0))


def keep(artifact: str, calibration: Calibration) -> None:
    """Keep latencies of an artifact, by its digest, in place of what was kept.

    Of more than 200 files the oldest are removed.

    Raises:
        ArtifactError: the folder cannot be written to.
    """
    folder = _folder()
    make_folder(folder, "Let the user's cache folder be written to.")
    with replacing(_file(artifact, calibration.conditions)) as file:
        file.write(calibration.to_json().encode())
    prune(folder, MOST_FILES)


def _folder() -> Path:
    return user_folder("latencies")


def _file(artifact: str, conditions: Conditions) -> Path:
    spelt = json.dumps(dataclasses.asdict(conditions), sort_keys=True).encode()
    return _folder() / f"{artifact}-{hashlib.sha256(spelt).hexdigest()[:16]}.json"


def _read(file: Path) -> Calibration | None:
    try:
        return Calibration.from_json(file.read_text(encoding="utf-8"), str(file))
    except (OSError, ValueError, ArtifactError):
        return None
