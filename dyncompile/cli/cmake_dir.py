"""The command ``cmake-dir``."""

from __future__ import annotations

__all__ = ["cmake_dir_command"]

from pathlib import Path

import click

import dyncompile
from dyncompile.errors import ArtifactError

CONFIG = "dyncompileConfig.cmake"


@click.command("cmake-dir")
def cmake_dir_command() -> None:
    """Print the folder of the C++ package: cmake -Ddyncompile_DIR=$(dyncompile cmake-dir)."""
    click.echo(_folder(Path(dyncompile.__file__).parent))


def _folder(package: Path) -> Path:
    """Where the package lies: inside of an installed dyncompile, beside it in a checkout."""
    for place in (package, package.parent):
        folder = place / "cpp" / "cmake"
        if (folder / CONFIG).is_file():
            return folder
    raise ArtifactError(
        f"there is no cpp/cmake/{CONFIG} here.",
        where=str(package),
        remedy="The installation is not complete: install dyncompile again.",
    )
