"""Whether data fits a network, before it is trained."""

from __future__ import annotations

__all__ = ["check_runs"]

from typing import Any

from torch.utils.data import Dataset, Subset

from dyncompile.methods.idp.network import IncompleteNet
from dyncompile.training import in_batches
from dyncompile.training.batches import check_dataset


def check_runs(net: IncompleteNet, data: Dataset[Any]) -> None:
    """Run a network on the first sample of a dataset.

    Raises:
        InputError: the dataset is not one of samples and labels, or the network fails on them.
    """
    check_dataset(data)
    in_batches(net, Subset(data, [0]))
