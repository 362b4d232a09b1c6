"""The command ``build``, and ``export --target tensorrt``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx_ir as ir
import pytest
from click.testing import CliRunner, Result

import dyncompile
from dyncompile.cli import main
from dyncompile.engine_file import read_engine
from dyncompile.engines import flavors
from tests.engine_networks import Skipping, Slim, image
from tests.engines.graphs import DYNAMIC, GATE, written
from tests.engines.stand_in import load, package

RTX = "tensorrt_rtx_1_7"
NETWORK = "from tests.engine_networks import Skipping, Slim\n"
MODULE = ("net.py:Skipping", "--input", "x=float32[1,4,8,8]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two networks in several forms."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "net.py").write_text(NETWORK)
    for name, text in {"gate": GATE, "free": DYNAMIC}.items():
        written(text, folder).rename(folder / f"{name}.onnx")
    dyncompile.export(Skipping(), image(), folder / "marked.onnx", target="marked", verify=False)
    dyncompile.export(Slim(), image(), folder / "slim.onnx", target="marked", verify=False)
    dyncompile.export(folder / "marked.onnx", None, folder / "net.onnx")
    dyncompile.export(folder / "slim.onnx", None, folder / "slices.onnx", budgets="slice")
    dyncompile.export(folder / "net.onnx", None, folder / "legal.onnx", target="tensorrt")
    return folder


@pytest.fixture(autouse=True)
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for file in made.iterdir():
        (work / file.name).write_bytes(file.read_bytes())
    return work


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> list[str]:
    """Return the lines that a command prints; it prints nothing else."""
    result = call(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout.splitlines()


def refused(*arguments: object) -> str:
    """Return the one line that a command says, after which everything is as it was."""
    before = files()
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert not result.stdout
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert files() == before
    return result.stderr


def files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def plant(monkeypatch: pytest.MonkeyPatch, folder: Path, fault: str) -> None:
    """Put a builder that fails in the place of the real one."""
    monkeypatch.syspath_prepend(package(folder, RTX, fault=fault))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", load(RTX))


# --- what works ------------------------------------------------------------------------------


def test_build_says_what_it_made_why_and_what_it_takes() -> None:
    lines = done("build", *MODULE, "--flavor", "tensorrt-rtx", "-o", "net.engine")
    assert lines[0].startswith("net.engine: tensorrt-rtx ")
    assert "it was asked for" in lines[1]
    rows = [line for line in lines if line.startswith("│")]
    assert any("knob" in row and "threshold" in row and "memory of the GPU" in row for row in rows)
    assert any("input" in row and "float32[1, 4, 8, 8]" in row for row in rows)
    assert any("0 to 1" in row and "0.4" in row for row in rows), "the table of knobs"
    assert "2 layers that multiply run only if their branch is taken." in lines
    assert any(line.startswith("Built in ") for line in lines)
    assert "Forced 4 paths: all there are." in lines
    assert [binding.name for binding in read_engine(Path("net.engine")).inputs] == [
        "x",
        "threshold",
    ]


@pytest.mark.parametrize("here", [None, "sm90"], ids=["no GPU", "a GPU"])
def test_build_says_whether_the_engine_can_have_run(
    here: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dyncompile.engines.gpu.chip_here", lambda: here)
    lines = done("build", "gate.onnx", "--flavor", "tensorrt-rtx", "--no-verify", "-o", "x.engine")
    assert ("Built, not run: this machine has no GPU." in lines) == (here is None)


def test_one_lazy_layer_is_told_as_one() -> None:
    lines = done("build", "gate.onnx", "--flavor", "tensorrt-rtx", "--no-verify", "-o", "x.engine")
    assert "1 layer that multiplies runs only if its branch is taken." in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("legal.onnx",), "Not verified: there is nothing to hold", id="as it is"),
        pytest.param(("gate.onnx", "--no-verify"), "Not verified.", id="not asked for"),
    ],
)
def test_build_says_what_it_did_not_verify(arguments: tuple[str, ...], said: str) -> None:
    lines = done("build", *arguments, "--flavor", "tensorrt-rtx", "-o", "x.engine")
    assert lines[-1].startswith(said)


def test_every_option_reaches_the_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    plant(monkeypatch, stand_in, "")
    options = ("--flavor", "tensorrt-rtx", "--for", "sm89, sm120", "--memory", "64")
    shape = ("--shape", "x=1x4x8x8,2x4x8x8,4x4x16x16")
    done("build", "free.onnx", *options, *shape, "--no-verify", "-o", "x.engine")
    plan = Path("x.engine").read_text()
    assert '"chips": ["SM89", "SM120"]' in plan
    assert '"memory": ["WORKSPACE", 64000000]' in plan
    assert '"profile": {"x": ["sizes", [1, 4, 8, 8], [2, 4, 8, 8], [4, 4, 16, 16]]}' in plan


def test_samples_and_drawn_inputs_may_be_given_with_a_lowered_file() -> None:
    import numpy as np

    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(3, 1, 4, 8, 8)).astype("float32"))
    options = ("--target", "tensorrt", "-o", "x.onnx")
    lines = done("export", "net.onnx", "--samples", "x.npz", *options)
    assert any(line.startswith("Verified: 3 samples at 3 operating points") for line in lines)
    lines = done("export", "free.onnx", "--input", "x=float32[2,4,6,6]", *options)
    assert any(line.startswith("Verified: 6 samples at 1 operating point") for line in lines)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("net.onnx", [], id="sizes are fixed"),
        pytest.param(
            "free.onnx",
            [f"--{end}Shapes=x:1x4x1x1" for end in ("min", "opt", "max")],
            id="sizes are free",
        ),
    ],
)
def test_export_prints_how_trtexec_builds_the_file(source: str, words: list[str]) -> None:
    lines = done("export", source, "--target", "tensorrt", "-o", "to build.onnx")
    (line,) = (line for line in lines if line.startswith("trtexec "))
    first = ["trtexec", "'--onnx=to build.onnx'", "'--saveEngine=to build.plan'"]
    assert line == " ".join([*first, *words, "--skipInference"])
    assert lines[-1] == "# with TensorRT 10 add --stronglyTyped"
    assert any("fill in your own" in line for line in lines) == bool(words)
    assert lines[0].startswith("to build.onnx: target tensorrt, ")


def test_a_file_is_built_without_torch() -> None:
    without = (
        "import sys; sys.modules.update(torch=None, onnxscript=None, safetensors=None)\n"
        "from dyncompile.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", without, "build", "net.onnx", "-o", "x.engine"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "Forced 4 paths: all there are." in result.stdout


# --- what is refused -------------------------------------------------------------------------

REFUSED = {
    "an unwritable engine": (("net.onnx", "-o", "none/x.engine"), "the folder 'none' does not"),
    "a name that load would not know": (
        ("net.onnx", "-o", "x.plan"),
        "x.plan: the name of an engine ends in .engine",
    ),
    "no engine": (("net.onnx", "-o", "."), "this is not a file"),
    "an unknown chip": (("net.onnx", "--for", "sm33"), "chip 'sm33': TensorRT for RTX"),
    "no chip": (("net.onnx", "--for", "sm89,"), "--for: 'sm89,' are no chips"),
    "no builder of this flavor": (
        ("net.onnx", "--flavor", "tensorrt"),
        "TensorRT is not installed",
    ),
    "a malformed shape": (("net.onnx", "--shape", "x=big"), "--shape x=big: sizes are whole"),
    "a shape given twice": (
        ("net.onnx", "--shape", "x=1x2", "--shape", "x=1x2"),
        "--shape x=1x2: given twice",
    ),
    "a shape of nothing": (("net.onnx", "--shape", "z=1x2"), "the network has no such input"),
    "a range that leaves levels out": (
        ("slim.onnx", "--shape", "level=0,0,0"),
        "0 to 0 does not cover the knob, which goes from 0 to 2",
    ),
    "free sizes without a range": (("free.onnx",), "no range of them is given"),
    "weights cut at run time": (("slices.onnx",), "Give the marked file, or export with"),
    "no file": (("none.onnx",), "none.onnx: cannot be read"),
    "no file of an engine": (("none.engine",), "none.engine: cannot be read"),
    "weights for a file": (("net.onnx", "--weights", "w.pt"), "--weights: an ONNX file holds its"),
    "inputs for a marked file": (
        ("marked.onnx", "--input", "x=float32[1,4,8,8]"),
        "--input: a marked file holds its inputs",
    ),
    "an input that the file does not have": (
        ("net.onnx", "--input", "z=float32[1]"),
        "net.onnx: it has no input 'z'",
    ),
    "samples without names": (("net.onnx", "--samples", "x.npy"), "one array without a name"),
    "a knob that the file does not have": (
        ("gate.onnx", "--knob", "speed=levels(1,2)"),
        "knob 'speed': this knob is not an input of the graph",
    ),
    "the engine over its source": (("net.onnx", "-o", "net.onnx"), "this is the source itself"),
}


@pytest.mark.parametrize(("arguments", "problem"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_in_one_line(
    arguments: tuple[str, ...], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    np.save("x.npy", np.zeros(3))
    monkeypatch.setattr(flavors, "chip_here", lambda: None)
    output = () if "-o" in arguments else ("-o", "x.engine")
    assert problem in refused("build", *arguments, *output)


def test_the_description_beside_the_engine_has_to_be_writable() -> None:
    Path("x.engine.json").mkdir()
    assert "x.engine.json: this is not a file" in refused("build", "net.onnx", "-o", "x.engine")


def test_without_a_builder_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flavors, "_is_installed", lambda _: False)
    said = refused("build", "net.onnx", "-o", "x.engine")
    assert "neither TensorRT nor TensorRT for RTX is installed" in said
    assert "pip install 'dyncompile[tensorrt-rtx]'" in said


def test_a_builder_that_is_too_old_is_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    old = load(RTX)
    vars(old)["__version__"] = "0.9.1"
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", old)
    said = refused("build", "net.onnx", "--flavor", "tensorrt-rtx", "-o", "x.engine")
    assert "0.9.1 is installed" in said
    assert "or newer is needed" in said


FAULTS = {
    "crash": "crashed (SIGSEGV) at 'Timing'; its last words: ",
    "killed": "was killed at 'Timing', as systems do when memory runs out",
    "out of memory": "ran out of memory: ",
    "refuses": "does not build the network: ",
    "wrong channels": "warns of what would compute wrong numbers",
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.items(), ids=FAULTS)
def test_a_builder_that_fails_leaves_one_line_and_no_file(
    fault: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    plant(monkeypatch, stand_in, fault)
    options = ("--flavor", "tensorrt-rtx", "--no-verify", "-o", "x.engine")
    error = refused("build", "gate.onnx", *options)
    assert said in error
    assert str(tmp_path) not in error


def test_a_build_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    plant(monkeypatch, stand_in, "slow")
    options = ("--flavor", "tensorrt-rtx", "--no-verify", "--timeout", "0.3", "-o", "x.engine")
    assert "was not done after 0.3 s" in refused("build", "gate.onnx", *options)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_ctrl_c_ends_the_build_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    stand_in, temporary = tmp_path / "stand-in", tmp_path / "temporary"
    stand_in.mkdir()
    temporary.mkdir()
    root = Path(__file__).parents[1]
    paths = [package(stand_in, RTX, fault="slow"), root]
    before = files()
    command = "from dyncompile.cli import main; main()"
    arguments = ("build", "gate.onnx", "--flavor", "tensorrt-rtx", "--no-verify", "-o", "x.engine")
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(temporary),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        give_up = time.monotonic() + 30
        while not list(temporary.glob("*/net.onnx")) and time.monotonic() < give_up:
            time.sleep(0.02)
        time.sleep(0.3)  # the builder starts
        assert process.poll() is None, "it is building"
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, output, error) == (130, "", "Cancelled.\n")
    assert files() == before
    assert not list(temporary.iterdir())


# --- export --target tensorrt ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(
            ("slim.onnx", "--target", "tensorrt", "--budgets", "slice"),
            "budgets: 'slice' is no way to lower channel budgets for target tensorrt",
            id="slices for TensorRT",
        ),
        pytest.param(
            ("slim.onnx", "--budgets", "chain"),
            "budgets: 'chain' is no way to lower channel budgets for target onnx",
            id="a chain for ONNX Runtime",
        ),
        pytest.param(("slim.onnx", "--fp16"), "fp16: target onnx has the types of", id="halves"),
        pytest.param(
            ("net.onnx", "--target", "tensorrt", "--default-knobs"),
            "default_knobs: an input with a default value is a constant to TensorRT",
            id="frozen knobs",
        ),
        pytest.param(
            ("net.onnx", "--target", "tensorrt", "--budgets", "chain"),
            "net.onnx: its channel budgets are lowered already",
            id="lowered twice",
        ),
        pytest.param(("gate.onnx",), "was not written by dyncompile", id="foreign for onnx"),
    ],
)
def test_what_a_target_does_not_have_is_refused(arguments: tuple[str, ...], problem: str) -> None:
    assert problem in refused("export", *arguments, "-o", "x.onnx")


def test_weights_that_are_inputs_are_not_made_inputs_of_an_engine() -> None:
    model = ir.load("gate.onnx")
    weight = model.graph.initializers["w1"]
    model.graph.inputs.append(weight)
    ir.save(model, "old.onnx")
    said = refused("export", "old.onnx", "--target", "tensorrt", "-o", "x.onnx")
    assert "the weight 'w1' is an input with a default value" in said
