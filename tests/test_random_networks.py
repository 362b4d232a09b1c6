"""Random networks through every runtime and every pass: the same numbers, and no idle work.

What work is idle is defined in ``tests.laziness``. Set DYNCOMPILE_EXAMPLES to draw that many
other networks than the fixed ones, and to reduce those that fail (which takes minutes).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings

import dyncompile
from dyncompile import pipeline
from dyncompile.passes import BranchOnDecisions
from dyncompile.targets import ort
from tests.laziness import assert_lazy, assert_lazy_on_paths
from tests.random_graphs import random_graph
from tests.random_networks import (
    AddGated,
    Gate,
    Network,
    Switch,
    TorchNetwork,
    marked_model,
    marked_text,
    networks,
    torch_arguments,
)
from tests.support import (
    Array,
    Feeds,
    assert_same_numbers,
    assert_unique_names,
    ort_session,
    random_feeds,
    run,
    runnable_proto,
)

WANTED = os.environ.get("DYNCOMPILE_EXAMPLES")
FEW, MANY = (int(WANTED), int(WANTED)) if WANTED else (6, 120)


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draw networks: the same ones each time, unless the environment asks for a number."""
    fixed = settings(
        max_examples=count,
        deadline=None,
        derandomize=not WANTED,
        database=None,
        phases=[Phase.generate, Phase.shrink] if WANTED else [Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )

    def wrap(test: Callable[..., None]) -> Callable[..., None]:
        return fixed(given(network=networks())(test))

    return wrap


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_equal(got: Sequence[Array], want: Sequence[Array]) -> None:
    for have, wish in zip(got, want, strict=True):
        assert have.dtype == wish.dtype
        np.testing.assert_array_equal(have, wish)


def eager(model: TorchNetwork, feeds: Feeds) -> list[Array]:
    with torch.no_grad():
        return [output.numpy() for output in model(*torch_arguments(feeds))]


@examples(MANY // 2)
def test_eager_model_and_marked_graph_agree(network: Network) -> None:
    model, marked = TorchNetwork(network), marked_model(network)
    runtime = ort_session(marked)
    for feeds in network.feeds():
        want = run(marked, feeds)
        assert all((np.rint(value) == value).all() for value in want), "arithmetic is exact"
        assert_equal(eager(model, feeds), want)
        assert_equal(runtime(feeds), want)


@examples(MANY)
def test_every_pass_keeps_the_numbers(network: Network) -> None:
    marked, model = marked_model(network), marked_model(network)
    many_feeds = network.feeds()
    few = many_feeds[:: max(1, len(many_feeds) // 4)]
    for rewrite, step in zip(ort.passes(), pipeline.run(model, ort.passes()), strict=True):
        if step.modified:
            assert_same_numbers(marked, model, few)
        before = ir.to_proto(model).SerializeToString(deterministic=True)
        assert not rewrite(model).modified, f"{step.name} runs twice"
        assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert_same_numbers(marked, model, many_feeds)


@examples(MANY)
def test_lowered_graph_is_lazy(network: Network) -> None:
    marked, lowered = marked_model(network), lower(network)
    assert_lazy(marked, lowered, network.feeds())


@examples(MANY // 2)
def test_lowered_graph_is_a_valid_model_that_onnxruntime_runs(network: Network) -> None:
    marked, lowered = marked_model(network), lower(network)
    onnx.checker.check_model(runnable_proto(lowered), full_check=True)
    assert not any(node.domain == "dyncompile" for node in lowered.graph.all_nodes())
    assert_unique_names(lowered)
    plain, optimised = ort_session(lowered), ort_session(lowered, optimise=True)
    for feeds in network.feeds():
        want = run(marked, feeds)
        assert_equal(plain(feeds), want)
        assert_equal(optimised(feeds), want)


@examples(FEW)
def test_artifact_agrees_with_the_eager_model_and_is_lazy(
    tmp_path_factory: pytest.TempPathFactory, network: Network
) -> None:
    assume(any(isinstance(op, Gate | Switch | AddGated) for op in network.ops))
    model, inputs = TorchNetwork(network).eval(), torch_arguments(network.feeds()[0])[:3]
    folder = tmp_path_factory.mktemp("artifact")
    marked, artifact = folder / "marked.onnx", folder / "net.onnx"
    dyncompile.export(model, inputs, marked, target="marked")
    dyncompile.export(model, inputs, artifact)
    runtime = ort_session(ir.load(artifact), optimise=True)
    for feeds in network.feeds():
        assert_equal(runtime(feeds), eager(model, feeds))
    assert_lazy(ir.load(marked), ir.load(artifact), network.feeds())


@pytest.mark.parametrize(
    ("length", "count"),
    [
        pytest.param(12, MANY // 2, id="small"),
        pytest.param(30, MANY, id="larger"),
        pytest.param(60, MANY // 4, id="large"),
    ],
)
def test_work_shared_by_crossing_decisions_is_lazy_on_every_path(length: int, count: int) -> None:
    branching = [type(one) for one in ort.passes()].index(BranchOnDecisions) + 1
    for seed in range(count):
        marked, lowered = random_graph(seed, length), random_graph(seed, length)
        for _ in pipeline.run(lowered, ort.passes()[:branching]):
            pass
        assert_lazy_on_paths(marked, lowered, most=32)
        before, after = ort_session(marked), ort_session(lowered)
        for draw in range(8):
            feeds = random_feeds(marked, draw, x=np.asarray([[draw % 5 - 2, draw % 3 - 1]]))
            assert_equal(after(feeds), before(feeds))


def lower(network: Network) -> ir.Model:
    """Return the lowered model; the text of the marked one helps where it cannot be."""
    model = marked_model(network)
    try:
        for _ in pipeline.run(model, ort.passes()):
            pass
    except Exception as error:
        error.add_note(marked_text(network))
        raise
    return model
