"""Bring what the C++ tests are built with: ``make cpp-packages``.

Headers of ONNX Runtime are in no wheel. They come, with nlohmann-json and doctest, from packages
of Debian, which are downloaded, checked by apt and unpacked into a folder, never installed; the
mirror is the one that the machine's own apt uses. The library is that of the onnxruntime wheel.
What ONNXRUNTIME_ROOT, NLOHMANN_JSON_ROOT and DOCTEST_ROOT name is taken instead.
"""

from __future__ import annotations

__all__ = ["FOLDER", "Missing", "Packages", "main", "prepare"]

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "cpp-packages"
RELEASE = "trixie"
ONNXRUNTIME, JSON, DOCTEST = "libonnxruntime-dev", "nlohmann-json3-dev", "doctest-dev"
VARIABLES = {
    "onnxruntime": "ONNXRUNTIME_ROOT",
    "nlohmann_json": "NLOHMANN_JSON_ROOT",
    "doctest": "DOCTEST_ROOT",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SETTINGS = """\
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
APT::Sandbox::User "{user}";
APT::Update::Error-Mode "any";
APT::Get::List-Cleanup "0";
Acquire::Languages "none";
Acquire::Retries "2";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class Missing(Exception):  # noqa: N818 - a state of the machine, not a mistake
    """The packages cannot be had here; one line that says why and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} Set {', '.join(VARIABLES.values())} to where they are.")


@dataclass(frozen=True)
class Packages:
    """Where each is: a folder with ``include``, and ``lib`` of ONNX Runtime."""

    onnxruntime: Path
    nlohmann_json: Path
    doctest: Path

    def variables(self) -> dict[str, str]:
        """The variables of CMake, or of the environment, that name them."""
        return {variable: str(getattr(self, name)) for name, variable in VARIABLES.items()}


def prepare(folder: Path = FOLDER) -> Packages:
    """Return the packages, which are downloaded unless they are in the folder already.

    Raises:
        Missing: If they cannot be had.
    """
    given = {
        name: Path(os.environ[variable]).resolve()
        for name, variable in VARIABLES.items()
        if os.environ.get(variable)
    }
    found = {
        "onnxruntime": folder / "onnxruntime",
        "nlohmann_json": folder,
        "doctest": folder,
    }
    if given.keys() != found.keys():
        wheel = _wheel()
        made_of = f"{RELEASE} {importlib.metadata.version('onnxruntime')} {wheel}\n"
        stamp = folder / "made-of"
        if not (stamp.exists() and stamp.read_text(encoding="utf-8") == made_of):
            _make(folder, wheel, made_of)
    return Packages(**{**found, **given})


def _make(folder: Path, wheel: Path, made_of: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="cpp-packages-") as made:
        new = Path(made) / "new"
        _unpack(_download(Path(made)), Path(made) / "unpacked")
        usr = Path(made) / "unpacked" / "usr"
        headers = usr / "include" / "onnxruntime"
        (new / "onnxruntime").mkdir(parents=True)
        headers.rename(new / "onnxruntime" / "include")
        (usr / "include").rename(new / "include")
        _link(wheel, new / "onnxruntime" / "lib")
        (new / "made-of").write_text(made_of, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def _wheel() -> Path:
    spec = importlib.util.find_spec("onnxruntime")
    places = (spec.submodule_search_locations or ()) if spec else ()
    for place in places:
        for file in sorted(Path(place, "capi").glob("libonnxruntime.so.*")):
            return file.resolve()
    raise Missing("The wheel of onnxruntime for Linux is not installed.")


def _link(library: Path, folder: Path) -> None:
    """Links to the libraries beside one, which also gets the names that programs ask for."""
    folder.mkdir(parents=True)
    for file in library.parent.glob("libonnxruntime*"):
        (folder / file.name).symlink_to(file)
    major = library.name.removeprefix("libonnxruntime.so.").partition(".")[0]
    for name in ("libonnxruntime.so", f"libonnxruntime.so.{major}"):
        if name != library.name:
            (folder / name).symlink_to(library)


def _download(folder: Path) -> list[Path]:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Missing("The headers come from packages of Debian, and there is no apt here.")
    said = "there is none"
    for mirror in _mirrors():
        settings = _settings(folder, mirror)
        for step in (["update"], ["download", ONNXRUNTIME, JSON, DOCTEST]):
            done = _run(["apt-get", f"--config-file={settings}", *step], folder)
            if done.returncode:
                said = f"{mirror} says: {_complaint(done.stderr)}"
                break
        else:
            return sorted(folder.glob("*.deb"))
    raise Missing(f"No mirror of this machine's apt gave Debian {RELEASE}; {said}.")


def _mirrors() -> Iterator[str]:
    """Where the machine's apt gets whole releases from, each once."""
    wanted = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]
    seen = set()
    for line in _run(wanted, None).stdout.splitlines():
        uri, _, rest = line.partition(" ")
        release, _, component = rest.partition(" ")
        if component == "main" and "-" not in release and uri not in seen:
            seen.add(uri)
            yield uri


def _settings(folder: Path, mirror: str) -> Path:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb {signed}{mirror} {RELEASE} main\n", encoding="utf-8")
    user = "root" if os.getuid() == 0 else ""
    settings = folder / "apt.conf"
    settings.write_text(_SETTINGS.format(folder=folder, user=user), encoding="utf-8")
    return settings


def _unpack(packages: Sequence[Path], folder: Path) -> None:
    for package in packages:
        done = _run(["dpkg-deb", "--extract", str(package), str(folder)], None)
        if done.returncode:
            raise Missing(f"{package.name} cannot be unpacked: {_complaint(done.stderr)}.")


def _run(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


def _complaint(text: str) -> str:
    lines = text.splitlines()
    wrong = [line for line in lines if line.startswith(("E: ", "W: Failed", "dpkg-deb: "))]
    return (wrong or lines or ["nothing"])[0].removeprefix("E: ").removeprefix("W: ").rstrip(". ")


def main() -> int:
    """Bring them; print where they are."""
    try:
        packages = prepare()
    except Missing as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for variable, value in packages.variables().items():
        sys.stdout.write(f"{variable}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
