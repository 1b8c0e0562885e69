"""Several contrasts of one brain on one working grid: along the patient's axes, the brain alone, in its own units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic, towards_lps, turned
from spinecho.core.image import Image
from spinecho.core.signed import is_signed
from spinecho.tasks.segment.parts.peak import in_peaks, in_spreads, peak
from spinecho.tasks.segment.parts.seen import Seen
from spinecho.train.label_maps import head_box

_MARGIN = 2
_EMPTY, _LARGEST_MM3 = 0.2, 2.2e6
_DEEP_MM = 20.0
"""From here on all is as deep"""
_MOST = 12.0
"""Half widths: what is further off says no more"""


@dataclass(frozen=True, eq=False)
class Several:
    """Contrasts on a working grid, and where that lies.

    Parameters
    ----------
    values
        Each in units of the brain's commonest value; exactly 0 outside the brain, and where a contrast is not given.
    head
        For `parts.seen.back`.
    """

    values: Float[Tensor, "contrast z y x"]
    head: Seen


def several(
    images: Mapping[str, Image], brain: Bool[Tensor, "z y x"], contrasts: Sequence[str], spacing_mm: float
) -> Several:
    """Volumes (1, z, y, x) of one grid on a working grid.

    Parameters
    ----------
    images
        By their contrasts; those that are asked for and not given become 0.
    brain
        On their grid, as it is stored.
    """
    first = next(iter(images.values()))
    order, flips = towards_lps(first.geometry)
    mask, along = turned(brain[None], first.geometry, order, flips)
    z, y, x = (_wider(part, n) for part, n in zip(head_box(mask[0].to(torch.uint8)), along.shape, strict=True))
    volumes: list[Tensor] = []
    grid, fine = along, torch.zeros(along.shape)
    for contrast in contrasts:
        image = images.get(contrast, first)
        values, _ = turned(image.values.float(), image.geometry, order, flips)
        one = replace(image, values=values.contiguous(), geometries=(along,), axes=(), extras={"mask": mask})
        work = isotropic(one, spacing_mm, (z, y, x))
        grid, inside = work.geometry, work.extras["mask"][0]
        fine = one.values[0] if contrast == contrasts[0] else fine
        volumes.append(_scaled(work.values[0], inside) if contrast in images else torch.zeros(grid.shape))
    stack = torch.stack(volumes)
    return Several(stack, Seen(stack[:1], grid, fine, along, first.geometry, (0.0, 1.0)))


def stripped(values: Float[Tensor, "z y x"], geometry: Geometry) -> Bool[Tensor, "z y x"] | None:
    """The brain of an image that shows nothing else: a fifth of it is exactly 0, the rest no larger than a brain.

    None of any other image. Values below 0 belong to it in standardised images; others have them by ringing about it.
    """
    x, y, z = geometry.voxel_mm
    inside = values != 0 if is_signed(values) else values > 0
    n = int(inside.sum())
    if float((values == 0).float().mean()) < _EMPTY or not n or n * x * y * z > _LARGEST_MM3:
        return None
    return inside


def _wider(part: slice, n: int) -> tuple[int, int]:
    first, last, _ = part.indices(n)
    return max(0, first - _MARGIN), min(n, last + _MARGIN)


def _scaled(values: Float[Tensor, "z y x"], inside: Bool[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    known = peak(values[inside])
    level = 1.0 if known is None or not known.value > 0 else known.value
    tiny = torch.finfo(values.dtype).tiny
    return torch.where(inside, torch.where(values == 0, tiny, values / level), 0.0)


def channels(values: Float[Tensor, "contrast z y x"], contrasts: Sequence[str], spacing_mm: float) -> Tensor:
    """What networks see: each contrast in units of the brain's own greys, and how deep in the brain a voxel lies.

    Returns
    -------
    (contrast + 1, z, y, x): T1 in median distances from the median, others in half widths from the peak; the depth in
    units of 20 mm. All are 0 outside the brain.
    """
    brain = (values != 0).any(0)
    rows = [torch.zeros_like(values[0]) for _ in contrasts]
    for i, (contrast, row) in enumerate(zip(contrasts, values, strict=False)):
        if bool((row != 0).any()):
            own = in_spreads(row, brain) if contrast.startswith("t1") else in_peaks(row, brain)
            rows[i] = own.clamp(-_MOST, _MOST) * brain
    return torch.stack([*rows, depth(brain, spacing_mm).to(values)])


def depth(brain: Bool[Tensor, "z y x"], spacing_mm: float) -> Float[Tensor, "z y x"]:
    """How far inside of the brain a voxel lies, in units of 20 mm, at most 1; 0 outside."""
    from scipy.ndimage import distance_transform_edt  # slow to import

    mm = torch.as_tensor(distance_transform_edt(brain.cpu().numpy(), spacing_mm)).float()
    return mm.clamp_max(_DEEP_MM) / _DEEP_MM
