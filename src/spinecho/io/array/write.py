"""Images and k-space to .npy, .npz, .mat and .h5.

.npy, .npz and .mat take the input's remaining axes in the input's order, the picture as its owner stores it; .h5 takes
everything (`io/array/own.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.array import own as array_own
from spinecho.io.atomic import replacing
from spinecho.io.axes import IMAGE, KSPACE, NAMES
from spinecho.io.numbers import restored
from spinecho.io.options import WriteOptions


def write(item: KSpace | Image, path: Path, options: WriteOptions) -> None:
    """Write beside, then rename.

    Parameters
    ----------
    options
        `keep_complex`: values as they are (coils that are still apart stay apart), else the magnitude of complex ones.
        `input_axes`: the axes that the scan was read with.

    Raises
    ------
    DataError
        If the place cannot be written.
    """
    if isinstance(item, Image) and not options.keep_complex:
        item = item.combined()
    suffix = path.suffix.lower()
    with replacing(path) as temporary:
        if suffix == ".h5":
            array_own.write(item, temporary)
            return
        array, names = named_array(item, options.input_axes)
        if suffix == ".npy":
            np.save(temporary, array)
            return
        fields: dict[str, Any] = {
            "image" if isinstance(item, Image) else "kspace": array,
            "axes": np.array(" ".join(names)),
        }
        if all(g.oriented for g in item.geometries):
            fields["affine_lps"] = np.array([g.affine for g in item.geometries])
        if suffix == ".npz":
            with temporary.open("wb") as f:
                np.savez_compressed(f, **fields)
        else:
            from scipy.io import savemat

            savemat(temporary, fields, do_compression=True)


def named_array(item: KSpace | Image, input_axes: str | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The main array of an image or of k-space as its owner wants it, and the names of its axes.

    Parameters
    ----------
    input_axes
        The axes the scan was read with: those that remain keep their order, also with length 1. Without it, axes of
        length 1 are left out (2-D for one slice) and an image's slices are ordered by position.
    """
    if isinstance(item, KSpace):
        wanted = (input_axes or "").replace(",", " ").split()
        return _ordered(item.samples, (*item.axes, "coil", *KSPACE), wanted, wanted)
    order = _picture_order((input_axes or "").replace(",", " ").split())
    image = item.as_stored()
    if not order and "slice" in image.axes and len(image.geometries) > 1:
        image = replace(image, extras={}).volume()
    array, names = _ordered(image.values, (*image.axes, "coil", *IMAGE), order, [n for n in order if n != "coil"])
    was = restored(array, item.header.kept)
    return (array if was is None or was[1:] != (1, 0) else was[0]), names


def _picture_order(names: Sequence[str]) -> list[str]:
    """Names of the picture's axes (rows are y, columns x) for the axes that a scan was read with."""
    if "k0" in names and "k1" in names and names.index("k0") < names.index("k1"):
        turned = {"k0": "y", "k1": "x", "k2": "z"}
    else:
        turned = {"k1": "y", "k0": "x", "k2": "z"}
    return [turned.get(n, n) for n in names]


def _ordered(
    values: Tensor, names: tuple[str, ...], wanted: Sequence[str], stay: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Axes in the wanted order, others before them in the house's; those of length 1 go, but for those that stay."""
    array = values.detach().cpu().resolve_conj().numpy()
    kept = [n for n, size in zip(names, array.shape, strict=True) if size > 1 or n in stay]
    others = sorted((n for n in kept if n not in wanted), key=NAMES.index)
    order = [*others, *(n for n in wanted if n in kept)]
    gone = tuple(i for i, n in enumerate(names) if n not in kept)
    array = array.squeeze(gone)
    return np.ascontiguousarray(array.transpose([kept.index(n) for n in order])), tuple(order)
