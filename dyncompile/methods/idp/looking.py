"""What runs in a network on an example: its weighted layers, and what they read."""

from __future__ import annotations

__all__ = ["Seen", "WeightedLayer", "look"]

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dyncompile.modules import running_example

WeightedLayer = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
FLATTENING = {"flatten", "reshape", "view"}
MIXING = {"linear", "matmul", "mm", "addmm", "bmm"}


@dataclass
class Seen:
    """What a run showed.

    Attributes:
        features: Of each weighted layer, by its name in the order they first ran: into how many
            numbers a flattening took each channel of what it reads, 1 where there was none.
        reads_input: Names of those that read the very input of the network.
    """

    features: dict[str, int] = field(default_factory=dict)
    reads_input: set[str] = field(default_factory=set)


def look(net: nn.Module, example: Tensor, knobs: Mapping[str, Tensor]) -> Seen:
    """Run a network once, in evaluation mode; nothing of it changes.

    Args:
        net: The network.
        example: What it takes.
        knobs: Values of its knobs.

    Raises:
        InputError: its forward fails on the example.
    """
    seen, watch = Seen(), _Watch()
    with ExitStack() as stack:
        for name, module in net.named_modules():
            if isinstance(module, WeightedLayer):
                hook = module.register_forward_pre_hook(_noter(name, example, seen, watch))
                stack.callback(hook.remove)
        stack.enter_context(running_example(net))
        stack.enter_context(watch)
        net(example, **knobs)
    return seen


def _noter(name: str, example: Tensor, seen: Seen, watch: _Watch) -> Callable[..., None]:
    def note(module: nn.Module, args: Sequence[object]) -> None:
        del module
        if args and isinstance(args[0], Tensor):
            if args[0] is example:
                seen.reads_input.add(name)
            features = watch.features_of(args[0])
            seen.features[name] = math.gcd(seen.features.get(name, features), features)

    return note


class _Watch(TorchFunctionMode):
    """Follows maps that were flattened, through what works on each number by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._flat: dict[int, tuple[Tensor, int]] = {}  # the tensor is kept: ids are not reused

    def features_of(self, x: Tensor) -> int:
        return self._flat.get(id(x), (x, 1))[1]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch dictates the signature
        del types
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if isinstance(result, Tensor) and result.ndim == 2 and name not in MIXING:
            for source in args:
                if isinstance(source, Tensor):
                    self._follow(name, source, result)
        return result

    def _follow(self, name: str, source: Tensor, result: Tensor) -> None:
        features = 1
        if source.shape == result.shape:
            features = self.features_of(source)
        elif name in FLATTENING and source.ndim > 2 and len(source) == len(result):
            features = source[0, 0].numel()
        if features > 1:
            self._flat[id(result)] = result, features
