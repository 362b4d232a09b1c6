"""A network with decision gates: its backbone as it is, and a linear classifier at each exit."""

from __future__ import annotations

__all__ = ["DecisionGates"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from dyncompile.errors import KnobError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.markers import early_exit
from dyncompile.methods.dgate.features import Taps, pooled
from dyncompile.methods.dgate.scores import Score, score_from_name


class DecisionGates(nn.Module):
    """A backbone that a sample may leave at gates: linear classifiers on its features.

    ``convert`` builds it. A gate fires, and its logits are the answer, where its score passes
    both the threshold of the level of effort and the gate's own.

    Args:
        backbone: Returns ``float[N, classes]``; left as it is.
        after: The modules whose outputs the gates read, by name, in the order they run.
        gates: One linear classifier per gate, from its pooled features to the classes.
        score: Name of the score, see ``scores.py``.
        pool: Features ``[N, C, H, W]`` are averaged to a grid of this side.

    Attributes:
        score: What the gates decide by.
        table: ``float32[L, K]``, the threshold of each gate at each level of effort.
        shares: ``float32[L]``, the mean share of the dense network's MACs at each level.
        default: ``int64[]``, the level used when the caller names none.
    """

    table: Tensor
    shares: Tensor
    default: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        after: Sequence[str],
        gates: Iterable[nn.Linear],
        score: str = "margin",
        pool: int = 1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.after = tuple(after)
        self.gates = nn.ModuleList(gates)
        self.score: Score = score_from_name(score)
        self.pool = pool
        device = self._weight(0).device
        for name in ("table", "shares", "default"):
            self.register_buffer(name, torch.empty(0, device=device))
        self.set_levels(self._ends(), (0.0, 1.0))

    # --- knobs ---

    @property
    def knobs(self) -> dict[str, Knob]:
        """``effort``, least first, and ``threshold1`` ... of each gate by itself."""
        shares = tuple(round(share, 4) for share in self.shares.tolist())
        score = self.score
        own = Threshold(score.always, score.low, score.high)
        names = [f"threshold{number}" for number in range(1, len(self.gates) + 1)]
        return {"effort": Levels(shares, int(self.default)), **dict.fromkeys(names, own)}

    def set_levels(
        self, table: Tensor | Sequence[Sequence[float]], shares: Sequence[float], default: int = -1
    ) -> None:
        """Set the levels of effort.

        Args:
            table: ``float[L, K]``, the threshold of each gate at each level.
            shares: Mean share of the dense network's MACs at each level.
            default: The level used when the caller names none.
        """
        device = self.table.device
        self.table = torch.as_tensor(table, dtype=torch.float32, device=device).clone()
        self.shares = torch.as_tensor(shares, dtype=torch.float32, device=device).clone()
        self.default = torch.tensor(default % len(self.shares), device=device)
        assert self.table.shape == (len(self.shares), len(self.gates))

    def reset_levels(self) -> None:
        """Leave two levels: every gate fires, or none does, as is the default."""
        self.set_levels(self._ends(), self.shares[[0, -1]].tolist())

    def _ends(self) -> list[list[float]]:
        return [[level] * len(self.gates) for level in (self.score.always, self.score.never)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keep the levels in float32 where the network goes to another type."""
        before = {name: getattr(self, name) for name in ("table", "shares")}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, levels in before.items():
            now = getattr(self, name)
            if now.dtype != levels.dtype:
                setattr(self, name, levels.to(now.device))
        return self

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        *args: Any,  # noqa: ANN401 - torch dictates the signature
    ) -> None:
        """Take over as many levels of effort as were saved."""
        for name in ("table", "shares"):
            saved, own = state_dict.get(prefix + name), getattr(self, name)
            if isinstance(saved, Tensor) and saved.shape[1:] == own.shape[1:]:
                setattr(self, name, own.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)

    # --- running ---

    def forward(self, x: Tensor, effort: Tensor, **thresholds: Tensor) -> Tensor:
        """Return the logits of the exit that each sample takes, ``float[N, classes]``.

        Only their order counts: a gate's are margins, on another scale than the backbone's.

        Args:
            x: What the backbone takes.
            effort: ``int64[]``, a level.
            thresholds: ``threshold1`` ... of each gate, ``float32[]``; those left out let
                everything pass.

        Raises:
            KnobError: a threshold of a gate that there is not.
        """
        names = [f"threshold{number}" for number in range(1, len(self.gates) + 1)]
        unknown = sorted(set(thresholds) - set(names))
        if unknown:
            raise KnobError(
                f"there is no such gate; there are {len(names)}.",
                where=f"knob {unknown[0]!r}",
                remedy=f"Name one of {', '.join(names)}.",
            )
        *early, answer = self.heads(x)
        level = effort.clamp(0, len(self.table) - 1)
        fires = []
        for number, (name, logits) in enumerate(zip(names, early, strict=True)):
            threshold = embedding(level, self.table[:, number : number + 1])  # float32[1]
            if name in thresholds:
                threshold = self.score.stricter(threshold, thresholds[name])
            score = self.score(logits, self._weight(number), early[:number])
            fires.append(self.score.fires(score, threshold))
        for number in reversed(range(len(early))):
            answer = early_exit(fires[number], early[number], answer, name=f"gate{number + 1}")
        return answer

    def heads(self, x: Tensor) -> list[Tensor]:
        """Return the logits of each gate, then those of the backbone: ``float[N, classes]``."""
        *features, output = self.features(x)
        return [gate(z) for gate, z in zip(self.gates, features, strict=True)] + [output]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the pooled features of each gate, ``float[N, F]``, then the backbone's output."""
        with Taps(self.backbone, self.after, lambda z: pooled(z, self.pool)) as taps:
            output: Tensor = self.backbone(x)
        seen = dict(taps.seen)
        return [*(seen[name] for name in self.after), output]

    def scores(self, heads: Sequence[Tensor]) -> list[Tensor]:
        """Return the score of each gate, ``float32[N]``, from what ``heads`` returned."""
        early = list(heads[: len(self.gates)])
        return [
            self.score(logits, self._weight(number), early[:number])
            for number, logits in enumerate(early)
        ]

    def _weight(self, number: int) -> Tensor:
        weight = self.gates[number].weight
        assert isinstance(weight, Tensor)
        return weight
