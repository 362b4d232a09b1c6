"""Names of decisions: where the model is running, and which decisions a path forces.

The same code names decisions while export traces a model and while eager follows a path, so
that both call one decision by one name.
"""

from __future__ import annotations

__all__ = ["Scope", "at_level", "capture", "current_scope", "follow"]

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from dyncompile.errors import MarkerError
from dyncompile.knobs import Knob

Tree = TypeVar("Tree")


@contextmanager
def follow(path: Mapping[str, int] | None = None) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Force decisions by name while the block runs, and record every decision met.

    Args:
        path: Decision name to option: 0 or 1 for gates (1 takes ``on``), the index for
            switches. Of several switches with one name, those that have fewer options take
            their last beyond it. Decisions not named decide for themselves.

    Yields:
        A dict that fills while the model runs: name to the options taken, ``int64[]`` or
        ``int64[N]``. Eager computes every side, so decisions in untaken branches are there too.

    Raises:
        MarkerError: a name in ``path`` was never met, or has no such option.
    """
    scope = Scope(dict(path or {}))
    with scope.active():
        yield scope.taken
    scope.check_options()
    unknown = sorted(set(scope.path) - set(scope.taken))
    if unknown:
        raise MarkerError(
            f"no decision has this name; the model has {', '.join(scope.taken) or 'none'}.",
            where=f"follow({unknown[0]!r})",
            remedy="Use a name that inspect prints.",
        )


@contextmanager
def capture(root: nn.Module, knobs: Mapping[int, Knob]) -> Iterator[None]:
    """Name decisions by module path while export traces ``root``.

    Args:
        root: The model; paths are those of its ``named_modules``.
        knobs: ``id`` of a traced tensor to the knob it is, for ``per_level``.
    """
    scope = Scope({}, root=root, knobs=dict(knobs))
    with scope.active():
        yield


class Scope:
    """Where the model is running, and the names of the decisions met on the way."""

    def __init__(
        self,
        path: dict[str, int],
        root: nn.Module | None = None,
        knobs: dict[int, Knob] | None = None,
    ) -> None:
        self.path = path
        self.root = root
        self.knobs = knobs or {}
        self.taken: dict[str, NDArray[np.int64]] = {}
        self.refused: dict[str, int] = {}  # by name: the most options of those without that option
        self.running: list[str] = []
        self.levels: list[int] = []
        self._restart()
        self.names = _module_names(root) if root else {}

    def _restart(self) -> None:
        self.decisions: dict[tuple[int, ...], tuple[Tensor, str]] = {}
        self.owners: dict[str, Tensor] = {}
        self.counts: dict[str, int | None] = {}  # by name: the most options; None is no bound

    @contextmanager
    def active(self) -> Iterator[None]:
        """Follow the modules that run while the block does."""
        token = _scope.set(self)
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()
            _scope.reset(token)

    def _enter(self, module: nn.Module, _: object) -> None:
        if torch.compiler.is_dynamo_compiling():  # a branch of torch.cond, a body of a loop
            return
        if self.root is None or (module is self.root and not self.running):
            self.root = module
            self.names = _module_names(module)
            self._restart()
        self.running.append(self.names.get(id(module), self.running[-1] if self.running else ""))

    def _leave(self, module: nn.Module, _: object, __: object) -> None:
        del module
        if not torch.compiler.is_dynamo_compiling():
            self.running.pop()

    def name(self, decision: Tensor, given: str | None) -> str:
        """Return the name of a decision: the one given, or the path of the running module.

        Raises:
            MarkerError: another decision has this name.
        """
        key = (id(decision), *self.levels)  # at another level it goes by another name
        if not given:
            if key in self.decisions:
                return self.decisions[key][1]
            place = (self.running[-1] if self.running else "") or "root"
            place += "".join(f"[{k}]" for k in self.levels)
            given, count = place, 1
            while given in self.owners:
                count += 1
                given = f"{place}#{count}"
        elif self.owners.get(given, decision) is not decision:
            raise MarkerError(
                "two different decisions have this name.",
                where=f"decision {given!r}",
                remedy="Give each its own name, or pass both gates the same tensor.",
            )
        self.decisions.setdefault(key, (decision, given))  # kept: ids are not reused
        self.owners[given] = decision
        return given

    def force(self, name: str, asked: int, count: int | None) -> int:
        """Record a decision made in Python and return it as the path wants it.

        Args:
            name: Its name.
            asked: The option without a path.
            count: How many options there are; None if nobody knows.
        """
        option = self.path.get(name, asked)
        self._take(name, np.asarray(option, np.int64), count)
        return option

    def record(self, name: str, decision: Tensor, count: int) -> Tensor | None:
        """Record a decision; return its replacement if the path forces it."""
        forced = None
        if name in self.path:
            forced = decision = torch.full_like(decision, self.path[name], dtype=torch.int64)
        self._take(name, decision.detach().cpu().numpy().astype(np.int64), count)
        return forced

    def _take(self, name: str, asked: NDArray[np.int64], count: int | None) -> None:
        """Record what was asked for, within the options of the largest marker of that name."""
        known = self.counts.get(name, 0)
        most = None if count is None or known is None else max(count, known)
        self.counts[name] = most
        self.taken[name] = asked.clip(0, None if most is None else most - 1)
        option = self.path.get(name, 0)
        if option >= 0 and (most is None or option < most):
            self.refused.pop(name, None)
        else:
            self.refused[name] = most or 0

    def check_options(self) -> None:
        """Refuse a path with an option that no marker of its name had.

        Raises:
            MarkerError: there is one.
        """
        for name, count in self.refused.items():
            raise MarkerError(
                f"{self.path[name]} is not one of its {count} options.",
                where=f"follow({name!r})",
                remedy=f"Give a number from 0 to {count - 1}.",
            )


_scope: ContextVar[Scope | None] = ContextVar("dyncompile_scope", default=None)


def current_scope() -> Scope | None:
    """Return the scope that names decisions; compiled code has none, and Dynamo cannot ask."""
    return None if torch.compiler.is_dynamo_compiling() else _scope.get()


def _module_names(root: nn.Module) -> dict[int, str]:
    return {id(module): name for name, module in root.named_modules()}


def at_level(fn: Callable[[int], Tree], level: int) -> Tree:
    """Call ``fn`` for one level; decisions met meanwhile carry its number in their names."""
    scope = current_scope()
    if scope is None:
        return fn(level)
    scope.levels.append(level)
    try:
        return fn(level)
    finally:
        scope.levels.pop()
