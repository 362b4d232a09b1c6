"""What the artifact is measured against, as the caller names it."""

from __future__ import annotations

__all__ = ["Against", "find_against"]

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile.errors import InputError
from dyncompile.manifest import Manifest
from dyncompile.measuring.peers import Peer, read_peer
from dyncompile.measuring.statics import Statics

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[Any]


@dataclass(frozen=True)
class Against:
    """What the artifact is measured against.

    Attributes:
        statics: Makes the static network of each path.
        peers: What runs freely beside it.
        markers: Names of the decisions that the PyTorch model makes with a marker; None
            without a model.
    """

    statics: Statics
    peers: tuple[Peer, ...]
    markers: frozenset[str] | None


def find_against(
    source: nn.Module | str | Path | None,
    weights: Path | None,
    artifact: tuple[ir.Model, Manifest],
    example: Mapping[str, Array],
    stack: ExitStack,
    *,
    compiled: bool,
) -> Against:
    """Find what there is to measure against.

    Args:
        source: A PyTorch model, ``module.py:factory``, another ONNX file, or nothing.
        weights: State dict of the model that a factory makes.
        artifact: The graph and its manifest.
        example: Inputs by name, without the knobs.
        stack: Puts back what is changed.
        compiled: Whether ``torch.compile`` is wanted.

    Raises:
        DyncompileError: it cannot be read, built or captured, or does not fit the artifact.
    """
    model, manifest = artifact
    from_artifact = Statics(
        graph=model,
        scores=manifest.decisions,
        decisions=manifest.decisions,
        knobs=tuple(manifest.knobs),
        words="the network of the path, taken from the artifact",
    )
    is_file = isinstance(source, (str, Path)) and Path(source).suffix == ".onnx"
    if weights is not None and (is_file or not isinstance(source, str)):
        raise InputError(
            "only a factory, as in module.py:factory, makes a network that takes weights.",
            where=f"--weights {weights}",
            remedy="Leave this out, or give --against module.py:factory.",
        )
    if source is None:
        return Against(from_artifact, (), None)
    if isinstance(source, (str, Path)) and is_file:
        return Against(from_artifact, (read_peer(Path(source), _inputs(model)),), None)
    from dyncompile.loading import load_module
    from dyncompile.measuring import torch_peers
    from dyncompile.modules import evaluating

    module = load_module(str(source), weights) if isinstance(source, (str, Path)) else source
    statics = torch_peers.statics_from_module(module, example, from_artifact, manifest)
    stack.enter_context(evaluating(module))
    stack.enter_context(torch_peers.threads_kept())
    peers = torch_peers.torch_peers(module, statics.graph, stack, compiled=compiled)
    markers = torch_peers.known_decisions(statics.graph)
    return Against(statics, tuple(peers), frozenset(markers))


def _inputs(model: ir.Model) -> list[str]:
    return [str(value.name) for value in model.graph.inputs]
