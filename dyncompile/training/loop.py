"""Train a network, so that it can be stopped and gives the same bits each time."""

from __future__ import annotations

__all__ = ["train"]

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from dyncompile.errors import InputError
from dyncompile.files import check_writable
from dyncompile.progress import Progress, untold
from dyncompile.training.batches import check_dataset, collate
from dyncompile.training.checkpoint import Checkpoint, identify
from dyncompile.training.loss import Loss, cross_entropy
from dyncompile.training.options import check_augment, check_progress, check_recipe, path_of
from dyncompile.training.recipe import Recipe
from dyncompile.training.steps import Steps
from dyncompile.training.surroundings import own_randomness, training_mode

if TYPE_CHECKING:
    from ignite.engine import State


def train(  # noqa: PLR0913 - one entry point, every option by name
    model: nn.Module,
    data: Dataset[Any],
    recipe: Recipe,
    *,
    loss: Loss = cross_entropy,
    augment: Callable[[Tensor], Tensor] | None = None,
    held: Mapping[str, Tensor] | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a model in place; the same call on the same number of threads gives the same bits.

    Parameters that do not require gradients stay as they are, and modules whose parameters are all
    of that kind run in evaluation mode: what they normalise by stays, and they drop nothing. The
    whole model is in evaluation mode afterwards. The generators of random numbers are those of the
    training while it runs, and go on as if it had not been afterwards.

    With a checkpoint, a training that was stopped goes on after its last whole epoch, and ends with
    the bits of one that ran through; one that is finished is loaded. The number of workers may
    be another then: bits differ only where the dataset draws at random, as each worker draws for
    itself.

    Args:
        model: Trained where it is, on the CPU or another device.
        data: Elements are a sample and its label. One that has ``__getitems__`` is asked for whole
            batches.
        recipe: The settings.
        loss: Takes the model, a batch and its labels, and returns ``float[]``. Called once on two
            samples before the first step where these are images, to see how the model takes them.
        augment: Takes a batch of samples and returns another of its shape in its place, at
            random; draws from torch's generator.
        held: By the name of a parameter, bool in its shape: where it is true, the parameter stays
            as it is.
        checkpoint: File that the state is kept in after each epoch; made if missing. The loss and
            the augmentation it was made with are not compared.
        progress: Called after each step with the epoch, the steps done and all steps.

    Raises:
        InputError: an option is none, the dataset is empty or not of samples and labels, nothing
            in the model is to be trained, the augmentation returns no batch of the same shape,
            or the loss becomes infinite or NaN. The checkpoint of the last epoch is kept then.
        ArtifactError: the checkpoint cannot be read or written, is damaged, or is that of a
            training with another recipe, model or dataset.
    """
    check_recipe(recipe)
    check_augment(augment)
    check_progress(progress)
    file = path_of(checkpoint)
    check_dataset(data)
    if not any(each.requires_grad for each in model.parameters()):
        raise InputError(
            "there is nothing to train.",
            where=type(model).__name__,
            remedy="Let some of its parameters require gradients.",
        )
    kept = None
    if file is not None:
        with own_randomness(recipe.seed):  # apart: what it draws must not change the training
            kept = Checkpoint(file, identify(model, data, recipe, held or {}))
    with own_randomness(recipe.seed):
        batches = _batches(data, recipe)
        steps = Steps(model, recipe, recipe.epochs * len(batches), loss, augment, held or {})
        steps.choose_layout(data)
        with training_mode(model):
            _run(steps, batches, recipe, kept, progress or untold)


def _batches(data: Dataset[Any], recipe: Recipe) -> DataLoader[Any]:
    size = len(data)  # type: ignore[arg-type]
    one_left = size > recipe.batch_size and size % recipe.batch_size == 1
    return DataLoader(
        data,
        batch_sampler=BatchSampler(RandomSampler(data), recipe.batch_size, one_left),  # type: ignore[arg-type]
        num_workers=recipe.workers,
        collate_fn=collate,
    )


def _run(
    steps: Steps,
    batches: DataLoader[Any],
    recipe: Recipe,
    kept: Checkpoint | None,
    progress: Progress,
) -> None:
    """Do what is left to do of a training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of a part ignite imports
        from ignite.engine import DeterministicEngine, Engine, Events
    length, total = len(batches), recipe.epochs * len(batches)

    def step(engine: Engine, batch: tuple[Tensor, Tensor]) -> None:
        at = engine.state
        loss = steps.take(*batch)
        if not math.isfinite(loss):
            raise _diverged(f"the loss is {loss}", at, total, recipe)
        progress(f"epoch {at.epoch}", at.iteration, total)

    def end_epoch(engine: Engine) -> None:
        if not steps.is_finite():
            raise _diverged("weights are no longer finite", engine.state, total, recipe)
        if kept is not None:
            kept.write(engine.state.epoch, **steps.parts())

    done = _resume(steps, kept, recipe.epochs)
    if done:
        progress(f"epoch {done}", done * length, total)
    if done == recipe.epochs:
        return
    # It seeds the generators anew in each epoch, so that one epoch needs nothing of the last.
    engine = DeterministicEngine(step)
    engine.logger = logging.Logger("training", logging.CRITICAL + 1)  # noqa: LOG001 - hears nothing
    engine.add_event_handler(Events.EPOCH_COMPLETED, end_epoch)
    engine.load_state_dict(
        {"epoch": done, "epoch_length": length, "max_epochs": recipe.epochs, "rng_states": None}
    )
    engine.run(batches)


def _resume(steps: Steps, kept: Checkpoint | None, epochs: int) -> int:
    """Return how many epochs are done, with all parts as they were after them."""
    if kept is None:
        return 0
    done = kept.restore(**steps.parts())
    if done is None:
        # So that one that is stopped in its first epoch starts again with these weights.
        kept.write(0, **steps.parts())
    elif done < epochs:
        check_writable(kept.file)
    return done or 0


def _diverged(what: str, at: State, total: int, recipe: Recipe) -> InputError:
    return InputError(
        f"{what}.",
        where=f"training, epoch {at.epoch}, step {at.iteration} of {total}",
        remedy=f"Lower lr, which is {recipe.lr:g}; or look for data that is not finite.",
    )
