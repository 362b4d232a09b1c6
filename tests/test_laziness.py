"""The oracle itself: it must pass what is lazy and catch what is not."""

import numpy as np
import pytest

from tests.laziness import Allowance, assert_lazy, assert_lazy_on_paths
from tests.support import every_feeds, parse, run

WEIGHTS = """
    float[2,2] w1 = {1, 0, 1, 1}, float[2,2] w2 = {1, 1, 0, 1}, float[2,2] w3 = {0, 1, 1, 1},
    float[2,2] w4 = {2, 0, 0, 1}
"""

SKIP = f"""main (float[1,2] x, bool take) => (float[1,2] y) <
    {WEIGHTS}> {{
    f = MatMul (x, w1)
    y = dyncompile.Gate <name = "d"> (take, f, x)
}}"""

SKIP_LOWERED = f"""main (float[1,2] x, bool take) => (float[1,2] y) <
    {WEIGHTS}> {{
    y = If (take) <
        then_branch = on () => (float[1,2] on_y) {{ on_y = MatMul (x, w1) }},
        else_branch = off () => (float[1,2] off_y) {{ off_y = Identity (x) }}
    >
}}"""

MASKED = f"""main (float[1,2] x, bool take) => (float[1,2] y) <
    {WEIGHTS},
    float mask, bool no> {{
    no = Not (take)
    mask = Cast <to = 1> (no)
    f = MatMul (x, w1)
    masked = Mul (mask, f)
    y = Add (x, masked)
}}"""

NESTED = f"""main (float[1,2] x, bool outer, bool inner) => (float[1,2] y) <
    {WEIGHTS}> {{
    a = MatMul (x, w1)
    b = MatMul (a, w2)
    c = dyncompile.Gate <name = "inner"> (inner, b, a)
    y = dyncompile.Gate <name = "outer"> (outer, c, x)
}}"""

NESTED_TOO_EARLY = f"""main (float[1,2] x, bool outer, bool inner) => (float[1,2] y) <
    {WEIGHTS}> {{
    y = If (outer) <
        then_branch = on () => (float[1,2] on_y) {{
            a = MatMul (x, w1)
            b = MatMul (a, w2)
            on_y = Where (inner, b, a)
        }},
        else_branch = off () => (float[1,2] off_y) {{ off_y = Identity (x) }}
    >
}}"""

TWO_DECISIONS = f"""main (float[1,2] x, bool p, bool q) => (float[1,2] y, float[1,2] z) <
    {WEIGHTS}> {{
    shared = MatMul (x, w1)
    y = dyncompile.Gate <name = "p"> (p, shared, x)
    z = dyncompile.Gate <name = "q"> (q, shared, x)
}}"""

ONE_DECISION_TWICE = f"""main (float[1,2] x, bool p) => (float[1,2] z) <{WEIGHTS}> {{
    shared = MatMul (x, w1)
    y = dyncompile.Gate <name = "p"> (p, shared, x)
    between = MatMul (y, w2)
    both = Add (between, shared)
    z = dyncompile.Gate <name = "p"> (p, both, between)
}}"""

LADDER = f"""main (float[1,2] x, int64 level) => (float[1,2] y) <
    {WEIGHTS}> {{
    a = MatMul (x, w1)
    b = MatMul (a, w2)
    c = MatMul (b, w3)
    y = dyncompile.Switch3 <name = "s"> (level, a, b, c)
}}"""

EXITS = f"""main (float[1,2] x, float t) => (float[1,2] y) <
    {WEIGHTS}, int64[2] axes = {{0, 1}}> {{
    head = MatMul (x, w1)
    score = ReduceSum <keepdims = 0> (head, axes)
    confident = Greater (score, t)
    rest = MatMul (x, w2)
    score2 = ReduceSum <keepdims = 0> (rest, axes)
    confident2 = Greater (score2, t)
    last = MatMul (rest, w3)
    later = dyncompile.Gate <name = "second"> (confident2, rest, last)
    y = dyncompile.Gate <name = "first"> (confident, head, later)
}}"""


def allowed(graph: str, **given: object) -> int:
    """Count the work the rule allows for one call with distinct intermediate values."""
    x = np.asarray([[3, 5]], np.float32)
    model = parse(graph)
    feeds = {value.name: np.asarray(given.get(value.name or "", x)) for value in model.graph.inputs}
    return Allowance(model)({str(name): array for name, array in feeds.items()}).total()


@pytest.mark.parametrize(
    ("graph", "given", "count"),
    [
        pytest.param(SKIP, {"take": True}, 1, id="block taken"),
        pytest.param(SKIP, {"take": False}, 0, id="block skipped"),
        pytest.param(MASKED, {"take": True}, 0, id="masked block skipped, mask negated"),
        pytest.param(MASKED, {"take": False}, 1, id="masked block taken, mask negated"),
        pytest.param(NESTED, {"outer": True, "inner": True}, 2, id="nested, both on"),
        pytest.param(NESTED, {"outer": True, "inner": False}, 1, id="nested, inner off"),
        pytest.param(NESTED, {"outer": False, "inner": True}, 0, id="nested, outer off"),
        pytest.param(TWO_DECISIONS, {"p": False, "q": False}, 1, id="shared by two decisions"),
        pytest.param(ONE_DECISION_TWICE, {"p": False}, 1, id="one decision, work between"),
        pytest.param(ONE_DECISION_TWICE, {"p": True}, 2, id="one decision, all of it"),
        pytest.param(LADDER, {"level": np.int64(-7)}, 1, id="ladder, clamped below"),
        pytest.param(LADDER, {"level": np.int64(1)}, 2, id="ladder, second rung"),
        pytest.param(LADDER, {"level": np.int64(9)}, 3, id="ladder, clamped above"),
        pytest.param(EXITS, {"t": np.float32(-99)}, 1, id="first exit"),
        pytest.param(EXITS, {"t": np.float32(99)}, 3, id="no exit"),
    ],
)
def test_allows_what_one_decision_needs(graph: str, given: dict[str, object], count: int) -> None:
    assert allowed(graph, **given) == count


def test_passes_a_lazy_graph() -> None:
    marked, lowered = parse(SKIP), parse(SKIP_LOWERED)
    assert_lazy(marked, lowered, every_feeds(marked))


def test_sees_no_difference_in_numbers_where_work_is_wasted() -> None:
    marked, lowered = parse(NESTED), parse(NESTED_TOO_EARLY)
    for feeds in every_feeds(marked):
        np.testing.assert_array_equal(run(lowered, feeds)[0], run(marked, feeds)[0])


@pytest.mark.parametrize(
    ("marked", "lowered"),
    [
        pytest.param(SKIP, SKIP, id="nothing was lowered"),
        pytest.param(MASKED, MASKED, id="a mask stays a mask"),
        pytest.param(LADDER, LADDER, id="every rung runs"),
        pytest.param(NESTED, NESTED_TOO_EARLY, id="inner work in the outer branch"),
    ],
)
def test_catches_work_in_vain(marked: str, lowered: str) -> None:
    model = parse(marked)
    with pytest.raises(AssertionError, match="in vain"):
        assert_lazy(model, parse(lowered), every_feeds(model, samples=6))


def test_catches_work_done_twice() -> None:
    doubled = SKIP_LOWERED.replace(
        "on_y = MatMul (x, w1)",
        "one = MatMul (x, w1)  two = MatMul (x, w1)  on_y = Max (one, two)",
    )
    marked = parse(SKIP)
    with pytest.raises(AssertionError, match=r"1 compute nodes run in vain when \{'take': 1\}"):
        assert_lazy(marked, parse(doubled), every_feeds(marked))


def test_sees_work_in_vain_on_a_path_without_running_it() -> None:
    marked, lowered = parse(NESTED), parse(NESTED_TOO_EARLY)
    for node, name in ((n, "outer") for n in lowered.graph if n.op_type == "If"):
        notes = {"decision": name, "then": "1", "else": "0"}
        node.metadata_props.update({f"dyncompile.{key}": value for key, value in notes.items()})
    with pytest.raises(AssertionError, match=r"\['w2'\] run in vain when .*'inner': 0"):
        assert_lazy_on_paths(marked, lowered, most=4)
