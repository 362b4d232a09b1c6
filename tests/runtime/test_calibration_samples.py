import numpy as np
import pytest

from dyncompile.errors import InputError
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.calibration_samples import draw_samples, given_samples

F32 = np.float32
X = InputSpec("x", np.dtype(F32), (1, 3))
N = InputSpec("n", np.dtype(np.int64), ("N", 2))
ODD = InputSpec("odd", None, (1,))
ROW = np.arange(3, dtype=F32)
PAIR = np.zeros((1, 2), np.int64)


def test_drawn_samples_are_seeded_noise_of_the_type_of_each_input() -> None:
    first, again = draw_samples([X, N]), draw_samples([X, N])
    assert [s["x"].tolist() for s in first] == [s["x"].tolist() for s in again]
    assert (first[0]["x"].dtype, first[0]["x"].shape) == (np.dtype(F32), (1, 3))
    assert not np.array_equal(first[0]["x"], first[1]["x"])
    np.testing.assert_array_equal(first[0]["n"], PAIR)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.stack([[ROW], [ROW + 1]]), id="rows-of-the-shape"),
        pytest.param(np.stack([ROW, ROW + 1]), id="rows-without-the-leading-1"),
        pytest.param([[0, 1, 2], [1, 2, 3]], id="lists"),
        pytest.param(np.stack([ROW, ROW + 1]).astype(np.float64), id="doubles"),
    ],
)
def test_arrays_are_taken_apart(array: object) -> None:
    found = given_samples((X,), {"x": array})
    assert [sample["x"].dtype for sample in found] == [np.dtype(F32)] * 2
    np.testing.assert_array_equal(np.stack([s["x"] for s in found]), [[ROW], [ROW + 1]])


def test_a_list_of_inputs_may_differ_where_sizes_are_free() -> None:
    given = [{"x": [ROW], "n": np.zeros((k, 2), np.int64)} for k in (1, 5)]
    assert [s["n"].shape for s in given_samples((X, N), given)] == [(1, 2), (5, 2)]


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        pytest.param({}, "samples: it holds nothing; the inputs are x", id="nothing"),
        pytest.param({"y": [ROW]}, "samples: it holds y", id="another-name"),
        pytest.param({"x": np.ones((2, 4), F32)}, "input 'x': float32[1, 4] does not", id="shape"),
        pytest.param({"x": np.ones((0, 3), F32)}, "samples: it holds x", id="no-rows"),
        pytest.param({"x": np.full((2, 3), "a")}, "samples: x <U1[2, 3] are no", id="type"),
        pytest.param({"x": [[1], [1, 2]]}, "samples, input 'x': ValueError", id="ragged"),
        pytest.param([], "samples: list without inputs by name", id="empty-list"),
        pytest.param(ROW, "samples: ndarray without inputs by name", id="array"),
        pytest.param([ROW], "samples: list without inputs by name", id="list-of-arrays"),
        pytest.param(7, "samples: int without inputs by name", id="number"),
        pytest.param([{}], "sample 0: it holds nothing; the inputs are x", id="empty-sample"),
        pytest.param([{"x": [ROW]}, {"x": [ROW], "t": 1}], "sample 1: it holds x, t", id="knob"),
        pytest.param([{"x": np.ones((1, 4))}], "input 'x': float64[1, 4] does", id="wrong-sample"),
    ],
)
def test_what_are_no_samples_is_refused(samples: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        given_samples((X,), samples)  # type: ignore[arg-type]
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


def test_inputs_that_numpy_has_no_type_for_are_given_one_by_one() -> None:
    with pytest.raises(InputError, match="input 'odd': numpy has no type for it"):
        draw_samples([ODD])
    (found,) = given_samples((ODD,), [{"odd": ["text"]}])
    assert found["odd"].tolist() == ["text"]
