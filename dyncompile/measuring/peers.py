"""What runs freely beside the artifact."""

from __future__ import annotations

__all__ = ["OnnxPeer", "OpenPeer", "Peer", "read_peer"]

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from dyncompile import artifact
from dyncompile.errors import InputError
from dyncompile.measuring.findings import Setup
from dyncompile.measuring.sessions import Content, open_network
from dyncompile.timing import Call

Array = NDArray[Any]
Feeds = Mapping[str, Array]


class OpenPeer(Protocol):
    """Something that is ready to run."""

    def call(self, feeds: Feeds) -> Call:
        """Return a call that makes the outputs."""

    def run(self, feeds: Feeds) -> Mapping[str, Array]:
        """Return the outputs, in order."""


class Peer(Protocol):
    """Something to run beside the artifact.

    Attributes:
        label: What it goes by.
        words: What it is.
    """

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def words(self) -> str: ...  # noqa: D102

    def open(self, setup: Setup, feeds: Feeds) -> OpenPeer:
        """Return it ready to run.

        Args:
            setup: Threads and providers.
            feeds: An example of what it will be fed.

        Raises:
            TargetError: it cannot run like this.
        """


@dataclass(frozen=True)
class OnnxPeer:
    """A network in ONNX Runtime.

    Attributes:
        label: What it goes by.
        words: What it is.
        content: The network.
        reports: Its outputs that report decisions.
    """

    label: str
    words: str
    content: Content
    reports: tuple[str, ...] = ()

    def open(self, setup: Setup, feeds: Feeds) -> OpenPeer:
        """Load it."""
        del feeds
        return open_network(self.content, setup, self.label, reports=self.reports)


def read_peer(path: Path, known: Collection[str]) -> OnnxPeer:
    """Read another ONNX file.

    Args:
        path: The file.
        known: The inputs and knobs of the artifact.

    Raises:
        ArtifactError: missing or damaged.
        InputError: it reads what the artifact does not.
    """
    model, manifest = artifact.read(path)
    defaults = model.graph.initializers
    unknown = [str(v.name) for v in model.graph.inputs if v.name not in {*known, *defaults}]
    if unknown:
        raise InputError(
            f"it reads {', '.join(unknown)}; the artifact reads {', '.join(known)}.",
            where=f"--against {path}",
            remedy="Give a file with the same inputs, by name.",
        )
    reports = () if manifest is None else tuple(manifest.telemetry.values())
    return OnnxPeer(path.name, "another ONNX file", str(path), reports)
