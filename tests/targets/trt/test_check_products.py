"""What a chip without matrix products of float32 gets to see."""

import pytest

from dyncompile.errors import TargetError
from dyncompile.targets.trt.passes import LEGALISING, tailoring
from tests.targets.trt.legal import made_legal, parse

SM75 = (*LEGALISING, *tailoring(["sm75"]))
WEIGHT = "float[3,2] w = {1, 2, 3, 4, 5, 6}"
TURNED = "t = Transpose <perm = [1,0]> (x)"
LSTM = f"float[1,8,3] w = {{{', '.join(['1'] * 24)}}}, float[1,8,2] r = {{{', '.join(['1'] * 16)}}}"


@pytest.mark.parametrize(
    ("given", "constants", "body"),
    [
        pytest.param("float[2,3] x", WEIGHT, f"{TURNED} [n] y = MatMul (x, t)", id="no weight"),
        pytest.param("float[2,3] x", WEIGHT, "[n] y = Gemm <alpha = 0.5> (x, w)", id="scaled"),
        pytest.param("float[3] x", WEIGHT, "[n] y = MatMul (x, w)", id="without a batch"),
        pytest.param(
            "float[2,3] x", WEIGHT, '[n] y = Einsum <equation = "bi,io->bo"> (x, w)', id="Einsum"
        ),
        pytest.param(
            "float[4,1,3] x", LSTM, "[n] y, h, c = LSTM <hidden_size = 2> (x, w, r)", id="LSTM"
        ),
    ],
)
def test_products_that_are_no_convolutions_are_refused(
    given: str, constants: str, body: str
) -> None:
    model = parse(f"main ({given}) => (float y) <{constants}> {{ {body} }}")
    with pytest.raises(TargetError, match="sm75 has no matrix products of float32") as raised:
        made_legal(model, SM75)
    assert "'n'" in raised.value.where
    assert "fp16" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        pytest.param("float[2,3] x", "y = MatMul (x, w)", id="a weight"),
        pytest.param("float16[2,3] x", f"{TURNED} y = MatMul (x, t)", id="half precision"),
        pytest.param("float[2,2] x", "v = MatMul (u, w) y = Add (x, v)", id="constants"),
    ],
)
def test_what_is_a_convolution_or_no_float32_passes(given: str, body: str) -> None:
    constants = f"{WEIGHT}, float[2,3] u = {{1, 2, 3, 4, 5, 6}}"
    model = parse(f"main ({given}) => (float y) <{constants}> {{ {body} }}")
    made_legal(model, SM75)
