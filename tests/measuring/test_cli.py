from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dyncompile.cli import main
from tests.measuring.conftest import Made

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
        (["--against", "missing.onnx"], "missing.onnx: cannot be read"),
        (["--against", "missing.py:net"], "missing.py: there is no such file"),
    ],
    ids=["provider", "sweep", "knob", "data", "logits", "labels", "file", "module"],
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
