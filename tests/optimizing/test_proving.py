from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from dyncompile.describe import manifest_from_model
from dyncompile.errors import InputError, VerificationError
from dyncompile.manifest import Manifest
from dyncompile.optimizing.foreign import read_foreign
from dyncompile.optimizing.overriding import override_decisions, override_nodes
from dyncompile.optimizing.proving import Proof, prove
from dyncompile.optimizing.rewriting import rewrite
from dyncompile.passes import NameUniquely
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets import ort
from tests.optimizing.foreign_files import SELECTS, SIZE, TWO_IFS, X, weights, write
from tests.support import Feeds, ort_run

# The decision never holds on small inputs: only a forced path sees the branch.
ALL_OFF: Feeds = {"x": np.ones((1, SIZE), np.float32), "limit": np.asarray(99, np.float32)}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[ir.Model, ir.Model, Manifest]:
    """A file, what became of it, and the manifest of that."""
    return made_of(write(tmp_path / "any.onnx", TWO_IFS))


def made_of(path: Path) -> tuple[ir.Model, ir.Model, Manifest]:
    original, _ = read_foreign(path)
    NameUniquely()(original)
    result = original.clone()
    rewrite(result, ort.FOREIGN, lambda *_: None)
    return original, result, manifest_from_model(result, {}, "onnx")


def then_branch(model: ir.Model) -> ir.Graph:
    node = next(node for node in model.graph if node.op_type == "If")
    return next(graphs_of(node))


def test_both_branches_are_seen_though_samples_take_one(
    pair: tuple[ir.Model, ir.Model, Manifest],
) -> None:
    assert prove(*pair, [ALL_OFF]) == Proof(1, 2, complete=True, largest_difference=0, unproven=())


def swap_weights(model: ir.Model) -> None:
    nodes = [node for node in then_branch(model) if node.op_type == "MatMul"]
    first, second = nodes[0].inputs[1], nodes[1].inputs[1]
    nodes[0].replace_input_with(1, second)
    nodes[1].replace_input_with(1, first)


def skip_a_layer(model: ir.Model) -> None:
    last = list(then_branch(model))[-1]
    last.replace_input_with(0, model.graph.inputs[0])


def turn_the_if(model: ir.Model) -> None:
    node = next(node for node in model.graph if node.op_type == "If")
    then, else_ = graphs_of(node)
    node.attributes.clear()
    node.attributes["then_branch"] = ir.AttrGraph("then_branch", else_)
    node.attributes["else_branch"] = ir.AttrGraph("else_branch", then)


def double_a_weight(model: ir.Model) -> None:
    value = next(iter(then_branch(model).initializers.values()))
    assert value.const_value is not None
    value.const_value = ir.tensor(2 * value.const_value.numpy())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(swap_weights, id="weights exchanged"),
        pytest.param(skip_a_layer, id="a wire that skips a layer"),
        pytest.param(turn_the_if, id="branches exchanged"),
        pytest.param(double_a_weight, id="a weight that is wrong"),
    ],
)
def test_a_wrong_branch_is_found_though_no_sample_takes_it(
    pair: tuple[ir.Model, ir.Model, Manifest], damage: Callable[[ir.Model], None]
) -> None:
    original, result, manifest = pair
    damage(result)
    with pytest.raises(VerificationError, match="differ by"):
        prove(original, result, manifest, [ALL_OFF])


def test_a_changed_type_is_found(pair: tuple[ir.Model, ir.Model, Manifest]) -> None:
    original, result, manifest = pair
    output = result.graph.outputs[0]
    cast = ir.node("Cast", [output], {"to": int(ir.DataType.DOUBLE)})
    cast.outputs[0].name, cast.outputs[0].dtype = "double", ir.DataType.DOUBLE
    result.graph.append(cast)
    result.graph.outputs[0] = cast.outputs[0]
    with pytest.raises(VerificationError, match="gives float64"):
        prove(original, result, manifest, [ALL_OFF])


def test_decisions_that_no_original_has_are_not_forced(
    pair: tuple[ir.Model, ir.Model, Manifest],
) -> None:
    original, result, manifest = pair
    for node in original.graph.all_nodes():
        node.name = f"other.{node.name}"
    proof = prove(original, result, manifest, [ALL_OFF])
    assert (proof.paths, proof.complete, proof.unproven) == (0, False, (("If", 1),))


def test_selections_are_overridden_in_both(tmp_path: Path) -> None:
    original, result, manifest = made_of(write(tmp_path / "any.onnx", SELECTS))
    names = {decision.name for decision in manifest.decisions}
    old, new = override_nodes(original, names), override_decisions(result, manifest.decisions)
    x = np.random.default_rng(0).integers(-3, 4, (1, SIZE)).astype(np.float32)
    feeds: Feeds = {"x": x, "keep": np.asarray([True]), "which": np.asarray([False])}
    seen = set()
    for path in ({}, {"Mul": 0}, {"Mul": 0, "Where": 1}, {"Where": 1}):
        (want,) = ort_run(original, {**feeds, **old.feeds(path)})
        (have,) = ort_run(result, {**feeds, **new.feeds(path)})
        np.testing.assert_array_equal(have, want)
        seen.add(want.tobytes())
    assert len(seen) == 4


# Rows of a table: an index beyond the last one is refused.
ROWS = f"""main (int64[1] row, {X} x, bool[1] take) => ({X} y) <{weights("w0", "table")}> {{
    r = Gather (table, row)
    y = If (take) <
        then_branch = on () => ({X} a) {{ m = MatMul (x, w0) a = Add (m, r) }},
        else_branch = off () => ({X} b) {{ b = Add (x, r) }}>
}}"""


def rows(*numbers: int) -> list[Feeds]:
    x, take = np.ones((1, SIZE), np.float32), np.array([True])
    return [{"row": np.array([number]), "x": x, "take": take} for number in numbers]


def test_drawn_samples_that_the_original_refuses_are_left_out(tmp_path: Path) -> None:
    proof = prove(*made_of(write(tmp_path / "any.onnx", ROWS)), rows(1, SIZE, 2), drawn=True)
    assert (proof.samples, proof.complete) == (2, True)


@pytest.mark.parametrize(
    ("numbers", "drawn"),
    [pytest.param((1, SIZE), False, id="given"), pytest.param((SIZE, 1), True, id="the first")],
)
def test_other_samples_that_the_original_refuses_are_an_error(
    tmp_path: Path, numbers: tuple[int, ...], drawn: bool
) -> None:
    with pytest.raises(InputError, match="the original fails"):
        prove(*made_of(write(tmp_path / "any.onnx", ROWS)), rows(*numbers), drawn=drawn)


def in_a_sequence(scale: float) -> str:
    return f"""main ({X} x, bool take) => (seq({X}) y) <
        {weights("w0")}, float scale = {{{scale}}}> {{
        h = If (take) <then_branch = on () => ({X} h1) {{ h1 = MatMul (x, w0) }},
                       else_branch = off () => ({X} h0) {{ h0 = Neg (x) }}>
        scaled = Mul (h, scale)
        y = SequenceConstruct (x, scaled)
    }}"""


@pytest.mark.parametrize(
    ("scale", "agrees"),
    [
        pytest.param(1.0000001, True, id="the last bit"),
        pytest.param(1.0001, False, id="more than that"),
    ],
)
def test_tensors_in_sequences_are_compared_as_numbers(
    tmp_path: Path, scale: float, agrees: bool
) -> None:
    original, _, manifest = made_of(write(tmp_path / "a.onnx", in_a_sequence(1)))
    _, other, _ = made_of(write(tmp_path / "b.onnx", in_a_sequence(scale)))
    feeds = {"x": np.full((1, SIZE), 0.7, np.float32), "take": np.asarray(True)}
    if agrees:
        assert 0 < prove(original, other, manifest, [feeds]).largest_difference < 1e-6
    else:
        with pytest.raises(VerificationError, match=r"output 'y', element 1: .*differ by"):
            prove(original, other, manifest, [feeds])
