import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from click.testing import CliRunner, Result

from dyncompile import artifact
from dyncompile.cli import main
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Barrier, Budgets, Decision, Manifest, Side
from tests.lowered import NESTED_MANIFEST, SWITCH_MANIFEST, nested, switched
from tests.support import parse

F32 = np.float32
ONES = np.ones((1, 4), F32)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """Return the one line that a command ends with."""
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    return result.stderr


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "gated.onnx")
    np.save(tmp_path / "x.npy", ONES)
    return tmp_path / "gated.onnx"


# --- inspect ---------------------------------------------------------------------------------


def test_inspect_shows_knobs_and_the_tree_of_decisions(tmp_path: Path) -> None:
    model = parse("main (float[N,64] x) => (float[N,64] y) { y = MatMul (x, x2) }")
    weight = ir.Value(name="w", const_value=ir.tensor(np.eye(64, dtype=F32)))
    weight.shape, weight.dtype = ir.Shape([64, 64]), ir.DataType.FLOAT
    model.graph.register_initializer(weight)
    model.graph.node(0).replace_input_with(1, weight)
    threshold = ir.val("t[0]", dtype=ir.DataType.FLOAT, shape=[2])
    model.graph.inputs.append(threshold)
    manifest = Manifest(
        "onnx",
        {"t[0]": Threshold((0.5, 0.75), 0), "level": Levels((0.25, 0.5, 1.0), 1)},
        (
            Decision("late", "gate", ("b",), (("exit", 0),), (Side(0, 0), Side(1024, 256))),
            Decision("exit", "gate", ("a",), (), (Side(4096, 16384), Side(999, 1_260_000))),
            Decision(
                "width",
                "switch",
                ("level",),
                (("exit", 0), ("late", 1)),
                (Side(0, 0), Side(2048, 999)),
                (("depth", (0, 1)),),
            ),
        ),
    )
    artifact.write(model, manifest, tmp_path / "net.onnx", external_data=True)
    result = call("inspect", tmp_path / "net.onnx")
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0].startswith(f"{tmp_path / 'net.onnx'}: target onnx, ")
    assert lines[1] == "Weights: net.onnx.data, 16.4 kB"
    assert lines[2] == "Whole network: 4.1 k MACs, 16.4 kB of weights"
    assert lines[3] == "Always runs: 4.1 k MACs (100.0%), 16.4 kB of weights"
    assert "│ input  │ x    │ float32[N, 64] │" in lines
    assert "│ output │ y    │ float32[N, 64] │" in lines
    assert "│ t[0]  │ threshold │ 0 to inf               │ 0.5, 0.75 │" in lines
    assert "│ level │ levels    │ 0 to 2: 0.25, 0.5, 1.0 │ 1 (0.5)   │" in lines
    start = lines.index("Decisions (3)")
    assert lines[start:-1] == [
        "Decisions (3)",
        "└── exit gate",
        "    ├── off: 4.1 k MACs (100.0%), 16.4 kB of weights",
        "    │   └── late gate",
        "    │       ├── off: 0 MACs (0.0%), 0 B of weights",
        "    │       └── on: 1.02 k MACs (25.0%), 256 B of weights",
        "    │           └── width switch (also depth)",
        "    │               ├── level 0: 0 MACs (0.0%), 0 B of weights",
        "    │               └── level 1: 2.05 k MACs (50.0%), 999 B of weights",
        "    └── on: 999 MACs (24.4%), 1.26 MB of weights",
    ]


def test_inspect_shows_decisions_whose_nesting_is_no_tree(tmp_path: Path) -> None:
    sides = (Side(0, 0), Side(0, 0))
    first = Decision("first", "gate", ("a",), (("second", 1),), sides)
    second = Decision("second", "gate", ("b",), (("first", 1),), sides)
    artifact.write(nested(), Manifest("onnx", {}, (first, second)), tmp_path / "net.onnx")
    result = call("inspect", tmp_path / "net.onnx")
    assert result.exit_code == 0
    assert "first gate" in result.stdout
    assert "second gate" in result.stdout


def test_inspect_names_the_decisions_of_a_marked_file(tmp_path: Path) -> None:
    manifest = dataclasses.replace(NESTED_MANIFEST, target="marked")
    artifact.write(nested(), manifest, tmp_path / "net.onnx")
    lines = call("inspect", tmp_path / "net.onnx").stdout.splitlines()
    assert "target marked (dense, to be compiled)" in lines[0]
    names = ", ".join(decision.name for decision in manifest.decisions)
    assert lines[-1] == f"Decisions ({len(manifest.decisions)}): {names}"


def test_inspect_shows_what_became_of_budgets_and_where_they_end(tmp_path: Path) -> None:
    barriers = [Barrier(f"s{number}", "it mixes channels") for number in range(6)]
    budgets = (
        Budgets(
            "level",
            3,
            "switch",
            f"It is [faster]{', and so' * 8}.",
            (*barriers, Barrier("y", "an output")),
        ),
        Budgets("other", 1, "slice"),
    )
    manifest = dataclasses.replace(SWITCH_MANIFEST, budgets=budgets)
    artifact.write(switched(), manifest, tmp_path / "net.onnx")
    lines = call("inspect", tmp_path / "net.onnx").stdout.splitlines()
    start = lines.index("Decisions (1)")
    assert lines[start : start + 12] == [
        "Decisions (1)",
        "└── level switch",
        "    ├── level 0: 0 MACs, 0 B of weights",
        "    ├── level 1: 0 MACs, 0 B of weights",
        "    └── level 2: 0 MACs, 0 B of weights",
        "Channel budgets (2)",
        "├── level 3 levels, switch: one network per level, cut from the same weights",
        f"│   ├── why: It is [faster]{', and so' * 6}, and",
        "│   │   so, and so.",
        "│   ├── ends at s0, s1, s2, s3 and 2 more: it mixes channels",
        "│   └── ends at y: an output",
        "└── other 1 level, slice: weights cut in each call, but for the last level",
    ]


def test_inspect_names_the_budgets_of_a_marked_file(tmp_path: Path) -> None:
    manifest = dataclasses.replace(SWITCH_MANIFEST, target="marked", budgets=(Budgets("level", 3),))
    artifact.write(switched(), manifest, tmp_path / "net.onnx")
    lines = call("inspect", tmp_path / "net.onnx").stdout.splitlines()
    assert lines[-3:] == [
        "Decisions (1): level",
        "Channel budgets (1)",
        "└── level 3 levels, not lowered yet",
    ]


def test_inspect_json_is_the_manifest(gated: Path) -> None:
    result = call("inspect", gated, "--json")
    assert Manifest.from_json(result.stdout, "stdout") == NESTED_MANIFEST
    assert json.loads(result.stdout)["format"] == 1


def test_inspect_refuses_what_is_no_artifact(tmp_path: Path) -> None:
    onnx.save(ir.to_proto(nested()), tmp_path / "net.onnx")
    assert "not a dyncompile artifact" in refused("inspect", tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(b"damaged")
    assert "not an ONNX file" in refused("inspect", tmp_path / "net.onnx")
    assert "cannot be read" in refused("inspect", tmp_path / "missing.onnx")


# --- run -------------------------------------------------------------------------------------


def test_run_writes_the_output_and_prints_the_path(gated: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.npy"
    result = call("run", gated, tmp_path / "x.npy", "-o", out, "--trace")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "y: float32[1, 4]",
        "outer -> 1",
        "inner -> 1",
        "exit -> 0",
        "deep -> 1",
    ]
    np.testing.assert_allclose(np.load(out), np.exp(ONES), rtol=1e-6)


def test_run_turns_a_knob(gated: Path, tmp_path: Path) -> None:
    result = call(
        "run",
        gated,
        "--input",
        f"x={tmp_path / 'x.npy'}",
        "--knob",
        "threshold=inf",
        "--trace",
    )
    assert result.stdout.splitlines()[1:] == [
        "outer -> 0",
        "inner -> 1",
        "exit -> 1",
        "deep -> not reached",
    ]


def test_run_reads_and_writes_npz(tmp_path: Path) -> None:
    artifact.write(switched(), SWITCH_MANIFEST, tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=ONES)
    for name in ("a", "b"):
        out = tmp_path / f"{name}.npz"
        result = call(
            "run", tmp_path / "net.onnx", tmp_path / "x.npz", "--knob", "level=1", "-o", out
        )
        assert result.exit_code == 0, result.output
        with np.load(out) as arrays:
            np.testing.assert_array_equal(arrays["y"], -ONES)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a.npz").namelist() == ["y.npy"]


def test_run_names_several_outputs_in_one_npz(tmp_path: Path) -> None:
    model = parse("main (float[2] x, float[3] t) => (float[2] file, float[3] z)"
                  " { file = Neg (x)  z = Neg (t) }")  # fmt: skip
    artifact.write(model, Manifest("onnx", {"t": Threshold((0, 0, 0))}), tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", np.ones(2, F32))
    arguments = (
        "run",
        tmp_path / "net.onnx",
        tmp_path / "x.npy",
        "--knob",
        "t=1,2,-inf",
        "-o",
    )
    assert call(*arguments, tmp_path / "out.npz").exit_code == 0
    with np.load(tmp_path / "out.npz") as arrays:
        assert dict(arrays.items())["z"].tolist() == [-1, -2, np.inf]
    assert "the network has 2 outputs" in refused(*arguments, tmp_path / "out.npy")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["x.npy", "--knob", "speed=1"], "--knob speed: the network has no such knob. Its"),
        (["x.npy", "--knob", "threshold"], "--knob: 'threshold' is not NAME=VALUE"),
        (["x.npy", "--knob", "threshold=high"], "--knob threshold: 'high' is not a number"),
        (["x.npy", "--knob", "threshold=7"], "knob 'threshold': 7.0 is not a threshold"),
        (["x.npy", "--knob", "threshold=nan"], "knob 'threshold': nan is not a threshold"),
        (["x.npy", "--knob", "threshold=1", "--knob", "threshold=1"], "is given twice"),
        (["x.npy", "--input", "x=x.npy"], "input 'x': given twice"),
        (["--input", "z=x.npy"], "argument 'z': no input or knob has this name"),
        (["--input", "x"], "--input: 'x' is not NAME=VALUE"),
        (["--input", "x=two.npz"], "two.npz: holds 2 arrays"),
        ([], "input 'x': not given"),
        (["x.npy", "x.npy"], "call: 2 inputs were given"),
        (["wrong.npy"], "input 'x': float64[1, 4] does not fit"),
        (["missing.npy"], "missing.npy: cannot be read"),
        (["text.npy"], "text.npy: not a .npy or .npz file"),
        (["short.npy"], "short.npy: not a .npy or .npz file"),
        (["empty.npy"], "empty.npy: not a .npy or .npz file"),
        (["short.npz"], "short.npz: not a .npy or .npz file"),
        (["objects.npy"], "objects.npy: not a .npy or .npz file of plain arrays"),
        (["x.npy", "-o", "y.txt"], "--output y.txt: neither .npy nor .npz"),
        (["x.npy", "-o", "none/y.npy"], "none/y.npy: the folder 'none' does not exist"),
    ],
)
def test_run_refuses(
    gated: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(gated.parent)
    np.save("wrong.npy", np.ones((1, 4)))
    np.savez("two.npz", x=ONES, z=ONES)
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    Path("text.npy").write_text("1 2 3")
    Path("empty.npy").touch()
    for name in ("x.npy", "two.npz"):
        half = Path(name).read_bytes()[:135]
        Path(f"short{Path(name).suffix}").write_bytes(half)
    before = sorted(Path().iterdir())
    assert problem in refused("run", "gated.onnx", *arguments)
    assert sorted(Path().iterdir()) == before


def test_run_refuses_a_level_that_is_not_whole(tmp_path: Path) -> None:
    artifact.write(switched(), SWITCH_MANIFEST, tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", ONES)
    error = refused("run", tmp_path / "net.onnx", tmp_path / "x.npy", "--knob", "level=0.5")
    assert "--knob level: '0.5' is not a whole number" in error
