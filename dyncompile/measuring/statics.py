"""The static networks that the artifact is held against, one per path."""

from __future__ import annotations

__all__ = ["Statics"]

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from dyncompile.dialect import DOMAIN, attach_functions
from dyncompile.manifest import Decision
from dyncompile.passes.take_path import take_path


@dataclass(frozen=True)
class Statics:
    """Makes the network of a path, able to do this path only.

    Attributes:
        graph: The artifact, or the marked graph of the PyTorch model: then the networks owe
            nothing to the way in which the artifact was made.
        scores: The decisions of that graph.
        decisions: Those of the artifact; their other names are names of the model.
        knobs: Names of the knobs.
        words: Where the networks come from.
        otherwise: What makes the network where the path leaves a decision of the graph open:
            one that the compiler found to follow from another, and removed.
    """

    graph: ir.Model
    scores: Sequence[Decision]
    decisions: Sequence[Decision]
    knobs: Collection[str]
    words: str
    otherwise: Statics | None = None

    def network(self, path: Mapping[str, int], *, scored: bool) -> ir.Model:
        """Return the network of a path.

        Args:
            path: The option of each decision of the artifact.
            scored: Whether it also computes the decisions on the path.
        """
        named = dict(path)
        for decision in self.decisions:
            if decision.name in path:
                option = path[decision.name]
                named.update((name, options[option]) for name, options in decision.aliases)
        kept = [decision for decision in self.scores if decision.name in named]
        network = take_path(self.graph, named, kept if scored else ())
        is_open = any(node.domain == DOMAIN for node in network.graph.all_nodes())
        if is_open and self.otherwise is not None:
            return self.otherwise.network(path, scored=scored)
        for value in list(network.graph.inputs):
            if value.name in self.knobs and not value.uses():
                network.graph.inputs.remove(value)
        attach_functions(network)
        return network
