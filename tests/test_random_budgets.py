"""Random budgeted networks through both lowerings: the same numbers, and no more work than needed.

What work is needed is defined in ``tests.budgeted.work``. Set DYNCOMPILE_EXAMPLES to draw that many
other networks than the fixed ones, and to reduce those that fail (which takes minutes).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, reject, settings
from hypothesis import strategies as st

import dyncompile
from dyncompile import pipeline, verify
from dyncompile.describe import manifest_from_model
from dyncompile.errors import GraphError
from dyncompile.passes import SpecialiseLevels
from dyncompile.targets import ort
from dyncompile.targets.trt.lowering import lowering as trt_lowering
from tests.budgeted.examples import EXAMPLES
from tests.budgeted.network import (
    Judge,
    Network,
    TorchNetwork,
    agree,
    marked_model,
    torch_arguments,
)
from tests.budgeted.ops import Budget
from tests.budgeted.work import macs_needed, macs_run
from tests.random_budgets import networks
from tests.support import (
    Array,
    Feeds,
    assert_unique_names,
    ort_session,
    run,
    runnable_proto,
)

WANTED = os.environ.get("DYNCOMPILE_EXAMPLES")
LEAST, FEW, SOME, MANY = (int(WANTED),) * 4 if WANTED else (1, 3, 7, 10)
Lowering = Literal["switch", "slice"]
LOWERINGS: tuple[Lowering, ...] = ("switch", "slice")

# A decision whose score is nearer to its bound may fall differently in single precision.
NEAR_TIE = 1e-4


def examples(
    count: int, drawn: st.SearchStrategy[Network] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draw networks: the same ones each time, unless the environment asks for a number."""
    fixed = settings(
        max_examples=count,
        deadline=None,
        derandomize=not WANTED,
        database=None,
        phases=[Phase.generate, Phase.shrink] if WANTED else [Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    def wrap(test: Callable[..., None]) -> Callable[..., None]:
        return fixed(given(network=networks() if drawn is None else drawn)(test))

    return wrap


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lower(network: Network, lowering: Lowering | Literal["auto"]) -> ir.Model:
    model = marked_model(network)
    passes = trt_lowering() if lowering == "auto" else ort.passes(lowering)
    for _ in pipeline.run(model, passes):
        pass
    return model


@contextmanager
def refusals() -> Iterator[None]:
    """Draw another network where budgets are refused, and for a reason.

    One is of no use, or undone, or slices cannot serve it, or its levels and those of other knobs
    make more combinations than 32.
    """
    try:
        yield
    except GraphError as error:
        known = (
            "no convolution or linear layer has less to do",
            "gives its dead channels a value again",
            "slices serve one knob",
        )
        combined = re.match(r"(\d+) combinations of levels", error.problem)
        is_too_many = combined is not None and int(combined[1]) > 32
        if not is_too_many and not any(said in error.problem for said in known):
            raise
        reject()


def assert_agree(
    network: Network, *runs: Callable[[Feeds], Sequence[Array]], most: int = 10
) -> None:
    """Compare with the module at every level and beyond, wherever no decision is a near-tie."""
    judge = Judge(network)
    for feeds in network.feeds(most=most):
        want, exact, margin = judge(feeds)
        if margin > NEAR_TIE:
            for compute in runs:
                agree(compute(feeds), want, exact=exact)


@examples(SOME)
def test_eager_model_and_marked_graph_agree(network: Network) -> None:
    marked = marked_model(network)
    onnx.checker.check_model(runnable_proto(marked), full_check=True)
    assert_agree(network, ort_session(marked))
    assert_agree(network, partial(run, marked), most=1)


@pytest.mark.parametrize("lowering", LOWERINGS)
@examples(SOME)
def test_specialised_and_lowered_graphs_agree_with_the_eager_model(
    lowering: Lowering, network: Network
) -> None:
    with refusals():
        check_lowering(network, lowering)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_network_that_a_search_found_agrees_with_the_eager_model(
    lowering: Lowering, name: str
) -> None:
    network = EXAMPLES[name]
    levels = {op.name for op in network.ops if isinstance(op, Budget)}
    try:
        check_lowering(network, lowering)
    except GraphError as error:
        if len(levels) == 1 or "slices serve one knob" not in error.problem:
            raise


def check_lowering(network: Network, lowering: Lowering) -> None:
    specialised, rewrite = marked_model(network), SpecialiseLevels(lowering)
    rewrite(specialised)
    before = ir.to_proto(specialised).SerializeToString(deterministic=True)
    assert not rewrite(specialised).modified, "it runs twice"
    assert ir.to_proto(specialised).SerializeToString(deterministic=True) == before
    lowered = lower(network, lowering)
    onnx.checker.check_model(runnable_proto(lowered), full_check=True)
    assert not any(node.domain == "dyncompile" for node in lowered.graph.all_nodes())
    assert_unique_names(lowered)
    optimised = ort_session(lowered, optimise=True)
    assert_agree(network, ort_session(specialised), ort_session(lowered), optimised)


@pytest.mark.parametrize("name", EXAMPLES)
def test_network_that_a_search_found_agrees_as_tensorrt_has_it(name: str) -> None:
    assert_agree(EXAMPLES[name], ort_session(lower(EXAMPLES[name], "auto")))


@examples(MANY)
def test_chains_and_switches_agree_with_the_eager_model(network: Network) -> None:
    with refusals():
        lowered = lower(network, "auto")
    onnx.checker.check_model(runnable_proto(lowered), full_check=True)
    assert_unique_names(lowered)
    assert_agree(network, ort_session(lowered))


@pytest.mark.parametrize("lowering", LOWERINGS)
@examples(FEW)
def test_lowered_graph_agrees_along_forced_paths(lowering: Lowering, network: Network) -> None:
    assume(network.batch == 1)
    module = TorchNetwork(network)
    with refusals():
        lowered = lower(network, lowering)
    manifest = manifest_from_model(lowered, module.knobs, "onnx")
    samples = [{name: feeds[name] for name in ("x", "open")} for feeds in network.feeds(most=2)]
    verify.verify(lowered, manifest, module, samples)


@pytest.mark.parametrize("lowering", LOWERINGS)
@examples(LEAST, networks(most=2))
def test_artifact_of_the_module_agrees_with_it(
    tmp_path_factory: pytest.TempPathFactory, lowering: Lowering, network: Network
) -> None:
    module, path = TorchNetwork(network).eval(), tmp_path_factory.mktemp("artifact") / "net.onnx"
    x, _, _, flag = torch_arguments(network.feeds(most=2)[-1])
    shapes = None if network.batch == 1 else {"x": {0: torch.export.Dim("N")}}
    inputs = {"x": x if network.batch == 1 else torch.cat([x, x]), "open": flag}
    with refusals():
        dyncompile.export(
            module, inputs, path, dynamic_shapes=shapes, verify=False, budgets=lowering
        )
    assert_agree(network, ort_session(ir.load(path), optimise=True))


@examples(MANY, networks(plain=True))
def test_a_level_multiplies_no_more_than_its_outputs_depend_on(network: Network) -> None:
    with refusals():
        lowered = lower(network, "switch")
    for feeds in network.feeds(most=4):
        needed, done = macs_needed(network, feeds), macs_run(lowered, feeds)
        assert np.less_equal(done, needed), f"{done} instead of {needed} at {feeds['level']}"
