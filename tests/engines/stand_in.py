"""A builder that builds nothing, with the names of a real one and no others.

Made from a list of the classes and members of a real package: an object has the members of its
class and raises AttributeError for everything else. It reads small ONNX files, and what it builds
is JSON that says what it was asked for.
"""
# ruff: noqa: ANN401, SLF001 - its objects know each other, and have no types

from __future__ import annotations

import enum
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

API = Path(__file__).parent / "api"
VERSIONS = ("tensorrt_10_0", "tensorrt_10_16", "tensorrt_11_4", "tensorrt_rtx_1_7")

_KINDS = {
    "Conv": "CONVOLUTION",
    "Relu": "ACTIVATION",
    "Identity": "IDENTITY",
    "Less": "ELEMENTWISE",
    "Add": "ELEMENTWISE",
    "Slice": "SLICE",
}
_DTYPES = {1: "FLOAT", 7: "INT64", 9: "BOOL"}


def dump(version: str) -> dict[str, Any]:
    """Return the classes of a package and their members."""
    found: dict[str, Any] = json.loads((API / f"{version}.json").read_text())
    return found


def load(version: str, *, fault: str = "", eager: bool = False) -> ModuleType:
    """Return a package with the names of a version.

    Args:
        version: One of ``VERSIONS``.
        fault: What goes wrong while it builds; a key of ``FAULTS``.
        eager: Whether its parser adds no input layers to conditionals.
    """
    listed = dump(version)
    api = ModuleType(version.rpartition("_")[0].rpartition("_")[0])
    vars(api).update(__version__=listed["version"], _fault=fault, _eager=eager)
    for name, members in listed["classes"].items():
        if "value" in members and "name" in members:
            values = [member for member in members if re.fullmatch(r"[A-Z][A-Z0-9_]*", member)]
            setattr(api, name, _enumeration(name, values))
            continue
        base = _BEHAVIOUR.get(name, _Strict)
        body = {"_members": frozenset(members), "_api": api}
        setattr(api, name, type(name, (base,), body))
    for severity in _enumeration("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO"]):
        setattr(vars(api)["ILogger"], severity.name, severity)
    return api


def _enumeration(name: str, values: list[str]) -> Any:
    enumeration: Any = _Enumeration
    return enumeration(name, values, start=0)


class _Enumeration(enum.Enum):
    def __int__(self) -> int:
        return int(self.value)


class _Strict:
    """Has the members of its class in the package, and no others."""

    _members: ClassVar[frozenset[str]] = frozenset()
    _api: ClassVar[Any] = None

    def __getattribute__(self, name: str) -> Any:
        _check(type(self), name)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        _check(type(self), name)
        object.__setattr__(self, name, value)


def _check(kind: type[_Strict], name: str) -> None:
    if not name.startswith("_") and name not in kind._members:
        raise AttributeError(f"{kind.__name__} has no {name!r}")


class _Tensor(_Strict):
    name: str

    def _set(self, name: str, shape: tuple[int, ...] = (), dtype: str = "FLOAT") -> Any:
        self.name, self.shape = name, shape
        self.dtype = getattr(self._api.DataType, dtype)
        self.is_shape_tensor = False
        return self


class _Conditional(_Strict):
    def add_input(self, tensor: _Tensor) -> Any:
        network = self._network
        name = f"{tensor.name}_{len(network._layers)}"
        layer = network._layer("CONDITIONAL_INPUT", name, [tensor], [f"{name}_in"])
        layer._conditional = self
        layer.__class__ = self._api.IIfConditionalInputLayer
        return layer


class _Layer(_Strict):
    _conditional: Any = None
    conditional = property(lambda self: self._conditional)
    num_inputs = property(lambda self: len(self._inputs))
    num_outputs = property(lambda self: len(self._outputs))

    def get_input(self, index: int) -> Any:
        return self._inputs[index]

    def get_output(self, index: int) -> Any:
        return self._outputs[index]

    def set_input(self, index: int, tensor: _Tensor) -> None:
        self._inputs[index] = tensor


class _Network(_Strict):
    _flags = 0
    num_layers = property(lambda self: len(self._layers))
    num_inputs = property(lambda self: len(self._inputs))
    num_outputs = property(lambda self: len(self._outputs))

    def get_layer(self, index: int) -> Any:
        layer = self._layers[index]
        layer.__class__ = self._api.ILayer  # as the packages do
        return layer

    def get_input(self, index: int) -> Any:
        return self._inputs[index]

    def get_output(self, index: int) -> Any:
        return self._outputs[index]

    def _layer(self, kind: str, name: str, inputs: list[Any], outputs: list[str]) -> Any:
        layer = self._api.ILayer()
        layer.type, layer.name = getattr(self._api.LayerType, kind), name
        layer.metadata = f"[ONNX Layer: {name}]" if kind in _KINDS.values() else ""
        layer._inputs = inputs
        layer._outputs = [self._api.ITensor()._set(output) for output in outputs]
        self._layers.append(layer)
        return layer

    def _read(self, graph: Any, outer: dict[str, Any]) -> dict[str, Any]:
        known = dict(outer)
        for name in graph.initializers:
            known[name] = self._layer("CONSTANT", name, [], [name])._outputs[0]
        for node in graph:
            read = [known[value.name] for value in node.inputs]
            if node.op_type == "If":
                layer = self._read_if(node, read[0], known)
            else:
                made = [value.name for value in node.outputs]
                layer = self._layer(_KINDS[node.op_type], node.name, read, made)
            if node.op_type == "Slice":  # sizes are computed from it
                read[2].is_shape_tensor = True
            known |= {tensor.name: tensor for tensor in layer._outputs}
        return known

    def _read_if(self, node: Any, condition: Any, known: dict[str, Any]) -> Any:
        conditional = self._api.IIfConditional()
        conditional.name, conditional._network = node.name, self
        self._layer("CONDITION", "", [condition], [])._conditional = conditional
        begin = len(self._layers)
        returned = []
        for branch in (node.attributes["then_branch"], node.attributes["else_branch"]):
            inside = self._read(branch.as_graph(), known)
            returned.append([inside[value.name] for value in branch.as_graph().outputs])
        if not self._api._eager:
            self._enter(conditional, self._layers[begin:], known)
        ends: Any = None
        for then, other, value in zip(*returned, node.outputs, strict=True):
            end = self._layer(
                "CONDITIONAL_OUTPUT", f"{value.name}_end", [then, other], [value.name]
            )
            end._conditional = conditional
            if ends is None:
                ends = end
            else:
                ends._outputs = [*ends._outputs, *end._outputs]
        return ends

    def _enter(self, conditional: Any, layers: list[Any], known: dict[str, Any]) -> None:
        entries: dict[str, Any] = {}
        for layer in layers:
            for place, tensor in enumerate(layer._inputs):
                if tensor in known.values():
                    if tensor.name not in entries:
                        entries[tensor.name] = conditional.add_input(tensor)._outputs[0]
                    layer._inputs[place] = entries[tensor.name]


class _Parser(_Strict):
    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self._logger, self._errors = network, logger, list[Any]()

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def parse_from_file(self, path: str) -> bool:
        if self._api._fault:  # it goes wrong whatever the network is
            return True
        import onnx_ir as ir

        network = self._network
        graph = ir.load(path).graph
        unknown = [node for node in graph if node.op_type not in {*_KINDS, "If"}]
        self._errors = [self._api.ParserError()._of(node) for node in unknown]
        if unknown:
            return False
        for value in graph.inputs:
            sizes = tuple(size if isinstance(size, int) else -1 for size in value.shape or ())
            network._inputs.append(
                self._api.ITensor()._set(value.name, sizes, _DTYPES[int(value.dtype or 1)])
            )
        known = network._read(graph, {tensor.name: tensor for tensor in network._inputs})
        network._outputs = [known[str(value.name)] for value in graph.outputs]
        return True


class _ParserError(_Strict):
    def _of(self, node: Any) -> Any:
        self._node = node
        return self

    def desc(self) -> str:
        return "No importer\nCuda Runtime (cudaError 35: no driver)"

    def node_name(self) -> str:
        return str(self._node.name)

    def node_operator(self) -> str:
        return str(self._node.op_type)


class _Memory(_Strict):
    def _of(self, data: bytes) -> Any:
        self._data = data
        return self

    def __bytes__(self) -> bytes:
        return self._data


class _Profile(_Strict):
    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def set_shape(self, name: str, *ends: tuple[int, ...]) -> None:
        self._kept[name] = ["sizes", *ends]

    def set_shape_input(self, name: str, *ends: tuple[int, ...]) -> None:
        self._kept[name] = ["values", *ends]


class _TimingCache(_Strict):
    def _of(self, data: bytes) -> Any:
        self._data = data
        return self

    def serialize(self) -> Any:
        return self._api.IHostMemory()._of(self._data + b"+")


class _Config(_Strict):
    def __init__(self) -> None:
        self._chips: dict[int, str] = {}
        self._profile: Any = None
        self._memory: Any = None
        self._cache: Any = None

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self._memory = [pool.name, size]

    def set_compute_capability(self, chip: Any, index: int) -> bool:
        self._chips[index] = chip.name
        return bool(chip.name != "NONE")

    def add_optimization_profile(self, profile: _Profile) -> int:
        self._profile = profile._kept
        return 0

    def create_timing_cache(self, data: bytes) -> Any:
        return self._api.ITimingCache()._of(data)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._data.startswith(b"foreign") and not ignore_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache


class _Builder(_Strict):
    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> Any:
        network = self._api.INetworkDefinition()
        network._flags, network._layers = flags, []
        network._inputs, network._outputs = [], []
        return network

    def create_builder_config(self) -> Any:
        return self._api.IBuilderConfig()

    def create_optimization_profile(self) -> Any:
        return self._api.IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 3)
        monitor.phase_start("Timing", "Building engine", 2)
        if self._api._fault and not FAULTS[self._api._fault](self._logger, monitor):
            return None
        monitor.step_complete("Timing", 0)
        monitor.phase_finish("Timing")
        if not all(monitor.step_complete("Building engine", step) for step in range(3)):
            self._logger.log(self._logger.ERROR, "Error Code 7: BuildCanceled")
            return None
        monitor.phase_finish("Building engine")
        asked = {
            "flags": network._flags,
            "chips": list(config._chips.values()),
            "compatible": _name(config, "hardware_compatibility_level"),
            "profile": config._profile,
            "memory": config._memory,
        }
        return self._api.IHostMemory()._of(json.dumps(asked).encode())


def _name(config: Any, member: str) -> str | None:
    chosen = vars(config).get(member)
    return None if chosen is None else str(chosen.name)


def _crash(logger: Any, _monitor: Any) -> bool:
    logger.log(logger.WARNING, "about to fall over")
    os.kill(os.getpid(), signal.SIGSEGV)
    return False


def _killed(_logger: Any, _monitor: Any) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return False


def _hang(_logger: Any, _monitor: Any) -> bool:
    time.sleep(600)
    return False


def _slow(_logger: Any, monitor: Any) -> bool:
    while monitor.step_complete("Timing", 0):
        time.sleep(0.01)
    return False


def _out_of_memory(logger: Any, _monitor: Any) -> bool:
    logger.log(logger.ERROR, "Error Code 2: OutOfMemory (Requested size was 8 bytes.)")
    return False


def _bad_alloc(_logger: Any, _monitor: Any) -> bool:
    raise MemoryError("std::bad_alloc")


def _wrong_channels(logger: Any, _monitor: Any) -> bool:
    logger.log(
        logger.WARNING, "conv: number of channels not equal to channels in the weights (4 and 8)"
    )
    return True


def _garbage(_logger: Any, _monitor: Any) -> bool:
    os.write(1, b'\xff\x00{"result": 1}\n{"at": 5}\nnot ours' + b"x" * 100_000 + b"\n")
    return True


def _refuses(logger: Any, _monitor: Any) -> bool:
    logger.log(logger.ERROR, "IBuilder: Error Code 4: it is Monday (In build at /_src/b.cpp:9)")
    return False


def _aborts(_logger: Any, _monitor: Any) -> bool:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def _ends(_logger: Any, _monitor: Any) -> bool:
    os.write(2, b"goodbye\n")
    os._exit(7)


FAULTS: dict[str, Callable[[Any, Any], bool]] = {
    "crash": _crash,
    "killed": _killed,
    "hang": _hang,
    "slow": _slow,
    "out of memory": _out_of_memory,
    "bad alloc": _bad_alloc,
    "wrong channels": _wrong_channels,
    "garbage": _garbage,
    "refuses": _refuses,
    "ends": _ends,
    "aborts": _aborts,
}

_BEHAVIOUR: dict[str, type[_Strict]] = {
    "Builder": _Builder,
    "IBuilderConfig": _Config,
    "IConditionLayer": _Layer,
    "IHostMemory": _Memory,
    "IIfConditional": _Conditional,
    "IIfConditionalInputLayer": _Layer,
    "IIfConditionalOutputLayer": _Layer,
    "ILayer": _Layer,
    "INetworkDefinition": _Network,
    "IOptimizationProfile": _Profile,
    "ITensor": _Tensor,
    "ITimingCache": _TimingCache,
    "OnnxParser": _Parser,
    "ParserError": _ParserError,
}


def package(
    folder: Path, version: str, *, fault: str = "", eager: bool = False, broken: str = ""
) -> Path:
    """Write a package that stands in for a builder; returns the folder to put on the path.

    Args:
        folder: Where.
        version: One of ``VERSIONS``.
        fault: As for ``load``.
        eager: As for ``load``.
        broken: Python to run when it is imported, instead.
    """
    name = "tensorrt_rtx" if "rtx" in version else "tensorrt"
    (folder / name).mkdir()
    made = f"load({version!r}, fault={fault!r}, eager={eager!r})"
    (folder / name / "__init__.py").write_text(
        broken
        or f"import sys\nfrom tests.engines.stand_in import load\nsys.modules[__name__] = {made}\n"
    )
    return folder
