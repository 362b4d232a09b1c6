"""Options of a training that are none, refused in a line before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dyncompile.errors import InputError
from dyncompile.training import in_batches, train
from tests.training.networks import SHORT, images, network, weights


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"recipe": {}}, r"^recipe: this is dict, not a Recipe\.", id="recipe"),
        pytest.param({"recipe": None}, r"^recipe: this is NoneType", id="no-recipe"),
        pytest.param({"augment": 3}, r"^augment: this is int, which cannot", id="augment"),
        pytest.param({"progress": "bar"}, r"^progress: this is str, which cannot", id="progress"),
        pytest.param({"checkpoint": 5}, r"^checkpoint: 5 names no file\.", id="checkpoint"),
        pytest.param({"checkpoint": ""}, r"^checkpoint: '' names no file\.", id="empty-name"),
    ],
)
def test_options_of_another_kind_are_refused(options: dict[str, Any], said: str) -> None:
    model = network()
    before = weights(model)
    with pytest.raises(InputError, match=said) as caught:
        train(model, images(), **{"recipe": SHORT, **options})
    assert "\n" not in str(caught.value)
    assert torch.equal(weights(model), before)


def test_the_progress_of_a_prediction_can_be_called() -> None:
    with pytest.raises(InputError, match=r"^progress: this is int"):
        in_batches(network(), images(), progress=3)  # type: ignore[arg-type]


def test_the_checkpoint_may_be_named_by_a_string(tmp_path: Path) -> None:
    train(network(), images(), SHORT, checkpoint=str(tmp_path / "net.pt"))
    again = network(seed=1)
    train(again, images(), SHORT, checkpoint=tmp_path / "net.pt")
    through = network()
    train(through, images(), SHORT)
    assert torch.equal(weights(again), weights(through))
