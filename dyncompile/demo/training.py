"""Train the network, and choose how sure an exit has to be."""

from __future__ import annotations

__all__ = ["TOLERANCE", "choose_threshold", "one_thread", "train"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

from dyncompile import markers
from dyncompile.demo.data import Split, distort
from dyncompile.demo.network import ALL_BLOCKS, DigitsNet, confidence

TOLERANCE = 0.005


def train(
    data: Split,
    seed: int,
    *,
    epochs: int = 14,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> DigitsNet:
    """Train the network; the same seed and number of threads give the same weights.

    The stages' classifiers are trained jointly. All blocks run at first; then the gates learn,
    straight through their hard decisions, and the compute they cost is pulled to one half.

    Args:
        data: The images to learn from.
        seed: Seeds the weights, the order of the images and their distortions.
        epochs: How often each image is seen.
        progress: Called after each step with the epoch, the steps done and all steps.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DigitsNet().train()
        images = TensorDataset(data.images, data.labels)
        batches = DataLoader(images, batch_size=32, shuffle=True, drop_last=True)
        steps = epochs * len(batches)
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
        for step in range(steps):
            if step % len(batches) == 0:
                epoch = iter(batches)
            image, label = next(epoch)
            optimizer.zero_grad()
            loss = _loss(model, distort(image), label, skips=step >= 0.4 * steps)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            progress(f"epoch {1 + step // len(batches)}", step + 1, steps)
    return model.eval()


@torch.no_grad()
def choose_threshold(model: DigitsNet, data: Split, *, tolerance: float = TOLERANCE) -> float:
    """Return the lowest threshold, for both exits, that keeps the accuracy.

    An image counts as lost if the end gives its class right and the exit taken does not;
    images that only an exit gets right do not make up for it. Every higher threshold keeps
    the accuracy too, so that one lucky value in a few hundred images is not chosen.

    Args:
        model: A trained network.
        data: Images held out from training; not the ones accuracy is reported on.
        tolerance: Share of the images that may be lost.

    Returns:
        A multiple of 0.01 from 0 to 1; 1 never leaves early.
    """
    logits, _ = model.heads(data.images)
    first, second, last = (out.argmax(1) == data.labels for out in logits)
    sure, surer = (confidence(out) for out in logits[:-1])
    threshold = 1.0
    for percent in reversed(range(100)):
        lower = percent / 100
        right = torch.where(sure > lower, first, torch.where(surer > lower, second, last))
        if (last & ~right).float().mean() > tolerance:
            break
        threshold = lower
    return threshold


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch sum in one order, whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _loss(model: DigitsNet, images: Tensor, labels: Tensor, *, skips: bool) -> Tensor:
    """Return the loss of all classifiers, and of the compute if blocks may be skipped."""
    with markers.follow({} if skips else ALL_BLOCKS):
        logits, takes = model.heads(images)
    losses = [F.cross_entropy(out, labels, label_smoothing=0.05) for out in logits]
    loss = 0.5 * losses[0] + 0.7 * losses[1] + losses[2]
    for take in takes if skips else ():
        loss = loss + 2 * (take.mean() - 0.5) ** 2
    return loss
