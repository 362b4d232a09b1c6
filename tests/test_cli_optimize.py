from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from dyncompile import artifact
from dyncompile.cli import main
from dyncompile.manifest import Manifest
from tests.optimizing.foreign_files import (
    CUSTOM,
    CUSTOM_HEADER,
    PLAIN,
    SELECTS,
    SIZE,
    TWO_IFS,
    write,
)
from tests.support import parse

MARKED = """main (bool take, float[1,4] x) => (float[1,4] y) {
    f = Exp (x)
    y = dyncompile.Gate <name = "d"> (take, f, x)
}"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "ifs.onnx", TWO_IFS)
    write(tmp_path / "selects.onnx", SELECTS)
    write(tmp_path / "plain.onnx", PLAIN)
    write(tmp_path / "custom.onnx", CUSTOM, CUSTOM_HEADER)
    write(tmp_path / "old.onnx", PLAIN, '<ir_version: 4, opset_import: ["" : 9]>\n')
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["optimize", *map(str, arguments)])


def done(*arguments: object) -> list[str]:
    """Return the lines that the command prints; it prints nothing else."""
    result = call(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout.splitlines()


def refusal(*arguments: object) -> str:
    """Return the one line of an error, and check that nothing was written."""
    before = sorted(Path().rglob("*"))
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before
    (line,) = result.stderr.splitlines()
    return line.removeprefix("Error: ")


def test_it_says_what_changed_and_what_that_should_win() -> None:
    first, *lines = done("ifs.onnx", "-o", "out.onnx")
    assert first.startswith("out.onnx: ")
    assert first.endswith(" What changed:")
    assert "\n".join(lines) == (
        "  Ifs: 2 before, 1 now\n"
        "  Weights that now stand in the branches and bodies that use them, or are read there"
        " through a view: 2, 288 B\n"
        "  Ran in every call, now under a decision: 36 MACs\n"
        "What this should win:\n"
        "  67% of the multiply-accumulates read weights that ONNX Runtime could not prepare for"
        " them; now it can\n"
        "  Up to 100% less to compute, depending on the path\n"
        "  Fewer Ifs to enter: 1\n"
        "Compared: 6 samples and 2 forced paths (all there are); largest difference 0 of the"
        " largest element."
    )


def test_selections_are_counted() -> None:
    lines = done("selects.onnx", "-o", "out.onnx")
    assert "  Where, and products with a mask, that became branches: 2" in lines


def test_it_says_that_nothing_can_be_won() -> None:
    assert done("plain.onnx", "-o", "out.onnx") == [
        "out.onnx: a copy of plain.onnx. There is nothing to win in it:",
        "  It has no If, Loop or Scan, and no selection by one decision that skips work",
    ]
    assert Path("out.onnx").read_bytes() == Path("plain.onnx").read_bytes()


def test_weights_that_are_inputs_are_named() -> None:
    proto = onnx.load("ifs.onnx")
    for tensor in proto.graph.initializer:
        value = onnx.ValueInfoProto(name=tensor.name)
        value.type.tensor_type.elem_type = tensor.data_type
        for size in tensor.dims:
            value.type.tensor_type.shape.dim.add(dim_value=size)
        proto.graph.input.append(value)
    onnx.save(proto, "inputs.onnx")
    lines = done("inputs.onnx", "-o", "out.onnx")
    said = "3 inputs have default values, so they stay inputs; --fold-defaults makes constants"
    assert any(said in line for line in lines)
    assert not any(
        "stay inputs" in line for line in done("inputs.onnx", "--fold-defaults", "-o", "o")
    )


def test_without_verification_it_says_so() -> None:
    assert done("custom.onnx", "--no-verify", "-o", "out.onnx")[-1] == "Numbers were not compared."


def test_samples_and_descriptions_of_inputs_are_used() -> None:
    np.savez("data.npz", x=np.zeros((7, SIZE), np.float32), limit=np.ones(7, np.float32))
    *_, last = done("ifs.onnx", "--samples", "data.npz", "-o", "out.onnx")
    assert last.startswith("Compared: 7 samples")
    *_, last = done("ifs.onnx", "--input", f"x=float32[1,{SIZE}]:0..1", "-o", "out.onnx")
    assert last.startswith("Compared: 6 samples")


def test_weights_that_are_picked_are_named() -> None:
    numbers = ", ".join(str(n % 7 - 3) for n in range(2 * 64 * 64))
    graph = f"""main (float[128,64] x, int64 i) => (float[128,64] y)
        <float[2,64,64] w = {{{numbers}}}> {{ u = Gather (w, i) y = MatMul (x, u) }}"""
    write(Path("picks.onnx"), graph)
    text = "\n".join(done("picks.onnx", "-o", "out.onnx"))
    assert "  Picked weights (SwitchesFromGathers)\n  Ifs: 0 before, 1 now\n" in text
    assert "  Rounds and picked weights: ONNX Runtime can prepare more of their weights" in text
    assert "Little" not in text


def test_a_library_of_operators_is_found_where_the_command_runs() -> None:
    Path("lib.so").write_text("no library, but a file")
    said = refusal("custom.onnx", "--custom-ops", "lib.so", "-o", "out.onnx")
    assert said.startswith("lib.so: no library of custom operators")
    assert "No such file" not in said


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from dyncompile.cli import main\n"
        "main(['optimize', 'ifs.onnx', '-o', 'out.onnx', '--input', 'limit=float32[]:0'])"
    )
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["lost.onnx"], "lost.onnx: cannot be read: No such file", id="no such file"),
        pytest.param(["text.onnx"], "text.onnx: not an ONNX file", id="not ONNX"),
        pytest.param(["old.onnx"], "old.onnx: it is of opset 9. Convert it to", id="old opset"),
        pytest.param(
            ["custom.onnx"],
            "optimize: ONNX Runtime cannot open the original, which has the custom operators mine",
            id="custom operators",
        ),
        pytest.param(
            ["custom.onnx", "--custom-ops", "text.onnx"],
            "text.onnx: no library of custom operators",
            id="no library",
        ),
        pytest.param(["marked.onnx"], "marked.onnx: this file has markers", id="marked"),
        pytest.param(["ours.onnx"], "ours.onnx: this file is already compiled", id="compiled"),
        pytest.param(["ifs.onnx", "--input", "x"], "--input: 'x' does not describe", id="input"),
        pytest.param(
            ["ifs.onnx", "--input", "z=float32[1]"], "ifs.onnx: it has no input 'z'", id="no input"
        ),
        pytest.param(
            ["ifs.onnx", "--input", "x=float32[1,2]"],
            "sample 0: the original fails",
            id="input of a wrong shape",
        ),
        pytest.param(["ifs.onnx", "--samples", "no.npz"], "no.npz: cannot be", id="no samples"),
        pytest.param(["ifs.onnx", "--samples", "bad.npz"], "samples: it holds", id="samples"),
        pytest.param(["ifs.onnx", "--samples", "one.npy"], "one.npy: it holds one", id="no names"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(arguments: list[str], problem: str) -> None:
    Path("text.onnx").write_text("no protocol buffer")
    np.savez("bad.npz", x=np.zeros((2, SIZE), np.float32))
    np.save("one.npy", np.zeros(3))
    artifact.write(parse(MARKED), Manifest("marked"), Path("marked.onnx"))
    artifact.write(parse(PLAIN), Manifest("onnx"), Path("ours.onnx"))
    assert refusal(*arguments, "-o", "out.onnx").startswith(problem)


def test_an_output_that_cannot_be_written_is_found_out_first() -> None:
    assert refusal("ifs.onnx", "-o", "no/out.onnx").startswith("no/out.onnx: the folder 'no'")
