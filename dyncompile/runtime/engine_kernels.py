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
        was_kept: Whether the file had what fits here.
    """

    def __init__(self, cache: Handle, file: Path) -> None:
        self._cache = cache
        self.file = file
        self.was_kept = False
        with suppress(OSError):
            self.was_kept = bool(cache.deserialize(file.read_bytes()))

    def keep(self) -> None:
        """Write what has been compiled, unless it was kept before; not to be able is no matter."""
        if self.was_kept:
            return
        self.was_kept = True
        compiled = self._cache.serialize()
        if compiled is None:
            return
        with suppress(ArtifactError):
            make_folder(self.file.parent, "Let the user's cache folder be written to.")
            with replacing(self.file) as file:
                file.write(bytes(compiled))
            prune(self.file.parent, MOST_FILES)


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
