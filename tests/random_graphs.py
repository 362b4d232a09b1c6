"""Random marked graphs in which everything may read everything: work shared across decisions.

The networks of ``tests.random_networks`` are built as an author builds them. These are not: any
value may be a side of any marker, so that decisions cross, enclose parts of each other and share
what their branches compute.
"""

from __future__ import annotations

import random

import onnx_ir as ir

from tests.support import parse

_TENSOR = "float[1,2]"
_WEIGHTS = ("1, 0, 1, 1", "1, 1, 0, 1", "0, 1, 1, -1")
_GATES, _SWITCHES = ("b0", "b1", "b2"), ("level",)


def random_graph(seed: int, length: int) -> ir.Model:
    """Return a marked graph of at most that many operators; all that it has is needed.

    Decisions are named after the values that hold them, and every MatMul has a weight of its own.
    """
    return parse(_Sketch(random.Random(seed), length).text())


class _Sketch:
    def __init__(self, draw: random.Random, length: int) -> None:
        self._draw = draw
        self._tensors = ["x"]
        self._scores: list[str] = []
        self._reads: dict[str, list[str]] = {}
        self._calls: dict[str, str] = {}
        kinds = [self._dense, self._relu, self._add, self._score, self._gate, self._switch]
        for number in range(length):
            (kind,) = draw.choices(kinds, [36, 8, 12, 6, 31, 7])
            kind(f"v{number}")

    def text(self) -> str:
        """Write what the last value needs as a graph."""
        needed, pending = set[str](), [self._tensors[-1]]
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                pending.extend(self._reads.get(name, ()))
        kept = [name for name in self._calls if name in needed]
        declared = ["int64[2] axes = {0, 1}"]
        for number, name in enumerate(kept):
            if "MatMul" in self._calls[name]:
                declared.append(f"float[2,2] w_{name} = {{{_WEIGHTS[number % len(_WEIGHTS)]}}}")
            if name in self._scores:
                declared += [f"float {name}_sum", f"bool {name}"]
            elif name != self._tensors[-1]:
                declared.append(f"{_TENSOR} {name}")
        body = "\n  ".join(self._calls[name] for name in kept)
        return (
            f"main ({_TENSOR} x, float t, bool b0, bool b1, bool b2, int64 level)"
            f" => ({_TENSOR} {self._tensors[-1]}) <\n  {', '.join(declared)}> {{\n  {body}\n}}"
        )

    def _tensor(self) -> str:
        """Choose a value, a late one rather than an early one."""
        back = min(int(self._draw.expovariate(0.45)), len(self._tensors) - 1)
        return self._tensors[-1 - back]

    def _dense(self, name: str) -> None:
        x = self._tensor()
        self._write(name, f"{name} = MatMul ({x}, w_{name})", x)

    def _relu(self, name: str) -> None:
        x = self._tensor()
        self._write(name, f"{name} = Relu ({x})", x)

    def _add(self, name: str) -> None:
        a, b = self._tensor(), self._tensor()
        self._write(name, f"{name} = Add ({a}, {b})", a, b)

    def _score(self, name: str) -> None:
        x = self._tensor()
        self._scores.append(name)
        self._reads[name] = [x]
        self._calls[name] = (
            f"{name}_sum = ReduceSum <keepdims = 0> ({x}, axes) {name} = Greater ({name}_sum, t)"
        )

    def _gate(self, name: str) -> None:
        decision = self._draw.choice([*_GATES, *self._scores])
        self._select(name, "Gate", decision, [self._tensor(), self._tensor()])

    def _switch(self, name: str) -> None:
        options = [self._tensor() for _ in range(self._draw.randint(2, 3))]
        self._select(name, f"Switch{len(options)}", self._draw.choice(_SWITCHES), options)

    def _select(self, name: str, marker: str, decision: str, options: list[str]) -> None:
        call = f'dyncompile.{marker} <name = "{decision}"> ({decision}, {", ".join(options)})'
        self._write(name, f"{name} = {call}", decision, *options)

    def _write(self, name: str, call: str, *reads: str) -> None:
        self._tensors.append(name)
        self._calls[name], self._reads[name] = call, list(reads)
