"""A state as an image: a PNG file of square cells, drawn without fonts, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from pettingllms.errors import RefusedError

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

LARGEST_SIDE = 1024
"""Pixels of the side of an image."""
FLOOR, WALL, GOAL, BOX, PLAYER = "#e8e8e8", "#303030", "#2fa84f", "#9a5b22", "#2457d6"
LINE = "#b8b8b8"
"""Between cells, so that they can be counted."""


def png(rows: Sequence[str], tiles: Mapping[str, tuple[str, ...]], cell: int) -> bytes:
    """The PNG file of a map: `tiles` says what lies on a cell, by its character; `cell`: its side in pixels.

    Raises RefusedError where Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as cause:
        raise RefusedError(
            "images are drawn by Pillow, which is not installed", help="install with: uv sync --extra images"
        ) from cause
    image = Image.new("RGB", (cell * max(map(len, rows)), cell * len(rows)), FLOOR)
    draw = ImageDraw.Draw(image)
    for down, row in enumerate(rows):
        for right, mark in enumerate(row):
            left, top = right * cell, down * cell
            for tile in tiles[mark]:
                _draw(draw, tile, left, top, cell)
            draw.line([(left, top), (left + cell - 1, top)], LINE)
            draw.line([(left, top), (left, top + cell - 1)], LINE)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _draw(draw: ImageDraw, tile: str, left: int, top: int, cell: int) -> None:
    def square(inset: int) -> tuple[int, int, int, int]:
        return left + inset, top + inset, left + cell - 1 - inset, top + cell - 1 - inset

    if tile == "wall":
        draw.rectangle(square(0), WALL)
    elif tile == "goal":
        draw.rectangle(square(0), GOAL)
    elif tile == "box":
        draw.rectangle(square(max(1, cell // 4)), BOX)
    else:
        draw.ellipse(square(max(1, cell // 5)), PLAYER)
