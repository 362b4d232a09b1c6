"""Few paths that tell much."""

from __future__ import annotations

__all__ = ["sample_paths"]

import random

from dyncompile.paths import DecisionTree, Path

_SEED = 0


def sample_paths(tree: DecisionTree, limit: int) -> tuple[list[Path], bool]:
    """Return all paths, or, of more than the limit, a sample; and whether these are all.

    The sample has every option of every decision; random paths fill it up to the limit. Only
    where decisions nest may it need more.
    """
    found = tree.paths(limit=limit)
    if found.complete:
        return list(found.paths), True
    options: dict[str, set[int]] = {}
    sample: list[Path] = []
    for path in found.paths:
        if any(option not in options.get(name, ()) for name, option in path.items()):
            sample.append(path)
        for name, option in path.items():
            options.setdefault(name, set()).add(option)
    draw = random.Random(_SEED)
    while len(sample) < limit:
        drawn = {name: draw.choice(sorted(known)) for name, known in options.items()}
        sample.append(tree.path(drawn))
    return sample, False
