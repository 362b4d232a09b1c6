"""Example inputs and knobs, matched with what forward takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dyncompile
from dyncompile.binding import bind_inputs
from dyncompile.errors import InputError, KnobError
from dyncompile.knobs import Knob, Levels, Threshold
from dyncompile.markers import early_exit, follow

X = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))


class Exits(nn.Module):
    """As many thresholds as there are exits, taken through ``**``."""

    def __init__(self, exits: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(exits + 1))
        names = [f"t{number}" for number in range(exits)]
        self.knobs: Mapping[str, Knob] = {
            names[-1]: Threshold(0.2),
            "effort": Levels((0, 1)),
            **dict.fromkeys(names[:-1], Threshold(0.3)),
        }

    def forward(self, x: Tensor, effort: Tensor, **thresholds: Tensor) -> Tensor:
        seen = []
        for layer in self.layers:
            x = torch.tanh(layer(x))
            seen.append(x)
        answer = seen.pop()
        for number in reversed(range(len(seen))):
            sure = seen[number].amax(1) * (1 + effort) > thresholds[f"t{number}"]
            answer = early_exit(sure, seen[number], answer, name=f"exit{number}")
        return answer


def test_declared_knobs_go_through_keywords_in_the_order_of_their_declaration() -> None:
    net = Exits()
    bound = bind_inputs(net, (X,), net.knobs)
    assert list(bound) == ["x", "effort", "t2", "t0", "t1"]
    assert bound["t2"].item() == np.float32(0.2)
    assert torch.equal(bound["x"], X)


def test_such_a_network_is_exported_verified_and_followed(tmp_path: Path) -> None:
    net, path = Exits().eval(), tmp_path / "net.onnx"
    report = dyncompile.export(net, (X,), path)
    assert report is not None
    assert report.complete
    artifact = dyncompile.load(path)
    assert dict(artifact.knobs) == dict(net.knobs)
    knobs = {"t0": 9.0, "t1": -9.0, "t2": 0.0}
    tensors = {name: torch.tensor(value) for name, value in knobs.items()}
    with torch.no_grad(), follow() as taken:
        wanted = net(X, torch.tensor(0), **tensors)
    assert taken["exit0"].tolist() == [0]
    np.testing.assert_allclose(artifact(X.numpy(), effort=0, **knobs), wanted, atol=1e-5)


def test_knobs_given_at_export_replace_those_that_go_through_keywords() -> None:
    net = Exits()
    bound = bind_inputs(net, (X,), {**net.knobs, "t0": Threshold(0.5)})
    assert bound["t0"].item() == 0.5


def test_a_knob_that_the_model_does_not_declare_does_not_go_through_keywords() -> None:
    net = Exits()
    with pytest.raises(KnobError, match=r"^knob 't9': forward has no parameter of this name"):
        bind_inputs(net, (X,), {**net.knobs, "t9": Threshold(0.5)})


def test_declared_knobs_need_a_forward_with_keywords() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.knobs = {"t": Threshold(0.5)}

        def forward(self, x: Tensor) -> Tensor:
            return x

    net = Fixed()
    with pytest.raises(KnobError, match=r"^knob 't': .*it has x"):
        bind_inputs(net, (X,), net.knobs)


def test_inputs_do_not_go_through_keywords() -> None:
    net = Exits()
    with pytest.raises(InputError, match=r"^Exits\.forward: forward has no input 't9'; it has x\."):
        bind_inputs(net, {"x": X, "t9": X}, net.knobs)
    with pytest.raises(InputError, match=r"'effort' is a knob, not an input: its default stands"):
        bind_inputs(net, {"x": X, "effort": torch.tensor(1)}, net.knobs)
    with pytest.raises(InputError, match=r"^Exits\.forward: 2 example inputs for x\. Give one per"):
        bind_inputs(net, (X, torch.tensor(1)), net.knobs)


def test_keywords_alone_name_no_input() -> None:
    class Unnamed(nn.Module):
        def forward(self, **inputs: Tensor) -> Tensor:
            return inputs["x"]

    with pytest.raises(InputError, match=r"^Unnamed\.forward: it must name its inputs"):
        bind_inputs(Unnamed(), {"x": X}, {})
