"""Decision gates trained in other ways: ``python -m benchmarks.dgate_fits``.

Goes on from the dense network that ``python -m benchmarks.dgate`` leaves in the output folder, or
trains it.
"""

from __future__ import annotations

__all__ = ["GROUPS", "main"]

from collections.abc import Mapping

from benchmarks.dgate import CIFAR10_OPTION, LABEL, of_study
from benchmarks.dgate_variants import losses, pools
from benchmarks.harness import Group, command

GROUPS: Mapping[str, Group] = {"pools": of_study(pools), "losses": of_study(losses)}

main = command(
    "benchmarks.dgate_fits",
    GROUPS,
    about="Print what gates save that read other grids, or were trained by other losses.",
    label=LABEL,
    options=[CIFAR10_OPTION],
)

if __name__ == "__main__":
    main()
