"""Engines on a real GPU, held against the portable file; skipped where there is none."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.export import Dim

import dyncompile
from dyncompile.errors import TargetError
from dyncompile.runtime import Net, load
from dyncompile.runtime.cuda import Gpu, import_cuda
from dyncompile.runtime.engine_execution import CALLS_BEFORE_CAPTURE
from tests.engine_networks import Leveled, Skipping, Slim, image
from tests.runtime.pretend_network import Array

pytest.importorskip("cuda.bindings.runtime")
pytestmark = pytest.mark.filterwarnings("default:.*it is tried:RuntimeWarning")

CLOSE = 0.02  # arithmetic may be TF32
ROUNDS = CALLS_BEFORE_CAPTURE + 2
TORCH = "import torch; kept = torch.zeros(1, device='cuda' if torch.cuda.is_available() else 'cpu')"
SIZES = [(1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8)]


@pytest.fixture(scope="module")
def gpu() -> Gpu:
    try:
        return import_cuda("tensorrt-rtx").gpu()
    except TargetError as error:
        pytest.skip(str(error))


def both(folder: Path, gpu: Gpu, module: nn.Module, x: Any, **options: Any) -> tuple[Net, Net]:  # noqa: ANN401
    """Return a network as an engine and as the portable file."""
    engine, portable = folder / "net.engine", folder / "net.onnx"
    try:
        dyncompile.build(module, engine, {"x": x}, chips=(gpu.chip,), **options)
    except TargetError:  # not on the builder's list
        dyncompile.build(module, engine, {"x": x}, **options)
    free = {"x": {0: Dim.DYNAMIC}} if options else None
    dyncompile.export(module, {"x": x}, portable, dynamic_shapes=free)
    return load(engine), load(portable)


def images(batch: int) -> Iterator[Array]:
    """Yield inputs that take both sides of a gate on their mean."""
    rng = np.random.default_rng(batch)
    for sign in (1, -1):
        yield (sign * (rng.random((batch, 4, 8, 8)) + 0.1)).astype(np.float32)


def check(engine: Net, portable: Net, x: Array, knobs: Mapping[str, Any]) -> None:
    got, wanted = engine(x, **knobs), portable(x, **knobs)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, wanted, atol=CLOSE, rtol=CLOSE, err_msg=str(knobs))


def test_every_side_is_taken_when_its_condition_says_so(tmp_path: Path, gpu: Gpu) -> None:
    engine, portable = both(tmp_path, gpu, Skipping(), image())
    for number in range(8 * ROUNDS):  # the same side for a while, and then the other
        for x in images(1):
            check(engine, portable, x, {"threshold": float(number // ROUNDS % 2)})


def test_levels_are_turned(tmp_path: Path, gpu: Gpu) -> None:
    engine, portable = both(tmp_path, gpu, Leveled(), image()[0, :1, 0, :4])
    rng = np.random.default_rng(0)
    for level in [0] * ROUNDS + [1] * ROUNDS + [2, 1, 0] * ROUNDS:
        check(engine, portable, rng.normal(size=(1, 4)).astype(np.float32), {"level": level})


@pytest.mark.parametrize("module", [Skipping, Leveled], ids=["gate and exit", "levels"])
def test_a_trace_tells_the_path_of_this_call(
    tmp_path: Path, gpu: Gpu, module: type[nn.Module]
) -> None:
    x = image() if module is Skipping else image()[0, :1, 0, :4]
    path, told = tmp_path / "net.engine", tmp_path / "told.onnx"
    dyncompile.export(module(), {"x": x}, told, target="tensorrt", telemetry=True)
    try:
        dyncompile.build(told, path, chips=(gpu.chip,))
    except TargetError:  # not on the builder's list
        dyncompile.build(told, path)
    engine, portable = load(path), load(told)
    for number in range(8 * ROUNDS):
        sign = 1 if number // ROUNDS % 2 else -1
        array = (sign * (np.abs(x.numpy()) + 0.1)).astype(np.float32)
        got, taken = engine.trace(array)
        wanted, known = portable.trace(array)
        assert taken == known
        np.testing.assert_allclose(got, wanted, atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("budgets", ["switch", "chain"])
def test_sizes_and_budgets_are_turned(tmp_path: Path, gpu: Gpu, budgets: str) -> None:
    options: Any = {"shapes": {"x": SIZES}, "budgets": budgets}
    engine, portable = both(tmp_path, gpu, Slim(), image(2), **options)
    for batch in [2] * ROUNDS + [1, 4] * ROUNDS:
        for level in (0, 2, 1):
            for x in images(batch):
                check(engine, portable, x, {"level": level})


def test_threads_that_have_not_used_the_gpu(tmp_path: Path, gpu: Gpu) -> None:
    engine, portable = both(tmp_path, gpu, Slim(), image())
    problems: list[BaseException] = []

    def call(level: int) -> None:
        try:
            for x in list(images(1)) * ROUNDS:
                check(engine, portable, x, {"level": level})
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=call, args=(level,)) for level in (0, 1, 2, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


@pytest.mark.parametrize("first", ["", TORCH], ids=["alone", "torch"])
def test_a_process_ends_in_order_and_keeps_its_kernels(
    tmp_path: Path, gpu: Gpu, cache_folder: Path, first: str
) -> None:
    engine, _ = both(tmp_path, gpu, Slim(), image())
    program = f"""
import os, sys, warnings
warnings.simplefilter("ignore")
{first}
import numpy as np
from dyncompile.runtime import load
net = load({str(engine.path)!r})
x = np.ones((1, 4, 8, 8), np.float32)
print([float(net(x, level=level).sum()) for level in (0, 1, 2)], flush=True)
if os.fork() == 0:
    try:
        net(x)
    except Exception as error:
        print(type(error).__name__, flush=True)
    os._exit(0)
os.wait()
"""
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        said.append(done.stdout)
    assert said[0] == said[1]
    assert said[0].endswith("TargetError\n")
    if "RTX" in engine.calibrate(seconds=0.1).conditions.runtime:
        assert list((cache_folder / "kernels").iterdir())
