"""The demo: digits, a network that decides how much of itself to run, one file.

A small ResNet with two early exits and three skippable blocks is trained on the scikit-learn
digits, exported, and measured beside static networks that can only do one of its paths.
Needs torch and scikit-learn; nothing else in the package imports it.
"""

from __future__ import annotations

__all__ = ["Result", "run", "show"]

import time
from pathlib import Path

from rich.console import Console

import dyncompile
from dyncompile.data import load_digits_images
from dyncompile.demo.comparing import compare
from dyncompile.demo.network import SIDE
from dyncompile.demo.reporting import show
from dyncompile.demo.results import Files, Result
from dyncompile.demo.training import choose_threshold, train
from dyncompile.demo.writing import write_images, write_weights
from dyncompile.files import make_folder
from dyncompile.knobs import Threshold
from dyncompile.progress import progress_bars
from dyncompile.reporting import write_report
from dyncompile.training import one_thread

VALIDATION, TEST = 400, 500  # images, of the 1797 there are
VERIFICATION_IMAGES = 32
BENCH_SECONDS = 0.1  # for each path, and for each setting of the threshold


def run(folder: Path, seed: int = 0, *, console: Console | None = None, epochs: int = 14) -> Result:
    """Train, export, verify and compare.

    Leaves ``net.onnx`` in a folder, and beside it what ``bench`` needs to measure it: the test
    images with their labels, ``test.npz``, and the weights, ``net.safetensors``; and the report
    of a short ``bench``, ``report.html``. The static networks are in ``static/``.

    Args:
        folder: Made if missing.
        seed: Of the split into training and test images, and of the training.
        console: Where progress is shown; None shows nothing.
        epochs: How often each training image is seen.

    Raises:
        ArtifactError: the folder cannot be written to.
        VerificationError: the artifact and the model disagree.
    """
    start = time.perf_counter()
    artifact, static = folder / "net.onnx", folder / "static"
    data_file, weights = folder / "test.npz", folder / "net.safetensors"
    page = folder / "report.html"
    make_folder(static, "Name a folder you may write to.")
    with one_thread(), progress_bars(console) as add_bar:
        data = load_digits_images(seed, side=SIDE, validation=VALIDATION, test=TEST, scaling=(0, 1))
        model = train(data.train, seed, epochs=epochs, progress=add_bar("Training"))
        threshold = choose_threshold(model, data.validation)
        model.knobs = {"threshold": Threshold((threshold, threshold), low=0, high=1)}
        samples = data.validation.head(VERIFICATION_IMAGES).floats()
        report = dyncompile.export(
            model,
            (samples[:1],),
            artifact,
            samples={"image": samples.numpy()},
            progress=add_bar("Exporting and verifying"),
        )
        assert report, "verification was asked for"
        write_weights(model, weights)
        write_images(data.test, data_file)
        found = compare(
            model, artifact, data.test, static, progress=add_bar("Comparing with static nets")
        )
        findings = dyncompile.bench(
            artifact,
            against=model,
            data=data_file,
            seconds=BENCH_SECONDS,
            compiled=False,
            progress=add_bar("Measuring for the report"),
        )
        write_report(findings, page)
    seconds = time.perf_counter() - start
    files = Files(artifact, data_file, weights, static, page)
    return Result(files, len(data.validation), report, found, seconds)
