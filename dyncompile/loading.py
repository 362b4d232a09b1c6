"""What the command line names: a network and its weights."""

from __future__ import annotations

__all__ = ["load_module", "load_weights"]

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dyncompile.errors import DyncompileError, InputError, MarkerError, one_line

# --- modules --------------------------------------------------------------------------------


def load_module(spec: str, weights: Path | None = None) -> nn.Module:
    """Build the network that ``module.py:factory`` or ``package.module:factory`` names.

    The factory is a class, a function without arguments, or a ready module. The folder of the
    file (of a package: the working folder) goes first on ``sys.path``, as Python itself does
    for a script. Weights that it draws from torch at random are the same every time.

    Raises:
        InputError: the file or the factory is missing or fails, or the weights do not fit.
        MarkerError: the factory returns something other than a module.
    """
    head, colon, name = spec.rpartition(":")
    if not (colon and head and name.isidentifier()):
        raise InputError(
            "it names no factory.",
            where=spec,
            remedy="Write module.py:factory or package.module:factory.",
        )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        module = _import(head)
        factory = getattr(module, name, None)
        if factory is None:
            own = [n for n, v in vars(module).items() if _is_own(v, module)][:8]
            raise InputError(
                f"it defines no {name!r}.",
                where=head,
                remedy=f"It defines {', '.join(own)}." if own else "Define it there.",
            )
        torch.manual_seed(0)
        network = factory if isinstance(factory, nn.Module) else _call(factory, spec, module)
    if not isinstance(network, nn.Module):
        raise MarkerError(
            f"this gives {type(network).__name__}, not a torch.nn.Module.",
            where=spec,
            remedy="Name a factory that returns the network.",
        )
    if weights is not None:
        load_weights(network, weights)
    return network


def _import(head: str) -> ModuleType:
    is_file = head.endswith(".py")
    if is_file and not Path(head).is_file():
        raise InputError("there is no such file.", where=head, remedy="Check the name of the file.")
    if not is_file and not all(part.isidentifier() for part in head.split(".")):
        raise InputError(
            "neither a .py file nor the name of a module.",
            where=head,
            remedy="Write module.py:factory or package.module:factory.",
        )
    folder = str(Path(head).absolute().parent if is_file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _import_file(Path(head)) if is_file else importlib.import_module(head)
    except SyntaxError as error:
        where = f"{Path(error.filename or head).name}:{error.lineno}"
        raise InputError(
            f"{error.msg}.", where=where, remedy="Correct the syntax of this file."
        ) from error
    except DyncompileError:
        raise
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and not is_file and f"{head}.".startswith(f"{missing}."):
            raise InputError(
                f"there is no module {missing!r}.",
                where=head,
                remedy="Run in the folder that holds it, or install it.",
            ) from error
        raise InputError(
            f"it cannot be imported: {one_line(error)}.",
            where=_last_line(error) or head,
            remedy=f"Install {missing}." if missing else "Correct this file.",
        ) from error


def _import_file(path: Path) -> ModuleType:
    name = f"__{path.stem}__"  # as little in the way of other modules as ``__main__`` is
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _call(factory: object, spec: str, module: ModuleType) -> object:
    if not callable(factory):
        raise InputError(
            f"this is {type(factory).__name__}, not a factory.",
            where=spec,
            remedy="Name a class, or a function that returns the network.",
        )
    _check_needs_nothing(factory, spec)
    try:
        return factory()
    except DyncompileError:
        raise
    except (Exception, SystemExit) as error:
        line = _last_line(error, module.__file__)
        raise InputError(
            f"the factory raises {one_line(error)}.",
            where=f"{spec} (at {line})" if line else spec,
            remedy="Correct it, or name another.",
        ) from error


def _check_needs_nothing(factory: Callable[..., object], spec: str) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if needed:
        raise InputError(
            f"the factory needs arguments: {', '.join(needed)}.",
            where=spec,
            remedy="Write a function without arguments that calls it.",
        )


def _last_line(error: BaseException, file: str | None = None) -> str | None:
    """Name the innermost line of a file; of any that is not Python's own, torch's or ours."""
    foreign = (
        Path(__file__).parent,
        Path(torch.__file__).parent,
        Path(inspect.__file__).parent,
    )
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        is_own = path.is_file() and not any(folder in path.parents for folder in foreign)
        if is_own if file is None else frame.filename == file:
            return f"{path.name}:{frame.lineno}"
    return None


# --- weights --------------------------------------------------------------------------------


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dict from .safetensors, .pt or .pth; all of it, and nothing else.

    The file may hold the state dict, or ``{"state_dict": ...}``. Python objects in it are
    refused, not run. Of tensors that a module holds twice, the file may hold one.

    Raises:
        InputError: the file is missing, damaged or holds something else, or does not fit.
    """
    weights = _read_weights(path)
    try:
        keys = module.load_state_dict(weights, strict=False)
    except Exception as error:  # shapes, and whatever the module's own hooks raise
        problem = _wrong_shape(module.state_dict(), weights) or one_line(error)
        raise _unfit(module, path, problem) from error
    own = module.state_dict()
    stored = {_place(own[key]) for key in weights if key in own}
    missing = [key for key in keys.missing_keys if _place(own.get(key)) not in stored]
    problems = [f"{k!r} is missing" for k in missing[:1]]
    problems += [f"{k!r} is unexpected" for k in sorted(keys.unexpected_keys)[:1]]
    if problems:
        counts = f"{len(missing)} missing, {len(keys.unexpected_keys)} unexpected"
        raise _unfit(module, path, f"{' and '.join(problems)} ({counts})")


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if path.suffix not in {".safetensors", ".pt", ".pth"}:
        raise InputError(
            "weights have the suffix .safetensors, .pt or .pth.",
            where=str(path),
            remedy="Save the state dict with safetensors.torch.save_file or torch.save.",
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            found: object = load(path.read_bytes())
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ModuleNotFoundError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}.",
            where=str(path),
            remedy="Check the name of the file.",
        ) from error
    except Exception as error:  # either library raises many kinds
        raise _no_weights(path) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise _no_weights(path)
    return found


def _no_weights(path: Path) -> InputError:
    return InputError(
        "not a state dict of plain tensors, or damaged.",
        where=str(path),
        remedy="Save model.state_dict() with safetensors.torch.save_file or torch.save.",
    )


def _wrong_shape(own: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str | None:
    for key, place in own.items():
        if key not in weights or not isinstance(place, Tensor) or is_lazy(place):
            continue
        there, here = list(weights[key].shape), list(place.shape)
        if there != here:
            return f"{key!r} has shape {there} in the file and {here} in the network"
    return None


def _place(value: object) -> object:
    """Tell tensors apart by what they share: the same memory and shape."""
    if isinstance(value, Tensor) and not is_lazy(value):
        return value.data_ptr(), value.shape
    return id(value)


def _unfit(module: nn.Module, path: Path, problem: str) -> InputError:
    return InputError(
        f"the weights do not fit {type(module).__name__}: {problem}.",
        where=str(path),
        remedy="Give the weights of this network.",
    )
