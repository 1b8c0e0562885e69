"""PNG: a picture of the magnitude to look at, 8 bits, windowed and upright; several slices as a montage."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.version import __version__
from spinecho.io.atomic import replacing
from spinecho.io.display import edge_letters, upright, upright_geometry
from spinecho.io.options import WriteOptions
from spinecho.io.placing import check_lent, placed
from spinecho.io.volume import UNKNOWN_ORIENTATION, Volume, volumes

SUFFIXES = (".png",)
WRITES = ("image",)
PERCENTILE = 99.5
_MAX_SIDE = 16384


def check_output(path: Path, oriented: bool, options: WriteOptions) -> None:
    """An orientation that is lent must be one."""
    check_lent(oriented, options)


def write(image: Image, path: Path, options: WriteOptions) -> list[Path]:
    """One picture of all slices and frames (rows of the montage: frames of one contrast follow each other).

    Black is 0, white the 99.5th percentile of the magnitude; voxels that are not square are stretched. The window,
    what lies at the picture's edges and the image's flags stand in the PNG's text fields.
    """
    from PIL import Image as Pillow
    from PIL.PngImagePlugin import PngInfo

    parts = volumes(placed(image, options))
    tiles = torch.cat([_tiles(part) for part in parts])
    white = _white(tiles)
    picture = _montage((tiles * (255 / white)).clamp(0, 255))
    if max(picture.shape) > _MAX_SIDE:
        raise DataError(
            f"{len(tiles)} slices make a picture of {tuple(picture.shape)} pixels, {_MAX_SIDE} is the most",
            do="write NIfTI, or fewer slices",
        )
    notes = PngInfo()
    for key, text in _texts(parts[0], white).items():
        notes.add_text(key, text)
    pillow = Pillow.fromarray(picture.round().to(torch.uint8).numpy())
    with replacing(path) as temporary:
        pillow.save(temporary, format="PNG", pnginfo=notes, optimize=True)
    return [path]


def _tiles(volume: Volume) -> Tensor:
    """Frames and slices as upright pictures (n, row, column) with square pixels."""
    tiles = upright(torch.from_numpy(volume.values[:, 0]).abs(), volume.geometry).flatten(0, 1)
    tiles = torch.nan_to_num(tiles, nan=0.0, posinf=0.0, neginf=0.0)
    width_mm, height_mm, _ = upright_geometry(volume.geometry).voxel_mm
    pixel = min(width_mm, height_mm)
    n_rows, n_columns = tiles.shape[1:]
    size = (max(1, round(n_rows * height_mm / pixel)), max(1, round(n_columns * width_mm / pixel)))
    if size == (n_rows, n_columns):
        return tiles
    return torch.nn.functional.interpolate(tiles[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def _white(tiles: Tensor) -> float:
    """The 99.5th percentile, or the maximum where almost everything is 0."""
    ordered = tiles.flatten()
    rank = max(1, math.ceil(ordered.numel() * PERCENTILE / 100))
    return float(ordered.kthvalue(rank).values) or float(ordered.max()) or 1.0


def _montage(tiles: Tensor) -> Tensor:
    """Tiles (n, row, column) as one picture, about as wide as high."""
    n, n_rows, n_columns = tiles.shape
    across = min(n, max(1, math.ceil(math.sqrt(n * n_rows / n_columns))))
    down = math.ceil(n / across)
    padded = torch.cat([tiles, tiles.new_zeros(across * down - n, n_rows, n_columns)])
    return padded.reshape(down, across, n_rows, n_columns).transpose(1, 2).reshape(down * n_rows, across * n_columns)


def _texts(volume: Volume, white: float) -> dict[str, str]:
    left, right, top, bottom = edge_letters(volume.geometry)
    edges = f"left {left}, right {right}, top {top}, bottom {bottom}" if left else UNKNOWN_ORIENTATION
    return {
        "Software": f"spinecho {__version__}",
        "Description": f"magnitude; black 0, white {white:.6g} ({PERCENTILE}th percentile)",
        "Orientation": edges,
        "Comment": "; ".join(volume.header.flags),
    }
