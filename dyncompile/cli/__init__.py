"""Command line: read options, call the library, print what it made. One file per command."""

from __future__ import annotations

__all__ = ["main"]

import signal

import click

from dyncompile.cli.bench import bench_command
from dyncompile.cli.build import build_command
from dyncompile.cli.cmake_dir import cmake_dir_command
from dyncompile.cli.demo import demo_command
from dyncompile.cli.export import export_command
from dyncompile.cli.inspect import inspect_command
from dyncompile.cli.optimize import optimize_command
from dyncompile.cli.run import run_command
from dyncompile.cli.verify import verify_command
from dyncompile.errors import DyncompileError

_EXTRAS = {
    **dict.fromkeys(("onnxscript", "safetensors", "torch"), "torch"),
    **dict.fromkeys(("ignite", "sklearn"), "methods"),
    **dict.fromkeys(("jinja2", "matplotlib"), "report"),
    "onnxruntime": "cpu",
    "onnx_graphsurgeon": "tensorrt-rtx",
}
_PACKAGES = {  # where named otherwise
    "ignite": "pytorch-ignite",
    "onnx_graphsurgeon": "onnx-graphsurgeon",
    "sklearn": "scikit-learn",
}


_CANCELLED = 128 + signal.SIGINT  # as shells report it


class _Group(click.Group):
    """Turn every DyncompileError into one line on stderr and exit code 1; Ctrl-C into 130."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except DyncompileError as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            click.echo("Cancelled.", err=True)
            raise click.exceptions.Exit(_CANCELLED) from None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            raise click.ClickException(
                f"{_PACKAGES.get(package, package)} is not installed."
                f" Install it with: pip install 'dyncompile[{_EXTRAS[package]}]'"
            ) from error


@click.group(cls=_Group)
@click.version_option(package_name="dyncompile")
def main() -> None:
    """Compile dynamic PyTorch networks for ONNX Runtime and TensorRT."""


for command in (
    bench_command,
    build_command,
    export_command,
    inspect_command,
    optimize_command,
    run_command,
    verify_command,
    cmake_dir_command,
    demo_command,
):
    main.add_command(command)
