from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from dyncompile.errors import InputError, MarkerError
from dyncompile.loading import load_module, load_weights

FACTORIES = """
import sibling
from torch import nn

class Net(nn.Linear):
    def __init__(self, width=sibling.WIDTH):
        super().__init__(width, 2)

ready = Net()
"""


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(3, 4), nn.Linear(3, 4)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(4)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("package", "package.net", "sibling"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    for file in (tmp_path / "net.py", tmp_path / "package" / "net.py"):
        file.write_text(FACTORIES)
    (tmp_path / "sibling.py").write_text("WIDTH = 5")
    return tmp_path


# --- modules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["net.py:Net", "package.net:Net", "net.py:ready"])
def test_modules_are_built_from_files_and_packages(spec: str) -> None:
    module = load_module(spec)
    assert isinstance(module, nn.Linear)
    assert module.in_features == 5


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, second = load_module("net.py:Net"), load_module("net.py:Net")
    assert torch.equal(first.weight, second.weight)  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_not_a_module_is_refused() -> None:
    Path("net.py").write_text("def make():\n    return 3")
    with pytest.raises(MarkerError, match="this gives int, not a torch"):
        load_module("net.py:make")


@pytest.mark.parametrize(
    ("text", "spec", "problem"),
    [
        ("", "net.py", "net.py: it names no factory. Write module.py:factory"),
        ("", "net.py:", "it names no factory"),
        ("", "net.py:a b", "it names no factory"),
        ("", "missing.py:make", "missing.py: there is no such file"),
        ("", "missing.net:make", "missing.net: there is no module 'missing'"),
        ("", "package.missing:make", "there is no module 'package.missing'"),
        ("", "net-1:make", "net-1: neither a .py file nor the name of a module"),
        ("class Net: pass", "net.py:make", "it defines no 'make'. It defines Net."),
        ("x = 1", "net.py:x", "this is int, not a factory"),
        ("def make(:", "net.py:make", "net.py:1: invalid syntax"),
        (
            "\nraise OSError('no disk.')",
            "net.py:make",
            "net.py:2: it cannot be imported: OSErr",
        ),
        ("import absent", "net.py:make", "No module named 'absent'. Install absent."),
        ("exit(3)", "net.py:make", "it cannot be imported: SystemExit: 3. Correct"),
        ("def make(a, b=1, *, c): pass", "net.py:make", "the factory needs arguments: a, c"),
        (
            "def make():\n    raise KeyError('odd\\nwidth')",
            "net.py:make",
            "(at net.py:2): the factory raises KeyError: 'odd\\nwidth'. Correct",
        ),
    ],
)
def test_factories_that_fail_are_explained(text: str, spec: str, problem: str) -> None:
    Path("net.py").write_text(text)
    with pytest.raises(InputError) as caught:
        load_module(spec)
    assert problem in str(caught.value)


# --- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth", "nested.pt"])
def test_weights_are_loaded(name: str) -> None:
    state = {"weight": torch.rand(2, 5), "bias": torch.rand(2)}
    if name == "w.safetensors":
        save_file(state, name)
    else:
        torch.save({"state_dict": state, "epoch": 3} if name == "nested.pt" else state, name)
    module = load_module("net.py:Net", Path(name))
    assert all(torch.equal(module.state_dict()[key], state[key]) for key in state)


def test_of_tied_weights_one_is_enough() -> None:
    source, target = Tied(), Tied()
    save_model(source, "w.safetensors")
    load_weights(target, Path("w.safetensors"))
    assert torch.equal(target.embed.weight, source.head.weight)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"weight": (2, 5)}, "do not fit Net: 'bias' is missing (1 missing, 0 unexpected)"),
        (
            {"weight": (2, 5), "b": (2,), "c": (1,)},
            "'bias' is missing and 'b' is unexpected (1 missing, 2 unexpected)",
        ),
        (
            {"weight": (2, 4), "bias": (2,)},
            "'weight' has shape [2, 4] in the file and [2, 5] in the network",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    keys: dict[str, tuple[int, ...]], problem: str
) -> None:
    save_file({key: torch.zeros(shape) for key, shape in keys.items()}, "w.safetensors")
    with pytest.raises(InputError) as caught:
        load_module("net.py:Net", Path("w.safetensors"))
    assert problem in str(caught.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("content", [b"", b"damaged", b"\x80\x04damaged", b"PK\x03\x04"])
def test_damaged_weights_are_refused(suffix: str, content: bytes) -> None:
    Path(f"w.{suffix}").write_bytes(content)
    with pytest.raises(InputError, match="not a state dict of plain tensors, or damaged"):
        load_module("net.py:Net", Path(f"w.{suffix}"))


def test_what_is_no_state_dict_is_refused() -> None:
    torch.save(nn.Linear(5, 2), "w.pt")
    torch.save([torch.zeros(1)], "list.pt")
    for name in ("w.pt", "list.pt"):
        with pytest.raises(InputError, match="not a state dict"):
            load_module("net.py:Net", Path(name))
    for name, problem in (
        ("w.bin", "have the suffix"),
        ("none.pt", "cannot be read: No such"),
    ):
        with pytest.raises(InputError, match=problem):
            load_module("net.py:Net", Path(name))
