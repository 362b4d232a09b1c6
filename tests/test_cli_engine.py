"""The commands on engines."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dyncompile.cli import main
from dyncompile.engine_file import description_path, read_engine
from dyncompile.runtime import load
from tests.runtime.engines import F32, Machine, dynamic, expected, machine, scaling

__all__ = ["machine"]

X = np.arange(8, dtype=F32).reshape(2, 4)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """Return the one line that a command ends with."""
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    return result.stderr


def test_inspect_shows_what_an_engine_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    path = machine.write(dynamic())
    for name in ("tensorrt_rtx", "cuda.bindings"):  # it needs neither
        monkeypatch.setitem(sys.modules, name, None)
    result = call("inspect", path)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.replace("│", " ").split()) for line in result.stdout.splitlines()]
    assert lines[0] == f"{path}: engine of TensorRT for RTX 1.7.1.116, 6 B"
    assert lines[1:3] == ["Built for: sm89, sm120", "Precision: float32"]
    for line in (
        "input x float32[?, 4] memory of the GPU",
        "knob level int64[] memory of the GPU",
        "output count int64[] memory of the GPU",
        "level levels 0 to 2: 0.25, 0.5, 1.0 2 (1.0)",
        "Decisions (1)",
        "└── exit gate",
        "├── off: 0 MACs, 0 B of weights",
        "└── on: 1.02 k MACs, 256 B of weights",
        "Latency here: not measured. Run net.calibrate(samples).",
    ):
        assert line in lines, result.stdout


def test_inspect_shows_what_is_read_on_the_host_and_latencies(machine: Machine) -> None:
    path = machine.write(scaling(level_on_host=True))
    net = load(path)
    net.calibrate(points=[{"level": 1}], seconds=0.01)
    told = call("inspect", path).stdout
    row = next(line for line in told.splitlines() if "level" in line)
    assert "memory of the host" in row
    assert "A pretend GPU, TensorRT for RTX 1.7.1.116" in told


def test_inspect_gives_the_description(machine: Machine) -> None:
    path = machine.write(scaling())
    result = call("inspect", path, "--json")
    assert result.stdout == description_path(path).read_text()
    assert json.loads(result.stdout)["sha256"] == read_engine(path).sha256


def test_run(machine: Machine, tmp_path: Path) -> None:
    path = machine.write(scaling())
    np.save(tmp_path / "x.npy", X)
    output = tmp_path / "y.npz"
    result = call("run", path, tmp_path / "x.npy", "--knob", "level=1", "-o", output)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["y: float32[2, 4]", "count: int64[]"]
    np.testing.assert_array_equal(np.load(output)["y"], expected(X, 1))


@pytest.mark.parametrize("command", ["inspect", "run"])
def test_a_stale_pair_is_one_line(machine: Machine, command: str) -> None:
    path = machine.write(scaling())
    path.write_bytes(b"another")
    line = refused(command, path)
    assert "net.engine: it has 7 bytes; its description is of an engine of 6." in line


def test_a_trace_is_one_line(machine: Machine, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    line = refused("run", machine.write(scaling()), tmp_path / "x.npy", "--trace")
    assert "or trace the .onnx file" in line


def test_no_gpu_is_one_line(machine: Machine, tmp_path: Path) -> None:
    machine.cuda.devices = 0
    np.save(tmp_path / "x.npy", X)
    line = refused("run", machine.write(scaling()), tmp_path / "x.npy")
    assert "an engine runs on an NVIDIA GPU, and CUDA can use none here" in line
