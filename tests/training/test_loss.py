"""Labels that are no numbers of classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dyncompile.errors import InputError
from dyncompile.training import train
from dyncompile.training.loss import cross_entropy_of
from tests.training.networks import SHORT, images, network, one_by_one, weights


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        pytest.param(torch.rand(4, 3), r"float32\[4, 3\]", id="one-per-class"),
        pytest.param(torch.rand(4), r"float32\[4\]", id="fractions"),
    ],
)
def test_labels_with_fractions_are_refused(labels: Tensor, said: str) -> None:
    with pytest.raises(InputError, match=rf"^labels: the labels are {said}, not numbers"):
        cross_entropy_of(torch.zeros(4, 3), labels)


def test_a_training_refuses_them_and_changes_nothing() -> None:
    data, model = one_by_one(images()), network()
    data.tensors = data.tensors[0], torch.eye(3)[data.tensors[1]]
    before = weights(model)
    with pytest.raises(InputError, match=r"^labels: the labels are float32\[2, 3\]") as caught:
        train(model, data, SHORT)
    assert "\n" not in str(caught.value)
    assert torch.equal(weights(model), before)
