"""Files of one head: a contrast in each, told apart by the last word of their names, and the truth beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.one_grid import same_grid
from spinecho.io.read import read_image

TRUTHS = ("lesions", "labels")
"""What files with the truth are called: of lesions, of a tumour"""
_ENDING = re.compile(r"\.(nii|nii\.gz|mgz)$", re.IGNORECASE)


def stem(path: Path) -> str:
    """The last word of a file's name."""
    return re.split(r"[^a-z0-9]+", _ENDING.sub("", path.name).lower())[-1]


def file_beside(path: Path, names: Sequence[str]) -> Path | None:
    """The file in the same folder whose name differs in its last word alone, which is one of some."""
    own = _ENDING.sub("", path.name)
    before = own[: len(own) - len(stem(path))]
    beside = (f for f in sorted(path.parent.iterdir()) if _ENDING.search(f.name))
    return next((f for f in beside if _ENDING.sub("", f.name).lower() in [f"{before}{n}".lower() for n in names]), None)


def images_beside(first: Path, contrasts: Sequence[str]) -> dict[str, Image]:
    """The first contrast and those that lie beside it, in the order asked for; others have other names.

    Raises
    ------
    DataError
        If they lie on several grids.
    """
    files = {c: first if i == 0 else file_beside(first, (c,)) for i, c in enumerate(contrasts)}
    images = {c: read_image(f).volume().combined() for c, f in files.items() if f is not None}
    same_grid(images[contrasts[0]], {c: image for c, image in images.items() if c != contrasts[0]})
    return images


def truth_beside(first: Path) -> Image:
    """The labels that belong to the image of a first contrast.

    Raises
    ------
    DataError
        If there are none.
    """
    if (file := file_beside(first, TRUTHS)) is None:
        do = f"put it beside, called as the image is with {' or '.join(TRUTHS)} for the contrast"
        raise DataError("it has no truth", do=do, file=first)
    return read_image(file).volume()
