"""ONNX Runtime: which providers, how many threads, and sessions that have them."""

from __future__ import annotations

__all__ = ["CPU", "Backend", "Provider", "import_onnxruntime"]

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dyncompile.errors import ArtifactError, TargetError, one_line
from dyncompile.runtime.calibration import Conditions

Provider = str | tuple[str, Mapping[str, object]]

CPU = "CPUExecutionProvider"
_DAMAGED_FILE = {"InvalidProtobuf", "NoSuchFile", "InvalidGraph"}  # errors of ONNX Runtime
_FATAL_LEVEL = 4  # errors are raised, and need no second line


def import_onnxruntime() -> Any:  # noqa: ANN401
    """Return the package.

    Raises:
        TargetError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise TargetError(
            "ONNX Runtime is not installed.",
            where="load",
            remedy="Install dyncompile[cpu] or dyncompile[gpu].",
        ) from error
    return onnxruntime


@dataclass(frozen=True)
class Backend:
    """ONNX Runtime as one artifact asked for it.

    Attributes:
        onnxruntime: The package; see ``import_onnxruntime``.
        path: The artifact.
        providers: Execution providers, most wanted first.
        threads: Threads one operator may use; None lets ONNX Runtime decide.
        fallback: Whether to go on without a provider that is not there.
    """

    onnxruntime: Any
    path: Path
    providers: tuple[Provider, ...]
    threads: int | None
    fallback: bool

    def running(self, names: Sequence[str]) -> Backend:
        """Ask only for the providers that turned out to run."""
        running = tuple(p for p in self.providers if _provider_name(p) in names)
        return replace(self, providers=running)

    def open(self, content: Path | bytes) -> Any:  # noqa: ANN401
        """Return a session on the file, or on a changed copy of it in memory.

        Raises:
            ArtifactError: the file is damaged.
            TargetError: a provider is not there.
        """
        available = self.onnxruntime.get_available_providers()
        wanted = [_provider_name(provider) for provider in self.providers]
        self._check_providers(wanted, available)
        here = [p for p in self.providers if _provider_name(p) in available]
        try:
            session = self._session(content, here)
        except Exception as error:
            others = [name for name in wanted if name != CPU]
            if not others or type(error).__name__ in _DAMAGED_FILE:
                raise ArtifactError(
                    f"ONNX Runtime cannot load it: {one_line(error)}.",
                    where=str(self.path),
                    remedy="Copy or export it again.",
                ) from error
            self._check_providers(others, [], f": {one_line(error)}")
            session = self._session(content, [CPU])
        self._check_providers(wanted, session.get_providers())
        return session

    def conditions(self, running: Sequence[str]) -> Conditions:
        """Return what latencies depend on, with the providers that turned out to run."""
        options = {p[0]: p[1] for p in self.providers if not isinstance(p, str) and p[1]}
        spelt = [
            f"{name} {json.dumps(options[name], sort_keys=True, default=str)}"
            if name in options
            else name
            for name in running
        ]
        runtime = f"ONNX Runtime {self.onnxruntime.__version__}"
        return Conditions.here(runtime, self.threads, tuple(spelt))

    def _session(self, content: Path | bytes, providers: Sequence[Provider]) -> Any:  # noqa: ANN401
        options = self.onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_LEVEL
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
        if isinstance(content, bytes):
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path",
                str(self.path.absolute().parent),
            )
        return self.onnxruntime.InferenceSession(
            content, options, providers=list(providers) or [CPU], enable_fallback=0
        )

    def _check_providers(
        self, wanted: Sequence[str], running: Sequence[str], reason: str = ""
    ) -> None:
        missing = ", ".join(name for name in wanted if name not in running)
        if not missing:
            return
        if not self.fallback:
            available = ", ".join(self.onnxruntime.get_available_providers())
            raise TargetError(
                f"{missing} cannot be used here{reason}.",
                where="providers",
                remedy=f"ONNX Runtime has {available}; fallback=True goes on without.",
            )
        warnings.warn(
            f"{self.path}: {missing} cannot be used here{reason}; going on without.",
            RuntimeWarning,
            stacklevel=5,
        )


def _provider_name(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]
