"""Whether there is a network to train, and data that fits it."""

from __future__ import annotations

__all__ = ["check_incomplete", "check_runs"]

from typing import Any

from torch.utils.data import Dataset, Subset

from dyncompile.errors import InputError
from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.training import in_batches
from dyncompile.training.batches import check_dataset


def check_incomplete(net: object) -> None:
    """See that a network runs at several widths.

    Raises:
        InputError: it is another.
    """
    if not isinstance(net, IncompleteNet):
        raise InputError(
            f"this is {type(net).__name__}, which has no levels.",
            where="net",
            remedy="Pass what idp.convert returns.",
        )


def check_runs(net: IncompleteNet, data: Dataset[Any]) -> None:
    """Run a network on the first sample of a dataset.

    Raises:
        InputError: the dataset is not one of samples and labels, or the network fails on them.
    """
    check_dataset(data)
    in_batches(net, Subset(data, [0]))
