import onnx_ir as ir
import pytest

from dyncompile.errors import TargetError
from dyncompile.passes import BranchOnDecisions, CheckDepth
from tests.support import ort_session, parse, random_feeds


def exits(count: int) -> ir.Model:
    """Nested early exits, all decisions given."""
    lines = [f"h{i + 1} = Sin (h{i})" for i in range(count)]
    rest = f"h{count}"
    for i in reversed(range(count)):
        out = f"y{i}" if i else "y"
        lines.append(f'{out} = dyncompile.Gate <name = "exit{i}"> (leave, h{i}, {rest})')
        rest = out
    leave = [f"leave{i} = Greater (h{i}, bound)" for i in range(count)]
    text = "\n".join([*lines[:count], *leave, *lines[count:]])
    for i in range(count):
        text = text.replace(f'"exit{i}"> (leave,', f'"exit{i}"> (leave{i},')
    model = parse(f"main (float[1] h0) => (float[1] y) <float bound = {{9}}> {{ {text} }}")
    BranchOnDecisions()(model)
    return model


def test_the_deepest_graph_allowed_can_be_loaded() -> None:
    model = exits(CheckDepth().deepest)
    assert not CheckDepth()(model).modified
    ort_session(model)(random_feeds(model))


def test_deeper_graphs_are_refused() -> None:
    with pytest.raises(TargetError, match=r"nest more than 32 deep.*fewer exits"):
        CheckDepth()(exits(CheckDepth().deepest + 1))
