"""Open networks in ONNX Runtime, as one setup asks for it."""

from __future__ import annotations

__all__ = ["Content", "Opened", "content_of", "open_network"]

import tempfile
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile import artifact
from dyncompile.errors import ArtifactError, InputError, TargetError, one_line
from dyncompile.manifest import Manifest
from dyncompile.measuring.findings import Setup
from dyncompile.timing import Call

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Content = bytes | str  # a network in memory, or the name of its file


@dataclass(frozen=True)
class Opened:
    """A network in ONNX Runtime; what it has no input for is not fed.

    Attributes:
        session: The session.
        label: What errors name.
        reports: Outputs that report decisions: they are made in every call, and not returned.
    """

    session: Any
    label: str
    reports: frozenset[str] = frozenset()

    @property
    def inputs(self) -> dict[str, Any]:
        """What it is fed, by name."""
        places = (*self.session.get_inputs(), *self.session.get_overridable_initializers())
        return {value.name: value for value in places}

    @property
    def outputs(self) -> list[str]:
        """Names of what it gives."""
        names = (value.name for value in self.session.get_outputs())
        return [name for name in names if name not in self.reports]

    def call(self, feeds: Feeds) -> Call:
        """Return the call that an application makes."""
        return partial(self.session.run, None, self._known(feeds))

    def bound(self, feeds: Feeds, outputs: list[str]) -> Call:
        """Return a call with inputs and outputs bound beforehand.

        What Python spends on each input is left out, so that a network with decisions for
        inputs and one without are on a par.
        """
        import onnxruntime as ort

        binding = self.session.io_binding()
        for name, array in self._known(feeds).items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name in outputs:
            binding.bind_output(name)
        return partial(self.session.run_with_iobinding, binding)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Return the outputs by name.

        Raises:
            InputError: ONNX Runtime fails.
        """
        try:
            arrays = self.session.run(self.outputs, self._known(feeds))
        except Exception as error:  # its errors share no class of their own
            raise InputError(
                f"ONNX Runtime refuses this call: {one_line(error)}.",
                where=self.label,
                remedy="Check the inputs.",
            ) from error
        return dict(zip(self.outputs, arrays, strict=True))

    def decisions(self, inputs: Mapping[str, list[str]], path: Mapping[str, int]) -> dict[str, Any]:
        """Return what to feed the inputs that hold decisions; one not on the path is 0."""
        known = self.inputs
        feeds: dict[str, Array] = {}
        for decision, names in inputs.items():
            for name in names:
                dtype = np.bool_ if known[name].type == "tensor(bool)" else np.int64
                sizes = [1] * len(known[name].shape)
                feeds[name] = np.full(sizes, path.get(decision, 0), dtype)
        return feeds

    def _known(self, feeds: Feeds) -> dict[str, Array]:
        known = self.inputs
        return {name: array for name, array in feeds.items() if name in known}


def content_of(model: ir.Model, label: str, stack: ExitStack) -> Content:
    """Return a graph, with every weight it has, as ONNX Runtime loads it.

    Args:
        model: The graph; its external data is loaded.
        label: What errors name.
        stack: Keeps the file of a network that is too large for memory, until it closes.
    """
    ir.external_data.load_to_model(model)
    try:
        return artifact.serialise(model, label)
    except ArtifactError:  # larger than one file
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = Path(folder) / "net.onnx"
        artifact.write(model, Manifest("onnx"), path, external_data=True)
        return str(path)


def open_network(
    content: Content,
    setup: Setup,
    label: str,
    *,
    profile: Path | None = None,
    reports: Collection[str] = (),
) -> Opened:
    """Load a network.

    Args:
        content: What to load.
        setup: Threads and providers.
        label: What errors name.
        profile: Where ONNX Runtime writes what every node took.
        reports: Outputs that report decisions.

    Raises:
        TargetError: ONNX Runtime or the provider is missing, or refuses the network.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise TargetError(
            "ONNX Runtime is not installed.",
            where="bench",
            remedy="Install dyncompile[cpu] or dyncompile[gpu].",
        ) from error
    options = ort.SessionOptions()
    options.log_severity_level = 4  # its errors are raised
    if setup.threads is not None:
        options.intra_op_num_threads = setup.threads
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    try:
        session = ort.InferenceSession(
            content, options, providers=list(setup.providers), enable_fallback=0
        )
    except Exception as error:  # its errors share no class of their own
        raise TargetError(
            f"ONNX Runtime refuses the network: {one_line(error)}.",
            where=label,
            remedy="Check the file, threads and providers.",
        ) from error
    return Opened(session, label, frozenset(reports))
