from __future__ import annotations

from pathlib import Path

import pytest

import dyncompile
from dyncompile import demo
from dyncompile.data import Images, Splits
from dyncompile.demo.comparing import compare
from dyncompile.demo.network import DigitsNet
from dyncompile.errors import ArtifactError


@pytest.mark.parametrize("name", ["", "static"])
def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    if name:
        folder.mkdir()
    (folder / name).touch()
    with pytest.raises(ArtifactError, match="cannot be made"):
        demo.run(folder)


def test_an_artifact_is_compared_with_the_static_networks_of_its_paths(
    model: DigitsNet, digits: Splits[Images], tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    artifact = tmp_path / "net.onnx"
    dyncompile.export(model, (digits.test.floats(slice(1)),), artifact, verify=False)
    found = compare(
        model,
        artifact,
        digits.test.head(30),
        tmp_path,
        most_paths=2,
        progress=lambda *now: told.append(now),
    )
    assert (found.images, found.agreeing, found.threshold) == (30, 30, 0.8)
    assert list(found.points) == [0.5, 0.7, 0.8, 0.9, 1.0]
    assert all(sum(point.leaving) == pytest.approx(1) for point in found.points.values())
    assert found.points[1.0].leaving == (0, 0, 1)
    assert len(found.paths) == 2
    assert found.paths[0].share >= found.paths[1].share > 0
    assert min(found.paths[0].static, found.paths[0].milliseconds, found.dense.milliseconds) > 0
    assert {part for part, _, _ in told} == {
        "accuracy at each threshold",
        "latency at each threshold",
        "latency of each path",
    }
