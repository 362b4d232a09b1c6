"""Packages from a mirror that is made up: scripts stand in for apt and dpkg."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import cpp_packages
from tools.cpp_packages import Missing, prepare

APT = """\
#!/bin/sh
case "$*" in
  *indextargets*) cat "{folder}/mirrors" ;;
  *update*) config="${{1#--config-file=}}"
    cat "$(dirname "$config")/sources.list" >> "{folder}/asked"
    grep -q good "$(dirname "$config")/sources.list" || {{ echo "W: odd
W: Failed to fetch it  404  Not Found
E: Some index files failed." >&2; exit 100; }} ;;
  *download*) touch one.deb two.deb ;;
esac
"""
DPKG = """\
#!/bin/sh
mkdir -p "$3/usr/include/onnxruntime" "$3/usr/include/nlohmann" "$3/usr/include/doctest"
"""
REMEDY = "Set ONNXRUNTIME_ROOT, NLOHMANN_JSON_ROOT, DOCTEST_ROOT to where they are."


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose apt has two mirrors, of which the second has the release."""
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG)):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(text.format(folder=tmp_path) if name == "apt-get" else text, "utf-8")
        script.chmod(0o755)
    mirrors("bad bookworm main", "bad bookworm main", "good bookworm main", folder=tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for variable in cpp_packages.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def mirrors(*lines: str, folder: Path) -> None:
    (folder / "mirrors").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def asked(machine: Path) -> list[str]:
    lines = (machine / "asked").read_text(encoding="utf-8").splitlines()
    return [" ".join(line.split()[-3:]) for line in lines]


def test_the_first_mirror_that_has_the_release_is_taken(machine: Path) -> None:
    packages = prepare(machine / "build" / "packages")
    assert asked(machine) == ["bad trixie main", "good trixie main"]
    assert (packages.onnxruntime / "include").is_dir()
    assert (packages.nlohmann_json / "include" / "nlohmann").is_dir()
    assert (packages.doctest / "include" / "doctest").is_dir()
    assert [path.name for path in (machine / "build").iterdir()] == ["packages"]


def test_the_library_is_that_of_the_wheel_by_every_name(machine: Path) -> None:
    library = prepare(machine / "packages").onnxruntime / "lib"
    wheel = (library / "libonnxruntime.so").resolve()
    assert wheel.is_file()
    assert (library / wheel.name).resolve() == wheel
    assert (library / "libonnxruntime.so.1").resolve() == wheel


def test_what_is_there_is_not_fetched_again(machine: Path) -> None:
    before = prepare(machine / "packages")
    (machine / "asked").unlink()
    assert prepare(machine / "packages") == before
    assert not (machine / "asked").exists()


def test_another_wheel_makes_them_anew(machine: Path) -> None:
    prepare(machine / "packages")
    (machine / "packages" / "made-of").write_text("another", encoding="utf-8")
    (machine / "packages" / "include" / "old").touch()
    prepare(machine / "packages")
    assert not (machine / "packages" / "include" / "old").exists()


def test_parts_of_releases_are_no_mirrors(machine: Path) -> None:
    mirrors("good-security bookworm-security main", "good bookworm contrib", folder=machine)
    with pytest.raises(Missing) as raised:
        prepare(machine / "packages")
    assert str(raised.value) == (
        f"No mirror of this machine's apt gave Debian trixie; there is none. {REMEDY}"
    )


def test_what_apt_says_is_passed_on(machine: Path) -> None:
    mirrors("bad bookworm main", folder=machine)
    with pytest.raises(Missing) as raised:
        prepare(machine / "packages")
    assert str(raised.value) == (
        "No mirror of this machine's apt gave Debian trixie; "
        f"bad says: Failed to fetch it  404  Not Found. {REMEDY}"
    )
    assert not (machine / "packages").exists()


def test_without_apt_variables_are_asked_for(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing) as raised:
        prepare(machine / "packages")
    assert str(raised.value) == (
        f"The headers come from packages of Debian, and there is no apt here. {REMEDY}"
    )


def test_what_variables_name_is_taken(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTEST_ROOT", str(machine / "mine"))
    assert prepare(machine / "packages").doctest == machine / "mine"
    for variable in cpp_packages.VARIABLES.values():
        monkeypatch.setenv(variable, str(machine / "mine"))
    monkeypatch.setenv("PATH", "")
    assert set(prepare(machine / "nothing").variables().values()) == {str(machine / "mine")}


def test_the_command_prints_variables(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in cpp_packages.VARIABLES.values():
        monkeypatch.setenv(variable, str(machine))
    assert cpp_packages.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{variable}={machine}" for variable in cpp_packages.VARIABLES.values()
    ]
