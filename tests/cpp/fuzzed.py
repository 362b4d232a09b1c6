"""The artifacts that calls are fuzzed on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.markers import gate
from tests.cpp.artifacts import CASES, Case


class Several(nn.Module):
    """Two sizes of any length, inputs and outputs of several types."""

    def __init__(self) -> None:
        super().__init__()
        self.knobs: dict[str, Knob] = {"threshold": Threshold(0.1, -1, 1), "level": Levels((0, 1))}

    def forward(
        self, x: Tensor, mask: Tensor, half: Tensor, count: Tensor, threshold: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``float[rows, columns]``, ``float16[3]`` and ``int64[]``."""
        x = torch.where(mask[:, None], x, x * 0.5)
        x = gate(x.sum() > threshold, x + 1, x, name="more")
        half = gate(level > 0, half.flip(0), half, name="turn")
        return x, half, count + 1


def export(folder: Path) -> Path:
    """Write them to a folder, and return it."""
    for name in ("telemetry", "knobs with defaults", "a batch of any size", "of uint8"):
        CASES[name]().export(folder / f"{name}.onnx")
    _several().export(folder / "several.onnx")
    return folder


def _several() -> Case:
    rows, columns = torch.export.Dim("rows", max=1 << 50), torch.export.Dim("columns", max=1 << 50)
    examples = {
        "x": torch.randn(3, 4),
        "mask": torch.tensor([True, False, True]),
        "half": torch.randn(3).half(),
        "count": torch.tensor(5),
    }
    shapes = {"x": {0: rows, 1: columns}, "mask": {0: rows}, "half": None, "count": None}
    return Case(Several, examples, options={"dynamic_shapes": shapes, "telemetry": True})
