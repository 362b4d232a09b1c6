import gc
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dyncompile.errors import ArtifactError, InputError, KnobError, TargetError
from dyncompile.manifest import Manifest
from dyncompile.runtime import load
from dyncompile.runtime.engine_loading import last_words, logger
from dyncompile.runtime.engine_runner import open_engine
from tests.runtime.engines import (
    F32,
    MANIFEST,
    Machine,
    dynamic,
    expected,
    machine,
    outputs,
    scaled,
    scaling,
)
from tests.runtime.fake_tensorrt import APIS, api
from tests.runtime.pretend_network import Array, Network, Tensor

__all__ = ["machine"]

X = np.arange(8, dtype=F32).reshape(2, 4)


@pytest.mark.parametrize("name", APIS)
def test_an_engine_is_called_as_any_network(machine: Machine, name: str) -> None:
    machine.use(name)
    flavor = "tensorrt-rtx" if "rtx" in name else "tensorrt"
    net = machine.load(scaling(), flavor=flavor, version=api(name)["version"])
    y, count = outputs(net(X, level=1))
    np.testing.assert_array_equal(y, expected(X, 1))
    assert count.dtype == np.int64
    assert count == 8
    np.testing.assert_array_equal(outputs(net(x=X))[0], expected(X, 2))
    y = outputs(net(X.tolist(), threshold=(0.25, 0.5), level=0))[0]
    np.testing.assert_array_equal(y, expected(X, 0, (0.25, 0.5)))
    assert (net.inputs, net.outputs, net.target) == (("x",), ("y", "count"), "tensorrt")
    assert net.providers == ("A pretend GPU",)
    assert net.operating_points == MANIFEST.operating_points
    assert repr(net).endswith(
        "(x: float32[2, 4]) -> (y, count), knobs (level=2, threshold=(0.5, 0.75)), 1 decisions>"
    )


@pytest.mark.parametrize(
    ("inputs", "named", "kind", "message"),
    [
        pytest.param((), {}, InputError, "input 'x': not given", id="missing"),
        pytest.param((X[:1],), {}, InputError, r"float32\[1, 4\] does not fit", id="size"),
        pytest.param((X.astype(float),), {}, InputError, "float64", id="type"),
        pytest.param((X,), {"level": 3}, KnobError, "knob 'level'", id="level"),
        pytest.param((X,), {"depth": 3}, KnobError, "no input or knob has this name", id="knob"),
    ],
)
def test_what_does_not_fit_never_reaches_the_gpu(
    machine: Machine,
    inputs: tuple[object, ...],
    named: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    net = machine.load(scaling())
    with pytest.raises(kind, match=message):
        net(*inputs, **named)
    assert not any(network.enqueued for network in machine.networks.values())


def test_results_are_the_callers_own(machine: Machine) -> None:
    net = machine.load(scaling())
    first = outputs(net(X))[0]
    kept = first.copy()
    net(X + 1)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(outputs(net(X))[0], kept)


def test_inputs_in_any_layout(machine: Machine) -> None:
    net = machine.load(scaling())
    for x in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X.astype(">f4")):
        np.testing.assert_array_equal(outputs(net(x))[0], expected(X, 2))


@pytest.mark.parametrize("capture", ["allowed", "refused by the engine"])
def test_sizes_that_are_known_at_run_time(machine: Machine, capture: str) -> None:
    machine.use("tensorrt_11_4")
    version = api("tensorrt_11_4")["version"]
    net = machine.load(dynamic(capture=capture), flavor="tensorrt", version=version)
    assert "(x: float32[?, 4])" in repr(net)
    for rows in (2, 8, 8, 8, 8, 1, 1, 1, 1, 8):
        x = np.random.default_rng(rows).random((rows, 4), F32)
        y, count = outputs(net(x))
        np.testing.assert_array_equal(y, expected(x, 2))
        assert count == rows * 4


@pytest.mark.parametrize("rows", [0, 9])
def test_sizes_outside_of_the_profile(machine: Machine, rows: int) -> None:
    net = machine.load(dynamic())
    with pytest.raises(InputError) as caught:
        net(np.ones((rows, 4), F32))
    assert str(caught.value) == (
        f"input 'x': float32[{rows}, 4] does not fit."
        " The engine was built for sizes from [1, 4] to [8, 4]."
    )
    np.testing.assert_array_equal(outputs(net(X))[0], expected(X, 2))


def test_a_level_on_the_host_is_read_there(machine: Machine) -> None:
    net = machine.load(scaling(level_on_host=True))
    for level in (0, 1, 1, 1, 1, 0, 1):
        np.testing.assert_array_equal(outputs(net(X, level=level))[0], expected(X, level))
    with pytest.raises(InputError, match=r"input 'level': 2 is out of range.*from \[0\] to \[1\]"):
        net(X, level=2)


def finding() -> Network:
    """Return a network that says where ``x`` is not zero."""
    return Network(
        (Tensor("x", "FLOAT", (4,)),),
        (Tensor("found", "INT64", (1, -1)), Tensor("twice", "FLOAT", (4,))),
        lambda arrays: {
            "found": np.flatnonzero(arrays["x"]).astype(np.int64)[None],
            "twice": arrays["x"] * F32(2),
        },
        shapes=lambda _: {"found": (1, -1), "twice": (4,)},
    )


FINDING: dict[str, Any] = {
    "manifest": Manifest("tensorrt"),
    "inputs": ("x",),
    "outputs": ("twice", "found"),
}


@pytest.mark.parametrize("name", APIS)
def test_sizes_that_depend_on_data(machine: Machine, name: str) -> None:
    machine.use(name)
    flavor = "tensorrt-rtx" if "rtx" in name else "tensorrt"
    net = machine.load(finding(), flavor=flavor, version=api(name)["version"], **FINDING)
    for x in ([0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]):
        given = np.array(x, F32)
        twice, found = outputs(net(given))
        np.testing.assert_array_equal(twice, given * 2)
        np.testing.assert_array_equal(found, np.flatnonzero(given)[None])
    assert "capture" not in machine.cuda.calls


def test_no_memory_for_what_depends_on_data(machine: Machine) -> None:
    net = machine.load(finding(), **FINDING)
    machine.cuda.free_bytes = 16
    with pytest.raises(TargetError, match="no device memory for 32 bytes: MemoryAllocation"):
        net(np.ones(4, F32))
    machine.cuda.free_bytes = 1 << 20
    np.testing.assert_array_equal(outputs(net(np.ones(4, F32)))[1], [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("BOOL", np.bool_),
        ("FLOAT", np.float32),
        ("HALF", np.float16),
        ("INT8", np.int8),
        ("INT32", np.int32),
        ("INT64", np.int64),
        ("UINT8", np.uint8),
    ],
)
def test_element_types(machine: Machine, kind: str, dtype: type) -> None:
    network = Network(
        (Tensor("x", kind, (3,)),), (Tensor("y", kind, (3,)),), lambda a: {"y": a["x"][::-1]}
    )
    net = machine.load(network, manifest=Manifest("tensorrt"), inputs=("x",), outputs=("y",))
    x: Array = np.array([1, 0, 1]).astype(dtype)
    y = net(x[[0, 0, 1]])
    assert isinstance(y, np.ndarray)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x[[1, 0, 0]])


def test_an_array_without_elements(machine: Machine) -> None:
    network = dynamic(rows=(0, 4))
    net = machine.load(network)
    y, count = outputs(net(np.empty((0, 4), F32)))
    assert y.shape == (0, 4)
    assert count == 0


def test_memory_is_had_once_and_grows(machine: Machine) -> None:
    net = machine.load(dynamic())
    net(np.ones((4, 4), F32))
    had = list(machine.cuda.calls)
    for rows in (4, 1, 3, 4, 2):
        net(np.ones((rows, 4), F32))
    assert [c for c in machine.cuda.calls if "+" in c] == [c for c in had if "+" in c]
    net(np.ones((5, 4), F32))
    grown = [c for c in machine.cuda.calls[len(had) :] if "+" in c]
    assert sorted(grown) == ["device+80", "device+80", "host+80", "host+80"]


def test_all_is_given_back(machine: Machine) -> None:
    net = machine.load(scaling())
    for _ in range(4):
        net(X)
    assert machine.cuda.graphs
    del net
    gc.collect()
    assert machine.cuda.live == 0


@pytest.mark.parametrize("name", APIS)
def test_what_a_context_needs_outlives_it(machine: Machine, name: str) -> None:
    machine.use(name)
    machine.cuda.devices, machine.cuda.thread.current = 2, 1
    network = scaling()
    flavor = "tensorrt-rtx" if "rtx" in name else "tensorrt"
    net = machine.load(network, flavor=flavor, version=api(name)["version"])
    gc.collect()
    net(X)
    machine.cuda.cudaSetDevice(0)
    del net
    gc.collect()
    assert network.closed == ["on its GPU, 0 needs gone"]
    assert machine.cuda.thread.bound == 0


def test_an_engine_that_was_given_back_is_not_called(machine: Machine) -> None:
    path = machine.write(scaling())
    runner = open_engine(path)
    runner.execution.close()
    assert machine.cuda.live == 0
    with pytest.raises(TargetError, match="does not run: it was given back"):
        runner.run(["y"], {})


def test_a_call_under_way_ends_before_all_is_given_back(machine: Machine) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slowly(arrays: dict[str, Array]) -> dict[str, Array]:
        begun.set()
        assert may_end.wait(10)
        return scaled(arrays)

    runner = open_engine(machine.write(replace(scaling(), compute=slowly)))
    feed = {"x": X, "level": np.array(1), "threshold": np.zeros(2, F32)}
    found: list[Array] = []
    calling = threading.Thread(target=lambda: found.extend(runner.run(["y"], feed)))
    calling.start()
    assert begun.wait(10)
    threading.Timer(0.05, may_end.set).start()
    runner.execution.close()
    calling.join()
    np.testing.assert_array_equal(found[0], expected(X, 1, (0, 0)))
    assert machine.cuda.live == 0


def test_a_forked_process_has_no_gpu(machine: Machine) -> None:
    net = machine.load(scaling())
    error = machine.cuda.cudaError_t.cudaErrorInitializationError
    machine.cuda.failing["cudaSetDevice"] = error
    with pytest.raises(TargetError, match=r"forked, load the engine in it"):
        net(X)
    machine.cuda.failing.clear()
    np.testing.assert_array_equal(outputs(net(X))[0], expected(X, 2))


def test_many_threads_share_an_engine(machine: Machine) -> None:
    net = machine.load(scaling())
    problems: list[object] = []

    def call(seed: int) -> None:
        x = np.random.default_rng(seed).random((2, 4), F32)
        for level in (0, 1, 2) * 5:
            y = outputs(net(x, level=level))[0]
            problems.extend([(seed, level)] * (not np.array_equal(y, expected(x, level))))

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_a_call_uses_the_gpu_it_was_loaded_on_and_no_other_after_it(machine: Machine) -> None:
    machine.cuda.devices, machine.cuda.thread.current = 2, 1
    net = machine.load(scaling())
    machine.cuda.thread.current = 0
    machine.cuda.calls.clear()
    net(X)
    assert machine.cuda.calls.count("cudaSetDevice") == 2
    assert machine.cuda.thread.current == 0


def test_an_engine_that_fails_says_why_and_goes_on(machine: Machine) -> None:
    network = scaling()
    net = machine.load(network)
    network.fails = "Error Code 1:\n Cuda Runtime (misaligned address)."
    with pytest.raises(TargetError) as caught:
        net(X)
    assert str(caught.value) == (
        "A pretend GPU: the engine does not run: Error Code 1: Cuda Runtime (misaligned address)."
        " Build it again on this machine, or run the .onnx file."
    )
    network.fails = ""
    np.testing.assert_array_equal(outputs(net(X))[0], expected(X, 2))


def test_what_was_said_before_is_not_why(machine: Machine) -> None:
    network = scaling()
    net = machine.load(network)
    net(X)
    package = machine.packages["tensorrt_rtx"]
    logger(package).log(package.ILogger.Severity.ERROR, "something else")
    network.fails = "the reason"
    with pytest.raises(TargetError, match="does not run: the reason"):
        net(X)
    assert last_words(package) == "it does not say why"


def test_an_error_of_cuda_is_put_in_words(machine: Machine) -> None:
    net = machine.load(scaling())
    machine.cuda.failing["cudaStreamSynchronize"] = machine.cuda.cudaError_t.cudaErrorIllegalAddress
    with pytest.raises(TargetError, match=r"GPU: CUDA fails: IllegalAddress \(CUDA error 700\)\."):
        net(X)
    machine.cuda.failing.clear()
    machine.cuda.streams[next(iter(machine.cuda.streams))].pending.clear()


def test_no_memory_for_an_input(machine: Machine) -> None:
    net = machine.load(dynamic())
    machine.cuda.free_bytes = 64
    with pytest.raises(TargetError, match="no host memory for 128 bytes: MemoryAllocation"):
        net(np.ones((8, 4), F32))
    np.testing.assert_array_equal(outputs(net(X))[0], expected(X, 2))


def test_a_trace_is_refused(machine: Machine) -> None:
    net = machine.load(scaling())
    with pytest.raises(TargetError) as caught:
        net.trace(X)
    assert str(caught.value) == (
        f"{net.path}: an engine that was built without telemetry does not report its decisions."
        " Build it with --telemetry, or trace the .onnx file of the network."
    )


def test_an_engine_with_telemetry_reports_in_every_call(machine: Machine) -> None:
    told = replace(MANIFEST, telemetry={"exit": "count"})
    network = scaling()
    net = load(machine.write(network, told))
    assert net.outputs == ("y",)
    np.testing.assert_array_equal(net(X, level=1), expected(X, 1))
    y, path = net.trace(X, level=1)
    np.testing.assert_array_equal(y, expected(X, 1))
    assert path == {"exit": X.size}
    assert network.enqueued == 2
    network.fails = "the reason"
    with pytest.raises(TargetError, match="does not run: the reason"):
        net.trace(X)


def test_an_engine_whose_output_cannot_report_is_refused(machine: Machine) -> None:
    path = machine.write(scaling(), replace(MANIFEST, telemetry={"exit": "y"}))
    with pytest.raises(ArtifactError, match=r"report 'exit' as int64\[\]; the graph has it as"):
        load(path)


def test_latencies_and_budgets(machine: Machine) -> None:
    net = machine.load(scaling())
    found = net.calibrate(seconds=0.01)
    assert [latency.point["level"] for latency in found.latencies] == [0, 2]
    assert found.conditions.runtime == "TensorRT for RTX 1.7.1.116"
    assert found.conditions.providers == ("A pretend GPU",)
    governed = net.within(10_000.0, quality=[0.5, 0.9], samples={"x": X[None]})
    np.testing.assert_array_equal(outputs(governed(X))[0], expected(X, 2))
    again = load(net.path)
    assert again.latencies().latencies
    assert again.latencies().at(net.operating_points[0]) is not None
