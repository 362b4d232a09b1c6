"""What a training changes around it while it runs, and puts back."""

from __future__ import annotations

__all__ = ["frozen_parts", "own_randomness", "training_mode"]

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed torch, and give all generators and the choice of algorithms back as they were.

    The generators are those of ``random``, numpy and torch, on the CPU and on CUDA devices.
    """
    # Where nothing has used CUDA yet, there is nothing to give back; looking would start it.
    is_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if is_used else ()
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - what datasets may draw from
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.backends.cudnn.benchmark = benchmark


@contextmanager
def training_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in training mode but for its frozen parts; in evaluation mode at the end."""
    model.train()
    for part in frozen_parts(model):
        part.eval()
    try:
        yield
    finally:
        model.eval()


def frozen_parts(model: nn.Module) -> list[nn.Module]:
    """Return the modules that have parameters and none to train, whatever is inside them."""
    return [
        part
        for part in model.modules()
        if (wanted := [each.requires_grad for each in part.parameters()]) and not any(wanted)
    ]
