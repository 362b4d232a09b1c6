"""Measure everything with one number of threads and one provider."""

from __future__ import annotations

__all__ = ["measure_setup", "read_setups"]

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from dyncompile.errors import InputError, TargetError, VerificationError
from dyncompile.manifest import OperatingPoint
from dyncompile.measuring.against import Against
from dyncompile.measuring.comparing import NearTies, check_same
from dyncompile.measuring.data import Data
from dyncompile.measuring.findings import (
    ARTIFACT,
    DEAREST,
    OtherFound,
    Part,
    PointFound,
    Setup,
    SetupFound,
)
from dyncompile.measuring.forced import Measured, measure_paths
from dyncompile.measuring.free import Ran, Times, run_freely, summarise, time_freely
from dyncompile.measuring.peers import OpenPeer
from dyncompile.measuring.profiling import profile
from dyncompile.measuring.routes import Routes
from dyncompile.measuring.sessions import Feeds, Opened, content_of, open_network
from dyncompile.paths import DecisionTree
from dyncompile.paths import Path as Taken
from dyncompile.runtime import Net, load
from dyncompile.runtime.calibration import Latency
from dyncompile.timing import Spread, clock_for

_CPU = "CPUExecutionProvider"
_COMPARED = 4
_MOST_THREADS = 1024
_PROFILED = 32

Job = tuple[Sequence[OperatingPoint], Routes, Against]


def read_setups(threads: Sequence[int], providers: Sequence[str]) -> list[Setup]:
    """Return every combination, the first of each first.

    Raises:
        TargetError: ONNX Runtime, or a provider, is not there.
        InputError: a number of threads is out of range.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise TargetError(
            "ONNX Runtime is not installed.",
            where="bench",
            remedy="Install dyncompile[cpu] or dyncompile[gpu].",
        ) from error
    for count in threads:
        if not 1 <= count <= _MOST_THREADS:
            raise InputError(
                f"{count} is not a number of threads.",
                where="threads",
                remedy=f"Give 1 to {_MOST_THREADS}.",
            )
    available = ort.get_available_providers()
    for name in providers:
        if name not in available:
            raise TargetError(
                f"there is no provider {name!r}.",
                where="providers",
                remedy=f"ONNX Runtime has {', '.join(available)}.",
            )
    return [
        Setup(count, tuple(dict.fromkeys((name, _CPU))))
        for name in dict.fromkeys(providers)
        for count in dict.fromkeys(threads)
    ]


def measure_setup(
    file: Path, measured: Measured, data: Data, setup: Setup, job: Job, logits: str | None
) -> tuple[SetupFound, list[str]]:
    """Measure one setup; return what was found, and what was left out.

    Raises:
        DyncompileError: as ``bench``.
    """
    points, routes, against = job
    run = _Run(measured, data, setup, load(file, providers=setup.providers, threads=setup.threads))
    tree = DecisionTree.from_model(measured.model, free=routes.looped)
    ran = run.run_all(tree, points, logits)
    peers = run.open_peers(against, ran[0])
    paths = tuple(measure_paths(measured, routes, against.statics, setup))
    with ExitStack() as stack:
        dearest = max((one for one in paths if one.path), key=lambda one: one.macs, default=None)
        if dearest is not None:
            network = against.statics.network(dearest.path, scored=False)
            content = content_of(network, DEAREST, stack)
            peers = {DEAREST: open_network(content, setup, DEAREST), **peers}
        found, others, order = run.time_all(ran, peers)
    parts = run.profile(found[0], [(k, ran[0].paths[k]) for k in order[:_PROFILED]])
    return SetupFound(setup, paths, tuple(found), others, tuple(parts)), run.notes


class _Run:
    def __init__(self, measured: Measured, data: Data, setup: Setup, net: Net) -> None:
        self.notes: list[str] = []
        self._measured = measured
        self._data = data
        self._setup = setup
        self._net = net
        self._clock = clock_for(setup.threads, setup.providers)
        self._near_ties: NearTies | None = None

    def run_all(
        self, tree: DecisionTree, points: Sequence[OperatingPoint], logits: str | None
    ) -> list[Ran]:
        """Run all samples at all points."""
        ran = []
        for number, point in enumerate(points):
            self._measured.progress("operating points", number, len(points))
            ran.append(run_freely(self._net, tree, self._data, point, logits))
        return ran

    def open_peers(self, against: Against, ran: Ran) -> dict[str, OpenPeer]:
        """Open what runs beside the artifact, and hold its outputs against it."""
        peers: dict[str, OpenPeer] = {}
        feeds = self._measured.feeds(0, ran.point)
        for peer in against.peers:
            self._measured.progress(peer.label, 0, 1)
            try:
                opened = peer.open(self._setup, feeds)
            except TargetError as error:
                self.notes.append(f"{peer.label} is left out: {error.problem}")
                continue
            peers[peer.label] = opened
            self._compare(opened, peer.label, ran.point)
        return peers

    def _open(self) -> Opened:
        reports = self._measured.reports
        return open_network(str(self._net.path), self._setup, ARTIFACT, reports=reports)

    def _compare(self, peer: OpenPeer, label: str, point: OperatingPoint) -> None:
        own = self._open()
        for number in range(min(_COMPARED, len(self._data.samples))):
            feeds = self._measured.feeds(number, point)
            try:
                theirs = peer.run(feeds).values()
                check_same(own.run(feeds).values(), theirs, label, f"sample {number}")
            except VerificationError:
                if not self._is_near_tie(feeds):
                    raise
                self.notes.append(
                    f"{label} may decide otherwise in sample {number}: a score lies where its"
                    " decision turns."
                )

    def _is_near_tie(self, feeds: Feeds) -> bool:
        if self._near_ties is None:
            measured = self._measured
            self._near_ties = NearTies(measured.model, measured.manifest.decisions, self._setup)
        return self._near_ties(feeds)

    def time_all(
        self, ran: Sequence[Ran], peers: Mapping[str, OpenPeer]
    ) -> tuple[list[PointFound], dict[str, OtherFound], tuple[int, ...]]:
        """Time all points and peers in turns; return also the samples, by number."""
        own = self._open()
        opened: dict[object, tuple[OpenPeer, OperatingPoint]] = {
            k: (own, one.point) for k, one in enumerate(ran)
        }
        opened |= {label: (peer, ran[0].point) for label, peer in peers.items()}
        timed = time_freely(self._measured, opened, self._clock)
        manifest = self._measured.manifest
        us = [timed.us[k] for k in range(len(ran))]
        found = summarise(ran, us, self._measured.model, manifest.decisions, self._data)
        self._keep(found, us)
        others = {label: _other(timed.us[label]) for label in peers}
        return found, others, timed.order

    def _keep(self, found: Sequence[PointFound], us: Sequence[Times]) -> None:
        """Leave what was found where ``Net.latencies`` finds it."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._net.keep_latencies(
                Latency.of(p.point, times / 1e3, samples=len(times), drawn=self._data.file is None)
                for p, times in zip(found, us, strict=True)
            )
        self.notes += (f"The {warning.message}" for warning in caught)

    def profile(self, default: PointFound, samples: Sequence[tuple[int, Taken]]) -> list[Part]:
        """Say where the time goes at the default knobs; the parts add up to the mean."""
        if self._setup.providers != (_CPU,):
            self.notes.append(
                f"Where the time goes is not told for {self._setup.providers[0]}: its work runs on"
                " after the nodes that start it."
            )
            return []
        self._measured.progress("profile", 0, 1)
        calls = [(self._measured.feeds(k, default.point), path) for k, path in samples]
        parts = profile(str(self._net.path), self._measured.model, calls, self._setup)
        scale = default.mean_us / max(sum(part.us for part in parts), 1e-9)
        return [
            dataclasses.replace(
                part,
                us=part.us * scale,
                operators={name: us * scale for name, us in part.operators.items()},
            )
            for part in parts
        ]


def _other(times: Times) -> OtherFound:
    return OtherFound(
        us=Spread.of(times),
        mean_us=float(times.mean()),
        p95_us=float(np.percentile(times, 95)),
    )
