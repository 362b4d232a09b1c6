import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dyncompile import artifact
from dyncompile.cli import main
from dyncompile.manifest import Manifest
from dyncompile.runtime import Latency, latency_cache, load
from dyncompile.runtime.calibration import Calibration, Conditions
from tests.lowered import NESTED_MANIFEST, SWITCH_MANIFEST, nested, switched

MS = np.array([0.125, 0.25, 40.0])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    artifact.write(switched(), SWITCH_MANIFEST, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def inspected(*arguments: object) -> list[str]:
    result = CliRunner().invoke(main, ["inspect", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_inspect_says_how_to_measure(file: Path) -> None:
    assert inspected(file)[-1] == (
        f"Latency here: not measured. Run dyncompile bench {file}, or net.calibrate(samples)."
    )


def test_inspect_shows_what_is_kept(file: Path) -> None:
    net = load(file, threads=1)
    known = net.keep_latencies(
        [
            Latency.of({"level": 0}, MS, samples=1, drawn=False),
            Latency.of({"level": 1}, MS, samples=500, drawn=False),
            Latency.of({"level": 2}, MS, samples=8, drawn=True),
        ]
    )
    lines = inspected(file)
    title = f"1 thread, CPUExecutionProvider, {known.conditions.runtime}"
    start = lines.index(f"Latency here: {title}, {known.date}")
    assert [" ".join(line.strip("│┃ ").split()) for line in lines[start + 2 : -1]] == [
        "operating point ┃ median ms ┃ mean ms ┃ p95 ms ┃ measured on",
        "┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━┩",
        "level=0 │ 0.25 │ 13.5 │ 36 │ 1 sample",
        "level=1 │ 0.25 │ 13.5 │ 36 │ 500 samples",
        "level=2 │ 0.25 │ 13.5 │ 36 │ drawn noise",
    ]


def test_inspect_shows_every_setup_of_this_machine_and_no_other(file: Path) -> None:
    known = load(file, threads=2).keep_latencies([Latency.of({}, MS, samples=1, drawn=False)])
    name = latency_cache.digest(file)
    for conditions in (
        dataclasses.replace(known.conditions, threads=None, providers=("ab[c]", "d")),
        dataclasses.replace(known.conditions, processor="another"),
    ):
        latency_cache.keep(name, dataclasses.replace(known, conditions=conditions))
    titles = [line for line in inspected(file) if line.startswith("Latency here")]
    assert [title.partition(", ONNX")[0] for title in titles] == [
        "Latency here: 2 threads, CPUExecutionProvider",
        "Latency here: default threads, ab[c], d",
    ]


def test_inspect_of_a_net_without_knobs(tmp_path: Path) -> None:
    manifest = Manifest("onnx", {}, NESTED_MANIFEST.decisions)
    model = nested()
    artifact.write(model, manifest, tmp_path / "net.onnx")
    latency = Latency({}, 1.0, 1.0, 1.0, 5, 5, drawn=True)
    known = Calibration(Conditions.here("1.2.3", 1, ("CPU",)), {}, (latency,), "2030-01-01")
    latency_cache.keep(latency_cache.digest(tmp_path / "net.onnx"), known)
    assert any(line.startswith("│ no knobs ") for line in inspected(tmp_path / "net.onnx"))


def test_the_manifest_stays_the_manifest(file: Path) -> None:
    before = inspected(file, "--json")
    load(file).keep_latencies([Latency.of({}, MS, samples=1, drawn=False)])
    assert inspected(file, "--json") == before
