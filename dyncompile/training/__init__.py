"""Training and prediction over datasets, shared by the methods and the demo."""

from __future__ import annotations

__all__ = ["Loss", "Recipe", "cross_entropy", "in_batches", "one_thread", "train"]

from dyncompile.training.loop import train
from dyncompile.training.loss import Loss, cross_entropy
from dyncompile.training.predicting import in_batches
from dyncompile.training.recipe import Recipe
from dyncompile.training.threads import one_thread
