import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyncompile.engine_file import description_path
from dyncompile.errors import ArtifactError, DyncompileError, InputError, TargetError
from dyncompile.knobs import Levels
from dyncompile.manifest import Manifest
from dyncompile.runtime import load
from tests.runtime.engines import F32, Machine, dynamic, machine, scaling
from tests.runtime.fake_context import Foreign
from tests.runtime.pretend_network import Network, Tensor

__all__ = ["machine"]

X = np.ones((2, 4), F32)


def refusal(kind: type[DyncompileError], path: Path, **options: Foreign) -> str:
    with pytest.raises(kind) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"providers": ["CPUExecutionProvider"]}, {"threads": 1}, {"fallback": True}],
    ids=["providers", "threads", "fallback"],
)
def test_options_of_onnx_runtime_are_refused(machine: Machine, options: dict[str, Any]) -> None:
    path = machine.write(scaling())
    (name,) = options
    problem = refusal(InputError, path, **options)
    assert problem.startswith(f"{name}: ")
    assert problem.endswith("is for ONNX Runtime. Leave it out: an engine runs on the GPU.")


def test_no_gpu(machine: Machine) -> None:
    path = machine.write(scaling())
    machine.cuda.missing = machine.cuda.cudaError_t.cudaErrorInsufficientDriver
    assert refusal(TargetError, path) == (
        "GPU: an engine runs on an NVIDIA GPU, and CUDA can use none here: InsufficientDriver"
        " (CUDA error 35). Load it on a machine with a GPU and its driver, or load the .onnx"
        " file."
    )
    machine.cuda.missing, machine.cuda.devices = machine.cuda.cudaError_t.cudaSuccess, 0
    assert "CUDA can use none here: CUDA finds no device." in refusal(TargetError, path)


def test_a_driver_without_the_function(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> object:
        raise RuntimeError("Function cudaGetDeviceCount not found")

    monkeypatch.setattr(machine.cuda, "cudaGetDeviceCount", missing)
    problem = refusal(TargetError, machine.write(scaling()))
    assert "CUDA can use none here: RuntimeError: Function cudaGetDeviceCount not found." in problem


@pytest.mark.parametrize(
    ("flavor", "module", "problem"),
    [
        ("tensorrt", "tensorrt", "TensorRT is not installed. Install dyncompile[tensorrt]."),
        (
            "tensorrt-rtx",
            "tensorrt_rtx",
            "TensorRT for RTX is not installed. Install dyncompile[tensorrt-rtx].",
        ),
        (
            "tensorrt-rtx",
            "cuda.bindings",
            "cuda-bindings is not installed. Install dyncompile[tensorrt-rtx].",
        ),
    ],
)
def test_packages_that_are_missing(
    machine: Machine, flavor: str, module: str, problem: str
) -> None:
    path = machine.write(scaling(), flavor=flavor)
    machine.install(module, None)
    assert refusal(TargetError, path) == f"load: {problem}"


def test_a_package_without_its_libraries(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = machine.write(scaling(), flavor="tensorrt")
    text = "raise FileNotFoundError('Could not find: nvinfer.dll.\\nIs it there?')"
    (tmp_path / "tensorrt.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    problem = refusal(TargetError, path)
    assert problem.startswith("load: TensorRT cannot be loaded: ")
    assert "Could not find: nvinfer.dll." in problem
    assert problem.endswith("Install dyncompile[tensorrt] again.")


def test_another_version(machine: Machine) -> None:
    path = machine.write(scaling(), version="1.6.0.9")
    assert refusal(TargetError, path) == (
        f"{path}: built by TensorRT for RTX 1.6.0.9 for sm89, sm120; here is TensorRT for RTX"
        " 1.7.1.116 and A pretend GPU (sm89): another version."
        " Build it for sm89 with the version that is installed here."
    )
    assert load(machine.write(scaling(), version="1.7.1.2"))(X) is not None


def test_another_chip(machine: Machine) -> None:
    machine.use("tensorrt_10_16")
    version = machine.packages["tensorrt"].__version__
    machine.cuda.capability = (9, 0)
    path = machine.write(scaling(), flavor="tensorrt", version=version, chips=("sm89",))
    problem = refusal(TargetError, path)
    assert "for sm89; here is TensorRT 10.16.1.11 and A pretend GPU (sm90): not for" in problem
    assert problem.endswith("Build it for sm90 with the version that is installed here.")


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)], ids=str)
def test_an_engine_for_all_chips_from_ampere_on(
    machine: Machine, capability: tuple[int, int]
) -> None:
    machine.use("tensorrt_10_16")
    version = machine.packages["tensorrt"].__version__
    path = machine.write(scaling(), flavor="tensorrt", version=version, chips=("sm80+",))
    machine.cuda.capability = capability
    assert load(path)(X) is not None
    machine.cuda.capability = (7, 5)
    assert "not for this GPU" in refusal(TargetError, path)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("UNSUPPORTED_CC", "not for this GPU"),
        (
            "OLD_CUDA_DRIVER INSUFFICIENT_GPU_MEMORY",
            "the CUDA driver is too old, the GPU has too little memory",
        ),
    ],
)
def test_what_the_runtime_finds_in_the_header(machine: Machine, flags: str, reason: str) -> None:
    path = machine.write(scaling(), plan=f"invalid {flags}".encode())
    machine.networks.clear()
    assert f"(sm89): {reason}. Build it" in refusal(TargetError, path)


def test_an_engine_that_is_read_against_its_header_runs(machine: Machine) -> None:
    path = machine.write(scaling(), plan=b"invalid UNSUPPORTED_CC")
    with pytest.warns(RuntimeWarning) as caught:
        net = load(path)
    (warning,) = caught
    assert str(warning.message) == (
        f"{path}: TensorRT for RTX says on A pretend GPU (sm89): not for this GPU; it is tried."
    )
    assert warning.filename == __file__
    assert net(X) is not None


def test_what_cannot_be_deserialised(machine: Machine) -> None:
    path = machine.write(scaling(), plan=b"damaged")
    machine.networks.clear()
    assert "(sm89): Serialization assertion failed. Build it" in refusal(TargetError, path)


def test_no_context(machine: Machine) -> None:
    path = machine.write(scaling(capture="no context"))
    assert "the engine cannot be made ready on A pretend GPU" in refusal(TargetError, path)


def test_an_engine_that_its_description_does_not_know(machine: Machine) -> None:
    path = machine.write(scaling())
    partner = description_path(path)
    partner.write_text(partner.read_text().replace('"name": "count"', '"name": "counts"'))
    assert refusal(ArtifactError, path) == (
        f"{path}: it has the outputs count, y; its description, y, counts. Build the engine again."
    )


def test_a_type_that_numpy_lacks(machine: Machine) -> None:
    network = Network((Tensor("x", "FLOAT", (1,)),), (Tensor("y", "BF16", (1,)),), lambda a: a)
    manifest = Manifest("tensorrt")
    with pytest.raises(KeyError):
        machine.write(network, manifest, inputs=("x",), outputs=("y",))
    stored = Network((Tensor("x", "FLOAT", (1,)),), (Tensor("y", "HALF", (1,)),), lambda a: a)
    path = machine.write(stored, manifest, inputs=("x",), outputs=("y",))
    machine.networks[path.read_bytes()] = network
    assert "output 'y' is BF16, for which numpy has no type" in refusal(TargetError, path)


def test_a_knob_that_the_engine_has_otherwise(machine: Machine) -> None:
    manifest = Manifest("tensorrt", {"threshold": Levels((1, 2))})
    problem = refusal(ArtifactError, machine.write(scaling(), manifest))
    assert "has the knob 'threshold' as int64[]; the graph has it as float32[2]." in problem


@pytest.mark.parametrize("damage", ["bytes", "another", "no description", "folder", "nothing"])
def test_files_that_do_not_belong_together(machine: Machine, damage: str) -> None:
    path = machine.write(scaling())
    if damage == "bytes":
        path.write_bytes(path.read_bytes() + b"x")
    elif damage == "another":
        path.write_bytes(path.read_bytes()[::-1])
    elif damage == "no description":
        description_path(path).unlink()
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
    refusal(ArtifactError, path)


def test_a_failed_load_leaves_nothing_on_the_gpu(machine: Machine) -> None:
    manifest = Manifest("tensorrt", {"threshold": Levels((1, 2))})
    refusal(ArtifactError, machine.write(scaling(), manifest))
    refusal(TargetError, machine.write(scaling(), version="1.0.0"))
    gc.collect()
    assert machine.cuda.live == 0


def test_kernels_are_kept_between_processes(machine: Machine, cache_folder: Path) -> None:
    network = scaling()
    path = machine.write(network)
    net = load(path)
    assert not (cache_folder / "kernels").exists()
    net(X)
    net(X)
    (kept,) = (cache_folder / "kernels").iterdir()
    written = kept.stat().st_mtime_ns
    load(path)(X)
    assert network.caches == [b"", b"kernels of this GPU", b"kernels of this GPU"]
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(b"damaged")
    load(path)(X)
    assert network.caches[-1] == b""
    assert kept.read_bytes() == b"kernels of this GPU"


def test_kernels_that_are_compiled_later_are_kept_at_the_end(
    machine: Machine, cache_folder: Path
) -> None:
    network = scaling()
    net = machine.load(network)
    net(X)
    network.kernels = b"kernels of both sides"
    net(X)
    (kept,) = (cache_folder / "kernels").iterdir()
    assert kept.read_bytes() == b"kernels of this GPU"
    del net
    gc.collect()
    assert kept.read_bytes() == b"kernels of both sides"


def test_kernels_that_cannot_be_kept_are_no_matter(machine: Machine, cache_folder: Path) -> None:
    cache_folder.write_text("a file in its place")
    net = machine.load(scaling())
    assert net(X) is not None
    assert net(X) is not None


def test_loading_an_engine_needs_neither_onnx_nor_torch(machine: Machine) -> None:
    path = machine.write(dynamic())
    program = f"""
import sys
from dyncompile.errors import TargetError
from dyncompile.runtime import load
try:
    load({str(path)!r})
except TargetError as error:
    print(error)
names = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(names & {{"torch", "onnx", "onnx_ir", "onnxruntime", "rich", "click"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    said, names = done.stdout.strip().splitlines()
    assert "engine runs on an NVIDIA GPU" in said or "built by TensorRT for RTX" in said
    assert names == "[]"


def test_a_description_is_json(machine: Machine) -> None:
    path = machine.write(scaling(level_on_host=True))
    entry = json.loads(description_path(path).read_text())
    assert entry["inputs"][1] == {
        "name": "level",
        "dtype": "int64",
        "shape": [],
        "location": "host",
    }
