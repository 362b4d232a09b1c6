from dyncompile.describe import manifest_from_model
from dyncompile.passes import BranchOnDecisions, NoteDecisions
from tests.support import parse

BRANCHES = """<then_branch = {0}_on () => (float[1,4] {0}1) {{ {0}1 = Exp (x) }},
               else_branch = {0}_off () => (float[1,4] {0}0) {{ {0}0 = Neg (x) }}>"""


def test_an_if_is_a_decision_of_its_own_name() -> None:
    model = parse(f"""main (bool take, float[1,4] x) => (float[1,4] y) {{
        y = If (take) {BRANCHES.format("a")}
    }}""")
    model.graph[0].name = "choice"
    assert NoteDecisions()(model).modified
    (decision,) = manifest_from_model(model, {}, "onnx").decisions
    assert (decision.name, decision.kind, decision.values) == ("choice", "gate", ("take",))
    assert not NoteDecisions()(model).modified


def test_an_if_on_a_decision_that_is_known_is_that_decision() -> None:
    model = parse(f"""main (bool take, float[1,4] x) => (float[1,4] y, float[1,4] z) {{
        f = Exp (x)
        y = dyncompile.Gate <name = "gate"> (take, f, x)
        z = If (take) {BRANCHES.format("a")}
    }}""")
    model.graph[2].name = "choice"
    BranchOnDecisions()(model)
    NoteDecisions()(model)
    (decision,) = manifest_from_model(model, {}, "onnx").decisions
    assert (decision.name, decision.aliases) == ("gate", (("choice", (0, 1)),))


def test_what_a_loop_decides_in_each_round_is_no_decision_of_the_call() -> None:
    model = parse(f"""main (float[1,4] x) => (float[1,4] y) <bool always = {{1}}> {{
        three = Constant <value = int64 {{3}}> ()
        y = Loop (three, always, x) <
            body = round (int64 i, bool go, float[1,4] x) => (bool go, float[1,4] t) {{
                t = If (go) {BRANCHES.format("a")}
            }}>
    }}""")
    assert not NoteDecisions()(model).modified


def test_a_constant_decides_nothing() -> None:
    model = parse(f"""main (float[1,4] x) => (float[1,4] y) <bool always = {{1}}> {{
        y = If (always) {BRANCHES.format("a")}
    }}""")
    assert not NoteDecisions()(model).modified
