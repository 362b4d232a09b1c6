from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import Tensor

from dyncompile.data import Images, Splits, load_digits_images
from dyncompile.demo.network import SIDE, DigitsNet
from dyncompile.demo.training import train
from dyncompile.training import one_thread


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="package")
def digits() -> Splits[Images]:
    return load_digits_images(side=SIDE, validation=400, test=500, scaling=(0, 1))


@pytest.fixture(scope="package")
def model(digits: Splits[Images]) -> DigitsNet:
    return train(digits.train.head(320), 0, epochs=3)


@pytest.fixture(scope="package")
def images(digits: Splits[Images]) -> Tensor:
    return digits.test.floats(slice(8))
