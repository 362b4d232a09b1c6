"""Run a function over a dataset."""

from __future__ import annotations

__all__ = ["in_batches"]

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dyncompile.errors import DyncompileError, InputError, one_line
from dyncompile.modules import evaluating
from dyncompile.progress import Progress, untold
from dyncompile.training.batches import check_dataset, collate
from dyncompile.training.loss import device_of
from dyncompile.training.options import check_progress

Outputs = TypeVar("Outputs", Tensor, list[Tensor], tuple[Tensor, ...])


def in_batches(
    fn: Callable[[Tensor], Outputs],
    data: Dataset[Any],
    *,
    batch_size: int = 256,
    workers: int = 0,
    progress: Progress | None = None,
) -> tuple[Outputs, Tensor]:
    """Run a function over a dataset in order, without gradients.

    Where the function is a module or a method of one, the module is in evaluation mode while it
    runs, and given its batches on the device it is on.

    Args:
        fn: Takes ``float[N, ...]`` and returns a tensor ``[N, ...]``, or a list or tuple of them.
        data: Elements are a sample and its label.
        batch_size: Largest number of samples of a call.
        workers: Processes that prepare batches; 0 prepares them in between.
        progress: Called after each call of ``fn`` with what is done, how much of it and how
            much there is, in samples.

    Returns:
        What ``fn`` returned, of all samples; and the labels, both on the CPU.

    Raises:
        InputError: the dataset is empty, its elements are not samples and their labels, or the
            function fails on them.
    """
    check_progress(progress)
    samples = check_dataset(data)
    if batch_size < 1:
        raise InputError(
            f"{batch_size} samples are no batch.", where="batch_size", remedy="Give at least 1."
        )
    # A generator of its own: drawing the seed of the workers leaves torch's alone.
    batches: DataLoader[Any] = DataLoader(
        data,
        batch_size,
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator(),
    )
    module = fn if isinstance(fn, nn.Module) else getattr(fn, "__self__", None)
    device = torch.device("cpu")
    tell = progress or untold
    outputs: list[Outputs] = []
    labels: list[Tensor] = []
    with ExitStack() as stack:
        if isinstance(module, nn.Module):
            stack.enter_context(evaluating(module))
            device = device_of(module)
        stack.enter_context(torch.no_grad())
        for done, (batch, of_batch) in enumerate(batches, 1):
            outputs.append(_on_cpu(_called(fn, batch.to(device))))
            labels.append(of_batch.cpu())
            tell("predict", min(done * batch_size, samples), samples)
    return _joined(outputs), torch.cat(labels)


def _called(fn: Callable[[Tensor], Outputs], batch: Tensor) -> Outputs:
    try:
        return fn(batch)
    except DyncompileError:
        raise
    except Exception as error:  # whatever the user's forward raises
        kind = f"{str(batch.dtype).removeprefix('torch.')}{list(batch.shape)}"
        raise InputError(
            f"the network fails on a batch {kind}: {one_line(error)}.",
            where="data",
            remedy="Give samples of the type and size that it takes, or fewer at once.",
        ) from error


def _on_cpu(output: Outputs) -> Outputs:
    if isinstance(output, Tensor):
        return output.cpu()
    return type(output)(each.cpu() for each in output)


def _joined(outputs: list[Outputs]) -> Outputs:
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat(outputs)
    return type(first)(torch.cat(parts) for parts in zip(*outputs, strict=True))
