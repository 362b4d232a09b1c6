"""One way to parse, configure and build, for TensorRT 10, 11 and TensorRT for RTX.

Their Python packages differ in a few names; what is there is asked of the package, not of its
version.
"""

from __future__ import annotations

__all__ = [
    "PACKAGES",
    "SINCE",
    "Parsed",
    "bindings",
    "build_plan",
    "configure",
    "kept_timing_cache",
    "out_of_memory",
    "parse",
    "strongly_typed",
]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dyncompile.engine_file import ANY_CHIP, TITLES, Binding
from dyncompile.engines.messages import Messages, open_logger, readable
from dyncompile.engines.request import BuildRequest, Flavor, ShapeRange
from dyncompile.errors import TargetError

PACKAGES: dict[Flavor, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
SINCE: dict[Flavor, tuple[int, int]] = {"tensorrt": (10, 0), "tensorrt-rtx": (1, 0)}

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "FP8": "float8_e4m3fn",
}


@dataclass
class Parsed:
    """A network as the parser understood it, with all that has to live as long as it does."""

    trt: Any
    builder: Any
    network: Any
    parser: Any
    logger: Any
    messages: Messages


def parse(trt: Any, request: BuildRequest, messages: Messages) -> Parsed:  # noqa: ANN401
    """Read the ONNX file.

    Raises:
        TargetError: the parser does not accept it.
    """
    logger = open_logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(request.model)):
        raise TargetError(
            f"the parser of {TITLES[request.flavor]} {trt.__version__} refuses the network: "
            f"{_parse_errors(parser) or messages.why()}.",
            where=str(request.model),
            remedy="Change what the message names.",
        )
    return Parsed(trt, builder, network, parser, logger, messages)


def strongly_typed(trt: Any) -> int:  # noqa: ANN401
    """Return the flags of a network that computes in the types it is written in."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def configure(parsed: Parsed, request: BuildRequest, monitor: Any) -> Any:  # noqa: ANN401
    """Return the builder's configuration for a request.

    Raises:
        TargetError: a chip or a range that the builder does not take.
    """
    trt, config = parsed.trt, parsed.builder.create_builder_config()
    config.progress_monitor = monitor
    if request.memory is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.memory)
    _set_chips(trt, config, request)
    _set_timing_cache(config, request, parsed.messages)
    _set_profile(parsed, config, request)
    return config


def build_plan(parsed: Parsed, config: Any, request: BuildRequest) -> bytes:  # noqa: ANN401
    """Build; returns the plan.

    Raises:
        TargetError: the builder gave none, ran out of memory, or warned of a wrong graph or of
            ranges that the network cannot run with.
    """
    plan = parsed.builder.build_serialized_network(parsed.network, config)
    messages, title = parsed.messages, TITLES[request.flavor]
    if messages.wrong_ranges:
        raise _ranges_refused(request, messages.wrong_ranges)
    if messages.wrong_graph:
        raise TargetError(
            f"{title} warns of what would compute wrong numbers: {messages.wrong_graph}.",
            where=str(request.model),
            remedy="Change what the message names.",
        )
    if plan is not None:
        return bytes(plan)
    if messages.out_of_memory:
        raise out_of_memory(request, messages.why())
    raise TargetError(
        f"{title} {parsed.trt.__version__} does not build the network: {messages.why()}.",
        where=str(request.model),
        remedy="Change what the message names.",
    )


def out_of_memory(request: BuildRequest, said: str) -> TargetError:
    """Return the error for a build that memory was not enough for."""
    if request.memory is not None and "workspace" in said:
        remedy = "Give it more --memory."
    else:
        remedy = (
            "Try fewer chips at once, smaller ranges of shapes, or fp16; or close what else uses "
            "memory."
        )
    return TargetError(
        f"{TITLES[request.flavor]} ran out of memory: {said}.",
        where=str(request.model),
        remedy=remedy,
    )


def bindings(parsed: Parsed) -> tuple[tuple[Binding, ...], tuple[Binding, ...]]:
    """Return the inputs and the outputs of the network; shape tensors are read on the host."""
    network = parsed.network
    inputs = map(network.get_input, range(network.num_inputs))
    outputs = map(network.get_output, range(network.num_outputs))
    return tuple(map(_binding, inputs)), tuple(map(_binding, outputs))


def kept_timing_cache(config: Any, request: BuildRequest) -> bytes | None:  # noqa: ANN401
    """Return the times measured during the build, where they are to be kept."""
    if request.timing_cache is None or _is_rtx(config):
        return None
    cache = config.get_timing_cache()
    return None if cache is None else bytes(cache.serialize())


def _is_rtx(config: Any) -> bool:  # noqa: ANN401
    return hasattr(config, "set_compute_capability")


def _parse_errors(parser: Any) -> str:  # noqa: ANN401
    return "; ".join(_parse_error(parser.get_error(index)) for index in range(parser.num_errors))


def _parse_error(error: Any) -> str:  # noqa: ANN401
    said = readable(error.desc())
    named = " ".join(
        word for word in (error.node_operator(), repr(error.node_name() or "")) if word != "''"
    )
    return f"{said} (at {named})" if named else said


def _set_chips(trt: Any, config: Any, request: BuildRequest) -> None:  # noqa: ANN401
    if request.chips == (ANY_CHIP,):
        if not _is_rtx(config):  # of RTX it is the default
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        return
    if not _is_rtx(config) or not request.chips:  # TensorRT builds for the GPU that is here
        return
    config.num_compute_capabilities = len(request.chips)
    for index, chip in enumerate(request.chips):
        known = getattr(trt.ComputeCapability, chip.upper(), None)
        if known is None or not config.set_compute_capability(known, index):
            raise TargetError(
                f"{TITLES[request.flavor]} {trt.__version__} does not build for it.",
                where=f"chip {chip!r}",
                remedy="Build for another chip.",
            )


def _set_timing_cache(config: Any, request: BuildRequest, messages: Messages) -> None:  # noqa: ANN401
    path = request.timing_cache
    if path is None:
        return
    if _is_rtx(config):
        messages.warn(f"{TITLES[request.flavor]} has no timing cache: {path} is left as it is")
        return
    kept = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        messages.warn(f"the timing cache {path} is of another GPU or version: begun anew")
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _set_profile(parsed: Parsed, config: Any, request: BuildRequest) -> None:  # noqa: ANN401
    network, profile = parsed.network, parsed.builder.create_optimization_profile()
    ranges = {given.name: given for given in request.ranges}
    values = {given.name: given for given in request.values}
    needed = False
    for tensor in map(network.get_input, range(network.num_inputs)):
        if tensor.is_shape_tensor:
            _apply(profile.set_shape_input, values.get(tensor.name), tensor.name, "values")
        elif -1 in tuple(tensor.shape):
            _apply(profile.set_shape, ranges.get(tensor.name), tensor.name, "sizes")
        else:
            continue
        needed = True
    if needed and config.add_optimization_profile(profile) < 0:
        raise _ranges_refused(request, parsed.messages.why())


def _ranges_refused(request: BuildRequest, said: str) -> TargetError:
    return TargetError(
        f"{TITLES[request.flavor]} refuses the ranges: {said}.",
        where=str(request.model),
        remedy="Give ranges that the network can run with.",
    )


def _apply(setter: Callable[..., None], given: ShapeRange | None, name: str, what: str) -> None:
    if given is None:
        raise TargetError(
            f"no range of its {what} was given.",
            where=f"input {name!r}",
            remedy=f"Give --shape {name}=LEAST,BEST,MOST.",
        )
    try:
        setter(name, given.least, given.best, given.most)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"the range of its {what} is refused: {readable(str(error))}.",
            where=f"input {name!r}",
            remedy="Give another range.",
        ) from error


def _binding(tensor: Any) -> Binding:  # noqa: ANN401
    name = str(tensor.dtype).rpartition(".")[2]
    return Binding(
        name=tensor.name,
        dtype=_DTYPES.get(name, name.lower()),
        shape=tuple(int(size) for size in tensor.shape),
        location="host" if tensor.is_shape_tensor else "device",
    )
