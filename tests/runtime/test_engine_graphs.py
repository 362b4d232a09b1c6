"""What an engine is given is captured where that is allowed, and then the same as before."""

import numpy as np
import pytest

from dyncompile.errors import InputError, TargetError
from dyncompile.runtime import Net
from dyncompile.runtime.engine_execution import CALLS_BEFORE_CAPTURE
from tests.runtime.engines import F32, Machine, dynamic, expected, machine, outputs, scaling
from tests.runtime.fake_tensorrt import api
from tests.runtime.pretend_network import Network

__all__ = ["machine"]

CALLS = CALLS_BEFORE_CAPTURE + 4


def called(machine: Machine, network: Network, **fields: str) -> Net:
    """Return a network that was called with other data and another level each time."""
    net = machine.load(network, **fields)
    for number in range(CALLS):
        x = np.random.default_rng(number).random((2, 4), F32)
        np.testing.assert_array_equal(outputs(net(x, level=number % 3))[0], expected(x, number % 3))
    return net


def test_a_captured_call_sees_new_data(machine: Machine) -> None:
    network = scaling()
    called(machine, network)
    assert machine.cuda.calls.count("capture") == 1
    assert network.enqueued == CALLS_BEFORE_CAPTURE + 1
    assert machine.cuda.launched == CALLS - CALLS_BEFORE_CAPTURE


@pytest.mark.parametrize("capture", ["refused by the engine", "refused at the end"])
def test_what_cannot_be_captured_is_tried_once_and_run(machine: Machine, capture: str) -> None:
    network = scaling(capture=capture)
    net = called(machine, network)
    assert machine.cuda.calls.count("capture") == 1
    assert network.enqueued == CALLS + 1
    assert (machine.cuda.launched, machine.cuda.graphs) == (0, [])
    assert machine.cuda.sticky == machine.cuda.cudaError_t.cudaSuccess
    network.fails = "the GPU is gone"
    with pytest.raises(TargetError, match="does not run: the GPU is gone"):
        net(np.ones((2, 4), F32))


def test_a_graph_that_cannot_be_made_is_tried_once(machine: Machine) -> None:
    machine.cuda.failing["cudaGraphInstantiate"] = machine.cuda.cudaError_t.cudaErrorInvalidValue
    called(machine, scaling())
    assert machine.cuda.calls.count("capture") == 1
    assert (machine.cuda.launched, machine.cuda.graphs) == (0, [])


@pytest.mark.parametrize("name", ["tensorrt_10_16", "tensorrt_11_4"])
def test_an_engine_that_cannot_tell_is_not_captured(machine: Machine, name: str) -> None:
    machine.use(name)
    network = scaling(capture="frozen")
    called(machine, network, flavor="tensorrt", version=api(name)["version"])
    assert "capture" not in machine.cuda.calls
    assert network.enqueued == CALLS


def test_an_engine_that_says_no_is_not_tried(machine: Machine) -> None:
    called(machine, scaling(capture="not at all"))
    assert "capture" not in machine.cuda.calls


def test_kernels_that_change_with_sizes_are_not_captured(machine: Machine) -> None:
    called(machine, dynamic())
    assert "capture" not in machine.cuda.calls


def test_a_value_on_the_host_is_part_of_what_is_captured(machine: Machine) -> None:
    net = machine.load(scaling(level_on_host=True))
    x = np.ones((2, 4), F32)
    for level in [0] * CALLS + [1] + [0] * CALLS + [0, 1] * CALLS:
        np.testing.assert_array_equal(outputs(net(x, level=level))[0], expected(x, level))
    assert machine.cuda.calls.count("capture") == 2
    assert machine.cuda.graphs == []


def test_a_replay_that_fails_is_not_replayed_again(machine: Machine) -> None:
    network = scaling()
    net = called(machine, network)
    x, given = np.ones((2, 4), F32), network.enqueued
    machine.cuda.failing["cudaStreamSynchronize"] = machine.cuda.cudaError_t.cudaErrorInvalidValue
    with pytest.raises(TargetError, match="CUDA fails: InvalidValue"):
        net(x)
    machine.cuda.failing.clear()
    np.testing.assert_array_equal(outputs(net(x))[0], expected(x, 2))
    assert network.enqueued == given + 1


def test_a_failed_call_is_followed_by_a_whole_one(machine: Machine) -> None:
    net = machine.load(dynamic())
    x = np.ones((4, 4), F32)
    for _ in range(CALLS):
        net(x)
    with pytest.raises(InputError, match="does not fit"):
        net(np.ones((9, 4), F32))
    np.testing.assert_array_equal(outputs(net(x))[0], expected(x, 2))
