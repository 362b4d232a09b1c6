import dataclasses
import multiprocessing
import os
from pathlib import Path

import pytest

from dyncompile.errors import ArtifactError
from dyncompile.runtime import latency_cache
from dyncompile.runtime.calibration import Calibration, Conditions, Latency

HERE = Conditions.here("1.2.3", 1, ("CPUExecutionProvider",))
ELSEWHERE = dataclasses.replace(HERE, processor="another")
NAME = "0" * 64


def calibration(conditions: Conditions = HERE, ms: float = 1.0) -> Calibration:
    latency = Latency({"level": 0}, ms, ms, ms, 5, 1, drawn=True)
    return Calibration(conditions, {"level": 0}, (latency,), "2030-01-01")


def only_file(folder: Path) -> Path:
    (file,) = (folder / "latencies").iterdir()
    return file


def test_what_is_kept_is_found_again() -> None:
    assert latency_cache.kept(NAME, HERE) is None
    latency_cache.keep(NAME, calibration())
    assert latency_cache.kept(NAME, HERE) == calibration()
    latency_cache.keep(NAME, calibration(ms=2.0))
    assert latency_cache.kept(NAME, HERE) == calibration(ms=2.0)
    assert latency_cache.kept("1" * 64, HERE) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"processor": "another"}, id="processor"),
        pytest.param({"cores": 77}, id="cores"),
        pytest.param({"runtime": "ONNX Runtime 9.9"}, id="runtime"),
        pytest.param({"threads": None}, id="threads"),
        pytest.param({"providers": ("CUDAExecutionProvider",)}, id="providers"),
    ],
)
def test_other_conditions_are_kept_apart(other: dict[str, object]) -> None:
    conditions = dataclasses.replace(HERE, **other)  # type: ignore[arg-type]
    latency_cache.keep(NAME, calibration())
    assert latency_cache.kept(NAME, conditions) is None
    latency_cache.keep(NAME, calibration(conditions, 3.0))
    assert latency_cache.kept(NAME, HERE) == calibration()


def test_all_setups_of_this_machine_are_found() -> None:
    two = dataclasses.replace(HERE, threads=2)
    for conditions in (two, HERE, ELSEWHERE):
        latency_cache.keep(NAME, calibration(conditions))
    latency_cache.keep("1" * 64, calibration())
    found = [known.conditions for known in latency_cache.kept_here(NAME)]
    assert found == [HERE, two]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b'{"format": 2', id="cut-short"),
        pytest.param(
            calibration().to_json().replace('"format":2', '"format":3').encode(), id="new"
        ),
        pytest.param(calibration(ELSEWHERE).to_json().encode(), id="foreign"),
    ],
)
def test_a_file_that_does_not_fit_is_as_good_as_none(cache_folder: Path, content: bytes) -> None:
    latency_cache.keep(NAME, calibration())
    only_file(cache_folder).write_bytes(content)
    assert latency_cache.kept(NAME, HERE) is None
    assert latency_cache.kept_here(NAME) == []
    latency_cache.keep(NAME, calibration())
    assert latency_cache.kept(NAME, HERE) == calibration()


def test_a_folder_that_cannot_be_written_to_is_an_error(cache_folder: Path) -> None:
    cache_folder.write_text("a file")
    with pytest.raises(ArtifactError, match=r"latencies: the folder cannot be made: "):
        latency_cache.keep(NAME, calibration())
    assert latency_cache.kept(NAME, HERE) is None
    assert latency_cache.kept_here(NAME) == []


def test_the_oldest_files_go(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_cache, "MOST_FILES", 3)
    names = [str(number) * 64 for number in range(5)]
    for age, name in enumerate(reversed(names)):
        latency_cache.keep(name, calibration())
        for file in (cache_folder / "latencies").glob(f"{name}-*"):
            os.utime(file, (1000 + age, 1000 + age))
    assert [bool(latency_cache.kept(name, HERE)) for name in names] == [True] * 3 + [False] * 2


def test_the_folder_is_the_users_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    monkeypatch.delenv("DYNCOMPILE_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    latency_cache.keep(NAME, calibration())
    assert latency_cache.kept(NAME, HERE) == calibration()
    assert only_file(tmp_path / "dyncompile").name.startswith(NAME)


def _write(number: int) -> None:
    for turn in range(20):
        latency_cache.keep(NAME, calibration(ms=float(number * 100 + turn)))


def test_writers_at_the_same_time_leave_a_whole_file(cache_folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        text = [file.read_text() for file in (cache_folder / "latencies").glob("*.json")]
        seen.update(text)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert all(Calibration.from_json(text, "seen") for text in seen)
    assert latency_cache.kept(NAME, HERE) is not None
    assert only_file(cache_folder).suffix == ".json"
