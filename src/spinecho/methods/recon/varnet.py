"""Variational network: a few learned refinements, each followed by solved data consistency; needs trained weights.

Source: Sriram et al. 2020, End-to-end variational networks, doi:10.1007/978-3-030-59713-9_7; Aggarwal et al. 2019,
MoDL, doi:10.1109/TMI.2018.2865356, for data consistency by conjugate gradients. With x_0 from a few iterations of
CG-SENSE (or of `l1_wavelet`), each cascade k computes

    z = x + U_k(x, z_before, x_0, noise),     x = argmin |A x - y|^2 + w_k |x - z|^2.

How we differ: the refinement sees one coil-combined image instead of k-space, maps come from ESPIRiT, U_k is a U-Net
without normalisation or biases (nothing depends on the scale), the weight w_k grows with the scan's noise by a learned
power, and the noise that a root sum of squares of all coils would show is added to the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigma, rss_noise, with_noise_power
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.method import Recon
from spinecho.core.precision import full_precision
from spinecho.methods.recon import l1_wavelet
from spinecho.nets.losses import image_loss
from spinecho.nets.unet import UNet
from spinecho.ops.psf import CartesianSense
from spinecho.solve.cg import solve

_LEAST_NOISE = 1e-3
"""Noise below this part of the image's root mean square counts as this much."""


@dataclass(frozen=True, kw_only=True)
class Config:
    n_cascades: int = 4
    """refinements, each with its own network"""
    channels: tuple[int, ...] = (32, 64, 96)
    """of the U-Net's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 3)
    """residual blocks of each level"""
    cg_iters: int = 5
    """conjugate-gradient iterations of each data consistency"""
    start_iters: int = 40
    """iterations of l1_wavelet to start from, where few coils help (see start_coils)"""
    start_coils: int = 2
    """up to this many coils the start is l1_wavelet's, with more it is a few iterations of CG-SENSE (fast)"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares, so that the picture compares with the scanner's"""


class Cascade(nn.Module):
    """One refinement and the solved data consistency after it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.unet = UNet(7, 2, config.channels, config.blocks)
        self.log_weight = nn.Parameter(torch.tensor(-1.0))
        self.log_power = nn.Parameter(torch.tensor(0.5))

    def change(self, images: list[Tensor], noise: Tensor) -> Tensor:
        """z - x; images are complex (*batch, 1, 1, y, x), noise is (*batch, 1, 1, 1, 1) on their scale."""
        shape = images[0].shape
        features = [_channels(v.reshape(-1, *shape[-2:])) for v in images]
        level = noise.expand(*shape[:-4], 1, 1, *shape[-2:]).reshape(-1, 1, *shape[-2:])
        change = self.unet(torch.cat([*features, level], 1)).float()
        return torch.complex(change[:, 0], change[:, 1]).reshape(shape)

    def weight(self, relative_noise: Tensor) -> Tensor:
        """w of |x - z|^2 for a noise relative to the image."""
        return torch.exp(self.log_weight + self.log_power * relative_noise.log())


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.cascades = nn.ModuleList(Cascade(config) for _ in range(config.n_cascades))

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return None if kspace.is_cartesian else "its samples lie along a trajectory, not on a grid (use modl)"

    def forward(self, kspace: KSpace) -> Image:
        csm = estimate_csm(kspace)
        x = self.reconstruct(kspace, csm)
        if self.config.noise_floor:
            x = with_noise_power(x, rss_noise(kspace))
        return kspace.image(x, csm=csm)

    def reconstruct(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"]
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """The image for given coil maps."""
        return self.images(kspace, csm)[-1]

    def images(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image after each cascade, the start first."""
        assert kspace.mask is not None
        with full_precision(csm), torch.no_grad():
            A = CartesianSense(kspace.mask, csm)
            b = A.inner_adjoint(kspace.samples)
            x = self.start(kspace, csm, A, b)
            scale = root_mean_square(x)
            noise = (noise_sigma(kspace) / scale).clamp_min(_LEAST_NOISE)
            support = Support(csm)
        start = before = x / scale
        x, found = start, [x]
        for cascade in self.cascades:
            assert isinstance(cascade, Cascade)
            inputs = [support.cut(v) for v in (x, before, start)]
            change = cascade.change(inputs, noise)
            with full_precision(csm):
                before = x + support.put_back(change)
                x = consistent(A, b, before, cascade.weight(noise), scale, self.config.cg_iters)
            found.append(x * scale)
        return found

    def start(self, kspace: KSpace, csm: Tensor, A: CartesianSense, b: Tensor) -> Tensor:
        """x_0, without gradients."""
        if kspace.n_coils <= self.config.start_coils and self.config.start_iters:
            return l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=self.config.start_iters))
        return A.leave(l1_wavelet.start(A, b))

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the last image, and a little of those before it, from the target."""
        assert kspace.target is not None
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        found = self.images(kspace, csm)[1:]
        with full_precision(csm):
            target = kspace.target.abs() * Support(csm).where
            losses = torch.stack([image_loss(x, target) for x in found])
            return losses[-1] + 0.1 * losses.mean()


class Support:
    """Where the coil maps are not zero: networks see the box around it, and change nothing outside it."""

    def __init__(self, csm: Complex[Tensor, "*batch map coil z y x"]) -> None:
        self.where = (csm != 0).any(-4).any(-4, keepdim=True)
        flat = self.where.flatten(0, -3).any(0)
        rows, columns = flat.any(1).nonzero(), flat.any(0).nonzero()
        self.shape = (flat.shape[0], flat.shape[1])
        self.y = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, self.shape[0])
        self.x = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, self.shape[1])

    def cut(self, image: Tensor) -> Tensor:
        """The box of an image on the full grid."""
        return image[..., slice(*self.y), slice(*self.x)]

    def put_back(self, box: Tensor) -> Tensor:
        """The full grid with zeros outside the support."""
        (top, bottom), (left, right) = self.y, self.x
        return F.pad(box, (left, self.shape[1] - right, top, self.shape[0] - bottom)) * self.where


def root_mean_square(x: Tensor) -> Float[Tensor, "*batch 1 1 1 1"]:
    """Of each image, over the pixels where it is not zero."""
    power = x.abs().square()
    mean = power.sum((-4, -3, -2, -1), keepdim=True) / (power > 0).sum((-4, -3, -2, -1), keepdim=True).clamp_min(1)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).sqrt()


def consistent(A: CartesianSense, b: Tensor, z: Tensor, weight: Tensor, scale: Tensor, n_iters: int) -> Tensor:
    """argmin |A x - y / scale|^2 + weight |x - z|^2 by conjugate gradients from z; b is A^H y in the inner layout."""
    inner = A.enter(z)
    normal = lambda x: A.inner_normal(x) + weight * x  # noqa: E731
    return A.leave(solve(normal, b / scale + weight * inner, n_iters, x0=inner, dims=(-4, *A.inner_dims)))


def _channels(x: Complex[Tensor, "n y x"]) -> Float[Tensor, "n 2 y x"]:
    return torch.view_as_real(x).movedim(-1, 1)
