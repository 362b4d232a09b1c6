"""Train the network, and choose how sure an exit has to be."""

from __future__ import annotations

__all__ = ["TOLERANCE", "choose_threshold", "train"]

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dyncompile import markers, training
from dyncompile.data import Images, distort
from dyncompile.demo.network import ALL_BLOCKS, DigitsNet, confidence
from dyncompile.progress import Progress, untold

TOLERANCE = 0.005
SKIPS_FROM = 0.4  # share of the steps after which blocks may be skipped


def train(data: Images, seed: int, *, epochs: int = 14, progress: Progress = untold) -> DigitsNet:
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
        model = DigitsNet()
    recipe = training.Recipe(epochs, 6e-3, 32, optimizer="adamw", weight_decay=0.01, seed=seed)
    loss = _Loss(progress)
    training.train(model, data, recipe, loss=loss, augment=distort, progress=loss.step_done)
    return model


@torch.no_grad()
def choose_threshold(model: DigitsNet, data: Images, *, tolerance: float = TOLERANCE) -> float:
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
    logits, _ = model.heads(data.floats())
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


class _Loss:
    """The loss of all classifiers, and late in the training of the compute too."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._skips = False

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(model, DigitsNet)
        with markers.follow({} if self._skips else ALL_BLOCKS):
            logits, takes = model.heads(images)
        losses = [F.cross_entropy(out, labels, label_smoothing=0.05) for out in logits]
        loss = 0.5 * losses[0] + 0.7 * losses[1] + losses[2]
        for take in takes if self._skips else ():
            loss = loss + 2 * (take.mean() - 0.5) ** 2
        return loss

    def step_done(self, epoch: str, done: int, total: int) -> None:
        """Hear of a step, before the next one."""
        self._skips = done >= SKIPS_FROM * total
        self._progress(epoch, done, total)
