from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyncompile.errors import InputError
from dyncompile.measuring.data import draw_data, read_data
from dyncompile.samples import InputSpec

F32 = np.dtype(np.float32)
INPUTS = [InputSpec("x", F32, (1, 4))]
X = np.arange(12, dtype=np.float32).reshape(3, 4)
NAMES = np.array(["a", "b", "c"])


def saved(folder: Path, **arrays: Any) -> Path:  # noqa: ANN401
    file = folder / "d.npz"
    np.savez(file, **arrays)
    return file


def test_samples_labels_and_names_are_told_apart(tmp_path: Path) -> None:
    data = read_data(saved(tmp_path, x=X, y=np.array([2, 0, 1]), classes=NAMES), INPUTS)
    assert [sample["x"].shape for sample in data.samples] == [(1, 4)] * 3
    assert data.labels is not None
    assert data.labels.tolist() == [2, 0, 1]
    assert (data.classes, data.file, data.notes) == (("a", "b", "c"), "d.npz", ())


def test_labels_may_be_named_among_several_arrays(tmp_path: Path) -> None:
    file = saved(tmp_path, x=X, y=np.array([2, 0, 1]), z=np.array([0, 0, 1]))
    with pytest.raises(InputError, match="y and z could be the labels"):
        read_data(file, INPUTS)
    data = read_data(file, INPUTS, labels="z")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1]
    assert ["'y' is neither an input nor labels" in note for note in data.notes] == [True]


def test_of_several_arrays_the_one_of_the_right_length_is_labels(tmp_path: Path) -> None:
    file = saved(tmp_path, x=X, y=np.array([2, 0, 1]), seeds=np.zeros((3, 2), np.int64))
    data = read_data(file, INPUTS)
    assert data.labels is not None
    assert data.labels.tolist() == [2, 0, 1]


def test_an_array_alone_is_the_only_input(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    data = read_data(tmp_path / "x.npy", INPUTS)
    assert len(data.samples) == 3
    assert data.labels is None
    assert "No labels" in data.notes[0]


@pytest.mark.parametrize(
    ("arrays", "labels", "problem"),
    [
        ({"z": X}, None, "it holds z float32[3, 4]; the inputs are x float32[1, 4]"),
        ({"x": X[:, :3]}, None, "are no samples of x float32[1, 4]"),
        ({"x": X, "y": np.zeros(2, int)}, None, "the labels 'y' are int64[2], and there are 3"),
        ({"x": X, "y": np.zeros((3, 1), int)}, None, "the labels 'y' are int64[3, 1]"),
        ({"x": X, "y": np.array([0, -1, 0])}, None, "hold -1, which is no class"),
        ({"x": X, "y": np.full(3, 2**64 - 1, np.uint64)}, None, "hold 18446744073709551615"),
        ({"x": X, "y": np.array([0, 3, 0]), "classes": NAMES}, None, "no class; there are 3"),
        ({"x": X, "classes": np.zeros(3)}, None, "'classes' is float64[3], and holds no names"),
        ({"x": X}, "y", "there is no array 'y' besides the inputs; it holds none"),
        ({"x": X, "y": np.zeros(3)}, "y", "the labels 'y' are float64[3]"),
    ],
    ids=[
        "name",
        "shape",
        "length",
        "rank",
        "negative",
        "huge",
        "range",
        "names",
        "missing",
        "floats",
    ],
)
def test_data_that_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, Any], labels: str | None, problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_data(saved(tmp_path, **arrays), INPUTS, labels=labels)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_drawn_samples_are_the_same_every_time() -> None:
    first, again = draw_data(INPUTS, 2), draw_data(INPUTS, 2)
    for one, other in zip(first.samples, again.samples, strict=True):
        np.testing.assert_array_equal(one["x"], other["x"])
    assert first.file is None
    assert not np.array_equal(first.samples[0]["x"], first.samples[1]["x"])
