from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile import artifact
from dyncompile.errors import ArtifactError, DyncompileError, InputError, VerificationError
from dyncompile.input_specs import parse_input
from dyncompile.optimizing.optimize import optimize
from dyncompile.optimizing.rewriting import rewrite
from dyncompile.passes.scopes import graphs_of
from dyncompile.targets import ort as target
from tests.optimizing.foreign_files import (
    CUSTOM,
    CUSTOM_HEADER,
    PLAIN,
    SELECTS,
    SIZE,
    TWO_IFS,
    X,
    weights,
    write,
)
from tests.support import Array, Feeds


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "any.onnx"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.onnx"


def outputs_of(path: Path, feeds: Feeds) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(None, feeds)
    return found


def assert_same(source: Path, output: Path, many_feeds: list[Feeds]) -> None:
    for feeds in many_feeds:
        for want, have in zip(outputs_of(source, feeds), outputs_of(output, feeds), strict=True):
            np.testing.assert_array_equal(have, want)


def drawn(**given: object) -> Feeds:
    x = np.random.default_rng(0).integers(-3, 4, (1, SIZE)).astype(np.float32)
    return {"x": x, **{name: np.asarray(value) for name, value in given.items()}}


def op_types(graph: ir.Graph) -> list[str]:
    return [node.op_type for node in graph]


# --- what is won -----------------------------------------------------------------------------


def test_ifs_on_one_comparison_merge_and_take_their_work_and_weights(
    source: Path, output: Path
) -> None:
    made = optimize(write(source, TWO_IFS), output)
    assert made.changed
    assert (made.gains.ifs, made.gains.weights) == ((2, 1), 2)
    assert made.gains.always_macs == (SIZE * SIZE, 0)
    assert made.gains.saving == 1
    assert made.proof is not None
    assert (made.proof.paths, made.proof.complete, made.proof.unproven) == (2, True, ())
    graph = ir.load(output).graph
    assert op_types(graph) == ["ReduceMean", "Greater", "If"]
    assert not graph.initializers
    assert [op_types(branch) for branch in graphs_of(graph[2])] == [["MatMul"] * 3, ["Identity"]]
    feeds = [drawn(limit=np.float32(limit)) for limit in (-9, 9)]
    assert_same(source, output, feeds)


def test_selections_become_branches_where_that_skips_work(source: Path, output: Path) -> None:
    made = optimize(write(source, SELECTS), output)
    assert made.gains.selections == 2
    assert made.gains.always_macs == (3 * SIZE * SIZE, 0)
    assert made.decisions == ("Mul", "Where")
    graph = ir.load(output).graph
    assert op_types(graph) == ["If", "If"]
    feeds = [drawn(keep=[k], which=[w]) for k in (False, True) for w in (False, True)]
    assert_same(source, output, feeds)


def test_the_result_can_be_loaded_inspected_and_traced(source: Path, output: Path) -> None:
    optimize(write(source, TWO_IFS), output)
    net = dyncompile.load(output)
    assert [decision.name for decision in net.decisions] == ["If"]
    assert [side.macs for side in net.decisions[0].sides] == [0, 3 * SIZE * SIZE]
    feeds = drawn(limit=np.float32(-9))
    result, taken = net.trace(**feeds)
    assert taken == {"If": 1, "If.1": 1}
    np.testing.assert_array_equal(result, outputs_of(source, feeds)[0])


def test_what_the_file_says_about_itself_stays(source: Path, output: Path) -> None:
    write(source, TWO_IFS)
    proto = onnx.load(source)
    proto.metadata_props.add(key="author", value="someone")
    proto.graph.node[0].doc_string = "the mean"
    onnx.save(proto, source)
    optimize(source, output)
    after = onnx.load(output)
    assert (after.ir_version, after.producer_name, after.doc_string) == (8, "elsewhere", "kept")
    assert after.opset_import == proto.opset_import
    assert ("author", "someone") in {(p.key, p.value) for p in after.metadata_props}
    assert after.graph.node[0].doc_string == "the mean"
    assert list(after.graph.input) == list(proto.graph.input)
    assert list(after.graph.output) == list(proto.graph.output)
    onnx.checker.check_model(after, full_check=True)


def test_functions_of_the_file_are_inlined(source: Path, output: Path) -> None:
    header = '<ir_version: 8, opset_import: ["" : 17, "local" : 1]>\n'
    graph = f"""main ({X} x, bool take) => ({X} y) <{weights("w0", "w1")}> {{
        f = local.twice (x, w0, w1)
        y = Where (take, f, x)
    }}
    <domain: "local", opset_import: ["" : 17]>
    twice (a, u, v) => (b) {{ m = MatMul (a, u) b = MatMul (m, v) }}"""
    made = optimize(write(source, graph, header), output)
    assert made.gains.selections == 1
    model = ir.load(output)
    assert op_types(model.graph) == ["If"]
    assert not model.functions
    assert_same(source, output, [drawn(take=take) for take in (False, True)])


def test_weights_in_constant_nodes_are_placed_too(source: Path, output: Path) -> None:
    constant = weights("w0").partition("{")[2]
    graph = f"""main ({X} x, bool take) => ({X} y) {{
        w = Constant <value = float[{SIZE},{SIZE}] {{{constant}> ()
        t = Transpose (w)
        y = If (take) <
            then_branch = on () => ({X} y1) {{ y1 = MatMul (x, t) }},
            else_branch = off () => ({X} y0) {{ a = Neg (x) y0 = MatMul (a, w) }}>
    }}"""
    made = optimize(write(source, graph), output)
    assert (made.gains.weights, made.gains.faster_macs) == (1, made.gains.macs)
    branches = list(ir.load(output).graph.subgraphs())
    assert [op_types(branch) for branch in branches] == [
        ["Transpose", "MatMul"],
        ["Reshape", "Neg", "MatMul"],
    ]
    assert_same(source, output, [drawn(take=take) for take in (False, True)])


def test_nodes_in_another_order_are_sorted(source: Path, output: Path) -> None:
    write(source, TWO_IFS)
    proto = onnx.load(source)
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.save(proto, source)
    assert optimize(source, output).gains.ifs == (2, 1)


def test_custom_operators_stay_where_they_stand(source: Path, output: Path) -> None:
    made = optimize(write(source, CUSTOM, CUSTOM_HEADER), output, verify=False)
    assert (made.proof, made.decisions) == (None, ("If", "If.1"))
    graph = ir.load(output).graph
    assert op_types(graph) == ["Op", "If", "If"]
    kept = graph[2]
    then, _ = graphs_of(kept)
    assert op_types(then) == ["MatMul", "Op"]
    assert list(then.initializers) == ["w1"]
    assert not any(node.metadata_props.get("dyncompile.pinned") for node in graph.all_nodes())


def test_an_input_with_a_default_value_stays_an_input_unless_folded(
    source: Path, output: Path
) -> None:
    graph = f"""main ({X} x, bool take, float[{SIZE},{SIZE}] w0) => ({X} y) <{weights("w0")}> {{
        y = If (take) <
            then_branch = on () => ({X} y1) {{ y1 = MatMul (x, w0) }},
            else_branch = off () => ({X} y0) {{ y0 = Identity (x) }}>
    }}"""
    kept = optimize(write(source, graph), output)
    assert (kept.changed, kept.overridable) == (False, ("w0",))
    folded = optimize(source, output, fold_defaults=True)
    assert (folded.changed, folded.overridable, folded.gains.weights) == (True, (), 1)
    assert [value.name for value in ir.load(output).graph.inputs] == ["x", "take"]
    assert_same(source, output, [drawn(take=take) for take in (False, True)])


def test_outputs_that_other_decisions_need_apart_cost_no_path_anything(
    source: Path, output: Path
) -> None:
    """One If with two outputs, of which another decision needs one, is taken apart."""
    graph = f"""main ({X} x, bool p, bool q, bool r) => ({X} y) <
        {weights("w0", "w1", "w2", "w3")}> {{
        v, u = If (p) <
            then_branch = a () => ({X} v1, {X} u1) {{ v1 = MatMul (x, w3) u1 = Neg (v1) }},
            else_branch = b () => ({X} v0, {X} u0) {{
                v0, u0 = If (r) <
                    then_branch = c () => ({X} v3, {X} u3) {{ v3 = Add (x, x) u3 = Neg (v3) }},
                    else_branch = d () => ({X} v2, {X} u2)
                        {{ m = MatMul (x, w1) v2 = Exp (m) u2 = MatMul (m, w2) }}>
            }}>
        y = If (q) <
            then_branch = on () => ({X} y1) {{ y1 = Add (u, v) }},
            else_branch = off () => ({X} y0) {{ y0 = Identity (u) }}>
    }}"""
    made = optimize(write(source, graph), output)
    assert made.changed
    assert made.gains.is_lazy
    assert made.gains.ifs == (3, 5)
    assert made.decisions == ("If", "If.1", "If.2")
    feeds = [
        drawn(p=p, q=q, r=r) for p in (False, True) for q in (False, True) for r in (False, True)
    ]
    assert_same(source, output, feeds)


def test_what_may_fail_runs_only_where_it_ran(source: Path, output: Path) -> None:
    """The index is beyond the table where ``r`` holds; taken apart, it would be looked up then."""
    graph = f"""main ({X} x, int64 k, bool p, bool q, bool r) => ({X} y) <{weights("w0")}> {{
        v, u = If (p) <
            then_branch = a () => ({X} v1, {X} u1) {{ v1 = MatMul (x, w0) u1 = Neg (v1) }},
            else_branch = b () => ({X} v0, {X} u0) {{
                v0, u0 = If (r) <
                    then_branch = c () => ({X} v3, {X} u3) {{ v3 = Add (x, x) u3 = Neg (v3) }},
                    else_branch = d () => ({X} v2, {X} u2) {{
                        m = Gather <axis = 0> (w0, k)
                        v2 = Add (x, m)
                        u2 = Sub (v2, m)
                    }}>
            }}>
        y = If (q) <
            then_branch = on () => ({X} y1) {{ y1 = Add (u, v) }},
            else_branch = off () => ({X} y0) {{ y0 = Identity (u) }}>
    }}"""
    made = optimize(write(source, graph), output)
    assert made.changed
    assert not made.gains.added
    for p, q in itertools.product((False, True), repeat=2):
        beyond = drawn(k=np.int64(SIZE + 9), p=p, q=q, r=True)
        assert_same(source, output, [beyond, drawn(k=np.int64(1), p=p, q=q, r=False)])


# --- torch.cond ------------------------------------------------------------------------------


class Skips(nn.Module):
    """Blocks that are skipped, and an exit."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(4, 5) for _ in range(2))

    def forward(self, x: Tensor, take: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks):
            x = torch.cond(
                take[number],
                lambda x, block=block: torch.relu(block(x)) + x,
                lambda x: x.clone(),
                (x,),
            )
        pooled = x.mean((2, 3))
        chosen: Tensor = torch.cond(pooled.sum() > 0, self.heads[0], self.heads[1], (pooled,))
        return chosen


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of torch
def test_an_export_of_torch_cond_gets_its_weights_into_its_branches(
    source: Path, output: Path
) -> None:
    torch.manual_seed(0)
    example = torch.randn(1, 4, 6, 6), torch.tensor([True, False, True])
    program = torch.onnx.export(
        Skips().eval(), example, dynamo=True, opset_version=18, verbose=False
    )
    assert program is not None
    program.save(source)
    made = optimize(source, output)
    assert made.gains.weights == 10
    assert made.gains.faster_macs == made.gains.macs > 0
    assert made.proof is not None
    assert made.proof.complete
    graph = ir.load(output).graph
    assert op_types(graph).count("Identity") == 0
    assert op_types(graph).count("Split") == 1
    weights_outside = [v for v in graph.initializers.values() if len(v.shape or ()) > 1]
    assert not weights_outside
    rng = np.random.default_rng(0)
    for taken in ([True, True, False], [False, False, False], [True, False, True]):
        x = rng.normal(size=(1, 4, 6, 6)).astype(np.float32)
        feeds: Feeds = {"x": x, "take": np.asarray(taken)}
        for want, have in zip(outputs_of(source, feeds), outputs_of(output, feeds), strict=True):
            np.testing.assert_allclose(have, want, rtol=0, atol=1e-5)


# --- files in which nothing can be won -------------------------------------------------------


def test_a_file_in_which_nothing_can_be_won_is_copied(source: Path, output: Path) -> None:
    made = optimize(write(source, PLAIN), output)
    assert (made.changed, made.proof) == (False, None)
    assert output.read_bytes() == source.read_bytes()


def test_an_optimised_file_without_its_manifest_has_nothing_left_to_win(
    source: Path, output: Path, tmp_path: Path
) -> None:
    optimize(write(source, TWO_IFS), output)
    proto = onnx.load(output)
    del proto.metadata_props[:]
    onnx.save(proto, output)
    again = optimize(output, tmp_path / "again.onnx")
    assert not again.changed
    assert (tmp_path / "again.onnx").read_bytes() == output.read_bytes()


def test_the_output_may_be_the_source(source: Path) -> None:
    write(source, TWO_IFS)
    assert optimize(source, source).changed
    assert artifact.read(source)[1] is not None


def put_weights_beside(path: Path, location: str) -> None:
    """Move every weight of a file, the small ones too, to a second file."""
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:  # text gives numbers, and only bytes are moved
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        )
    onnx.save(proto, path, save_as_external_data=True, location=location, size_threshold=0)
    assert (path.parent / location).exists()


def test_weights_in_a_second_file_are_read_and_copied(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, graph in (("plain.onnx", PLAIN), ("ifs.onnx", TWO_IFS)):
        put_weights_beside(write(tmp_path / name, graph), f"{name}.w")
        made = optimize(tmp_path / name, tmp_path / "there" / name)
        assert made.changed == (name == "ifs.onnx")
        feeds = drawn() if name == "plain.onnx" else drawn(limit=np.float32(-9))
        assert_same(tmp_path / name, tmp_path / "there" / name, [feeds])
    made = optimize(tmp_path / "ifs.onnx", tmp_path / "split.onnx", external_data=True)
    assert_same(tmp_path / "ifs.onnx", tmp_path / "split.onnx", [drawn(limit=np.float32(-9))])


def test_weights_of_the_source_are_not_overwritten(source: Path, tmp_path: Path) -> None:
    put_weights_beside(write(source, TWO_IFS), "out.onnx.data")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ArtifactError, match=r"weights of any\.onnx are in a file of this name"):
        optimize(source, tmp_path / "out.onnx", external_data=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_sizes_that_the_file_leaves_open_stay_open(source: Path, output: Path) -> None:
    graph = f"""main (float[?,{SIZE}] x, bool take) => (float[?,{SIZE}] y) <{weights("w0")}> {{
        h = If (take) <
            then_branch = on () => (float[?,{SIZE}] h1) {{ h1 = MatMul (x, w0) }},
            else_branch = off () => (float[?,{SIZE}] h0) {{ h0 = Identity (x) }}>
        a = Abs (h)
        y = Relu (a)
    }}"""
    assert optimize(write(source, graph), output).changed
    assert onnx.load(output).graph.output == onnx.load(source).graph.output


def test_a_condition_with_a_default_value_is_a_decision_still(source: Path, output: Path) -> None:
    graph = f"""main ({X} x, bool take) => ({X} y) <
        bool take = {{1}}, {weights("w0", "w1", "w2")}> {{
        h = If (take) <
            then_branch = on () => ({X} h1) {{ h1 = MatMul (x, w0) }},
            else_branch = off () => ({X} h0) {{ h0 = MatMul (x, w1) }}>
        f = MatMul (h, w2)
        y = Where (take, f, h)
    }}"""
    made = optimize(write(source, graph), output)
    assert (made.decisions, made.gains.selections) == (("If",), 1)
    assert made.proof is not None
    assert made.proof.paths == 2
    assert_same(source, output, [drawn(), drawn(take=False), drawn(take=True)])


# Rounds with a weight each, one decision a round, and another If of the main graph.
ROUNDS = f"""main ({X} x, bool take) => ({X} y, float[R,1,{SIZE}] each) <
    float[2,{SIZE},{SIZE}] w = {{{", ".join(str(n * 7 % 5 - 2) for n in range(72))}}},
    float zero = {{0}}, {weights("w0")}> {{
    first = If (take) <then_branch = on () => ({X} f1) {{ f1 = MatMul (x, w0) }},
                       else_branch = off () => ({X} f0) {{ f0 = Identity (x) }}>
    y, each = Scan <num_scan_inputs = 1, body =
        round ({X} s, float[{SIZE},{SIZE}] u) => ({X} t, {X} m) {{
            m = MatMul (s, u)
            r = ReduceMean <keepdims = 0> (m)
            g = Greater (r, zero)
            t = If (g) <then_branch = a () => ({X} t1) {{ t1 = MatMul (m, u) }},
                        else_branch = b () => ({X} t0) {{ t0 = Neg (m) }}>
        }}> (first, w)
}}"""


def test_a_decision_of_one_round_is_none_of_the_original(source: Path, output: Path) -> None:
    """Forced together in one file and by itself in the other, the numbers would differ."""
    made = optimize(write(source, ROUNDS), output)
    assert made.decisions == ("If", "If.1#0", "If.1#1")
    assert made.proof is not None
    assert not made.proof.complete
    rng = np.random.default_rng(0)
    many = [rng.integers(-3, 4, (1, SIZE)).astype(np.float32) for _ in range(6)]
    for take in False, True:
        assert_same(source, output, [{"x": x, "take": np.asarray(take)} for x in many])


# --- what is refused -------------------------------------------------------------------------


def wrongly(model: ir.Model, passes: object, tell: object) -> object:
    gains = rewrite(model, target.FOREIGN, tell)  # type: ignore[arg-type]
    del passes
    for graph in model.graph.subgraphs():
        for node in graph:
            if node.op_type == "MatMul":
                node.replace_input_with(0, model.graph.inputs[0])
    return gains


def test_a_result_that_computes_something_else_is_not_written(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dyncompile.optimizing.optimize.rewrite", wrongly)
    with pytest.raises(VerificationError, match="differ by"):
        optimize(write(source, TWO_IFS), output)
    assert not output.exists()


@pytest.mark.parametrize(
    ("graph", "header", "problem"),
    [
        pytest.param(
            PLAIN, '<ir_version: 8, opset_import: ["" : 11]>\n', "opset 11. Convert", id="old opset"
        ),
        pytest.param(
            PLAIN,
            '<ir_version: 8, opset_import: ["ai.onnx" : 11]>\n',
            "opset 11. Convert",
            id="old opset by its full name",
        ),
        pytest.param(CUSTOM, CUSTOM_HEADER, r"custom operators mine\.Op", id="custom operators"),
    ],
)
def test_refuses(source: Path, output: Path, graph: str, header: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        optimize(write(source, graph, header), output)
    assert not output.exists()


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        pytest.param([], "there are none", id="none"),
        pytest.param([{"x": np.zeros((1, SIZE), np.float32)}], "takes limit, x", id="one missing"),
        pytest.param(
            [{"x": np.zeros((1, 2), np.float32), "limit": np.float32(0)}],
            "original fails",
            id="wrong shape",
        ),
        pytest.param(
            {"x": np.zeros((3, 7), np.float32), "limit": np.zeros(3, np.float32)},
            "original fails",
            id="rows of a wrong shape",
        ),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    source: Path, output: Path, samples: object, problem: str
) -> None:
    with pytest.raises(DyncompileError, match=problem):
        optimize(write(source, TWO_IFS), output, samples=samples)  # type: ignore[arg-type]
    assert not output.exists()


def test_samples_are_what_is_compared_with(source: Path, output: Path) -> None:
    rows = {"x": np.ones((3, 1, SIZE), np.float32), "limit": np.full(3, 9, np.float32)}
    made = optimize(write(source, TWO_IFS), output, samples=rows)
    assert made.proof is not None
    assert made.proof.samples == 3


def test_an_input_of_unknown_rank_has_to_be_described(source: Path, output: Path) -> None:
    write(source, TWO_IFS)
    proto = onnx.load(source)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(proto, source)
    with pytest.raises(InputError, match="cannot be drawn"):
        optimize(source, output)
    shape = parse_input(f"x=float32[1,{SIZE}]")
    assert optimize(source, output, inputs=[shape]).changed


def test_a_broken_graph_is_refused_in_one_line(source: Path, output: Path) -> None:
    write(source, "main (float[1] x) => (float[1] b) { a = Neg (b) b = Neg (a) }")
    with pytest.raises(DyncompileError, match="circles"):
        optimize(source, output)


def test_a_failing_write_leaves_nothing(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(source, TWO_IFS)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DyncompileError, match="No space left"):
        optimize(source, output)
    assert [path.name for path in source.parent.iterdir()] == ["any.onnx"]
