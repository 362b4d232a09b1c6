"""Pickles of arrays, read without running what else they may hold."""

from __future__ import annotations

__all__ = ["read_array_pickle"]

import pickle
from pathlib import Path

import numpy as np

from dyncompile.errors import ArtifactError, one_line

# What an array is put together from; bytes too, where Python 3 wrote protocol 2.
RECONSTRUCT = np.empty(0).__reduce__()[0]
FROM_BUFFER = np.empty(1).__reduce_ex__(5)[0]
ALLOWED = {
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "numpy.core.multiarray._reconstruct": RECONSTRUCT,
    "numpy._core.multiarray._reconstruct": RECONSTRUCT,
    "numpy.core.numeric._frombuffer": FROM_BUFFER,
    "numpy._core.numeric._frombuffer": FROM_BUFFER,
    "_codecs.encode": lambda text, _: text.encode("latin-1"),
}


def read_array_pickle(path: Path) -> object:
    """Read a pickle of arrays, numbers, strings, lists and dicts; strings of Python 2 are bytes.

    Raises:
        ArtifactError: it cannot be read, is damaged, or holds anything else, which is not run.
    """
    try:
        with path.open("rb") as file:
            found: object = _ArrayUnpickler(file, encoding="bytes").load()
            more = file.read(1)
    except _ForbiddenError as error:
        raise ArtifactError(
            f"this pickle would run {str(error)!r}; nothing was run.",
            where=str(path),
            remedy="Do not trust this file: get it again from where it is published.",
        ) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise ArtifactError(
            f"this is no pickle of arrays, or it is damaged ({one_line(error)}).",
            where=str(path),
            remedy="Get the file again.",
        ) from error
    if more:
        raise ArtifactError(
            "more bytes follow the end of this pickle.",
            where=str(path),
            remedy="Get the file again.",
        )
    return found


class _ForbiddenError(Exception):
    pass


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None
