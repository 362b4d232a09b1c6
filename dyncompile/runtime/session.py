"""A loaded artifact: call it, turn its knobs, ask which way it went."""

from __future__ import annotations

__all__ = ["Net", "load"]

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dyncompile.engine_file import SUFFIX
from dyncompile.errors import ArtifactError, DyncompileError, InputError, one_line
from dyncompile.knobs import Knob
from dyncompile.manifest import Decision, OperatingPoint
from dyncompile.runtime.arguments import Arguments, InputSpec
from dyncompile.runtime.backend import CPU, Backend, Provider, import_onnxruntime
from dyncompile.runtime.budget import Budget
from dyncompile.runtime.calibrating import SECONDS, Calibrator, Points
from dyncompile.runtime.calibration import Calibration, Latency
from dyncompile.runtime.calibration_samples import Samples
from dyncompile.runtime.governing import govern, graded_points
from dyncompile.runtime.governor import Governor
from dyncompile.runtime.onnx_runner import open_artifact
from dyncompile.runtime.runner import Array, Run, Runner
from dyncompile.runtime.stamps import Stamp, changed, digest_of, stamp

Outputs = Array | tuple[Array, ...]


def load(
    path: str | os.PathLike[str],
    *,
    providers: Sequence[Provider] | None = None,
    threads: int | None = None,
    fallback: bool = False,
) -> Net:
    """Load an artifact for ONNX Runtime, or an engine for the GPU.

    Args:
        path: What ``export`` or ``build`` wrote. A file of the target ``marked`` loads too; it
            is dense: every side of every decision is computed. A name that ends in ``.engine``
            is an engine, and the file that describes it lies beside it. One that its runtime
            can read but says not to be for this GPU is tried, with a ``RuntimeWarning``.
        providers: Execution providers, most wanted first, each a name or a name and options;
            the CPU when left out.
        threads: Threads one operator may use; ONNX Runtime decides when left out.
        fallback: Go on without a provider that is not there, with a ``RuntimeWarning``;
            ``net.providers`` says which ones run.

    Raises:
        ArtifactError: the file is missing, damaged, foreign, or written by a newer version.
        TargetError: ONNX Runtime or a provider is not there; for an engine, there is no GPU, not
            the GPU or the version it was built for, or a package is missing.
        InputError: ``threads`` is not a positive number, or one of the options is given for an
            engine.
    """
    file = Path(path)
    if file.suffix == SUFFIX:
        from dyncompile.runtime.engine_runner import open_engine

        _refuse_options({"providers": providers, "threads": threads, "fallback": fallback or None})
        loaded = stamp(file)
        return Net(open_engine(file), loaded)
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise InputError(
            f"{threads!r} is not a number of threads.",
            where="threads",
            remedy="Give 1 or more.",
        )
    backend = Backend(import_onnxruntime(), file, tuple(providers or [CPU]), threads, fallback)
    loaded = stamp(file)
    return Net(open_artifact(backend), loaded)


def _refuse_options(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(
                f"{value!r} is for ONNX Runtime.",
                where=name,
                remedy="Leave it out: an engine runs on the GPU.",
            )


class Net:
    """A dynamic network, ready to run; safe to call from several threads.

    Attributes:
        path: The file.
        target: ``onnx``, ``tensorrt``, or ``marked`` for a dense file that is yet to be compiled.
        knobs: What scales the network at run time, in the order of the graph.
        decisions: What the network decides at run time.
        operating_points: Values of the knobs at which the artifact was verified.
        inputs: Names of the data inputs, in order.
        outputs: Names of the outputs, in order, without those that report decisions.
        providers: The execution providers in use; of an engine, the GPU.
    """

    def __init__(self, runner: Runner, loaded: Stamp) -> None:
        manifest = runner.manifest
        inputs = runner.inputs
        places = {spec.name: spec for spec in (*inputs, *runner.optional)}
        _check_knobs(manifest.knobs, places, runner.path)
        data = tuple(spec for spec in inputs if spec.name not in manifest.knobs)
        self.path = runner.path
        self.target = manifest.target
        self.knobs: dict[str, Knob] = {
            name: manifest.knobs[name] for name in places if name in manifest.knobs
        }
        self.decisions: tuple[Decision, ...] = manifest.decisions
        self.operating_points: tuple[OperatingPoint, ...] = manifest.operating_points
        self.inputs = tuple(spec.name for spec in data)
        reports = manifest.telemetry
        _check_reports(reports, runner)
        self.outputs = tuple(n for n in runner.outputs if n not in set(reports.values()))
        self.providers = runner.providers
        self._arguments = Arguments(data, self.knobs)
        self._feed = self._arguments.feed
        self._run = runner.run
        self._output_names = list(self.outputs)
        self._runner = runner
        self._stamp = loaded
        self._lock = threading.Lock()
        self._tracing: tuple[Run, list[str]] | None = None
        if reports or not self.decisions:
            self._tracing = runner.run, [reports[decision.name] for decision in self.decisions]
        self._calibrator = Calibrator(
            data,
            self.knobs,
            self.operating_points,
            runner.conditions,
            partial(digest_of, self.path, loaded),
        )

    def __call__(self, /, *inputs: object, **named: object) -> Outputs:
        """Run the network.

        Args:
            *inputs: Data inputs in order: arrays of the type and shape of the graph, which are
                not copied, or Python lists.
            **named: Data inputs and knobs by name. Knobs left out have their default.

        Returns:
            One array if the network has one output, else a tuple.

        Raises:
            InputError: an input is missing or does not fit.
            KnobError: a knob is unknown or out of range.
            TargetError: the GPU fails.
        """
        feed = self._feed(inputs, named)
        try:
            results = self._run(self._output_names, feed)
        except DyncompileError:
            raise
        except Exception as error:
            raise self._refused(error) from error
        return results[0] if len(results) == 1 else tuple(results)

    def trace(self, /, *inputs: object, **named: object) -> tuple[Outputs, dict[str, int]]:
        """Run the network and report the path it took; arguments as for a call.

        A file that was exported with ``telemetry`` reports it in every call, and a trace costs
        what a call does. Otherwise it works on a second session, which the first call builds (it
        needs ``onnx-ir``): use it to look, not to serve.

        Returns:
            The outputs, and for each decision the option taken: 0 or 1 for a gate (1 is on),
            the index for a switch, -1 if the call did not come to it.

        Raises:
            InputError: an input is missing or does not fit.
            KnobError: a knob is unknown or out of range.
            ArtifactError: the file is not the one that was loaded any more.
            TargetError: the GPU fails, or an engine was built without telemetry.
        """
        feed = self._feed(inputs, named)
        run, reports = self._tracing_run()
        try:
            results = run([*self._output_names, *reports], feed)
        except DyncompileError:
            raise
        except Exception as error:
            raise self._refused(error) from error
        count = len(self._output_names)
        path: dict[str, int] = {}
        for decision, option in zip(self.decisions, map(int, results[count:]), strict=True):
            path[decision.name] = option
            for name, options in decision.aliases:
                path[name] = options[option] if option >= 0 else option
        return (results[0] if count == 1 else tuple(results[:count])), path

    def calibrate(
        self,
        samples: Samples | None = None,
        *,
        points: Points | None = None,
        seconds: float = SECONDS,
    ) -> Calibration:
        """Measure what a call takes here, at several operating points, in turns.

        Of an engine, that is with the copies to the GPU and back.

        What is found is kept in the user's cache folder, with what was kept there of other
        points; latencies of drawn noise do not replace latencies of samples. Where the folder
        cannot be written to, a ``RuntimeWarning`` says so, and this network remembers.

        Args:
            samples: Arrays by name of input, one row per sample, or a list of inputs by name;
                drawn noise when left out, with which the network may decide otherwise than
                with data.
            points: Values of knobs by name, those left out at their defaults. When left out,
                ``operating_points``, or the defaults if there are none.
            seconds: Time to spend on all points together; a point gets five calls at least.

        Returns:
            The latencies that were measured now.

        Raises:
            InputError: the samples do not fit, or ``seconds`` is not positive.
            KnobError: a knob is unknown or out of range.
        """
        return self._calibrator.calibrate(self, samples, points, seconds)

    def latencies(self) -> Calibration:
        """Return what calls take here, as far as it is kept.

        What is not known yet of ``operating_points`` (without any, of the default knobs) is
        measured first, with drawn noise, which takes a few seconds, once per machine.

        Raises:
            InputError: drawn inputs do not fit this network: calibrate it with samples.
        """
        return self._calibrator.latencies(self)

    def keep_latencies(self, latencies: Iterable[Latency]) -> Calibration:
        """Keep latencies that were measured otherwise, as ``calibrate`` does with its own.

        They are taken to be of this network as it was loaded: these threads, these providers.
        ``Latency.of(point, ms, samples=500, drawn=False)`` makes one from the milliseconds of
        single calls.

        Returns:
            All latencies that are kept now.

        Raises:
            KnobError: a point has an unknown knob, or a value out of range.
        """
        return self._calibrator.keep(latencies)

    def within(
        self,
        milliseconds: float,
        *,
        percentile: int = 95,
        points: Points | None = None,
        quality: Sequence[float] | None = None,
        samples: Samples | None = None,
    ) -> Governor:
        """Return this network as one that keeps within a budget of time, to be called instead.

        Each call runs the best operating point that fits by what has been measured on this
        machine, and by the load at the time: see ``Governor``. Where nothing fits, the fastest
        runs, ``picked.fits`` is false, and if that is so without load, a ``RuntimeWarning``
        says it at once.

        Args:
            milliseconds: What a call may take.
            percentile: Of the calls at one point that have to be in time: 95 or 50. It matters
                where what a call takes depends on its data.
            points: What to choose from: values of knobs by name, those left out at their
                defaults. When left out, ``operating_points``.
            quality: For each of them, how good it is, such as its accuracy. When left out, what
                takes longer on average is better, and so is a level that computes more.
            samples: What to measure with where that has not been done on data, as for
                ``calibrate``; it is done once per machine, and takes some seconds.

        Raises:
            InputError: no budget, unknown percentile, as many grades as points are not given,
                nothing to choose from, or a point has not been measured and there are no
                samples.
            KnobError: a point has an unknown knob, or a value out of range.
        """
        budget = Budget(milliseconds, percentile)
        graded = graded_points(self._calibrator, points, quality)
        known = self._calibrator.known(self, [point for point, _ in graded], samples)
        return govern(self, self.knobs, self.decisions, graded, known, budget)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{spec.name}: {spec}" for spec in self._arguments.inputs)
        knobs = ", ".join(f"{name}={knob.default}" for name, knob in self.knobs.items())
        return (
            f"<Net {str(self.path)!r} ({inputs}) -> ({', '.join(self.outputs)}),"
            f" knobs ({knobs}), {len(self.decisions)} decisions>"
        )

    def _tracing_run(self) -> tuple[Run, list[str]]:
        with self._lock:
            if self._tracing is None:
                if stamp(self.path) != self._stamp:
                    raise changed(self.path)
                self._tracing = self._runner.reporting()
            return self._tracing

    def _refused(self, error: Exception) -> InputError:
        return InputError(
            f"{self._runner.runtime} refuses this call: {one_line(error)}.",
            where=str(self.path),
            remedy="Check the inputs.",
        )


def _check_reports(reports: Mapping[str, str], runner: Runner) -> None:
    for decision, name in reports.items():
        expected = InputSpec(name, np.dtype(np.int64), ())
        found = runner.output_spec(name) if name in runner.outputs else None
        if found != expected:
            has = "has no such output" if found is None else f"has it as {found}"
            raise ArtifactError(
                f"the manifest has the output {name!r} report {decision!r} as {expected}; the"
                f" graph {has}.",
                where=str(runner.path),
                remedy="Export the network again.",
            )


def _check_knobs(knobs: Mapping[str, Knob], places: Mapping[str, InputSpec], path: Path) -> None:
    for name, knob in knobs.items():
        expected = InputSpec(name, np.dtype(knob.dtype), knob.shape)
        if places.get(name) != expected:
            found = f"has it as {places[name]}" if name in places else "has no such input"
            raise ArtifactError(
                f"the manifest has the knob {name!r} as {expected}; the graph {found}.",
                where=str(path),
                remedy="Export the network again.",
            )
