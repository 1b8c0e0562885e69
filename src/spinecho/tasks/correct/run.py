"""From an image as read to the same image without bias field or ringing: volume by volume, any scale and kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.log import logged
from spinecho.core.transform import identity
from spinecho.methods.pretrained import built
from spinecho.tasks.correct.base import Correct


@logged("correct")
def correct(
    image: Image, method: str = "n4", *, mask: Image | None = None, tell: Bar | None = None, **settings: Any
) -> Image:
    """Remove a bias field or Gibbs ringing from an image.

    Parameters
    ----------
    image
        Of any scale and kind; each volume (frame, contrast, channel) is corrected separately.
    method
        Name of a method (`spinecho list`).
    mask
        Image in the same world: `n4` uses the voxels where it is over 0.
    tell
        Called with the number of volumes that are done, and of all.
    settings
        Fields of that method's `Config`.

    Returns
    -------
    The image on the same grid, with maps in its extras (`field`: what the image was divided by, with a geometric mean
    of 1 over the object); its history says what was done.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values, the method cannot handle it, a setting is unknown, or a package is
        missing.
    """
    runner = built("correct", method, settings, image.values.device)
    assert isinstance(runner, Correct)
    image = image.volume()
    values = image.values if image.values.is_complex() else image.values.float()
    if not bool(values.isfinite().all()):
        raise DataError("the image holds NaN or infinite values", do="repair or mask them first")
    given = _on_grid(mask, image)
    flat = values.reshape(-1, 1, *values.shape[-3:])
    done: list[Image] = []
    with torch.inference_mode():
        for i, volume in enumerate(flat):
            done.append(_one(replace(image, values=volume, axes=(), extras=given), runner, method))
            if tell is not None:
                tell(i + 1, len(flat))
    steps = dict.fromkeys(step for one in done for step in one.header.history[len(image.header.history) :])
    return replace(
        image,
        values=torch.stack([one.values for one in done]).reshape(values.shape),
        extras=_maps(done, values.shape),
        header=image.header.noted(*steps),
    )


def _one(volume: Image, runner: Correct, method: str) -> Image:
    """A volume (1, z, y, x) corrected, in its own units; one that is 0 everywhere stays."""
    peak = volume.values.abs().max()
    if peak == 0:
        return replace(volume, extras={}, header=volume.header.noted("a volume of zeros was left as it is"))
    scaled = replace(volume, values=volume.values / peak)
    if reason := runner.refusal(scaled):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    made = runner(scaled)
    return replace(made, values=made.values * peak)


def _on_grid(mask: Image | None, image: Image) -> dict[str, Tensor]:
    """The mask on the image's grid, nearest voxels, as an extra.

    Raises
    ------
    DataError
        If nothing of it lies in the image.
    """
    if mask is None:
        return {}
    mask = mask.volume()
    same = mask.geometry.matches(image.geometry)
    there = mask if same else identity().warp(mask.to("cpu"), image.geometry, "nearest")
    inside = (there.values.abs() > 0).reshape(-1, 1, *image.geometry.shape).any(0)
    if not bool(inside.any()):
        raise DataError("the mask is empty where the image is", do="give one in the same world, over 0 in the object")
    return {"mask": inside.to(image.device)}


def _maps(done: list[Image], shape: torch.Size) -> dict[str, Tensor]:
    """The maps of all volumes, those that each has."""
    names = [name for name in done[0].extras if all(name in one.extras for one in done)]
    return {name: torch.stack([one.extras[name] for one in done]).reshape(shape) for name in names}
