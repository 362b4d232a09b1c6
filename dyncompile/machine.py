"""Name the machine that a figure was measured on."""

from __future__ import annotations

__all__ = ["describe_machine", "processor"]

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "torch")


def processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    with suppress(OSError):
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name":
                return name.strip()
    return platform.processor() or platform.machine()


def describe_machine() -> str:
    """Return what figures depend on, on one line: processor, cores, versions."""
    parts = [processor(), f"{os.cpu_count()} cores"]
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            parts.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join([*parts, f"Python {platform.python_version()}"])
