from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dyncompile.data import Images, Splits
from dyncompile.demo.network import DigitsNet
from dyncompile.demo.writing import write_images, write_weights
from dyncompile.loading import load_module


def test_images_are_written_with_their_labels(digits: Splits[Images], tmp_path: Path) -> None:
    write_images(digits.test, tmp_path / "test.npz")
    with np.load(tmp_path / "test.npz") as found:
        np.testing.assert_array_equal(found["image"], digits.test.floats().numpy())
        np.testing.assert_array_equal(found["labels"], digits.test.labels.numpy())
        assert found["classes"].tolist() == list("0123456789")


@torch.no_grad()
def test_weights_are_loaded_by_the_name_of_the_network_from_any_folder(
    model: DigitsNet, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_weights(model, tmp_path / "net.safetensors")
    loaded = load_module("dyncompile.demo.network:DigitsNet", Path("net.safetensors"))
    threshold = torch.full((2,), 0.8)
    assert torch.equal(loaded.eval()(images, threshold), model(images, threshold))
