"""Arrays in .npy and .npz files."""

from __future__ import annotations

__all__ = ["read_arrays", "write_arrays"]

import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.files import replacing

Array = NDArray[Any]

_DAMAGED = (  # what numpy and zipfile raise, depending on which byte is wrong
    *(ValueError, EOFError, KeyError, TypeError, SyntaxError, RuntimeError, MemoryError),
    *(OverflowError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)


def read_arrays(file: Path) -> Array | dict[str, Array]:
    """Read the array of an .npy, or the arrays of an .npz by name.

    Raises:
        InputError: missing, damaged, or with Python objects in it.
    """
    try:
        with file.open("rb") as stream:
            found: Array | np.lib.npyio.NpzFile = np.load(stream, allow_pickle=False)
            if isinstance(found, np.lib.npyio.NpzFile):
                return dict(found.items())
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}.",
            where=str(file),
            remedy="Check the name of the file.",
        ) from error
    except _DAMAGED as error:
        raise InputError(
            "not a .npy or .npz file of plain arrays, or damaged.",
            where=str(file),
            remedy="Write it with numpy.save or numpy.savez.",
        ) from error
    return found


def write_arrays(output: Path, arrays: Mapping[str, Array]) -> None:
    """Write the one array of an .npy, or an .npz; the same arrays give the same bytes.

    Raises:
        ArtifactError: the file cannot be written.
    """
    with replacing(output) as file:
        if output.suffix == ".npy":
            np.lib.format.write_array(file, next(iter(arrays.values())), allow_pickle=False)
            return
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy")  # without a date of today
                with archive.open(entry, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
