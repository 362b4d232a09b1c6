"""Mean and variance of each level anew."""

from __future__ import annotations

__all__ = ["recalibrate"]

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from dyncompile.errors import InputError
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.methods.idp.norms import BatchNorm
from dyncompile.methods.idp.trying import check_incomplete
from dyncompile.progress import Progress, untold
from dyncompile.training import in_batches
from dyncompile.training.batches import check_dataset
from dyncompile.training.loss import device_of
from dyncompile.training.options import check_progress


def recalibrate(  # noqa: PLR0913 - every option by name
    net: IncompleteNet,
    data: Dataset[Any],
    *,
    samples: int = 4096,
    batch_size: int = 256,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
) -> None:
    """Measure what each batch normalisation normalises by, for each level by itself.

    For each level, batches run through the network at that level, each normalised by its own mean
    and variance, and the averages of these over all batches are kept (Yu and Huang, "Universally
    slimmable networks and improved training techniques", ICCV 2019). Nothing else changes, and
    the network is in evaluation mode afterwards.

    Args:
        net: Trained.
        data: What it was trained on: elements are a sample and its label.
        samples: How many of it are used at most, drawn at random.
        batch_size: Samples of a batch; the more, the closer to what evaluation sees.
        seed: Of the draw.
        workers: Processes that prepare batches; 0 prepares them in between.
        progress: Called with the level, what is done and what there is to do.

    Raises:
        InputError: there is no batch normalisation, too few samples, an option is no number, or
            the data does not fit the network. The statistics are what they were then.
    """
    check_incomplete(net)
    if not net.norms():
        raise InputError(
            "it has no batch normalisation with statistics, so there is nothing to recalibrate.",
            where=type(net.backbone).__name__,
            remedy="Leave recalibrate out.",
        )
    _check_whole(seed=seed, workers=workers)
    check_progress(progress)
    chosen = _drawn(data, samples, batch_size, seed)
    tell = progress or untold
    device = device_of(net)
    net.eval()
    with _all_or_nothing(net):
        for level in range(len(net.ratios)):
            index = torch.tensor(level, device=device)

            def run(batch: Tensor, index: Tensor = index) -> Tensor:
                output: Tensor = net(batch.to(device), index)
                return output

            with _measuring([norm.at(level) for norm in net.norms()]):
                in_batches(
                    run,
                    chosen,
                    batch_size=int(batch_size),
                    workers=workers,
                    progress=lambda _, done, total, level=level: tell(  # type: ignore[misc]
                        f"level {level}", done, total
                    ),
                )


def _check_whole(**options: object) -> None:
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
            raise InputError(
                f"{value!r} is no whole number from 0.", where=name, remedy="Give one, such as 0."
            )


def _drawn(data: Dataset[Any], samples: int, batch_size: int, seed: int) -> Subset[Any]:
    size = check_dataset(data)
    for name, value in (("samples", samples), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 2:
            raise InputError(
                f"{value!r} samples have no variance to measure.",
                where=name,
                remedy="Give a whole number, 2 at least and rather some hundreds.",
            )
    count = min(samples, size)
    count -= count % batch_size == 1  # one sample has no variance
    if count < 2:
        raise InputError(
            "one sample has no variance to measure.", where="data", remedy="Give more samples."
        )
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    return Subset(data, order[:count].tolist())


@contextmanager
def _measuring(norms: list[BatchNorm]) -> Iterator[None]:
    """Let normalisations forget what they know, and average over the batches of the block."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


@contextmanager
def _all_or_nothing(net: IncompleteNet) -> Iterator[None]:
    """Give all statistics back as they were if the block fails."""
    norms = [norm for each in net.norms() for norm in each.levels]
    before = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    try:
        yield
    except BaseException:
        for buffer, value in before:
            buffer.copy_(value)
        raise
