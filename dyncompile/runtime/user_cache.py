"""The user's cache folder; the environment variable ``DYNCOMPILE_CACHE`` names another one."""

from __future__ import annotations

__all__ = ["prune", "user_folder"]

import os
from contextlib import suppress
from pathlib import Path


def user_folder(name: str) -> Path:
    """Return where files of one kind are kept; it may not be there yet."""
    import platformdirs

    named = os.environ.get("DYNCOMPILE_CACHE")
    return (Path(named) if named else platformdirs.user_cache_path("dyncompile")) / name


def prune(folder: Path, most: int) -> None:
    """Remove the oldest files; those that others remove meanwhile are no matter."""
    with suppress(OSError):
        by_age = []
        for file in folder.iterdir():
            with suppress(OSError):
                by_age.append((file.stat().st_mtime_ns, file))
        for _, file in sorted(by_age, reverse=True)[most:]:
            with suppress(OSError):
                file.unlink()
