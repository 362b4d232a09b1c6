from dyncompile.passes import NameUniquely
from tests.support import assert_rewrites, assert_untouched


def test_names_of_sibling_branches_differ() -> None:
    before = """main (bool take, float[1,4] x) => (float[1,4] y) {
        [n] y = If (take) <
            then_branch = on () => (float[1,4] v) { [n] v = Relu (x) },
            else_branch = off () => (float[1,4] v) { [n] v = Neg (x) }>
    }"""
    after = """main (bool take, float[1,4] x) => (float[1,4] y) {
        [n] y = If (take) <
            then_branch = on () => (float[1,4] v) { ["n.1"] v = Relu (x) },
            else_branch = off () => (float[1,4] "v.1") { ["n.2"] "v.1" = Neg (x) }>
    }"""
    assert_rewrites(NameUniquely(), before, after)


def test_unique_names_stay() -> None:
    assert_untouched(
        NameUniquely(),
        "main (float[1,4] x) => (float[1,4] y) { [a] r = Relu (x) [b] y = Neg (r) }",
    )
