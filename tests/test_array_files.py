from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyncompile.array_files import read_arrays
from dyncompile.errors import InputError


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
def test_a_file_with_any_wrong_byte_is_read_or_refused(tmp_path: Path, save: object) -> None:
    file = tmp_path / "data.npz"
    assert callable(save)
    save(file, x=np.arange(40.0).reshape(10, 4), y=np.arange(10))
    whole = file.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        for changed in (whole[:place] + b"\xff\x3c\xff" + whole[place + 3 :], whole[:place]):
            file.write_bytes(changed)
            try:
                read_arrays(file)
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)  # noqa: PT017 - reading may also succeed
    assert refused > len(whole) // 3
