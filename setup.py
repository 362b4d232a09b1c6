"""Wheels also hold the C++ library, as its sources: dyncompile/cpp."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("CMakeLists.txt", "README.md", "cmake", "examples", "include", "src")


class BuildWithCpp(build_py):
    """Copy the C++ library into the package, except for an editable install, which finds it."""

    def run(self) -> None:
        """Build the package as usual, then copy."""
        super().run()
        if not self.editable_mode:
            shutil.rmtree(self._target, ignore_errors=True)
            for source, target in self._files().items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return every file that this writes."""
        return [*super().get_outputs(include_bytecode), *map(str, self._files().values())]

    @property
    def _target(self) -> Path:
        return Path(self.build_lib) / "dyncompile" / "cpp"

    def _files(self) -> dict[Path, Path]:
        if self.editable_mode:
            return {}
        cpp = Path("cpp")
        shipped = [path for name in SHIPPED for path in ((cpp / name), *(cpp / name).rglob("*"))]
        return {path: self._target / path.relative_to(cpp) for path in shipped if path.is_file()}


setup(cmdclass={"build_py": BuildWithCpp})
