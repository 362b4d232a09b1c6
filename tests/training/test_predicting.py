from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.training import in_batches
from tests.training.networks import images, network, one_by_one, weights


@pytest.mark.parametrize("batch_size", [1, 16, 64])
@pytest.mark.parametrize("workers", [0, 1])
def test_outputs_and_labels_come_in_order(batch_size: int, workers: int) -> None:
    model, data = network().eval(), images()
    outputs, labels = in_batches(model, data, batch_size=batch_size, workers=workers)
    with torch.no_grad():
        torch.testing.assert_close(outputs, model(data.floats()))
    assert torch.equal(labels, data.labels)
    assert not outputs.requires_grad


@pytest.mark.parametrize("kind", [list, tuple], ids=["list", "tuple"])
def test_several_outputs_keep_their_kind(kind: type[list[Tensor]]) -> None:
    data = images()
    outputs, _ = in_batches(
        lambda x: kind([x.mean((1, 2, 3)), x + 1]), one_by_one(data), batch_size=10
    )
    assert type(outputs) is kind
    torch.testing.assert_close(outputs[0], data.floats().mean((1, 2, 3)))
    assert torch.equal(outputs[1], data.floats() + 1)


def test_a_function_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^data: the network fails on a batch float32\[5, .*\]: "):
        in_batches(nn.Linear(3, 2), images().head(5))


class Headed(nn.Module):
    """A network with two methods to call."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.net(x)  # type: ignore[no-any-return]

    def heads(self, x: Tensor) -> list[Tensor]:
        """Return features and logits."""
        features = self.net[:2](x)
        return [features, self.net[2](features)]


@pytest.mark.parametrize("method", ["forward", "heads", None])
def test_a_module_runs_in_evaluation_mode_and_is_put_back(method: str | None) -> None:
    model, data = Headed().train(), images()
    model.net[1].eval()
    before, modes = weights(model), [part.training for part in model.modules()]
    fn = getattr(model, method) if method else model
    outputs, _ = in_batches(fn, data, batch_size=7)
    assert torch.equal(weights(model), before)
    assert [part.training for part in model.modules()] == modes
    with torch.no_grad():
        expected = model.eval()(data.floats())
    torch.testing.assert_close(outputs[1] if method == "heads" else outputs, expected)


def test_generators_are_left_alone_and_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    state = torch.random.get_rng_state()
    in_batches(network(), images(), batch_size=20, progress=lambda *now: told.append(now))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert told == [("predict", 20, 49), ("predict", 40, 49), ("predict", 49, 49)]


@pytest.mark.parametrize(
    ("data", "batch_size", "words"),
    [
        pytest.param(images(0), 1, "this dataset is empty", id="no-samples"),
        pytest.param(images(), 0, "batch_size: 0 samples are no batch", id="empty-batches"),
    ],
)
def test_what_cannot_run_is_refused(data: Dataset[Any], batch_size: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        in_batches(network(), data, batch_size=batch_size)
