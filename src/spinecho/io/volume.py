"""What an image file holds: numbers on one grid, as numpy arrays; between `Image` and the image formats."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image

UNKNOWN_ORIENTATION = "orientation=unknown"
_FRAMES = ("repetition", "time")


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Values on one grid, of one contrast.

    Parameters
    ----------
    values
        (frame, channel, z, y, x), float32 or complex64; integers, or float64, where whole or scaled numbers are.
    geometry
        Of the grid (z, y, x).
    header
        What is known; timings of this contrast only.
    label
        What distinguishes it from its siblings in the same image, for file names: "" or "contrast-2".
    """

    values: npt.NDArray[Any]
    geometry: Geometry
    header: Header = field(default_factory=Header)
    label: str = ""


def volumes(image: Image, keep_complex: bool = False, exact: bool = False, vectors: bool = False) -> list[Volume]:
    """An image as volumes: slices stacked along z, averages averaged, one volume for each contrast.

    Repetitions and frames become the frame axis. Without `keep_complex`, complex values
    become magnitudes and coils are combined; real values keep their sign, and with `vectors` their components. With
    `exact`, integers and float64 stay what they are, else everything becomes float32 or complex64.

    Raises
    ------
    DataError
        If slices make no volume, a batch axis has no place in an image file, or voxels have several real values and
        `vectors` is not said.
    """
    image = image.as_stored().volume()
    values, axes = image.values, list(image.axes)
    if unknown := set(axes) - {"contrast", "average", *_FRAMES}:
        raise DataError(f"an image file has no axis for {', '.join(sorted(unknown))}", do="take one entry of it")
    if "average" in axes:
        at = axes.index("average")
        values = values.mean(at) if values.is_complex() or values.is_floating_point() else values.double().mean(at)
        axes.remove("average")
    if not keep_complex and values.is_complex():
        values = replace(image, values=values, axes=tuple(axes), extras={}).magnitude().values
    if values.shape[-4] > 1 and not (vectors or keep_complex):
        do = "write NIfTI, .npy or .h5, or one component, or the length of the vectors"
        raise DataError(f"the image has {values.shape[-4]} values at each voxel, this format one", do=do)
    array = np.asarray(values.detach().cpu().numpy())
    if not (exact and (array.dtype.kind in "iu" or array.dtype == np.float64)):
        array = array.astype(np.complex64 if np.iscomplexobj(array) else np.float32, copy=False)
    order = [axes.index(name) for name in ("contrast", *_FRAMES) if name in axes]
    array = array.transpose(*order, *range(len(axes), array.ndim))
    n_contrasts = image.values.shape[image.axes.index("contrast")] if "contrast" in axes else 1
    array = array.reshape(n_contrasts, -1, *array.shape[-4:])
    return [
        Volume(
            values=array[i],
            geometry=image.geometry,
            header=_of_contrast(image.header, i, n_contrasts),
            label=f"contrast-{i + 1}" if n_contrasts > 1 else "",
        )
        for i in range(n_contrasts)
    ]


def to_image(volume: Volume) -> Image:
    """A volume read from a file as an Image; several frames are the axis `time`."""
    values, several = volume.values, volume.values.shape[0] > 1
    values = np.ascontiguousarray(values if several else values[0])
    if not values.flags.writeable:
        values = values.copy()
    header = volume.header if volume.geometry.oriented else volume.header.flagged(UNKNOWN_ORIENTATION)
    return Image(
        values=torch.from_numpy(values), geometries=(volume.geometry,), axes=("time",) if several else (), header=header
    )


def only_slices(image: Image, slices: tuple[int, int] | None) -> Image:
    """The slices start:stop of a volume; all for None.

    Raises
    ------
    DataError
        If the volume has no such slices.
    """
    if slices is None:
        return image
    (start, stop), (nz, ny, nx) = slices, image.geometry.shape
    if not 0 <= start < stop <= nz:
        problem = f"{setting('slices', (start, stop))} is asked for, there are {nz} slices"
        raise DataError(problem, do=f"choose from 0 to {nz}")
    geometry = image.geometry.cropped((start, 0, 0), (stop - start, ny, nx))
    values = image.values[..., start:stop, :, :]
    return replace(image, values=values, geometries=(geometry,), header=image.header.regridded())


def _of_contrast(header: Header, index: int, n_contrasts: int) -> Header:
    """The timings of one contrast, where the header lists one entry for each."""
    if n_contrasts == 1:
        return header
    names = ("te_ms", "tr_ms", "ti_ms", "flip_deg")
    kept = {n: (getattr(header, n)[index],) for n in names if len(getattr(header, n)) == n_contrasts}
    return replace(header, **kept)
