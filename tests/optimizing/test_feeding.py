from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.errors import InputError
from dyncompile.optimizing.feeding import draw_feeds, feeds_for
from dyncompile.samples import InputSpec

SPECS = [
    InputSpec("x", np.dtype(np.float32), (1, 3)),
    InputSpec("tokens", np.dtype(np.int64), (64,)),
    InputSpec("mask", np.dtype(np.bool_), (64,)),
]


def test_whole_numbers_go_further_from_input_to_input() -> None:
    largest = [int(feeds["tokens"].max()) for feeds in draw_feeds(SPECS, 4)]
    assert largest == [1, 3, 7, 15]


def test_bools_stay_bools_and_take_both_values() -> None:
    for feeds in draw_feeds(SPECS, 4):
        assert set(feeds["mask"].tolist()) == {False, True}
        assert feeds["mask"].dtype == np.bool_


def test_the_same_seed_draws_the_same() -> None:
    for one, other in zip(draw_feeds(SPECS), draw_feeds(SPECS), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("dtype", [pytest.param(t, id=t) for t in ("bfloat16", "string")])
def test_a_type_that_cannot_be_fed_is_refused(dtype: str) -> None:
    model = ir.from_onnx_text(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        main ({dtype}[1] x) => ({dtype}[1] y) {{ y = Identity (x) }}"""
    )
    with pytest.raises(InputError, match=r"'x' cannot be drawn.*--no-verify"):
        feeds_for(model, None, [], "any.onnx")
