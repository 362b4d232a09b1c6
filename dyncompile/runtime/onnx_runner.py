"""An artifact, opened in ONNX Runtime."""

from __future__ import annotations

__all__ = ["OnnxRunner", "open_artifact"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyncompile.errors import ArtifactError
from dyncompile.manifest import METADATA_KEY, Manifest
from dyncompile.runtime.arguments import InputSpec
from dyncompile.runtime.backend import Backend
from dyncompile.runtime.calibration import Conditions
from dyncompile.runtime.runner import Run
from dyncompile.runtime.stamps import stamp


def open_artifact(backend: Backend) -> OnnxRunner:
    """Open the artifact of a backend.

    Raises:
        ArtifactError: the file is missing, damaged, foreign, or written by a newer version.
        TargetError: a provider is not there.
    """
    session = backend.open(backend.path)
    manifest = _manifest(session, backend.path)
    providers = tuple(session.get_providers())
    return OnnxRunner(backend.running(providers), session, manifest, providers)


@dataclass(frozen=True)
class OnnxRunner:
    """One artifact in ONNX Runtime.

    Attributes:
        backend: What it was opened with; its providers are those that run.
        session: The session.
        manifest: What the file says about itself.
        providers: The execution providers in use.
    """

    backend: Backend
    session: Any
    manifest: Manifest
    providers: tuple[str, ...]

    @property
    def runtime(self) -> str:
        """What runs it, for messages."""
        return "ONNX Runtime"

    @property
    def path(self) -> Path:
        """The file."""
        return self.backend.path

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """What has to be fed, in the order of the graph, knobs among it."""
        return _specs(self.session.get_inputs())

    @property
    def optional(self) -> tuple[InputSpec, ...]:
        """What has a default in the graph, and can be fed."""
        return _specs(self.session.get_overridable_initializers())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives, in order."""
        return tuple(output.name for output in self.session.get_outputs())

    def output_spec(self, name: str) -> InputSpec:
        """Return the type and shape of an output."""
        (spec,) = _specs([output for output in self.session.get_outputs() if output.name == name])
        return spec

    @property
    def run(self) -> Run:
        """What runs it: the method of the session itself."""
        run: Run = self.session.run
        return run

    def conditions(self) -> Conditions:
        """Return what latencies depend on."""
        return self.backend.conditions(self.providers)

    def reporting(self) -> tuple[Run, list[str]]:
        """Return what runs a copy whose decisions are outputs too, and their names."""
        from dyncompile import artifact
        from dyncompile.passes.report_decisions import report_decisions

        model, manifest = artifact.read(self.path)
        assert manifest, "the file was loaded with a manifest and has not changed"
        reports = report_decisions(model, manifest.decisions)
        content = artifact.serialise(model, str(self.path))
        return self.backend.open(content).run, list(reports.values())


def _specs(places: Any) -> tuple[InputSpec, ...]:  # noqa: ANN401
    return tuple(InputSpec.from_type(place.name, place.type, place.shape) for place in places)


def _manifest(session: Any, path: Path) -> Manifest:  # noqa: ANN401
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ArtifactError(
            "not a dyncompile artifact: it has no manifest.",
            where=str(path),
            remedy="Export the network with dyncompile, or use onnxruntime directly.",
        )
    manifest = Manifest.from_json(text, str(path))
    expected = manifest.external_data
    if expected and stamp(path.absolute().parent / expected.file)[0] != expected.bytes:
        raise ArtifactError(
            f"its weights file {expected.file!r} should have {expected.bytes} bytes.",
            where=str(path),
            remedy="Keep the two files together, or export the network again.",
        )
    return manifest
