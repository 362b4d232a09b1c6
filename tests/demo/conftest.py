from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import Tensor

from dyncompile.demo.data import Digits, load_images
from dyncompile.demo.network import DigitsNet
from dyncompile.demo.training import one_thread, train


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="package")
def digits() -> Digits:
    return load_images(0)


@pytest.fixture(scope="package")
def model(digits: Digits) -> DigitsNet:
    return train(digits.train.head(320), 0, epochs=3)


@pytest.fixture(scope="package")
def images(digits: Digits) -> Tensor:
    return digits.test.images[:8]
