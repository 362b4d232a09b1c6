from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from dyncompile import artifact
from dyncompile.cli import main
from dyncompile.errors import ArtifactError
from dyncompile.manifest import METADATA_KEY
from dyncompile.runtime import load
from tests.lowered import NESTED_MANIFEST, nested

BAD = Path(__file__).with_name("bad_networks.py")

NETWORK = """
import dyncompile
from torch import nn

class Net(nn.Module):
    knobs = {"threshold": dyncompile.Threshold(0.4, 0, 1)}

    def __init__(self):
        super().__init__()
        self.block, self.head, self.tail = nn.Linear(8, 8), nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x, threshold):
        x = dyncompile.gate(x.mean(1) > 0, x + self.block(x).relu(), x, name="skip")
        early = self.head(x)
        confident = early.softmax(1).amax(1) > threshold
        return dyncompile.early_exit(confident, early, self.tail(x), name="exit")

class Wider(Net):
    def __init__(self):
        super().__init__()
        self.block, self.head, self.tail = nn.Linear(9, 9), nn.Linear(9, 3), nn.Linear(9, 3)

class Slim(Net):
    knobs = {"level": dyncompile.Levels(("half", "full"))}

    def forward(self, x, level):
        x = dyncompile.channel_budget(self.block(x).relu(), level, (4, 8), name="width")
        return dyncompile.channel_budget(self.block(x), level, (4, 8)).softmax(1)

class Scaled(nn.Linear):
    def __init__(self):
        super().__init__(8, 8)

    def forward(self, x, level):
        return dyncompile.per_level(level, lambda k: super(Scaled, self).forward(x) * k, 3)
"""

EXPORT = ("export", "net.py:Net", "--input", "x=float32[1,8]")


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, its weights, and the file ``marked.onnx`` made of it."""
    folder = tmp_path_factory.mktemp("marked")
    (folder / "net.py").write_text(NETWORK)
    torch.manual_seed(3)
    layers = {"block": (8, 8), "head": (3, 8), "tail": (3, 8)}
    weights = {f"{name}.weight": torch.randn(size) for name, size in layers.items()}
    weights |= {f"{name}.bias": torch.randn(size[0]) for name, size in layers.items()}
    save_file(weights, folder / "net.safetensors")
    path = [*sys.path]
    options = ["--weights", f"{folder}/net.safetensors", "--input", "x=float32[1,8]"]
    output = ["--target", "marked", "-o", f"{folder}/marked.onnx"]
    result = CliRunner().invoke(main, ["export", f"{folder}/net.py:Net", *options, *output])
    sys.path[:] = path
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(autouse=True)
def folder(marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    for file in ("net.py", "net.safetensors", "marked.onnx"):
        (tmp_path / file).write_bytes((marked / file).read_bytes())
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> list[str]:
    """Return the lines that a command prints; it prints nothing else."""
    result = call(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout.splitlines()


def files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


# --- what works ------------------------------------------------------------------------------


def test_export_writes_a_file_and_says_what_is_in_it() -> None:
    lines = done(*EXPORT, "--weights", "net.safetensors", "-o", "net.onnx")
    assert lines[0].startswith("net.onnx: target onnx, ")
    assert any(line.startswith("│ threshold │ threshold │ 0 to 1") for line in lines)
    assert "Decisions (2)" in lines
    assert "├── skip gate" in lines
    assert "└── exit gate" in lines
    assert any(
        line.startswith("Verified: 5 samples at 3 operating points; largest") for line in lines
    )
    assert "Forced 4 paths: all there are." in lines
    assert "Paths the samples took by themselves:" in lines
    logits = load("net.onnx")(np.zeros((1, 8), np.float32))
    assert np.shape(logits) == (1, 3)


def test_a_marked_file_becomes_the_same_bytes_as_the_module() -> None:
    done(*EXPORT, "--weights", "net.safetensors", "--no-verify", "-o", "a.onnx")
    (Path() / "other").mkdir()
    lines = done("export", "marked.onnx", "-o", "other/a.onnx")
    assert not any("Verified" in line for line in lines)
    assert Path("a.onnx").read_bytes() == Path("other/a.onnx").read_bytes()


def test_a_marked_file_is_compiled_without_torch() -> None:
    without = (
        "import sys; sys.modules.update(torch=None, onnxscript=None, safetensors=None)\n"
        "from dyncompile.cli import main; main()"
    )
    here = {**os.environ, "PYTHONPATH": str(BAD.parents[1])}
    results = [
        subprocess.run(
            [sys.executable, "-c", without, "export", source, "-o", f"{number}.onnx"],
            check=False,
            capture_output=True,
            text=True,
            env=here,
        )
        for number, source in enumerate(("marked.onnx", "net.py:Net"))
    ]
    assert (results[0].returncode, results[0].stderr) == (0, "")
    assert (results[1].returncode, results[1].stdout) == (1, "")
    assert results[1].stderr == (
        "Error: torch is not installed. Install it with: pip install 'dyncompile[torch]'\n"
    )


def test_knobs_and_samples_come_from_the_command_line() -> None:
    np.savez("data.npz", x=np.linspace(-1, 1, 80).reshape(10, 8))
    knob = ("--knob", "threshold=threshold(0.7;low=0.5;high=0.9)")
    lines = done(*EXPORT, *knob, "--samples", "data.npz", "-o", "net.onnx")
    assert any(line.startswith("Verified: 10 samples at 3") for line in lines)
    assert load("net.onnx").knobs["threshold"].default == 0.7
    level = ("--knob", "level=levels(0.25,0.5,1;default=1)")
    lines = done("export", "net.py:Scaled", "--input", "x=float32[1,8]", *level, "-o", "level.onnx")
    assert any(line.startswith("Verified: 5 samples at 3 operating points") for line in lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param([], "switch: one network per level, cut from the same weights", id="auto"),
        pytest.param(["--budgets", "slice"], "slice: weights cut in each call", id="slice"),
        pytest.param(["--target", "marked"], "not lowered yet", id="marked"),
    ],
)
def test_export_says_what_became_of_channel_budgets(options: list[str], said: str) -> None:
    slim = ("export", "net.py:Slim", "--weights", "net.safetensors", *EXPORT[2:])
    lines = [line for line in done(*slim, *options, "-o", "net.onnx") if line]
    tree = lines.index("Channel budgets (1)")
    assert lines[tree + 1].startswith("└── width 2 levels, ")
    assert said in lines[tree + 1]
    if "marked" not in options:
        assert lines[tree + 2].startswith("    ├── why: ")
        assert any("softmax" in line for line in lines[tree + 3 :]), "a barrier"
    inspected = done("inspect", "net.onnx")
    assert "Channel budgets (1)" in inspected


def test_an_unknown_lowering_of_budgets_is_refused() -> None:
    result = call(*EXPORT, "--budgets", "mask", "-o", "net.onnx")
    assert result.exit_code == 2
    assert "'mask' is not one of 'auto', 'switch', 'slice'" in result.output


def test_defaults_and_external_weights_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "_INLINE_UP_TO_BYTES", 64)
    done("export", "marked.onnx", "--default-knobs", "--external-data", "-o", "net.onnx")
    assert Path("net.onnx.data").exists()
    session = ort.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.zeros((1, 8), np.float32)})[0].shape == (1, 3)


@pytest.mark.parametrize("options", [[], ["--default-knobs"]])
def test_verify_repeats_the_check(options: list[str]) -> None:
    done("export", "marked.onnx", *options, "-o", "net.onnx")
    np.save("x.npy", np.linspace(-1, 1, 24).reshape(3, 1, 8))
    weights = ("--weights", "net.safetensors")
    lines = done("verify", "net.onnx", "net.py:Net", *weights)
    assert lines[0].startswith("Verified: 5 samples at 3 operating points")
    assert lines[1] == "Forced 4 paths: all there are."
    lines = done("verify", "net.onnx", "net.py:Net", *weights, "--samples", "x.npy")
    assert lines[0].startswith("Verified: 3 samples")


def test_verify_reads_marked_files() -> None:
    lines = done("verify", "marked.onnx", "net.py:Net", "--weights", "net.safetensors")
    assert lines[1] == "Forced no path: a marked file runs all of them."


# --- what is refused -------------------------------------------------------------------------

BAD_NETWORKS = {
    "not_callable": "this is int, not a factory",
    "not_a_module": "this gives dict, not a torch.nn.Module",
    "needs_arguments": "the factory needs arguments: width, depth",
    "raises": "the factory raises ValueError: the width is odd, and more. Correct",
    "leaves": "the factory raises SystemExit: usage",
    "missing": "it defines no 'missing'. It defines",
    "unmarked": "the model has no marker",
    "python_if": "cannot follow. Write this decision with dyncompile.gate, early_exit or",
    "index_decision": "gate 'skip': the decision is int64[1]",
    "wide_decision": "gate 'skip': a decision of shape [1, 8] does not fit",
    "different_shapes": "gate 'skip': the sides disagree",
    "different_types": "gate 'skip': the sides disagree",
    "fails": "bad_networks.py:",
    "random_forward": "the artifact and the model differ by",
}

REFUSED: list[tuple[tuple[str, ...], str]] = [
    ((*EXPORT, "--weights", "none.pt"), "none.pt: cannot be read: No such file"),
    ((*EXPORT, "--weights", "damaged.pt"), "damaged.pt: not a state dict"),
    ((*EXPORT, "--weights", "damaged.safetensors"), "not a state dict"),
    ((*EXPORT, "--weights", "other.pt"), "'block.weight' is missing and 'w' is unexpected"),
    (
        (*EXPORT, "--weights", "wide.pt"),
        "'block.weight' has shape [9, 9] in the file and [8, 8] in",
    ),
    ((*EXPORT, "--samples", "none.npz"), "none.npz: cannot be read"),
    ((*EXPORT, "--samples", "damaged.pt"), "damaged.pt: not a .npy or .npz file"),
    ((*EXPORT, "--samples", "other.npz"), "other.npz: it holds y float64[2, 8]; the inputs"),
    ((*EXPORT, "--knob", "speed=levels(1,2)"), "knob 'speed': forward has no parameter of"),
    ((*EXPORT, "--knob", "threshold=0.5"), "'threshold=0.5' does not describe a knob"),
    ((*EXPORT, "--knob", "t=levels(1)", "--knob", "t=levels(2)"), "it is described twice"),
    (("export", "net.py:Net"), "Net.forward: the input 'x' is missing"),
    (("export", "net.py:Net", "--input", "x"), "--input: 'x' does not describe an input"),
    (("export", "net.py:Net", "--input", "x=real[1,8]"), "there is no type 'real'"),
    ((*EXPORT, "--input", "z=float32[1]"), "forward has no input 'z'; it has x"),
    ((*EXPORT, "--input", "x=float32[1,8]"), "--input x: it is described twice"),
    (("export", "net.py:Net", "--input", "x=float32[2,8]"), "decision"),
    (("export", "syntax.py:Net"), "syntax.py:2: "),
    (("export", "none.py:Net"), "none.py: there is no such file"),
    (("export", "net.py"), "net.py: it names no factory"),
    (("export", "none.onnx"), "none.onnx: cannot be read"),
    (("export", "cut.onnx"), "cut.onnx: not an ONNX file, or damaged or cut short"),
    (("export", "damaged.onnx"), "damaged.onnx: not an ONNX file"),
    (("export", "foreign.onnx"), "this ONNX file was not written by dyncompile"),
    (("export", "lowered.onnx"), "this file is already lowered"),
    (("export", "newer.onnx"), "newer.onnx: "),
    (("export", "marked.onnx", "--weights", "x.pt"), "--weights: an ONNX file holds its weights"),
    (("export", "marked.onnx", "--knob", "speed=levels(1,2)"), "knob 'speed': this knob is"),
    (("verify", "none.onnx", "net.py:Net"), "none.onnx: cannot be read"),
    (("verify", "cut.onnx", "net.py:Net"), "cut.onnx: not an ONNX file"),
    (("verify", "foreign.onnx", "net.py:Net"), "foreign.onnx: not a dyncompile artifact"),
    (("verify", "newer.onnx", "net.py:Net"), "newer.onnx: "),
    (("verify", "marked.onnx", "net.py:Net"), "differ by"),
    (("verify", "marked.onnx", "net.py:Wider"), "the model fails: RuntimeError"),
    (("verify", "lowered.onnx", "net.py:Net"), "the model fails: RuntimeError"),
    (("verify", "marked.onnx", "net.py:Scaled"), "the model fails: TypeError"),
    (("verify", "marked.onnx", f"{BAD}:not_a_module"), "not a torch.nn.Module"),
    (("verify", "marked.onnx", "net.py:Net", "--samples", "other.npz"), "it holds y float64"),
    *(
        (("export", f"{BAD}:{name}", "--input", "x=float32[1,8]"), problem)
        for name, problem in BAD_NETWORKS.items()
    ),
]


@pytest.mark.parametrize(("arguments", "problem"), REFUSED, ids=[case[1] for case in REFUSED])
def test_bad_input_is_refused_in_one_line(
    arguments: tuple[str, ...], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _write_bad_files()
    before = files()
    output = ("-o", "net.onnx") if arguments[0] == "export" else ()
    result = call(*arguments, *output)
    assert result.exit_code == 1, result.output
    assert problem in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert not result.stdout
    assert files() == before
    assert capfd.readouterr() == ("", "")  # what libraries write past Python


def _write_bad_files() -> None:
    whole = Path("marked.onnx").read_bytes()
    for name in ("damaged.pt", "damaged.safetensors", "damaged.onnx"):
        Path(name).write_bytes(b"damaged")
    Path("cut.onnx").write_bytes(whole[: len(whole) // 2])
    Path("syntax.py").write_text("\ndef Net(:")
    torch.save({"w": torch.zeros(1)}, "other.pt")
    sizes = {"block": (9, 9), "head": (3, 9), "tail": (3, 9)}
    wide = {f"{name}.weight": torch.zeros(size) for name, size in sizes.items()}
    wide |= {f"{name}.bias": torch.zeros(size[0]) for name, size in sizes.items()}
    torch.save(wide, "wide.pt")
    np.savez("other.npz", y=np.zeros((2, 8)))
    onnx.save(ir.to_proto(nested()), "foreign.onnx")
    artifact.write(nested(), NESTED_MANIFEST, Path("lowered.onnx"))
    newer = onnx.load("marked.onnx")
    (entry,) = (entry for entry in newer.metadata_props if entry.key == METADATA_KEY)
    entry.value = json.dumps({**json.loads(entry.value), "format": 99})
    onnx.save(newer, "newer.onnx")


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("none/net.onnx", "the folder 'none' does not exist"),
        (".", "this is not a file"),
        ("marked.onnx/net.onnx", "the folder 'marked.onnx' does not exist"),
        ("marked.onnx", "this is the source itself"),
        ("/proc/net.onnx", "/proc/net.onnx: cannot be written"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(output: str, problem: str) -> None:
    if output.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("this system has no folder that even root may not write to")
    before = files()
    result = call("export", "marked.onnx", "-o", output)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert problem in result.stderr
    assert files() == before


def test_an_output_that_cannot_be_written_is_refused_before_the_work() -> None:
    error = call("export", "none.py:Net", "-o", "none/net.onnx").stderr
    assert "the folder 'none' does not exist" in error


def test_a_full_disk_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    before = files()
    result = call("export", "marked.onnx", "-o", "net.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    problem = "Error: net.onnx: cannot be written: No space left on device. Free some space.\n"
    assert result.stderr == problem
    assert files() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "net.py:Net"),
        ("export", "net.py:Net", "-o", "x.onnx", "--target", "tpu"),
        ("verify", "net.onnx"),
        ("compile",),
    ],
)
def test_wrong_usage_is_told_apart(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: " in result.stderr


def test_every_error_of_the_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        raise ArtifactError("two\nlines.", where=str(path), remedy="Read them.")

    monkeypatch.setattr(artifact, "read", read)
    assert call("inspect", "x.onnx").stderr == "Error: x.onnx: two lines. Read them.\n"
