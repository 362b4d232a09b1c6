"""Run a graph in ONNX Runtime without writing it, decisions fed by name."""

from __future__ import annotations

__all__ = ["Probe"]

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from dyncompile import artifact
from dyncompile.errors import ArtifactError, TargetError, VerificationError, one_line
from dyncompile.manifest import Manifest

Array = NDArray[Any]


class Probe:
    """A model loaded into ONNX Runtime; what it has no input for is not fed.

    Args:
        model: Its external data is loaded.
        stack: Keeps the files of a model that is too large for memory, until it closes.
        what: What errors call it.

    Raises:
        TargetError: ONNX Runtime is missing, or refuses the model.
    """

    def __init__(self, model: ir.Model, stack: ExitStack, *, what: str = "the artifact") -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise TargetError(
                "ONNX Runtime is not installed.",
                where="verify",
                remedy="Install dyncompile[cpu], or export with verify=False.",
            ) from error
        ir.external_data.load_to_model(model)
        source: bytes | str
        try:
            source = artifact.serialise(model, "verify")
        except ArtifactError:  # larger than one file
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "net.onnx"
            artifact.write(model, Manifest("onnx"), path, external_data=True)
            source = str(path)
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what fails is raised
        try:
            session = ort.InferenceSession(source, options, ["CPUExecutionProvider"])
        except Exception as error:  # its errors share no class of their own
            raise TargetError(
                f"ONNX Runtime refuses {what}: {one_line(error)}.",
                where="verify",
                remedy=f"Report this: {what} is wrong.",
            ) from error
        self._what = what
        self._session = session
        self._inputs = {value.name: value for value in session.get_inputs()}
        self._outputs = [value.name for value in session.get_outputs()]

    def __call__(
        self,
        feeds: Mapping[str, Array],
        decisions: Mapping[str, Sequence[str]] | None = None,
        path: Mapping[str, int] | None = None,
    ) -> dict[str, Array]:
        """Return the outputs by name.

        Args:
            feeds: Inputs by name.
            decisions: For each decision, the inputs that hold it.
            path: The option of each decision; one that is not on it is fed 0.

        Raises:
            VerificationError: ONNX Runtime fails.
        """
        feeds = {name: array for name, array in feeds.items() if name in self._inputs}
        for decision, inputs in (decisions or {}).items():
            for name in inputs:
                value = self._inputs[name]
                dtype = np.bool_ if value.type == "tensor(bool)" else np.int64
                option = (path or {}).get(decision, 0)
                feeds[name] = np.full([1] * len(value.shape), option, dtype)
        try:
            arrays = self._session.run(self._outputs, feeds)
        except Exception as error:  # its errors share no class of their own
            raise VerificationError(
                f"ONNX Runtime fails on {self._what}: {one_line(error)}.",
                where=", ".join(f"{name}={option}" for name, option in (path or {}).items())
                or "verify",
                remedy="Check types and shapes of the samples.",
            ) from error
        return dict(zip(self._outputs, arrays, strict=True))
