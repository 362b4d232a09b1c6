"""The networks that ``optimize`` is measured on mean the same as their static forms."""

from __future__ import annotations

import pytest
import torch

from benchmarks.exported import EXAMPLES, Example

ALL = [example for group in ("rounds", "selections") for example in EXAMPLES[group]()]


@pytest.mark.parametrize("example", [pytest.param(each, id=each.title) for each in ALL])
@pytest.mark.filterwarnings("ignore")  # torch compiles loops when they are called
@torch.no_grad()
def test_a_path_equals_its_static_network(example: Example) -> None:
    for given, static in example.paths.values():
        found, wanted = example.model(example.image, *given.values()), static(example.image)
        torch.testing.assert_close(_first(found), _first(wanted), rtol=0, atol=1e-6)


def _first(result: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else result[0]
