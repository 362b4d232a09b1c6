import onnx_ir as ir
import pytest

from dyncompile.folding import fold_constants
from tests.support import HEADER, assert_same_numbers, every_feeds, parse

W = "float[16,16] w = {" + ", ".join(str(i) for i in range(256)) + "}"
NUMBERS = "int64[1] zero = {0}, int64[1] two = {2}, int64[1] nine = {9}"


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        pytest.param(
            f"""main (float[1,16] x) => (float[1,9] y, float[1,16] z) <{W}, {NUMBERS}> {{
                one = Constant <value_ints = [1]> ()
                v = Slice (w, zero, nine, one)
                y = MatMul (x, v)
                z = MatMul (x, w)
            }}""",
            ["Slice", "MatMul", "MatMul"],
            id="a slice of a weight that is read whole too stays",
        ),
        pytest.param(
            f"""main (float[1,16] x) => (float[1,2] y, float[1,16] z) <{W}, {NUMBERS}> {{
                one = Constant <value_ints = [1]> ()
                v = Slice (w, zero, two, one)
                y = MatMul (x, v)
                z = MatMul (x, w)
            }}""",
            ["MatMul", "MatMul"],
            id="a small one is computed",
        ),
        pytest.param(
            f"""main (float[1,16] x) => (float[1,9] y) <{W}, {NUMBERS}> {{
                one = Constant <value_ints = [1]> ()
                v = Slice (w, zero, nine, one)
                y = MatMul (x, v)
            }}""",
            ["MatMul"],
            id="the only use of a weight is computed",
        ),
        pytest.param(
            f"""main (float[1,16] x) => (float[1,16] y, float[1,16] z) <{W}> {{
                a = Transpose <perm = [1, 0]> (w)
                v = Transpose <perm = [1, 0]> (a)
                y = MatMul (x, v)
                n = Neg (x)
                z = MatMul (n, w)
            }}""",
            ["MatMul", "MatMul", "Neg"],
            id="transpositions that cancel go",
        ),
    ],
)
def test_no_weight_is_stored_twice(graph: str, left: list[str]) -> None:
    model, original = ir.from_onnx_text(HEADER + graph), parse(graph)
    fold_constants(model)
    assert sorted(node.op_type for node in model.graph) == sorted(left)
    stored = sum(value.const_value.nbytes for value in model.graph.initializers.values()
                 if value.const_value is not None)  # fmt: skip
    assert stored <= 256 * 4 + 256
    assert_same_numbers(original, model, every_feeds(original))
