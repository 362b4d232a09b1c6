from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dyncompile import artifact
from dyncompile.cli import main
from dyncompile.manifest import Manifest
from dyncompile.measuring.findings import DEAREST
from dyncompile.measuring.points import parse_sweeps
from tests.measuring.conftest import Made
from tests.support import parse

QUICK = ["--seconds", "0.001"]


def run(*arguments: object) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def test_it_prints_tables_and_writes_json(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    result = run(
        made.net, "--data", made.data, "--sweep", "threshold=0,inf", *QUICK, "--json", file
    )
    assert result.exit_code == 0, result.output
    for text in ("Paths, forced", "Deciding for itself", "Where the time goes", "1 thread, CPU"):
        assert text in result.output
    assert max(map(len, result.output.splitlines()[1:])) <= 80
    entry = json.loads(file.read_text())
    assert [dict(point["point"]) for point in entry["setups"][0]["points"]] == [
        {"threshold": [0.5, 0.5]},
        {"threshold": [0.0, 0.0]},
        {"threshold": ["inf", "inf"]},
    ]


def test_a_report_that_cannot_be_written_is_known_before_measuring(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("measured")

    monkeypatch.setattr("dyncompile.measuring.bench.bench", never)
    for option in ("-o", "--json"):
        result = run(made.net, option, tmp_path / "missing" / "report.html")
        assert result.exit_code == 1
        assert "does not exist" in result.output
    result = run(made.net, "-o", made.net)
    assert "this is the network itself" in result.output


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_what_the_report_needs_is_named(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = run(made.net, "-o", tmp_path / "report.html", *QUICK)
    assert result.exit_code == 1
    assert f"{package} is not installed" in result.output
    assert "pip install 'dyncompile[report]'" in result.output
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--provider", "CUDA"], "Error: providers: there is no provider 'CUDA'."),
        (["--sweep", "threshold"], "Error: --sweep: 'threshold' is no sweep."),
        (["--sweep", "other=1"], "the network has no such knob"),
        (["--data", "missing.npz"], "missing.npz: cannot be read"),
        (["--logits", "scores"], "the network has no output 'scores'"),
        (["--labels", "w"], "there is no array 'w' besides the inputs"),
        (["--sweep", "threshold=0.5", "--sweep", "threshold=7"], "7.0"),
        (["--against", "missing.onnx"], "missing.onnx: cannot be read"),
        (["--against", "missing.py:net"], "missing.py: there is no such file"),
    ],
    ids=["provider", "sweep", "knob", "data", "logits", "labels", "value", "file", "module"],
)
def test_mistakes_are_one_line(made: Made, arguments: list[str], problem: str) -> None:
    given = ["--data", made.data] if "--data" not in arguments else []
    result = run(made.net, *given, *arguments, *QUICK)
    assert result.exit_code == 1
    assert problem in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_file_of_another_tool_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(b"nothing")
    result = run(file)
    assert result.exit_code == 1
    assert "not an ONNX file" in result.output


def test_without_a_model_it_needs_no_torch(made: Made) -> None:
    code = "import sys; sys.modules['torch'] = None; from dyncompile.cli import main; main()"
    arguments = [sys.executable, "-c", code, "bench", made.net, "--limit", "2", *QUICK]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Paths, forced" in done.stdout


@pytest.mark.parametrize("option", ["--data", "--weights", "--against", "--json"])
def test_no_file_is_written_over_another_one(made: Made, tmp_path: Path, option: str) -> None:
    file = tmp_path / "named.npz"
    file.write_bytes(b"kept")
    named = f"{file}:net" if option == "--against" else file
    result = run(made.net, option, named, "-o", tmp_path / "." / "named.npz")
    assert result.exit_code == 1
    assert "this is named for something else too" in result.output
    assert file.read_bytes() == b"kept"


def test_weights_beside_the_network_are_not_written_over(made: Made) -> None:
    result = run(made.net, "--json", f"{made.net}.data")
    assert result.exit_code == 1
    assert "this is named for something else too" in result.output


def test_sweeps_of_one_knob_go_together() -> None:
    texts = ["t=0.1,0.2", "u=1", "t=inf"]
    assert parse_sweeps(texts) == {"t": (0.1, 0.2, math.inf), "u": (1.0,)}


@pytest.mark.parametrize("option", ["--labels", "--logits"])
def test_a_name_that_nothing_has_is_refused_without_data(made: Made, option: str) -> None:
    result = run(made.net, option, "nothing", *QUICK)
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1


def test_columns_of_times_are_explained(made: Made) -> None:
    result = run(made.net, "--against", made.net, "--limit", 4, *QUICK)
    words = " ".join(result.output.split())
    assert "median ± half the width of the middle half" in words
    assert f"/ static of free runs: the mean time over that of {DEAREST!r}" in words


def test_a_cache_that_cannot_be_written_is_a_note(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DYNCOMPILE_CACHE", str(tmp_path / "file"))
    result = run(made.net, "--limit", 4, *QUICK)
    assert result.exit_code == 0
    assert "Note: The latencies are kept for this process only" in " ".join(result.output.split())


def test_onnx_runtime_prints_nothing_beside_the_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "m (int64[1] row) => (float[1] y) <float[2] w = {1, 2}> {y = Gather(w, row)}"
    artifact.write(parse(text), Manifest("onnx"), tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", row=np.full(4, 9))
    result = run(tmp_path / "net.onnx", "--data", tmp_path / "data.npz", *QUICK)
    assert result.exit_code == 1
    assert "refuses this call" in result.output
    assert not capfd.readouterr().err
