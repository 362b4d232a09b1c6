"""A lowered file as what another form of it is held against."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import InputError, VerificationError, artifact, early_exit
from dyncompile.file_reference import FileReference
from dyncompile.verify import verify
from tests.engine_networks import Leveled
from tests.support import Array

X = np.array([[1, -2, 3, 0.5]], np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("leveled") / "net.onnx"
    dyncompile.export(Leveled(), torch.from_numpy(X), path, verify=False)
    return path


def feeds(level: int) -> dict[str, Array]:
    return {"x": X, "level": np.array(level)}


def test_it_decides_freely_and_says_how(file: Path) -> None:
    model, manifest = artifact.read(file)
    assert manifest is not None
    with ExitStack() as stack:
        reference = FileReference(model, manifest.decisions, stack)
        for level in range(3):
            (output,), taken = reference.follow(feeds(level), {}, "here")
            assert taken["layer"] == level
            np.testing.assert_array_equal(output, dyncompile.load(file)(X, level=level))


def test_a_forced_index_and_a_forced_gate_take_the_place_of_their_own(file: Path) -> None:
    model, manifest = artifact.read(file)
    assert manifest is not None
    layers = [layer.requires_grad_(False) for layer in Leveled().layers]
    with ExitStack() as stack:
        reference = FileReference(model, manifest.decisions, stack)
        for level in range(3):
            for last in range(2):
                path = {"layer": level, "last": last, "unknown": 1}
                (output,), _ = reference.follow(feeds(0), path, "here")
                wanted = layers[level](torch.from_numpy(X))
                wanted = layers[3](wanted) if last else wanted
                np.testing.assert_allclose(output, wanted.numpy(), rtol=1e-5, atol=1e-6)


class Leaving(nn.Module):
    """Leaves early, whatever it is fed, by the first of two exits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        first, second = (layer(x) for layer in self.layers)
        late = early_exit(second.amax(1) > 9, second, second - first, name="second")
        result: Tensor = early_exit(first.amax(1) > -9, first, late, name="first")
        return result


def test_decisions_that_no_sample_comes_to_are_forced_too(tmp_path: Path) -> None:
    dyncompile.export(Leaving(), torch.from_numpy(X), tmp_path / "net.onnx", verify=False)
    model, manifest = artifact.read(tmp_path / "net.onnx")
    assert manifest is not None
    with ExitStack() as stack:
        reference = FileReference(model, manifest.decisions, stack)
        report = verify(model, manifest, reference, [{"x": X}])
    assert report.paths == 3
    assert report.complete


def test_it_is_left_as_it_is(file: Path) -> None:
    model, manifest = artifact.read(file)
    assert manifest is not None
    before = artifact.serialise(model, "before")
    with ExitStack() as stack:
        FileReference(model, manifest.decisions, stack).follow(feeds(0), {}, "here")
    assert artifact.serialise(model, "after") == before


def test_inputs_that_it_does_not_take_are_the_callers_fault(file: Path) -> None:
    model, manifest = artifact.read(file)
    assert manifest is not None
    with ExitStack() as stack:
        reference = FileReference(model, manifest.decisions, stack)
        with pytest.raises(InputError, match=r"^sample 7: ONNX Runtime fails on the original: "):
            reference.follow({"x": np.ones((2, 3, 4)), "level": np.array(0)}, {}, "sample 7")


def test_another_file_is_held_against_it_along_every_path(file: Path) -> None:
    model, manifest = artifact.read(file)
    assert manifest is not None
    other = model.clone()
    with ExitStack() as stack:
        reference = FileReference(model, manifest.decisions, stack)
        report = verify(other, manifest, reference, [{"x": X}])
        assert (report.paths, report.complete, report.largest_difference) == (6, True, 0.0)
        for graph in other.graphs():
            for value in graph.initializers.values():
                if value.const_value is not None and value.const_value.size == 4 * 4:
                    value.const_value = ir.tensor(value.const_value.numpy() + 1)
        with pytest.raises(VerificationError, match="the artifact and the original differ by"):
            verify(other, manifest, reference, [{"x": X}])
