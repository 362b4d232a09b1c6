"""The PyTorch model beside the artifact: as it is, compiled, exported dense, and path by path."""

from __future__ import annotations

__all__ = [
    "TorchPeer",
    "known_decisions",
    "statics_from_module",
    "threads_kept",
    "torch_peers",
]

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils import _pytree as pytree

from dyncompile.capture import capture_model
from dyncompile.describe import manifest_from_model
from dyncompile.dialect import Budget, Selector, attach_functions
from dyncompile.errors import InputError, TargetError, one_line
from dyncompile.manifest import Manifest
from dyncompile.measuring.findings import COMPILED, DENSE, EAGER, Setup
from dyncompile.measuring.peers import OnnxPeer, Peer
from dyncompile.measuring.sessions import content_of
from dyncompile.measuring.statics import Statics
from dyncompile.modules import unwrapped
from dyncompile.timing import Call

Array = NDArray[Any]
Feeds = Mapping[str, Array]

_CPU = ("CPUExecutionProvider",)


def statics_from_module(
    module: nn.Module, example: Feeds, otherwise: Statics, manifest: Manifest
) -> Statics:
    """Export the model once, marked, to take its paths from.

    Args:
        module: The model that the artifact was made from.
        example: Its inputs by name, without the knobs.
        otherwise: The same from the artifact; its inputs say which sizes are free.
        manifest: Of the artifact.

    Raises:
        DyncompileError: the model cannot be captured.
    """
    shapes = {
        str(value.name): {
            axis: torch.export.Dim.AUTO
            for axis, size in enumerate(value.shape or ())
            if not isinstance(size, int)
        }
        for value in otherwise.graph.graph.inputs
        if value.name in example
    }
    is_free = any(shapes.values())
    marked = capture_model(
        module, dict(example), manifest.knobs, dynamic_shapes=shapes if is_free else None
    )
    return Statics(
        graph=marked,
        scores=manifest_from_model(marked, manifest.knobs, "marked").decisions,
        decisions=manifest.decisions,
        knobs=tuple(manifest.knobs),
        words="the network of the path, exported from the PyTorch model",
        otherwise=otherwise,
    )


def known_decisions(marked: ir.Model) -> set[str]:
    """Return the names of the decisions made with a marker."""
    nodes = marked.graph.all_nodes()
    markers = (Selector.from_node(node) or Budget.from_node(node) for node in nodes)
    return {marker.name for marker in markers if marker is not None}


def torch_peers(
    module: nn.Module, marked: ir.Model, stack: ExitStack, *, compiled: bool
) -> Iterator[Peer]:
    """Yield what else the model can be run as.

    Args:
        module: The model, in evaluation mode.
        marked: The same, captured.
        stack: Keeps files of what is too large for memory.
        compiled: Whether ``torch.compile`` is among them.
    """
    dense = marked.clone()
    attach_functions(dense)
    content = content_of(dense, DENSE, stack)
    yield OnnxPeer(DENSE, "the model exported without If: every side is computed", content)
    module = unwrapped(module)
    yield TorchPeer(EAGER, "the model in PyTorch: every side is computed", module)
    if compiled:
        yield TorchPeer(COMPILED, "the model compiled by PyTorch", module, torch.compile)


@dataclass(frozen=True)
class TorchPeer:
    """A module run by PyTorch.

    Attributes:
        label: What it goes by.
        words: What it is.
        module: The module, in evaluation mode.
        prepare: Done to it before it runs.
    """

    label: str
    words: str
    module: nn.Module
    prepare: Callable[[nn.Module], Any] | None = None

    def open(self, setup: Setup, feeds: Feeds) -> _Ready:
        """Make it ready, and run it once.

        Raises:
            TargetError: the setup is not one for PyTorch, or it fails.
        """
        if setup.providers != _CPU:
            raise TargetError(
                "it is measured on the CPU only.", where=self.label, remedy="Leave it out."
            )
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        if self.prepare is None:
            return _Ready(self.module, self.label)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ready = _Ready(self.prepare(self.module), self.label)
                ready.run(feeds)
        except Exception as error:  # whatever a compiler raises
            raise TargetError(f"{one_line(error)}.", where=self.label, remedy="") from error
        return ready


@dataclass(frozen=True)
class _Ready:
    module: Any
    label: str

    def call(self, feeds: Feeds) -> Call:
        return partial(self._compute, _tensors(feeds))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        try:
            result = self._compute(_tensors(feeds))
            leaves = [leaf for leaf in pytree.tree_leaves(result) if leaf is not None]
            arrays = [torch.as_tensor(leaf).detach().cpu().numpy() for leaf in leaves]
        except Exception as error:  # whatever the user's forward raises
            raise InputError(
                f"the model fails: {one_line(error)}.",
                where=self.label,
                remedy="Give samples that it can run, and the network the file was made from.",
            ) from error
        return {str(number): array for number, array in enumerate(arrays)}

    def _compute(self, tensors: Mapping[str, torch.Tensor]) -> object:
        with torch.inference_mode():
            return self.module(**tensors)


def _tensors(feeds: Feeds) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in feeds.items()}


@contextmanager
def threads_kept() -> Iterator[None]:
    """Give torch its number of threads back at the end."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
