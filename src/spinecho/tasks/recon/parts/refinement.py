"""What learned reconstructions of a coil-combined image share: support, noise level, refinement, unrolling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from spinecho.calib.centre import missing_calibration
from spinecho.calib.noise import noise_sigmas, rss_noise
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import as_channels, as_complex, as_level
from spinecho.nets.losses import image_loss
from spinecho.nets.unet import UNet
from spinecho.tasks.recon.slices import by_slices, no_slices

COARSEST = 8
"""Pixels of an image along one pixel of a U-Net's coarsest level (two by two, then halved twice)."""

_LEAST_NOISE = 1e-3
"""Noise below this part of the image's root mean square counts as this much."""

Consistent = Callable[[Tensor, Tensor], Tensor]
"""(z, w) to argmin |A x - y|^2 + w |x - z|^2, all on the scale of an image of unit size."""


class Weighed(nn.Module):
    """A learned step to z, and how much z then weighs against the samples: exp(a + b log noise), a and b learned."""

    def __init__(self) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.tensor(-1.0))
        self.log_power = nn.Parameter(torch.tensor(0.5))

    def weight(self, relative_noise: Tensor) -> Tensor:
        """w of |x - z|^2 for a noise relative to the image."""
        return torch.exp(self.log_weight + self.log_power * relative_noise.log())


class Refinement(Weighed):
    """z = x + U(x, the image before, the start, noise); U is homogeneous and returns zeros until trained."""

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.unet = UNet(7, 2, channels, blocks)

    def change(self, images: list[Tensor], noise: Tensor) -> Tensor:
        """z - x; images are complex (*batch, 1, 1, y, x), noise is (*batch, 1, 1, 1, 1) on their scale."""
        shape = images[0].shape
        features = [*(as_channels(v) for v in images), as_level(noise, shape)]
        return as_complex(self.unet(torch.cat(features, 1)), shape)


class Support:
    """Where the coil maps are not zero: networks see the box around it, and change nothing outside it.

    The box begins and ends at multiples of the coarsest pixel (or the edge), so that a network's strides fall on the
    same pixels whatever the neighbouring slices' support is. Without `cut` it is all of the grid, as in training: what
    a network makes of one scan then does not depend on the others of its batch.
    """

    def __init__(self, csm: Complex[Tensor, "*batch map coil z y x"], *, cut: bool = True) -> None:
        self.where = (csm != 0).any(-4).any(-4, keepdim=True)
        self.shape = (csm.shape[-2], csm.shape[-1])
        self.y, self.x = (0, self.shape[0]), (0, self.shape[1])
        if not cut:
            return
        flat = self.where.flatten(0, -3).any(0)
        rows, columns = flat.any(1).nonzero(), flat.any(0).nonzero()
        self.y, self.x = _widened(rows, self.shape[0]), _widened(columns, self.shape[1])

    def cut(self, image: Tensor) -> Tensor:
        """The box of an image on the full grid."""
        return image[..., slice(*self.y), slice(*self.x)]

    def put_back(self, box: Tensor) -> Tensor:
        """The full grid with zeros outside the support."""
        (top, bottom), (left, right) = self.y, self.x
        return F.pad(box, (left, self.shape[1] - right, top, self.shape[0] - bottom)) * self.where


def _widened(indices: Tensor, n: int) -> tuple[int, int]:
    """The stretch that holds all indices found, its ends at multiples of COARSEST; all of n if there is none."""
    if len(indices) == 0:
        return 0, n
    first, last = int(indices[0]) // COARSEST, int(indices[-1]) // COARSEST + 1
    return first * COARSEST, min(last * COARSEST, n)


def relative_noise(kspace: KSpace, scale: Tensor) -> Float[Tensor, "*batch 1 1 1 1"]:
    """Standard deviation of the scan's noise over an image's root mean square."""
    return (noise_sigmas(kspace) / scale).clamp_min(_LEAST_NOISE)


def unrolled(
    start: Tensor, steps: Iterable[nn.Module], noise: Tensor, support: Support, consistent: Consistent
) -> list[Tensor]:
    """The image after each refinement and the data consistency that follows it, the start first.

    Parameters
    ----------
    start
        Image of unit root mean square, complex (*batch, 1, 1, y, x).
    steps
        `Refinement`s, all different or one and the same.
    """
    x, before, images = start, start, [start]
    for step in steps:
        assert isinstance(step, Refinement)
        inputs = [support.cut(v) for v in (x, before, start)]
        change = step.change(inputs, noise)
        with full_precision(start):
            before = x + support.put_back(change)
            x = consistent(before, step.weight(noise))
        images.append(x)
    return images


def deep_loss(images: Sequence[Tensor], target: Tensor, csm: Tensor) -> Tensor:
    """Distance of the last image, and a little of those before it, from the target where there are coil maps."""
    with full_precision(csm):
        truth = target.abs() * Support(csm, cut=False).where
        losses = torch.stack([image_loss(x, truth) for x in images])
        return losses[-1] + 0.1 * losses.mean()


def slice_by_slice(kspace: KSpace, one: Callable[[KSpace], tuple[Tensor, ...]], noise_floor: bool) -> Image:
    """The image of a Cartesian scan by a function of its slices, which returns (values, coil maps)."""
    x, csm = by_slices(kspace, one)
    image = kspace.image(x, csm=csm)
    return with_floor(image, kspace) if noise_floor else image


def refused(kspace: KSpace) -> str | None:
    """Why no Cartesian slices with coil maps can be made of a scan; None if they can."""
    if not kspace.is_cartesian:
        return "its samples lie along a trajectory, not on a grid (use modl)"
    return missing_calibration(kspace) or no_slices(kspace)


def with_floor(image: Image, kspace: KSpace) -> Image:
    """The image with the extra that makes `recon` add the noise power of all coils."""
    level = image.values.real.new_full((1, 1, 1, 1), rss_noise(kspace))
    return replace(image, extras={**image.extras, "noise_floor": level})
