"""Load an artifact and run it with ONNX Runtime; never imports torch."""

from __future__ import annotations

__all__ = ["Net", "load"]

from dyncompile.runtime.session import Net, load
