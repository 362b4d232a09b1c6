import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from dyncompile import demo
from dyncompile.cli import main
from dyncompile.errors import ArtifactError


def test_demo_runs_in_a_folder_and_shows_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(folder: Path, seed: int, *, console: Console) -> str:
        asked.append((folder, seed, console.stderr))
        return "the result"

    monkeypatch.setattr(demo, "run", run)
    monkeypatch.setattr(demo, "show", lambda result, console: console.print(result))
    results = [
        CliRunner().invoke(main, ["demo", *arguments])
        for arguments in ([], ["--folder", "elsewhere", "--seed", "3"])
    ]
    assert asked == [(Path("out/demo"), 0, True), (Path("elsewhere"), 3, True)]
    assert [(r.exit_code, r.stdout) for r in results] == [(0, "the result\n")] * 2


def test_demo_says_in_one_line_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(folder: Path, **_: object) -> None:
        raise ArtifactError("cannot be made.", where=str(folder), remedy="Name another.")

    monkeypatch.setattr(demo, "run", run)
    result = CliRunner().invoke(main, ["demo"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: out/demo: cannot be made. Name another.\n"


@pytest.mark.parametrize("seed", ["-1", "x"])
def test_demo_takes_seeds_from_zero(seed: str) -> None:
    assert CliRunner().invoke(main, ["demo", "--seed", seed]).exit_code == 2


def test_demo_names_the_packages_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("ignite", "ignite.engine"):
        monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(main, ["demo", "--folder", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(
        "Error: pytorch-ignite is not installed."
        " Install it with: pip install 'dyncompile[methods]'\n"
    )
