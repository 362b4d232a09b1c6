"""A PyTorch module as what an artifact is held against."""

from __future__ import annotations

__all__ = ["ModuleReference"]

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils import _pytree as pytree

from dyncompile import markers
from dyncompile.errors import DyncompileError, InputError, one_line
from dyncompile.modules import evaluating, unwrapped

Array = NDArray[Any]


class ModuleReference:
    """A module in evaluation mode, its decisions free or forced by ``markers.follow``.

    Args:
        module: Left with the modes and buffers it has.
        stack: Where it gets them back, when it closes.
    """

    what = "the model"
    decisions = frozenset[str]()  # it runs all that it has

    def __init__(self, module: nn.Module, stack: ExitStack) -> None:
        self._module = unwrapped(module)
        stack.enter_context(evaluating(self._module))

    def follow(
        self, feeds: Mapping[str, Array], path: Mapping[str, int], where: str
    ) -> tuple[list[Array], dict[str, NDArray[np.int64]]]:
        """Run the model, and return its outputs and the decisions it took.

        Raises:
            InputError: the model fails.
        """
        device = next((p.device for p in self._module.parameters()), torch.device("cpu"))
        tensors = {
            name: torch.from_numpy(np.array(array)).to(device) for name, array in feeds.items()
        }
        try:
            with torch.no_grad(), markers.follow(path) as taken:
                result = self._module(**tensors)
            leaves = [leaf for leaf in pytree.tree_leaves(result) if leaf is not None]
            outputs = [torch.as_tensor(leaf).detach().cpu().numpy() for leaf in leaves]
        except DyncompileError:
            raise
        except Exception as error:  # whatever the user's forward raises
            raise InputError(
                f"the model fails: {one_line(error)}.",
                where=where,
                remedy="Give samples that it can run, and the network the file was made from.",
            ) from error
        return outputs, taken
