"""Images of the hard set, from easy to hard: ``python -m benchmarks.hard_digits_picture``."""

from __future__ import annotations

__all__ = ["draw_grid", "main"]

import io
from pathlib import Path

import click
import torch
from PIL import Image, ImageDraw, ImageFont

from dyncompile.data import Images, make_hard_digits
from dyncompile.errors import DyncompileError
from dyncompile.files import replacing

ROWS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SCALE, GAP, MARGIN = 2, 4, 44


def draw_grid(images: Images) -> Image.Image:
    """Draw one row for each difficulty in ``ROWS`` and one column for each class.

    Each place has the image of that class whose difficulty is nearest.
    """
    assert images.difficulty is not None
    side = SCALE * images.pixels.shape[-1]
    step = side + GAP
    size = (MARGIN + step * len(images.classes), GAP + step * len(ROWS))
    grid = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default(16)
    for row, difficulty in enumerate(ROWS):
        top = GAP + row * step
        draw.text((MARGIN - 10, top + side / 2), f"{difficulty:.1f}", "black", font, anchor="rm")
        for column in range(len(images.classes)):
            distance = (images.difficulty - difficulty).abs()
            distance[images.labels != column] = torch.inf
            pixels = images.pixels[distance.argmin()].permute(1, 2, 0).numpy()
            large = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
            grid.paste(large, (MARGIN + column * step, top))
    return grid


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("docs/pictures/hard_digits.jpg"),
    show_default=True,
)
def main(output: Path) -> None:
    """Draw images of the hard set's test part, a row for each difficulty."""
    images = make_hard_digits(train=0, validation=0).test
    encoded = io.BytesIO()
    draw_grid(images).save(encoded, "JPEG", quality=85)
    try:
        with replacing(output) as file:
            file.write(encoded.getvalue())
    except DyncompileError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(encoded.getvalue()):,} bytes")


if __name__ == "__main__":
    main()
