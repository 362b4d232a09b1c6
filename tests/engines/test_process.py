"""Builds in a process of their own, with the real builder and with stand-ins that go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dyncompile.engine_file import Binding
from dyncompile.engines.child import Child
from dyncompile.engines.laziness import lazy_nodes
from dyncompile.engines.process import run_build
from dyncompile.engines.request import BuildRequest, ShapeRange
from dyncompile.errors import ArtifactError, DyncompileError, TargetError
from tests.engines.graphs import (
    BRANCHED,
    DYNAMIC,
    GATE,
    SHAPE_INPUT,
    SWITCH,
    UNPADDED,
    network,
    written,
)
from tests.engines.stand_in import package

RTX = "tensorrt_rtx_1_7"
X = ShapeRange("x", (1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 16, 16))
COUNT = ShapeRange("count", (1,), (2,), (4,))


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    return replace(request_for(GATE, tmp_path), lazy=())


def request_for(text: str, folder: Path, **fields: object) -> BuildRequest:
    plan = folder / "out" / "net.engine"
    plan.parent.mkdir(exist_ok=True)
    lazy = lazy_nodes(network(text))
    return BuildRequest("tensorrt-rtx", written(text, folder), plan, lazy=lazy, **fields)  # type: ignore[arg-type]


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, **wrong: str) -> None:
    """Put a package of the builder's name in front of the real one, for the process that builds."""
    monkeypatch.syspath_prepend(package(folder, RTX, **wrong))  # type: ignore[arg-type]


def fails(request: BuildRequest, *, timeout: float | None = 60.0) -> str:
    """Build what cannot be built; nothing is left, and what is said is one line."""
    with pytest.raises(DyncompileError) as caught:
        run_build(request, timeout=timeout)
    assert list(request.plan.parent.iterdir()) == []
    said = str(caught.value)
    assert "\n" not in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("text", BRANCHED.values(), ids=BRANCHED)
def test_an_engine_is_built(text: str, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    request = request_for(text, tmp_path, chips=("sm89",))
    told: list[tuple[str, int, int]] = []
    result = run_build(request, timeout=60.0, progress=lambda *step: told.append(step))
    assert result.version == trt.__version__
    assert result.inputs[0] == Binding("x", "float32", (1, 4, 8, 8), "device")
    assert result.outputs[0] == Binding("y", "float32", (1, 4, 8, 8), "device")
    assert result.repaired == ()
    assert result.warnings == ()
    assert result.layers > 4
    assert 10_000_000 < result.peak_memory < 10_000_000_000
    assert list(request.plan.parent.iterdir()) == [request.plan]
    assert request.plan.stat().st_size > 10_000
    assert told[0][1] == 0
    assert told[-1][1] == told[-1][2]
    assert {part for part, _, _ in told} == {"Building engine"}


@pytest.mark.parametrize(
    ("text", "ranges", "values", "expected"),
    [
        pytest.param(
            DYNAMIC, (X,), (), Binding("x", "float32", (-1, 4, -1, -1), "device"), id="sizes"
        ),
        pytest.param(
            SHAPE_INPUT, (), (COUNT,), Binding("count", "int64", (1,), "host"), id="values"
        ),
    ],
)
def test_an_engine_with_ranges_is_built(
    text: str,
    ranges: tuple[ShapeRange, ...],
    values: tuple[ShapeRange, ...],
    expected: Binding,
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorrt_rtx")
    request = request_for(text, tmp_path, ranges=ranges, values=values)
    assert expected in run_build(request, timeout=60.0).inputs
    assert request.plan.is_file()


def test_sizes_that_do_not_fit_the_graph_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    wrong = ShapeRange("x", (1, 5, 8, 8), (2, 5, 8, 8), (4, 5, 8, 8))
    assert "TensorRT for RTX" in fails(request_for(DYNAMIC, tmp_path, ranges=(wrong,)))


def test_sizes_that_the_network_cannot_run_with_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    small = replace(X, least=(1, 4, 1, 1))
    said = fails(request_for(UNPADDED, tmp_path, ranges=(small,)))
    assert "TensorRT for RTX refuses the ranges: " in said
    assert said.endswith("Give ranges that the network can run with.")


def test_too_little_memory_is_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    assert "Give it more --memory." in fails(request_for(GATE, tmp_path, memory=1))


def test_a_network_that_the_parser_refuses_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    text = "g (float[8] x) => (int64[1, n] y) { y = NonZero(x) }"
    said = fails(request_for(text, tmp_path))
    assert "NonZero 'nonzero_y'" in said
    assert "cudaError" not in said


def test_an_engine_takes_the_place_of_an_older_one_only_when_it_is_done(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_.plan.write_bytes(b"older")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(package(tmp_path, RTX, fault="refuses"))
        with pytest.raises(TargetError):
            run_build(request_)
    assert request_.plan.read_bytes() == b"older"
    (tmp_path / "good").mkdir()
    stand_in(monkeypatch, tmp_path / "good", fault="garbage")
    run_build(request_)
    assert b"profile" in request_.plan.read_bytes()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(
            "crash",
            "crashed (SIGSEGV) at 'Timing'; its last words: about to fall over.",
            id="crash",
        ),
        pytest.param("ends", "ended with code 7 at 'Timing'; its last words: goodbye.", id="ends"),
        pytest.param("killed", "was killed at 'Timing', as systems do", id="killed"),
        pytest.param("out of memory", "ran out of memory: Error Code 2", id="out of memory"),
        pytest.param("aborts", "ran out of memory: terminate called after", id="abort"),
        pytest.param("bad alloc", "ran out of memory: MemoryError", id="memory error"),
        pytest.param("wrong channels", "number of channels not equal", id="wrong graph"),
        pytest.param("refuses", "does not build the network: IBuilder: Error Code 4", id="no plan"),
    ],
)
def test_a_build_that_goes_wrong_leaves_one_line_and_no_file(
    request_: BuildRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    said: str,
) -> None:
    stand_in(monkeypatch, tmp_path, fault=fault)
    assert said in fails(request_)


def test_what_a_builder_prints_does_no_harm(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, tmp_path, fault="garbage")
    run_build(request_, timeout=60.0)
    assert list(request_.plan.parent.iterdir()) == [request_.plan]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param("raise ImportError('libx.so is missing')", "libx.so is missing", id="import"),
        pytest.param("__version__ = '0.9.1'", "0.9.1 is installed; 1.0 or newer", id="too old"),
        pytest.param("__version__ = '1.9'", "AttributeError: module 'tensorrt_rtx'", id="foreign"),
        pytest.param("print('hello'); import os; os._exit(3)", "'loading the builder'", id="exits"),
    ],
)
def test_a_broken_package_is_told(
    request_: BuildRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    said: str,
) -> None:
    stand_in(monkeypatch, tmp_path, broken=broken)
    assert said in fails(request_)


def test_a_build_that_takes_too_long_is_given_up(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dyncompile.engines.child._GRACE_SECONDS", 0.2)
    stand_in(monkeypatch, tmp_path, fault="hang")
    assert "was not done after 2 s; it was at 'Timing'" in fails(request_, timeout=2.0)


def test_what_an_eager_parser_left_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package(tmp_path, RTX, eager=True))
    result = run_build(request_for(SWITCH, tmp_path), timeout=60.0)
    assert sorted(result.repaired) == ["conv_a", "conv_c", "conv_d0", "conv_k"]


def test_what_cannot_be_repaired_is_refused_with_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package(tmp_path, RTX, eager=True))
    request = request_for(GATE, tmp_path)
    looped = tuple(replace(node, in_inner_loop=True) for node in request.lazy)
    said = fails(replace(request, lazy=looped))
    assert "node 'conv_a': the parser of TensorRT for RTX 1.7.1.116 lets it run even if" in said
    assert "TensorRT 11.4" in said


def test_measured_times_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package(tmp_path, "tensorrt_11_4"))
    cache = tmp_path / "out" / "times"
    request = replace(
        request_for(GATE, tmp_path), flavor="tensorrt", timing_cache=cache, chips=("sm80+",)
    )
    for expected in (b"+", b"++"):
        run_build(request, timeout=60.0)
        assert cache.read_bytes() == expected
    assert json.loads(request.plan.read_bytes())["compatible"] == "AMPERE_PLUS"
    assert set(request.plan.parent.iterdir()) == {request.plan, cache}


def test_an_unwritable_place_is_found_before_anything_is_built(request_: BuildRequest) -> None:
    nowhere = replace(request_, plan=request_.plan.parent / "missing" / "net.engine")
    with pytest.raises(ArtifactError, match="does not exist"):
        run_build(nowhere)


def test_a_callback_that_raises_ends_the_build(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(_part: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    stand_in(monkeypatch, tmp_path, fault="slow")
    with pytest.raises(KeyboardInterrupt):
        run_build(request_, progress=cancelled)
    assert list(request_.plan.parent.iterdir()) == []


def test_a_process_that_is_cancelled_while_it_is_started_ends(
    request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def cancelled(self: Child) -> None:
        started.append(self._process)
        raise KeyboardInterrupt

    monkeypatch.setattr(Child, "_listen", cancelled)
    with pytest.raises(KeyboardInterrupt):
        run_build(request_)
    assert [process.returncode is None for process in started] == [False]


_CALLER = """
    import sys
    from pathlib import Path
    from dyncompile.engines.process import run_build
    from dyncompile.engines.request import BuildRequest
    print("begun", flush=True)
    run_build(
        BuildRequest("tensorrt-rtx", Path(sys.argv[1]), Path(sys.argv[2])),
        progress=lambda part, done, total: print(part, flush=True),
    )
"""


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_no_builder_outlives_the_one_that_asked(
    request_: BuildRequest, tmp_path: Path, how: str
) -> None:
    folder = package(tmp_path, RTX, fault="slow")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    caller = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_CALLER), request_.model, request_.plan],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == "begun\n"
    assert caller.stdout.readline() == "Building engine\n"
    assert builders(folder)
    caller.send_signal(getattr(signal, how))
    _, said = caller.communicate(timeout=30)
    assert "KeyboardInterrupt" in said or how == "SIGKILL"
    deadline = time.monotonic() + 10
    while builders(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert builders(folder) == []
    assert list(request_.plan.parent.iterdir()) == []


def builders(folder: Path) -> list[int]:
    """Return the processes that build with the package in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program = (entry / "cmdline").read_bytes()
            variables = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"dyncompile.engines.worker" in program and os.fsencode(folder) in variables:
            found.append(int(entry.name))
    return found
