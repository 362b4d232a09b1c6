"""What there is to compile, and for what."""

from __future__ import annotations

__all__ = ["Job", "Sample", "Samples"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.knobs import Knob
from dyncompile.passes.specialise_levels import Lowering
from dyncompile.targets.target import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dyncompile.binding import Example

Sample = Mapping[str, "NDArray[Any] | Tensor"]
Samples = Sample | Sequence[Sample]


@dataclass(frozen=True)
class Job:
    """One network, and what is to become of it.

    Attributes:
        model: A module, or the path of a file.
        example_inputs: Inputs of ``forward`` without the knobs; of a lowered file, by name.
        knobs: Those that replace the network's own.
        dynamic_shapes: As for ``torch.export.export``.
        samples: Inputs for verification.
        verify: Whether to hold the result against what it was made from.
        target: What to compile for.
        budgets: How channel budgets are lowered.
        fp16: Whether arithmetic becomes float16.
        sizes: Of a lowered file, the shapes to verify with where sizes are free, by input; others
            are 1.
        telemetry: Whether the decisions of each call are outputs too.

    Raises:
        InputError: the target does not have what is asked for.
    """

    model: nn.Module | str | Path
    example_inputs: Sequence[Example] | Mapping[str, Example] | Tensor | None
    knobs: Mapping[str, Knob] | None
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None
    samples: Samples | None
    verify: bool
    target: Target
    budgets: Lowering = "auto"
    fp16: bool = False
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    telemetry: bool = False

    def __post_init__(self) -> None:
        target = self.target
        if self.budgets not in target.lowerings:
            *most, last = map(repr, target.lowerings)
            raise InputError(
                f"{self.budgets!r} is no way to lower channel budgets for target {target.name}.",
                where="budgets",
                remedy=f"Give {', '.join(most)} or {last}.",
            )
        if self.fp16 and target.halving is None:
            raise InputError(
                f"target {target.name} has the types of the network.",
                where="fp16",
                remedy="Leave it out, or give the network in half precision: model.half().",
            )
        if self.telemetry and target.keeps_markers:
            raise InputError(
                f"target {target.name} is dense: a call takes no path that could be reported.",
                where="telemetry",
                remedy="Leave it out, and ask for it when the file is compiled.",
            )
