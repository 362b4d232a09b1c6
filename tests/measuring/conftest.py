from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import dyncompile
from tests.measuring.networks import CLASSES, WIDTH, exits, ladder
from tests.support import Array

SAMPLES = 24


@dataclass(frozen=True)
class Made:
    """Artifacts and data, made once."""

    net: Path
    ladder: Path
    data: Path
    x: Array
    labels: Array


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("measuring")
    net, rungs, data = folder / "net.onnx", folder / "ladder.onnx", folder / "data.npz"
    example = (torch.zeros(1, WIDTH),)
    dyncompile.export(exits(), example, net, verify=False)
    dyncompile.export(ladder(), example, rungs, verify=False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, WIDTH)).astype(np.float32)
    labels = rng.integers(0, CLASSES, SAMPLES)
    np.savez(data, x=x, y=labels, classes=np.array(["cat", "dog", "fox"]))
    return Made(net, rungs, data, x, labels)


@pytest.fixture(autouse=True)
def _torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before
