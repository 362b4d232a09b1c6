"""One step of a training after the other."""

from __future__ import annotations

__all__ = ["Steps"]

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import Dataset

from dyncompile.errors import InputError
from dyncompile.modules import evaluating
from dyncompile.training.batches import fetch
from dyncompile.training.loss import Loss, device_of
from dyncompile.training.recipe import Recipe


class Steps:
    """A model, and what makes it better by one batch.

    Args:
        model: What of it requires gradients is trained.
        recipe: The settings.
        total: How many steps there will be.
        loss: As ``train`` takes it.
        augment: As ``train`` takes it.
        held: As ``train`` takes it.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        total: int,
        loss: Loss,
        augment: Callable[[Tensor], Tensor] | None,
        held: Mapping[str, Tensor],
    ) -> None:
        self.model = model
        self.optimizer = _optimizer(model, recipe)
        # One step more than there are: the last rate of a cycle is next to nothing.
        self.schedule = OneCycleLR(self.optimizer, recipe.lr, total_steps=total + 1)
        self._loss = loss
        self._augment = augment
        self._layout = torch.contiguous_format
        self._device = device_of(model)
        self._bfloat16 = recipe.precision == "bfloat16"
        self._held = [(model.get_parameter(name), mask) for name, mask in held.items()]

    def parts(self) -> dict[str, Any]:
        """Return what has a state to keep, by name."""
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def choose_layout(self, data: Dataset[Any]) -> None:
        """Hand images over with the channels last, which convolutions prefer.

        Not to a model that cannot take them, because it looks at the numbers of an image in
        the order they lie in memory.
        """
        batch, labels = fetch(data, [0, -1 % len(data)])  # type: ignore[arg-type]
        if batch.dim() != 4:
            return
        batch = batch.to(self._device, memory_format=torch.channels_last)
        try:
            with evaluating(self.model), torch.no_grad():
                self._loss(self.model, batch, labels.to(self._device))
        except RuntimeError:
            return
        self._layout = torch.channels_last

    def take(self, batch: Tensor, labels: Tensor) -> float:
        """Do one step, unless the loss is not finite; return the loss."""
        batch, labels = batch.to(self._device), labels.to(self._device)
        if self._augment is not None:
            batch = _augmented(self._augment, batch)
        if batch.dim() == 4:
            batch = batch.contiguous(memory_format=self._layout)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            loss = self._loss(self.model, batch, labels)
        if loss.isfinite():
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._step()
            self.schedule.step()
        return loss.item()

    def _step(self) -> None:
        """Change the weights but for what is held; decay and momentum would move that as well."""
        before = [(each, mask, each.detach().clone()) for each, mask in self._held]
        self.optimizer.step()
        with torch.no_grad():
            for each, mask, value in before:
                each.copy_(value.where(mask, each))

    def is_finite(self) -> bool:
        """Return whether all trained weights are finite."""
        groups = self.optimizer.param_groups
        return all(bool(each.isfinite().all()) for group in groups for each in group["params"])


def _augmented(augment: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    with torch.no_grad():
        other: object = augment(batch)
    if isinstance(other, Tensor) and other.shape[:1] == batch.shape[:1]:
        return other
    what = list(other.shape) if isinstance(other, Tensor) else type(other).__name__
    raise InputError(
        f"it returns {what} for a batch of shape {list(batch.shape)}.",
        where="augment",
        remedy="Return a tensor with as many samples.",
    )


def _optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    trained = [each for each in model.parameters() if each.requires_grad]
    if recipe.optimizer == "adamw":
        return AdamW(trained, recipe.lr, weight_decay=recipe.weight_decay)
    return SGD(trained, recipe.lr, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay)
