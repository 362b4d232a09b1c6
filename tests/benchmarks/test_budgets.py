"""Networks with budgets mean the same in every form, and their rows are what was measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from benchmarks import budgets_files, budgets_memory, timing
from benchmarks.budgets_networks import (
    RATIOS,
    Budgeted,
    Layers,
    Masked,
    Network,
    OwnSlices,
    Sliced,
    conv_layers,
    counts_of,
    linear_layers,
)
from benchmarks.budgets_rows import CONV, LINEAR, Target, layers_rows, switch_rows, width_rows
from benchmarks.harness import OURS, STATIC, Bench, Row, feeds
from dyncompile import backbones
from dyncompile.methods import idp
from dyncompile.timing import Timings

LEVELS = pytest.mark.parametrize("level", range(len(RATIOS)), ids=str)


def _noise(*sizes: int) -> torch.Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


def _convs(hidden: int = 2) -> Network:
    return Network.of("convs", partial(conv_layers, hidden=hidden), 8, _noise(1, 3, 6, 6))


def _linears(hidden: int = 2) -> Network:
    return Network.of("linears", partial(linear_layers, hidden=hidden), 8, _noise(2, 64))


@pytest.fixture(params=[_convs, _linears], ids=["convs", "linears"])
def network(request: pytest.FixtureRequest) -> Network:
    build: Callable[[], Network] = request.param
    return build()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, seconds=0.01, quick=True, say=lambda _line: None)


@LEVELS
@pytest.mark.parametrize("form", [Budgeted, OwnSlices, Masked])
@torch.no_grad()
def test_a_level_is_its_static_network_in_every_form(
    network: Network, form: Callable[[Layers, int], nn.Module], level: int
) -> None:
    assert isinstance(network.full, Layers)
    found = form(network.full, network.width)(network.x, torch.tensor(level))
    torch.testing.assert_close(found, network.static(level)(network.x), rtol=0, atol=1e-5)


@LEVELS
@torch.no_grad()
def test_a_run_time_width_is_its_static_network(network: Network, level: int) -> None:
    assert isinstance(network.full, Layers)
    width = torch.tensor(counts_of(network.width)[level])
    found = Sliced(network.full, network.width)(network.x, width)
    torch.testing.assert_close(found, network.static(level)(network.x), rtol=0, atol=1e-5)


@LEVELS
@pytest.mark.parametrize(
    "build",
    [
        lambda width: backbones.vgg16(width=width),
        lambda width: backbones.cifar_resnet(8, width=width),
        lambda width: backbones.mobilenet(width=width),
    ],
    ids=["vgg", "resnet", "mobilenet"],
)
@torch.no_grad()
def test_a_level_of_a_whole_network_is_its_static_network(
    build: Callable[[int], nn.Module], level: int
) -> None:
    network = Network.of("net", build, 4, _noise(1, 3, 32, 32))
    incomplete = idp.convert(network.full, ratios=RATIOS, example=network.x)
    found = incomplete(network.x, torch.tensor(level))
    torch.testing.assert_close(found, network.static(level)(network.x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_levels_are_further_apart_than_equal_outputs_may_be(network: Network) -> None:
    outputs = [network.static(level)(network.x) for level in range(len(RATIOS))]
    for one, other in pairwise(outputs):
        assert (one - other).abs().max() > 100 * timing.TOLERANCE


def test_the_static_network_has_the_first_weights_and_no_others(network: Network) -> None:
    state = network.full.state_dict()
    for name, value in network.static(1).state_dict().items():
        part = state[name][tuple(map(slice, value.shape))]
        torch.testing.assert_close(value, part, rtol=0, atol=0)
    hidden = network.static(1).state_dict()["layers.1.weight"]
    assert hidden.shape[:2] == (4, 4)


@pytest.mark.parametrize(
    ("us", "target", "rows"),
    [
        (600.0, CONV, [("x", 1.03)]),
        (400.0, CONV, [("x", None), ("us more", 10.0)]),
        (400.0, LINEAR, [("x", 1.07)]),
        (100.0, LINEAR, [("x", None), ("us more", 10.0)]),
    ],
    ids=["slow", "fast", "slow linears", "fast linears"],
)
def test_a_fast_network_is_given_microseconds_and_a_slow_one_a_ratio(
    us: float, target: Target, rows: list[tuple[str, float | None]]
) -> None:
    seen = Timings({STATIC: np.array([us]), OURS: np.array([1.5 * us])})
    found = list(width_rows("net", "50%", seen, target))
    assert [(row.unit, row.limit) for row in found] == rows
    assert found[0].value == pytest.approx(1.5)
    assert found[-1].value == pytest.approx(0.5 * us if len(rows) > 1 else 1.5)


# --- files -----------------------------------------------------------------------------------


def test_own_copies_leave_no_weight_outside_and_change_no_number(bench: Bench) -> None:
    network = _linears(hidden=1)
    assert isinstance(network.full, Layers)
    ours = bench.our_file("own", OwnSlices(network.full, network.width), network.x)
    copies = budgets_files.own_copies(ours)
    model = ir.load(copies)
    assert not [node for node in model.graph.all_nodes() if node.op_type in {"Slice", "Reshape"}]
    for level in range(len(RATIOS)):
        fed = feeds(x=network.x, level=torch.tensor(level))
        (found,), (wanted,) = (timing.Run(file, fed).open()() for file in (copies, ours))
        np.testing.assert_array_equal(found, wanted)


def test_memory_counts_the_weights(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seconds=0.01, quick=True, say=lambda _line: None)
    wide = bench.torch_file("wide", nn.Linear(1000, 1000), _noise(1, 1000))
    narrow = bench.torch_file("narrow", nn.Linear(10, 10), _noise(1, 10))
    assert budgets_files.peak_bytes(wide) - budgets_files.peak_bytes(narrow) > 4_000_000


def test_memory_is_measured_at_every_level() -> None:
    assert len(RATIOS) == budgets_memory.LEVELS


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    bench = Bench(tmp_path_factory.mktemp("files"), 0.01, quick=True, say=lambda _line: None)
    return list(layers_rows(bench, _linears(hidden=0)))


def test_both_lowerings_are_compared_with_static_networks_and_run_time_slices(
    rows: list[Row],
) -> None:
    at_half = [
        (row.network, row.against) for row in rows if row.path == "50%" and row.unit != "us more"
    ]
    assert at_half == [
        ("linears, switch", "static"),
        ("linears, slice", "run-time Slice"),
        ("linears, slice", "static"),
    ]
    limited = {(row.network, row.against, row.path) for row in rows if row.limit is not None}
    assert {
        ("linears, slice", "run-time Slice", "50%"),
        ("linears, slice", "static", "100%"),
        ("linears, switch", "static, bare", "file"),
        ("linears, switch", "own copies", "load"),
        ("linears, switch", "static", "peak memory"),
    } <= limited
    assert ("linears, slice", "static", "50%") not in limited


def test_what_half_the_width_saves_is_held_against_the_static_network(bench: Bench) -> None:
    network = _convs(hidden=2)
    rows = list(switch_rows(bench, network, saving=True))
    (kept,) = (row for row in rows if row.unit == "of its saving")
    assert (kept.against, kept.path, kept.limit, kept.at_least) == ("static", "50%", 0.95, True)
    (work,) = (row.value for row in rows if row.unit == "of its MACs saved")
    pixels, first, hidden, head = 36, 27 * 4, 9 * 16, 40
    narrow = pixels * (first + 2 * hidden) + head
    dense = pixels * (2 * first + 8 * hidden) + 2 * head
    assert work == pytest.approx(1 - narrow / dense)
    assert [row.path for row in rows if row.unit == "of its time saved"] == [
        "static, 50%",
        "ours, 50%",
    ]
