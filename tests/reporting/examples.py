"""Findings to show: drawn from a seed, counts and paths in keeping with each other."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dyncompile.manifest import Decision, OperatingPoint, Side
from dyncompile.measuring.findings import (
    ALWAYS,
    ARTIFACT,
    COMPILED,
    DEAREST,
    DENSE,
    EAGER,
    SCORED,
    STATIC,
    Findings,
    OtherFound,
    Part,
    PathFound,
    PointFound,
    Setup,
    SetupFound,
    Taken,
)
from dyncompile.timing import Spread

ALWAYS_MACS = 900_000
CPU = ("CPUExecutionProvider",)
LONG = "model.backbone.stages.3.blocks.17.adaptive_skip_controller." * 4 + "decision"
HOSTILE = "<script>alert('x')</script> & \"$a_1$\" \\frac [bold]"


def gate(name: str, *under: tuple[str, int], on: int = 0, off: int = 0) -> Decision:
    """Return a gate whose sides cost so many multiply-accumulates."""
    sides = (Side(off, off // 10), Side(on, on // 10))
    return Decision(name, "gate", (f"{name}_value",), under, sides)


def switch(name: str, *under: tuple[str, int], macs: Sequence[int]) -> Decision:
    """Return a switch, one option per cost."""
    sides = tuple(Side(one, one // 10) for one in macs)
    return Decision(name, "switch", (f"{name}_value",), under, sides)


@dataclass(frozen=True)
class Simulation:
    """Samples that decide for themselves: the harder the class, the more work they need."""

    decisions: tuple[Decision, ...]
    classes: int
    samples: int
    labelled: bool = True

    def point(self, values: OperatingPoint, eager: float, *, is_default: bool) -> PointFound:
        """Run all samples; ``eager`` is the part of the decisions that takes work on."""
        random = np.random.default_rng(1)
        paths: list[dict[str, int]] = []
        counts = {
            decision.name: np.zeros((self.classes, len(decision.sides) + 1), np.int64)
            for decision in self.decisions
        }
        right = []
        for _ in range(self.samples):
            label = int(random.integers(self.classes))
            hard = float(np.clip(eager + 0.3 * label / self.classes - 0.15, 0.02, 0.98))
            path = self._path(hard, random)
            for decision in self.decisions:
                taken = path.get(decision.name, len(decision.sides))
                counts[decision.name][label if self.labelled else 0, taken] += 1
            paths.append(path)
            right.append(bool(random.random() < 0.8 + 0.18 * eager))
        us = np.asarray([self.us(path) for path in paths]) * random.normal(1, 0.03, len(paths))
        return PointFound(
            point=values,
            is_default=is_default,
            samples=self.samples,
            timed=min(self.samples, 200),
            right=sum(right) if self.labelled else None,
            us=Spread.of(us),
            mean_us=float(us.mean()),
            p95_us=float(np.percentile(us, 95)),
            macs=float(np.mean([self.macs(path) for path in paths])),
            taken=tuple(self._taken(paths, right)),
            options={
                name: tuple(
                    tuple(int(n) for n in row) for row in (found if self.labelled else found[:1])
                )
                for name, found in counts.items()
            },
        )

    def _taken(self, paths: Sequence[Mapping[str, int]], right: Sequence[bool]) -> Iterator[Taken]:
        keys = [tuple(path.items()) for path in paths]
        hits = Counter(key for key, good in zip(keys, right, strict=True) if good)
        for key, number in Counter(keys).most_common():
            yield Taken(dict(key), number, hits[key] if self.labelled else None)

    def _path(self, hard: float, random: np.random.Generator) -> dict[str, int]:
        path: dict[str, int] = {}
        for decision in self.decisions:
            if all(path.get(outer) == option for outer, option in decision.under):
                work = random.random() < hard
                last = len(decision.sides) - 1
                if decision.kind == "switch":
                    path[decision.name] = int(
                        np.clip(round(random.normal(hard, 0.2) * last), 0, last)
                    )
                else:
                    dearest = int(decision.sides[1].macs >= decision.sides[0].macs)
                    path[decision.name] = dearest if work else 1 - dearest
        return path

    def macs(self, path: Mapping[str, int]) -> int:
        """Return what a path costs."""
        sides = (d.sides[path[d.name]] for d in self.decisions if d.name in path)
        return ALWAYS_MACS + sum(side.macs for side in sides)

    def us(self, path: Mapping[str, int]) -> float:
        """Return what a path takes."""
        return 12 + 3 * len(path) + self.macs(path) / 25_000

    def forced(self, paths: Sequence[Mapping[str, int]], slower: float) -> tuple[PathFound, ...]:
        """Time paths beside static networks of theirs."""
        found = []
        for number, path in enumerate(paths):
            us = self.us(path) * slower
            ratios = {STATIC: 1.02 + 0.004 * (number % 9)}
            if path:
                ratios[SCORED] = 1.005 + 0.002 * (number % 7)
            times = {ARTIFACT: us} | {label: us / ratio for label, ratio in ratios.items()}
            found.append(
                PathFound(
                    path=path,
                    point={},
                    macs=self.macs(path),
                    us={label: spread(one, 0.02) for label, one in times.items()},
                    ratios={label: spread(one, 0.01) for label, one in ratios.items()},
                )
            )
        return tuple(found)

    def parts(self, slower: float) -> tuple[Part, ...]:
        """Share the time out."""
        operators = {"Conv": 0.71, "Relu": 0.08, "Add": 0.06, "Gemm": 0.05, "If": 0.04}
        operators |= {"Softmax": 0.03, "ReduceMean": 0.02, "Reshape<3>": 0.01}
        always = {"Conv": 44.4, "MaxPool": 8.3, "Gemm": 2.8}
        parts = [part(ALWAYS, 0, 55.5 * slower, always)]
        for number, decision in enumerate(self.decisions):
            parts.extend(
                part(decision.name, option, side.macs / 60_000 * slower, operators)
                for option, side in enumerate(decision.sides)
                if side.macs and (number + option) % 5
            )
        return tuple(sorted(parts, key=lambda one: -one.us))


def part(decision: str, option: int, us: float, operators: Mapping[str, float]) -> Part:
    """Return a part whose time operators share in proportion."""
    whole = sum(operators.values())
    return Part(decision, option, us, {name: us * one / whole for name, one in operators.items()})


def spread(median: float, around: float) -> Spread:
    """Return measurements that lie around a median."""
    return Spread(median, median * (1 - around), median * (1 + 2 * around))


def other(mean_us: float) -> OtherFound:
    """Return something else that ran."""
    return OtherFound(spread(mean_us * 0.98, 0.03), mean_us, mean_us * 1.2)


def small(*, labelled: bool = True) -> Findings:
    """Return what a small early-exit network with skippable blocks gives, ten classes."""
    decisions = (
        gate("skip1", on=2_400_000),
        gate("exit1", off=3_100_000),
        gate("skip2", ("exit1", 0), on=4_700_000),
        gate("exit2", ("exit1", 0), off=5_200_000),
    )
    simulation = Simulation(decisions, 10, 500, labelled)
    points = tuple(
        simulation.point({"threshold": threshold}, threshold**2 * 0.9, is_default=threshold == 0.7)
        for threshold in (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    ends = [{"exit1": 1}] + [
        {"exit1": 0, "skip2": skip2, "exit2": exit2} for skip2 in (0, 1) for exit2 in (0, 1)
    ]
    paths = [{"skip1": skip1, **end} for skip1 in (0, 1) for end in ends]
    return Findings(
        artifact="digits.onnx",
        artifact_bytes=1_264_311,
        machine="AMD EPYC 7763 64-Core Processor, 2 cores, onnxruntime 1.31.1, torch 2.13.0,"
        " Python 3.11.7",
        date="2026-11-21",
        decisions=decisions,
        by_data=True,
        complete=True,
        data="digits.npz",
        classes=tuple(map(str, range(10))) if labelled else (),
        setups=(
            SetupFound(
                Setup(1, CPU),
                simulation.forced(paths, 1.0),
                points,
                {
                    DEAREST: other(643.0),
                    DENSE: other(690.0),
                    EAGER: other(1480.0),
                    COMPILED: other(1190.0),
                },
                simulation.parts(1.0),
            ),
            SetupFound(
                Setup(2, CPU),
                simulation.forced(paths, 0.7),
                points[3:5],
                {DEAREST: other(450.0)},
                (),
            ),
        ),
        others={
            STATIC: "a network that can do only the one path",
            SCORED: "the same, with the scores that its decisions need",
            DEAREST: "that of the forced path with most work, on all samples",
            DENSE: "the model as it is trained: both sides computed, one selected",
            EAGER: "the model in PyTorch, not compiled",
            COMPILED: "the model with torch.compile, mode max-autotune",
        },
        notes=() if labelled else ("The data have no labels, so nothing is said of accuracy.",),
    )


@functools.cache
def huge() -> Findings:
    """Return a network with 42 decisions, 64 paths, 100 classes and names that do harm."""
    decisions = tuple(_many_decisions())
    simulation = Simulation(decisions, 100, 400)
    knobs: list[tuple[dict[str, int | float | Sequence[float]], float]] = [
        ({"threshold": t, "level": 2, LONG: (0.5,) * 8}, 0.1 + 0.8 * t)
        for t in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, float("inf"))
        if t < 2
    ]
    knobs += [
        ({"threshold": 0.5, "level": level, LONG: (0.5,) * 8}, 0.3 + 0.1 * level)
        for level in (0, 1, 3, 4)
    ]
    knobs += [
        ({"threshold": 0.5, "level": 2, LONG: (value,) * 8}, 0.5 + 0.1 * value)
        for value in (0.1, 0.9, float("inf"))
    ]
    points = tuple(
        simulation.point(
            values, min(eager, 0.9), is_default=values == {**knobs[4][0]} and number == 4
        )
        for number, (values, eager) in enumerate(knobs)
    )
    paths = [dict(taken.path) for taken in points[4].taken[:64]]
    others = {
        STATIC: "a network that can do only the one path",
        DENSE: "every side computed, and selected",
        EAGER: "the model in PyTorch, not compiled",
        f"{HOSTILE}.onnx": f"another file: {HOSTILE}",
        f"{LONG}.onnx": "another file with a long name",
    }
    times = {label: other(400.0 * (2 + 3 * n)) for n, label in enumerate(list(others)[1:])}
    times = {DEAREST: other(900.0), **times}
    setups = [Setup(1, CPU), Setup(2, CPU), Setup(None, ("CUDAExecutionProvider", *CPU))]
    return Findings(
        artifact=f"{HOSTILE} {LONG}.onnx",
        artifact_bytes=178_264_311,
        machine="AMD EPYC 7763 64-Core Processor, 128 cores, onnxruntime 1.31.1, torch 2.13.0,"
        " Python 3.11.7",
        date="2026-11-21",
        decisions=decisions,
        by_data=True,
        complete=False,
        data=f"{HOSTILE}.npz",
        classes=tuple(
            HOSTILE if n == 3 else LONG if n == 4 else f"class number {n}" for n in range(100)
        ),
        setups=tuple(
            SetupFound(
                setup,
                simulation.forced(paths, 1 / (1 + n)),
                points if n == 0 else points[4:5],
                times,
                simulation.parts(1 / (1 + n)),
            )
            for n, setup in enumerate(setups)
        ),
        others=others,
        notes=(
            f"{HOSTILE} could not be run: {LONG}.",
            "64 of 13 631 488 paths were forced.",
        ),
    )


def _many_decisions() -> Iterator[Decision]:
    """Yield 42 decisions: exits in each other, blocks, switches, hostile and long names."""
    under: tuple[tuple[str, int], ...] = ()
    for stage in range(9):
        for block in range(3):
            yield gate(f"stage{stage}.block{block}", *under, on=1_500_000 + 200_000 * stage)
        if stage % 3 == 1:
            name = f"width{stage} 語" if stage == 4 else f"width{stage}"
            yield switch(name, *under, macs=[200_000 * (n + 1) for n in range(5 + stage // 3)])
        if stage % 2:
            exit_name = {3: HOSTILE, 5: LONG}.get(stage, f"exit{stage}")
            yield gate(exit_name, *under, off=6_000_000 - 500_000 * stage)
            under = (*under, (exit_name, 0))
    for rest in range(8):
        yield gate(f"head{rest}", *under, on=90_000)


def without_data() -> Findings:
    """Return what is found with drawn noise: no labels."""
    return dataclasses.replace(small(labelled=False), data=None)


def without_decisions() -> Findings:
    """Return what is found for a network that decides nothing and has no knob."""
    simulation = Simulation((), 1, 20, labelled=False)
    found = SetupFound(
        Setup(None, CPU),
        simulation.forced([{}], 1.0),
        (simulation.point({}, 0.5, is_default=True),),
        {},
        (),
    )
    return dataclasses.replace(
        small(labelled=False),
        decisions=(),
        by_data=False,
        setups=(found,),
        others={},
        data=None,
    )
