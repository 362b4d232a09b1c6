from dyncompile.passes import NameUniquely
from tests.support import (
    assert_rewrites,
    assert_same_numbers,
    assert_unique_names,
    assert_untouched,
    every_feeds,
    parse,
)


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


def test_a_constant_takes_the_name_of_one_that_gets_another() -> None:
    before = """main (bool take, float[1,4] x) => (float[1,4] y) {
        y = If (take) <
            then_branch = on () => (float[1,4] v) <float w = {1}, float "w.1" = {2}> {
                u = Add (x, w) v = Add (u, "w.1") },
            else_branch = off () => (float[1,4] t) <float w = {4}, float "w.2" = {5}> {
                s = Add (x, w) t = Mul (s, "w.2") }>
    }"""
    model = parse(before)
    assert NameUniquely()(model).modified
    assert not NameUniquely()(model).modified
    assert_unique_names(model)
    assert_same_numbers(parse(before), model, every_feeds(model, samples=1))
