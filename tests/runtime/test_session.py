import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from dyncompile import artifact
from dyncompile.errors import (
    ArtifactError,
    DyncompileError,
    InputError,
    KnobError,
    TargetError,
)
from dyncompile.knobs import Levels, Threshold
from dyncompile.manifest import Decision, Manifest
from dyncompile.runtime import Net, load
from tests.lowered import (
    NESTED_DECISIONS,
    NESTED_MANIFEST,
    NO_COST,
    SWITCH_MANIFEST,
    nested,
    switched,
)
from tests.support import parse

F32 = np.float32
ONES = np.ones((1, 4), F32)


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "gated.onnx")
    return tmp_path / "gated.onnx"


def net_of(folder: Path, graph: str, manifest: Manifest) -> Net:
    artifact.write(parse(graph), manifest, folder / "net.onnx")
    return load(folder / "net.onnx", threads=1)


def test_a_call_and_its_knobs(gated: Path) -> None:
    net = load(gated)
    got = net(ONES)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, np.exp(ONES), rtol=1e-6)
    np.testing.assert_array_equal(net(ONES, threshold=1.0), ONES)
    np.testing.assert_array_equal(net(x=ONES, threshold=0.5), net(ONES))
    assert net.knobs == {"threshold": Threshold(0.5, 0, 1)}
    assert net.decisions == NESTED_DECISIONS
    assert (net.inputs, net.outputs, net.target) == (("x",), ("y",), "onnx")
    assert net.providers == ("CPUExecutionProvider",)
    assert repr(net) == (
        f"<Net {str(gated)!r} (x: float32[1, 4]) -> (y), knobs (threshold=0.5), 4 decisions>"
    )


@pytest.mark.parametrize("level", [0, 1, 2, np.int64(1), np.array([2])])
def test_levels(tmp_path: Path, level: object) -> None:
    artifact.write(switched(), SWITCH_MANIFEST, tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx")
    expected = [np.abs(ONES), -ONES, np.exp(ONES)][int(np.asarray(level).item())]
    np.testing.assert_allclose(net(ONES, level=level), expected, rtol=1e-6)
    np.testing.assert_array_equal(net(ONES), net(ONES, level=2))
    assert net.trace(ONES, level=level)[1] == {"level": int(np.asarray(level).item())}


def test_several_outputs_are_a_tuple_and_free_dimensions_are_free(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        """main (float[N,4] x, float[2] t) => (float[N,4] y, float[2] z)
        { y = Neg (x)  z = Neg (t) }""",
        Manifest("onnx", {"t": Threshold((0.25, 0.75))}),
    )
    y, z = net(np.ones((3, 4), F32))
    assert y.shape == (3, 4)
    np.testing.assert_array_equal(z, np.array([-0.25, -0.75], F32))
    for t in ([1, np.inf], np.array([1, np.inf]), (1.0, np.inf)):
        np.testing.assert_array_equal(net(ONES, t=t)[1], np.array([-1, -np.inf], F32))
    np.testing.assert_array_equal(net(ONES, t=-np.inf)[1], np.array([np.inf, np.inf], F32))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([[1, 1, 1, 1]], id="ints"),
        pytest.param([[1.0, 1.0, 1.0, 1.0]], id="floats"),
        pytest.param(((1, 1.0, 1, 1),), id="tuple"),
        pytest.param(ONES.astype(">f4"), id="the other byte order"),
        pytest.param(np.asfortranarray(np.ones((4, 1), F32)).T, id="not contiguous"),
    ],
)
def test_what_means_the_same_is_converted(gated: Path, given: object) -> None:
    np.testing.assert_array_equal(load(gated)(given), load(gated)(ONES))


@pytest.mark.parametrize(
    ("inputs", "named", "kind", "message"),
    [
        ((), {}, InputError, "input 'x': not given. Give float32[1, 4]."),
        ((ONES, ONES), {}, InputError, "call: 2 inputs were given. Give at most 1"),
        ((ONES,), {"x": ONES}, InputError, "input 'x': given twice"),
        (
            (np.ones((1, 4)),),
            {},
            InputError,
            "input 'x': float64[1, 4] does not fit. Give float",
        ),
        ((np.ones((2, 4), F32),), {}, InputError, "input 'x': float32[2, 4] does not fit"),
        ((np.ones(4, F32),), {}, InputError, "input 'x': float32[4] does not fit"),
        (([["a"] * 4],), {}, InputError, "input 'x': <U1[1, 4] does not fit"),
        (([[1, 2], [3]],), {}, InputError, "input 'x': list does not fit"),
        ((None,), {}, InputError, "input 'x': object[] does not fit"),
        (
            (ONES,),
            {"speed": 1},
            KnobError,
            "argument 'speed': no input or knob has this name.",
        ),
        ((ONES,), {"threshold": 1.5}, KnobError, "knob 'threshold': 1.5 is not a threshold"),
        ((ONES,), {"threshold": float("nan")}, KnobError, "knob 'threshold': nan"),
        ((ONES,), {"threshold": "high"}, KnobError, "knob 'threshold': 'high'"),
        ((ONES,), {"threshold": [0.1, 0.2]}, KnobError, "knob 'threshold': [0.1, 0.2]"),
    ],
)
def test_what_does_not_fit_is_refused(
    gated: Path,
    inputs: tuple[object, ...],
    named: dict[str, object],
    kind: type[DyncompileError],
    message: str,
) -> None:
    net = load(gated)
    for call in (net, net.trace):
        with pytest.raises(kind) as caught:
            call(*inputs, **named)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize("level", [3, -1, 0.5, True, "1", [0, 1], 10**30])
def test_what_is_no_level_is_refused(tmp_path: Path, level: object) -> None:
    artifact.write(switched(), SWITCH_MANIFEST, tmp_path / "net.onnx")
    with pytest.raises(KnobError, match=r"knob 'level': .* is not a level"):
        load(tmp_path / "net.onnx")(ONES, level=level)


@pytest.mark.parametrize(
    ("given", "fits"),
    [([0, 255], True), ([0, 256], False), ([-1, 0], False), ([0.5, 1], False), ([], False)],
)
def test_lists_of_whole_numbers_keep_their_value(
    tmp_path: Path, given: list[float], fits: bool
) -> None:
    net = net_of(
        tmp_path, "main (uint8[2] x) => (uint8[2] y) { y = Identity (x) }", Manifest("onnx")
    )
    if fits:
        np.testing.assert_array_equal(net(given), np.array(given, np.uint8))
    else:
        with pytest.raises(InputError, match=r"Give uint8\[2\]"):
            net(given)


def test_an_error_of_the_runtime_is_one_line(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        "main (float[N] a, float[M] b) => (float[K] y) { y = Add (a, b) }",
        Manifest("onnx"),
    )
    with pytest.raises(InputError, match="ONNX Runtime refuses this call") as caught:
        net(np.ones(2, F32), np.ones(3, F32))
    assert "\n" not in str(caught.value)


# --- the path taken --------------------------------------------------------------------------


def test_trace_reports_the_path_and_the_same_outputs(gated: Path) -> None:
    net = load(gated)
    outputs, path = net.trace(ONES)
    assert path == {"outer": 1, "inner": 1, "exit": 0, "deep": 1}
    np.testing.assert_array_equal(outputs, net(ONES))
    assert net.trace(-ONES)[1] == {"outer": 0, "inner": 0, "exit": 1, "deep": -1}


def test_trace_of_aliases(tmp_path: Path) -> None:
    decisions = (
        Decision("exit", "gate", ("exit_take",), (), NO_COST, (("rest", (1, 0)),)),
        Decision("deep", "gate", ("deep_take",), (), NO_COST, (("deeper", (0, 1)),)),
    )
    manifest = Manifest("onnx", NESTED_MANIFEST.knobs, decisions)
    artifact.write(nested(), manifest, tmp_path / "net.onnx")
    _, path = load(tmp_path / "net.onnx").trace(-ONES)
    assert path == {"exit": 1, "rest": 0, "deep": -1, "deeper": -1}


def test_a_marked_file_runs_dense(tmp_path: Path) -> None:
    gate = Decision("g", "gate", ("take",), (), NO_COST)
    net = net_of(
        tmp_path,
        """main (float[4] x) => (float[4] y) {
            top = ReduceMax <keepdims = 0> (x)
            low = ReduceMin <keepdims = 0> (x)
            take = Less (low, top)
            on = Neg (x)
            y = dyncompile.Gate <name = "g"> (take, on, x)
        }""",
        Manifest("marked", {}, (gate,)),
    )
    x = np.arange(4, dtype=F32)
    outputs, path = net.trace(x)
    assert net.target == "marked"
    assert path == {"g": 1}
    np.testing.assert_array_equal(outputs, -x)
    np.testing.assert_array_equal(net(np.ones(4, F32)), np.ones(4, F32))


def test_weights_in_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = parse("""main (float[1,64] x, float t) => (float[1,64] y) {
        h = MatMul (x, x2)
        top = ReduceMax <keepdims = 0> (h)
        take = Less (top, t)
        y = If (take) <
            then_branch = on () => (float[1,64] y1) { y1 = Neg (h) },
            else_branch = off () => (float[1,64] y0) { y0 = Abs (h) }>
    }""")
    weight = ir.Value(name="w", const_value=ir.tensor(np.eye(64, dtype=F32)))
    weight.dtype, weight.shape = ir.DataType.FLOAT, ir.Shape([64, 64])
    model.graph.register_initializer(weight)
    model.graph.node(0).replace_input_with(1, weight)
    gate = Decision("g", "gate", ("take",), (), NO_COST)
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "net.onnx"
    artifact.write(
        model, Manifest("onnx", {"t": Threshold(9.0)}, (gate,)), file, external_data=True
    )
    monkeypatch.chdir(tmp_path)
    net = load("out/net.onnx")
    x = np.ones((1, 64), F32)
    outputs, path = net.trace(x)
    np.testing.assert_array_equal(outputs, -x)
    np.testing.assert_array_equal(net(x, t=0.0), x)
    assert path == {"g": 1}
    (tmp_path / "out" / "net.onnx.data").write_bytes(bytes(64 * 64 * 4 + 4))
    with pytest.raises(ArtifactError, match=r"'net\.onnx\.data' should have 16384 bytes"):
        load("out/net.onnx")


def test_trace_refuses_another_file_of_that_name(gated: Path) -> None:
    net = load(gated)
    artifact.write(switched(), SWITCH_MANIFEST, gated)
    with pytest.raises(ArtifactError, match="has changed since it was loaded"):
        net.trace(ONES)


def test_many_threads_share_a_network(gated: Path) -> None:
    net = load(gated, threads=1)
    wrong: list[object] = []

    def work(sign: int) -> None:
        for _ in range(50):
            outputs, path = net.trace(sign * ONES)
            if path["exit"] != (sign < 0) or not np.array_equal(outputs, net(sign * ONES)):
                wrong.append(path)

    workers = [threading.Thread(target=work, args=(sign,)) for sign in (1, -1, 1, -1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


# --- loading ---------------------------------------------------------------------------------


def test_knobs_with_default_initializers(tmp_path: Path) -> None:
    artifact.write(nested(), NESTED_MANIFEST, tmp_path / "net.onnx")
    proto = onnx.load(tmp_path / "net.onnx")
    tensor = onnx.numpy_helper.from_array(np.asarray(0.5, F32), "threshold")
    proto.graph.initializer.append(tensor)
    onnx.save(proto, tmp_path / "net.onnx")
    net = load(tmp_path / "net.onnx")
    assert net.inputs == ("x",)
    assert net.trace(ONES)[1]["outer"] == 1
    assert net.trace(ONES, threshold=1.0)[1]["outer"] == 0
    np.testing.assert_array_equal(net(ONES, threshold=1.0), ONES)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    onnx.save(ir.to_proto(nested()), tmp_path / "net.onnx")
    with pytest.raises(ArtifactError, match=r"not a dyncompile artifact.*use onnxruntime direct"):
        load(tmp_path / "net.onnx")


@pytest.mark.parametrize("length", [0, 10, 500, 900])
def test_a_file_cut_short_is_refused(gated: Path, length: int) -> None:
    gated.write_bytes(gated.read_bytes()[:length])
    with pytest.raises(ArtifactError) as caught:
        load(gated)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_a_missing_file_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        load(tmp_path / name)


def test_a_newer_manifest_says_to_upgrade(gated: Path) -> None:
    proto = onnx.load(gated)
    for entry in proto.metadata_props:
        entry.value = entry.value.replace('"format":1', '"format":7')
    onnx.save(proto, gated)
    with pytest.raises(ArtifactError, match=r"newer dyncompile \(format 7\).*Upgrade"):
        load(gated)


@pytest.mark.parametrize(
    ("knobs", "problem"),
    [
        ({"effort": Levels((1, 2))}, "'effort' as int64[]; the graph has no such input"),
        (
            {"threshold": Levels((1, 2))},
            "'threshold' as int64[]; the graph has it as float32[]",
        ),
        ({"threshold": Threshold((1, 2))}, "as float32[2]; the graph has it as float32[]"),
    ],
)
def test_knobs_that_the_graph_lacks(
    tmp_path: Path, knobs: dict[str, Levels | Threshold], problem: str
) -> None:
    artifact.write(nested(), Manifest("onnx", knobs, NESTED_DECISIONS), tmp_path / "net.onnx")
    with pytest.raises(ArtifactError) as caught:
        load(tmp_path / "net.onnx")
    assert problem in str(caught.value)


def test_a_provider_that_is_not_there(gated: Path) -> None:
    with pytest.raises(TargetError, match=r"NoSuchProvider cannot be used.*CPUExecutionProv"):
        load(gated, providers=["NoSuchProvider", "CPUExecutionProvider"])
    wanted = [("NoSuchProvider", {"device_id": 0})]
    with pytest.warns(RuntimeWarning, match="NoSuchProvider cannot be used") as caught:
        net = load(gated, providers=wanted, fallback=True)
    assert caught[0].filename == __file__
    assert net.providers == ("CPUExecutionProvider",)
    assert isinstance(net(ONES), np.ndarray)


def test_a_provider_that_cannot_start(gated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = onnxruntime.InferenceSession

    def start(
        content: object, options: object, *, providers: list[str], enable_fallback: int
    ) -> object:
        if "CUDAExecutionProvider" in providers:
            raise RuntimeError("no driver\nat all")
        return session(content, options, providers=providers, enable_fallback=enable_fallback)

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    with pytest.raises(
        TargetError, match=r"CUDAExec.* cannot be used here: RuntimeError: no driver at all"
    ):
        load(gated, providers=names)
    with pytest.warns(RuntimeWarning, match="CUDAExecutionProvider cannot be used here"):
        assert load(gated, providers=names, fallback=True).providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_threads_are_a_positive_number(gated: Path, threads: int) -> None:
    with pytest.raises(InputError, match="is not a number of threads"):
        load(gated, threads=threads)


def test_a_call_needs_neither_torch_nor_onnx(gated: Path) -> None:
    program = f"""
import sys
import numpy as np
from dyncompile.runtime import load
load({str(gated)!r})(np.ones((1, 4), np.float32), threshold=0.5)
names = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(names & {{"torch", "onnx", "onnx_ir", "rich", "click"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
