from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tests, and the processes they start, out of the user's cache folder."""
    folder = tmp_path_factory.mktemp("cache") / "dyncompile"
    monkeypatch.setenv("DYNCOMPILE_CACHE", str(folder))
    return folder
