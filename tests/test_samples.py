from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyncompile.errors import ArtifactError, InputError
from dyncompile.samples import data_inputs, read_samples, split_samples
from tests.support import Array, parse

F32 = np.float32


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_inputs_of_a_graph_are_described_without_its_knobs() -> None:
    model = parse("m (float[1,4] x, int64 n, float[N,2] z, float t) => (float[1,4] y) {y = Abs(x)}")
    specs, is_dynamic = data_inputs(model, {"t"}, "net.onnx")
    assert [(spec.name, spec.dtype.name, spec.shape) for spec in specs] == [
        ("x", "float32", (1, 4)),
        ("n", "int64", ()),
        ("z", "float32", (1, 2)),
    ]
    assert is_dynamic
    assert not data_inputs(model, {"t", "z"}, "net.onnx")[1]


def test_inputs_with_a_default_are_not_fed() -> None:
    model = parse("m (float[1,4] x, float t) => (float[1,4] y) <float t = {1}> {y = Mul(x, t)}")
    assert [spec.name for spec in data_inputs(model, (), "net.onnx")[0]] == ["x"]


def test_an_input_without_a_type_is_an_error() -> None:
    model = parse("m (float[1,4] x) => (float[1,4] y) {y = Abs(x)}")
    model.graph.inputs[0].shape = None
    with pytest.raises(ArtifactError, match=r"net\.onnx: the input 'x' has no type"):
        data_inputs(model, (), "net.onnx")


def test_samples_are_rows_with_and_without_the_batch() -> None:
    example: dict[str, Array] = {"x": np.zeros((1, 4), F32), "n": np.zeros((), np.int64)}
    x, n = np.arange(12).reshape(3, 4), np.arange(3)
    np.savez("flat.npz", x=x, n=n)
    np.savez("batched.npz", x=x[:, None], n=n)
    for name in ("flat.npz", "batched.npz"):
        samples = read_samples(Path(name), example)
        assert [sample["n"].item() for sample in samples] == [0, 1, 2]
        assert samples[2]["x"].tolist() == [[8, 9, 10, 11]]
        assert {key: a.dtype for key, a in samples[0].items()} == {"x": F32, "n": np.int64}


def test_samples_of_one_input_may_be_an_npy() -> None:
    np.save("x.npy", np.zeros((3, 1, 4), F32))
    assert len(read_samples(Path("x.npy"), {"x": np.zeros((1, 4), F32)})) == 3


def test_sizes_of_samples_may_differ_where_they_are_dynamic() -> None:
    arrays, example = {"x": np.zeros((3, 1, 9), F32)}, {"x": np.zeros((1, 4), F32)}
    assert split_samples(arrays, example, "s", any_size=True)[0]["x"].shape == (1, 9)
    with pytest.raises(InputError, match="are no samples of"):
        split_samples(arrays, example, "s")


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({}, "s: it holds nothing; the inputs are x float32[1, 4]"),
        ({"y": np.zeros((3, 4))}, "it holds y float64[3, 4]; the inputs are"),
        ({"x": np.zeros(())}, "it holds x float64[]"),
        ({"x": np.zeros((0, 4))}, "it holds x float64[0, 4]"),
        ({"x": np.zeros((3, 5))}, "x float64[3, 5] are no samples of x float32[1, 4]"),
        ({"x": np.zeros((3, 2, 4))}, "are no samples"),
        ({"x": np.zeros((3, 4), "U3")}, "are no samples"),
        ({"x": np.zeros((3, 4), complex)}, "are no samples"),
    ],
)
def test_samples_that_do_not_fit_are_refused(arrays: dict[str, Array], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        split_samples(arrays, {"x": np.zeros((1, 4), F32)}, "s")
    assert problem in str(caught.value)
