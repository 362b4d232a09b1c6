"""Run an engine: one execution context, its memory, its stream."""

from __future__ import annotations

__all__ = ["Execution"]

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dyncompile.errors import DyncompileError, InputError, TargetError, one_line
from dyncompile.runtime.cuda import Cuda, Gpu, Handle
from dyncompile.runtime.engine_graph import Graph
from dyncompile.runtime.engine_kernels import KernelCache
from dyncompile.runtime.engine_ports import Port
from dyncompile.runtime.engine_slots import Array, InputSlot, OutputSlot

CALLS_BEFORE_CAPTURE = 2
SECONDS_TO_END = 5.0


@dataclass
class Opened:
    """An execution context, and what has to outlive it.

    Attributes:
        context: What ``create_execution_context`` gave; None once it is given back.
        needs: What it needs to live, in the order in which that can be given up.
        kernels: What it compiles on the GPU, if it does.
    """

    context: Handle
    needs: list[Handle]
    kernels: KernelCache | None = None

    def close(self) -> None:
        """Give all back, the context first."""
        if self.kernels:
            with suppress(Exception):
                self.kernels.keep()
        self.context = None
        while self.needs:
            self.needs.pop(0)


class Execution:
    """One execution context; calls wait for each other.

    A call copies its inputs to page-locked memory, has the stream copy them to the GPU, run the
    engine and copy the outputs back, and waits. What the stream is given is the same in every
    call of the same sizes: after two such calls it is captured, where the engine says that it can
    be, and replayed from then on. Values that the engine reads on the host are part of what is
    captured, so a call with other ones counts as one of other sizes.

    Args:
        trt: The package of the engine.
        cuda: Calls of the CUDA runtime.
        gpu: Where it runs.
        opened: The execution context.
        ports: Inputs and outputs.
        last_words: Returns what the engine has said of its last failure.

    Attributes:
        close: Gives all back; it is called when this is gone, and before the process ends.
    """

    def __init__(
        self,
        trt: Handle,
        cuda: Cuda,
        gpu: Gpu,
        opened: Opened,
        ports: tuple[Sequence[Port], Sequence[Port]],
        last_words: Callable[[], str],
    ) -> None:
        self._trt = trt
        self._cuda = cuda
        self._gpu = gpu
        self._opened = opened
        self._last_words = last_words
        self._stream = cuda.new_stream()
        self._inputs = [InputSlot(cuda, port) for port in ports[0]]
        self._outputs = [OutputSlot(cuda, port) for port in ports[1]]
        self._lock = threading.Lock()
        self._key: object = None
        self._calls = 0
        self._graph = Graph(cuda, self._stream)
        self._may_capture = True
        slots: list[InputSlot | OutputSlot] = [*self._inputs, *self._outputs]
        held = _Held(cuda, gpu, opened, self._stream, self._graph, slots, self._lock)
        self.close = weakref.finalize(self, held.release)

    def run(self, names: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """Return the outputs of these names.

        Raises:
            InputError: sizes or values that the engine was not built for.
            TargetError: the GPU or the engine fails.
        """
        with self._lock, self._cuda.on(self._gpu):
            if self._context is None:
                raise self._failed("it was given back")
            self._last_words()  # what was said before is not about this call
            try:
                self._prepare(feed)
                self._execute()
            except BaseException:
                self._key = None
                with suppress(DyncompileError):  # nothing of it runs on into the next call
                    self._cuda.wait(self._stream)
                raise
            if self._opened.kernels:
                self._opened.kernels.keep_first()
            found = {slot.port.name: slot for slot in self._outputs}
            return [found[name].taken() for name in names]

    @property
    def _context(self) -> Handle:
        return self._opened.context

    def _prepare(self, feed: Mapping[str, Array]) -> None:
        """Write the inputs, and where sizes are others than before, have room and say so."""
        arrays = [(slot, feed[slot.port.name]) for slot in self._inputs]
        key = tuple(
            (array.shape, array.tobytes() if slot.port.on_host else None) for slot, array in arrays
        )
        if key == self._key:
            for slot, array in arrays:
                slot.fill(array)
            return
        self._key, self._calls = None, 0
        self._graph.drop()
        for slot, array in arrays:
            slot.port.check(array)
            slot.resize(array.shape)
            slot.fill(array)
            if slot.port.is_dynamic and not self._context.set_input_shape(
                slot.port.name, array.shape
            ):
                raise self._refused(slot.port, f"{array.dtype}{list(array.shape)} does not fit")
            self._bind(slot)
        self._prepare_outputs()
        self._key = key

    def _prepare_outputs(self) -> None:
        if any(slot.port.is_dynamic for slot in self._outputs):
            try:
                missing = self._context.infer_shapes()
            except RuntimeError as error:
                raise self._failed(one_line(error)) from error
            if missing:
                raise self._failed(f"it lacks the sizes of {', '.join(missing)}")
        for slot in self._outputs:
            shape = tuple(self._context.get_tensor_shape(slot.port.name))
            if all(size >= 0 for size in shape):
                slot.resize(shape)
                self._bind(slot)
            elif slot.allocator is None:
                allocator = slot.let_grow(self._trt)
                if not self._context.set_output_allocator(slot.port.name, allocator):
                    raise self._failed(f"the size of output {slot.port.name!r} is unknown")
                self._may_capture = False  # memory cannot be had while a stream is captured

    def _bind(self, slot: InputSlot | OutputSlot) -> None:
        if not self._context.set_tensor_address(slot.port.name, slot.address):
            raise self._failed(f"it does not take the address of {slot.port.name!r}")

    def _execute(self) -> None:
        """Give the stream what a call does, and wait for it."""
        if self._calls >= CALLS_BEFORE_CAPTURE and self._may_capture and not self._graph.is_ready:
            self._may_capture = self._is_capturable() and self._graph.capture(self._enqueue)
            self._last_words()  # a refusal is no failure
        if self._graph.is_ready:
            self._graph.launch()
        elif not self._enqueue():
            problems = [slot.problem() for slot in self._outputs]
            raise next(filter(None, problems), self._failed(self._last_words()))
        self._cuda.wait(self._stream)
        self._calls += 1

    def _enqueue(self) -> bool:
        """Give the stream copies, engine, copies; return whether the engine went along."""
        for slot in self._inputs:
            slot.send(self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            return False
        for output in self._outputs:
            output.fetch(self._stream)
        return True

    def _is_capturable(self) -> bool:
        """Ask the engine; one that cannot tell is not captured.

        TensorRT copies the condition of a branch to the host, which decides. That copy can be
        captured, and nothing fails then: every replay takes the side of the captured call.
        TensorRT for RTX can tell. It replaces kernels of dynamic sizes by better ones while it
        runs, which a captured graph would not have.
        """
        if not hasattr(self._context, "is_stream_capturable"):
            return False
        if any(slot.port.is_dynamic for slot in (*self._inputs, *self._outputs)):
            return False
        return bool(self._context.is_stream_capturable(int(self._stream)))

    def _refused(self, port: Port, problem: str) -> InputError:
        return InputError(
            f"{problem}: {self._last_words()}.",
            where=f"input {port.name!r}",
            remedy="Give sizes that the engine was built for.",
        )

    def _failed(self, reason: str) -> TargetError:
        return TargetError(
            f"the engine does not run: {reason}.",
            where=self._gpu.name,
            remedy="Build it again on this machine, or run the .onnx file.",
        )


@dataclass(frozen=True)
class _Held:
    """What an execution gives back."""

    cuda: Cuda
    gpu: Gpu
    opened: Opened
    stream: Handle
    graph: Graph
    slots: Sequence[InputSlot | OutputSlot]
    lock: threading.Lock

    def release(self) -> None:
        """Give all back, unless a call does not end; that it fails is no matter."""
        if not self.lock.acquire(timeout=SECONDS_TO_END):
            return
        with suppress(Exception), self.cuda.on(self.gpu):
            self.graph.drop()
            self.opened.close()
            for slot in self.slots:
                slot.free()
            self.cuda.drop_stream(self.stream)
        self.lock.release()
