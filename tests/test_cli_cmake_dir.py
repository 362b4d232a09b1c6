from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import dyncompile
from dyncompile.cli import main

CPP = Path(__file__).parents[1] / "cpp"


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = folder / "site-packages" / "dyncompile"
    package.mkdir(parents=True)
    monkeypatch.setattr(dyncompile, "__file__", str(package / "__init__.py"))
    return package


def test_a_checkout_has_its_own() -> None:
    result = CliRunner().invoke(main, ["cmake-dir"])
    assert result.stdout == f"{CPP / 'cmake'}\n"
    assert (CPP / "cmake" / "dyncompileConfig.cmake").is_file()


def test_an_installed_package_has_it_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed(tmp_path, monkeypatch)
    (package / "cpp" / "cmake").mkdir(parents=True)
    (package / "cpp" / "cmake" / "dyncompileConfig.cmake").touch()
    assert CliRunner().invoke(main, ["cmake-dir"]).stdout == f"{package / 'cpp' / 'cmake'}\n"


def test_an_incomplete_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed(tmp_path, monkeypatch)
    result = CliRunner().invoke(main, ["cmake-dir"])
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {package}: there is no cpp/cmake/dyncompileConfig.cmake here. "
        "The installation is not complete: install dyncompile again.\n"
    )
