"""Print what memory a file takes: ``python -m benchmarks.budgets_memory FILE``.

A process of its own opens the file with ONNX Runtime and calls it once at every level. The bytes
are the largest resident memory that it had meanwhile (``VmHWM`` of Linux) less what it had with
numpy and onnxruntime imported and nothing open (``VmRSS``). ``ru_maxrss`` will not do: it begins
with the memory of the process that started this one.
"""

from __future__ import annotations

__all__ = ["LEVELS", "main", "peak_bytes"]

import re
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime as ort

LEVELS = 4
_KIB = 1024


def peak_bytes(path: Path) -> int:
    """Open a file, call it, and return the bytes that this took at the peak."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _status("VmRSS")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for level in range(LEVELS):
        feeds = {
            one.name: np.asarray(level, np.int64)
            if one.type == "tensor(int64)"
            else np.ones(one.shape, np.float32)
            for one in session.get_inputs()
        }
        session.run(None, feeds)
    return _status("VmHWM") - before


def _status(field: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s*(\d+) kB$", text, re.MULTILINE)
    assert found, f"Linux says {field}"
    return int(found[1]) * _KIB


def main() -> None:
    """Print the bytes of the file that is named."""
    print(peak_bytes(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
