"""Load an artifact and run it with ONNX Runtime, or an engine on a GPU; never imports torch."""

from __future__ import annotations

__all__ = ["Calibration", "Latency", "Net", "load"]

from dyncompile.runtime.calibration import Calibration, Latency
from dyncompile.runtime.session import Net, load
