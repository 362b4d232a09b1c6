from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.methods.dgate.features import exit_macs
from dyncompile.methods.dgate.scores import SCORES
from dyncompile.methods.dgate.scoring import ask
from dyncompile.training import one_thread
from tests.methods.dgate.trained import CLASSES, SHAPE, patterns, trained


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("score", SCORES)
def test_it_says_what_the_heads_say(score: str) -> None:
    net, data = trained(score), patterns(90, seed=3)
    said = ask(net, data, batch_size=64)
    with torch.no_grad():
        heads = net.heads(data.images)
        scores = torch.stack(net.scores(heads), 1).numpy()
    sign = -1 if score == "entropy" else 1
    assert said.sureness.dtype == np.float32
    assert said.sureness == pytest.approx(sign * scores, abs=1e-5)
    classes = torch.stack([logits.argmax(1) for logits in heads], 1)
    assert (said.right == (classes == data.labels[:, None]).numpy()).all()
    assert (said.labels == data.labels.numpy()).all()


def test_surer_samples_are_right_more_often() -> None:
    said = ask(trained(), patterns(600, seed=3))
    order = said.sureness[:, 0].argsort()
    assert said.right[order[300:], 0].mean() > said.right[order[:300], 0].mean() + 0.1


def test_costs_are_shares_of_the_dense_network() -> None:
    net = trained()
    said = ask(net, patterns(5, seed=3))
    macs = exit_macs(net, torch.zeros(1, *SHAPE))
    assert said.costs.tolist() == [each / macs[-1] for each in macs]
    assert 0 < said.costs[0] < said.costs[1] < said.costs[2] == 1


def test_the_network_is_left_in_its_mode() -> None:
    net = trained().train()
    ask(net, patterns(5, seed=3))
    assert all(part.training for part in net.modules())


def test_it_tells_how_far_it_is() -> None:
    told: list[tuple[str, int, int]] = []
    ask(trained(), patterns(10, seed=3), batch_size=4, progress=lambda *step: told.append(step))
    assert [(done, total) for _, done, total in told] == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize("label", [-1, CLASSES], ids=["negative", "beyond"])
def test_labels_outside_of_the_classes_are_refused(label: int) -> None:
    data = patterns(10, seed=3)
    data.labels[4] = label
    with pytest.raises(InputError, match=f"labels: there is {label}, .* has 4 classes"):
        ask(trained(), data)


def test_labels_that_are_no_numbers_of_classes_are_refused() -> None:
    data = patterns(10, seed=3)
    shares = replace(data, labels=data.labels.float())
    with pytest.raises(InputError, match=r"labels: a label is float32\[\], not a whole"):
        ask(trained(), shares)


def test_samples_may_be_numpy_arrays() -> None:
    data = patterns(10, seed=3)
    arrays = cast("Dataset[Any]", list(zip(data.images.numpy(), data.labels.tolist(), strict=True)))
    assert (ask(trained(), arrays).right == ask(trained(), data).right).all()


def test_data_without_samples_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        ask(trained(), patterns(0, seed=3))


def test_an_infinite_score_is_refused() -> None:
    data = patterns(10, seed=3)
    data.images[7] = torch.inf
    net = trained()
    with torch.no_grad():
        net.gates[0].weight.abs_()  # type: ignore[operator]
        net.backbone[0].weight.abs_()  # type: ignore[index]
    with pytest.raises(InputError, match="data: the score of gate 1 is infinite on sample 7"):
        ask(net, data)
