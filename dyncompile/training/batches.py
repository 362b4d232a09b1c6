"""A dataset in batches of tensors."""

from __future__ import annotations

__all__ = ["check_dataset", "collate", "fetch"]

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from dyncompile.errors import InputError
from dyncompile.worker_errors import WorkerError


class UnfitDataError(WorkerError, InputError):
    """Elements of a dataset are no samples with a label; made from ``where: problem``."""

    REMEDY = "Give a dataset of (float tensor, whole number), all tensors of one shape."


def check_dataset(data: Dataset[Any]) -> int:
    """Return how many samples a dataset has.

    Raises:
        InputError: it cannot say so, or has none, or its elements are no samples with a label, or
            it is a loader of batches.
    """
    if isinstance(data, DataLoader):
        raise InputError(
            "this gives batches, and batches are made here.",
            where=type(data).__name__,
            remedy="Give its dataset, data.dataset.",
        )
    if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
        raise InputError(
            "this dataset has no length.",
            where=type(data).__name__,
            remedy="Give one with __len__ and __getitem__.",
        )
    if not len(data):
        raise InputError(
            "this dataset is empty.", where=type(data).__name__, remedy="Give one with samples."
        )
    fetch(data, [0])
    return len(data)


def fetch(data: Dataset[Any], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return samples of a dataset as a batch, with their labels.

    Raises:
        InputError: an element of the dataset is not a sample and its label.
    """
    if hasattr(data, "__getitems__"):
        return collate(data.__getitems__(list(indices)))
    return collate([data[index] for index in indices])


def collate(fetched: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - whatever a dataset gives
    """Make a batch of a list of elements; a batch that the dataset made itself is kept.

    Raises:
        InputError: it is not made of tensors and their labels.
    """
    batch = fetched
    if not isinstance(fetched, tuple):
        try:
            batch = default_collate(fetched)
        except (RuntimeError, TypeError) as error:
            said = " ".join(str(error).split())[:300]
            raise UnfitDataError(
                f"data: elements of the dataset cannot be put together: {said}."
            ) from error
    if len(batch) != 2 or not all(isinstance(part, Tensor) for part in batch):
        kinds = ", ".join(type(part).__name__ for part in batch)
        raise UnfitDataError(
            f"data: elements of the dataset are not a sample and its label, but ({kinds})."
        )
    return cast("tuple[Tensor, Tensor]", tuple(batch))
