"""Small files of CIFAR-10, in both published forms."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
FILES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
IMAGES = 20


def drawn_batches() -> dict[str, tuple[NDArray[np.uint8], list[int]]]:
    """Return pixels ``uint8[20, 3072]`` and labels of each file; two images of each class."""
    random = np.random.default_rng(0)
    return {
        name: (
            random.integers(256, size=(IMAGES, 3072), dtype=np.uint8),
            random.permutation(np.arange(IMAGES) % 10).tolist(),
        )
        for name in FILES
    }


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in drawn_batches().items():
        records = np.column_stack((np.array(labels, dtype=np.uint8), pixels))
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")


def write_python(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in drawn_batches().items():
        batch = {b"batch_label": name.encode(), b"labels": labels, b"data": pixels}
        (folder / name).write_bytes(pickled_by_python2(batch))
    meta = {b"num_cases_per_batch": IMAGES, b"label_names": [name.encode() for name in NAMES]}
    (folder / "batches.meta").write_bytes(pickled_by_python2(meta))


def pickled_by_python2(content: object) -> bytes:
    """Return what Python 2 and the numpy of its time made of this: the form that is published."""
    file = io.BytesIO()
    pickler: Any = pickle._Pickler(file, protocol=2)  # noqa: SLF001 - the one that can be changed
    pickler.dispatch = {**pickler.dispatch, bytes: _save_string}
    pickler.dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


def _save_string(pickler: Any, content: bytes) -> None:  # noqa: ANN401 - has no type
    pickler.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
    pickler.memoize(content)
