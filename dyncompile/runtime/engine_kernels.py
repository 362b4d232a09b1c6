"""Kernels that TensorRT for RTX compiles on the GPU, kept in the user's cache folder."""

from __future__ import annotations

__all__ = ["KernelCache", "kernel_cache"]

import hashlib
from contextlib import suppress
from pathlib import Path

from dyncompile.errors import ArtifactError
from dyncompile.files import make_folder, replacing
from dyncompile.runtime.cuda import Gpu, Handle
from dyncompile.runtime.user_cache import prune, user_folder

MOST_FILES = 40


class KernelCache:
    """What an execution context compiles into, and the file that has it between processes.

    Attributes:
        file: In the user's cache folder.
    """

    def __init__(self, cache: Handle, file: Path) -> None:
        self._cache = cache
        self.file = file
        self._kept = b""
        with suppress(OSError):
            content = file.read_bytes()
            if cache.deserialize(content):
                self._kept = _digest(content)

    def keep_first(self) -> None:
        """Write what has been compiled, unless something is kept."""
        if not self._kept:
            self.keep()

    def keep(self) -> None:
        """Write what has been compiled, if it is not what is kept; not to be able is no matter."""
        compiled = self._cache.serialize()
        content = b"" if compiled is None else bytes(compiled)
        digest = _digest(content)
        if digest == self._kept:
            return
        self._kept = digest
        if not content:
            return
        with suppress(ArtifactError):
            make_folder(self.file.parent, "Let the user's cache folder be written to.")
            with replacing(self.file) as file:
                file.write(content)
            prune(self.file.parent, MOST_FILES)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def kernel_cache(trt: Handle, config: Handle, sha256: str, gpu: Gpu) -> KernelCache:
    """Let a runtime configuration keep its kernels.

    Args:
        trt: The package of the engine.
        config: What ``create_runtime_config`` gave.
        sha256: Of the engine.
        gpu: Where it runs.
    """
    conditions = hashlib.sha256(f"{trt.__version__} {gpu.name} {gpu.chip}".encode()).hexdigest()
    cache = config.create_runtime_cache()
    kernels = KernelCache(cache, user_folder("kernels") / f"{sha256}-{conditions[:16]}.bin")
    config.set_runtime_cache(cache)
    return kernels
