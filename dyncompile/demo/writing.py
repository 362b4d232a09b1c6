"""What the demo leaves for ``bench``: the test images and the weights."""

from __future__ import annotations

__all__ = ["write_images", "write_weights"]

from pathlib import Path

import numpy as np
from safetensors.torch import save
from torch import nn

from dyncompile.array_files import write_arrays
from dyncompile.data import Images
from dyncompile.files import replacing


def write_images(data: Images, file: Path) -> None:
    """Write images, labels and the names of the classes as .npz.

    Raises:
        ArtifactError: the file cannot be written.
    """
    arrays = {
        "image": data.floats().numpy(),
        "labels": data.labels.numpy(),
        "classes": np.array(data.classes),
    }
    write_arrays(file, arrays)


def write_weights(model: nn.Module, file: Path) -> None:
    """Write the state dict of a model as .safetensors.

    Raises:
        ArtifactError: the file cannot be written.
    """
    content = save(model.state_dict())
    with replacing(file) as stream:
        stream.write(content)
