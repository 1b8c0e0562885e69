"""Variational network: a few learned refinements, each followed by solved data consistency; needs trained weights.

Source: Sriram et al. 2020, End-to-end variational networks, doi:10.1007/978-3-030-59713-9_7; Aggarwal et al. 2019,
MoDL, doi:10.1109/TMI.2018.2865356, for data consistency by conjugate gradients. With x_0 from a few iterations of
`l1_wavelet` (or of CG-SENSE), each cascade k computes

    z = x + U_k(x, z_before, x_0, noise),     x = argmin |A x - y|^2 + w_k |x - z|^2,

and the image is (1 - s) x + s x_0 with a share s that depends on the acceleration and the noise by three numbers.

How we differ: the refinement sees one coil-combined image instead of k-space, maps come from ESPIRiT, U_k is a U-Net
without normalisation or biases (nothing depends on the scale), the weight w_k grows with the scan's noise by a learned
power, and the noise that a root sum of squares of all coils would show is added to the result. `form="e2e"` is the
plain form of the first source, to compare with (`methods.e2e`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Complex
from torch import Tensor, nn

from spinecho.calib.csm import estimate_csm
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import root_mean_square
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import l1_wavelet
from spinecho.tasks.recon.parts.e2e import EndToEnd
from spinecho.tasks.recon.parts.normal import Normal, normal_equations
from spinecho.tasks.recon.parts.refinement import (
    Refinement,
    Support,
    deep_loss,
    refused,
    relative_noise,
    slice_by_slice,
    unrolled,
)

_STARTS = (0.0, 0.625, 1.0, 1.5)
"""Iterations of the start in training, relative to those of the Config."""
_IN_TRAINING = 60
"""What they are relative to where the Config names none."""


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
    start_iters: int | None = None
    """iterations of l1_wavelet to start from; None: as many as that takes by itself; 0: of CG-SENSE, quicker, worse"""
    start_coils: int = 128
    """with more coils than this, start from CG-SENSE"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares, so that the picture compares with the scanner's"""
    form: Literal["solved", "e2e"] = "solved"
    """e2e: the plain published form, k-space cascades with one gradient step each, and coil maps by a network"""
    map_channels: tuple[int, ...] = (8, 16, 32)
    """of the U-Net that estimates coil maps (e2e)"""


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("cg_iters", "start_iters", "start_coils", "noise_floor")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.form == "e2e":
            self.end_to_end = EndToEnd(config.n_cascades, config.channels, config.blocks, config.map_channels)
        else:
            self.cascades = nn.ModuleList(Refinement(config.channels, config.blocks) for _ in range(config.n_cascades))
            self.mix = nn.Parameter(torch.tensor([-2.0, 0.0, 0.0]))

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return refused(kspace)

    def forward(self, kspace: KSpace) -> Image:
        return slice_by_slice(kspace, self.slices, self.config.noise_floor)

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        """Image and coil maps of a scan of slices."""
        if self.config.form == "e2e":
            return self.end_to_end(kspace)
        csm = estimate_csm(kspace)
        return self.reconstruct(kspace, csm), csm

    def reconstruct(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"]
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """The image for given coil maps (solved form)."""
        return self.images(kspace, csm)[-1]

    def images(self, kspace: KSpace, csm: Tensor, start: Tensor | None = None) -> list[Tensor]:
        """The image after each cascade, the start first (solved form); a start that is given is taken as it is."""
        if start is not None:
            return self._images(kspace, csm, lambda _: start)
        n_iters = self.config.start_iters if kspace.n_coils <= self.config.start_coils else 0
        return self._images(kspace, csm, lambda equations: self.start(kspace, csm, equations, n_iters))

    def _images(self, kspace: KSpace, csm: Tensor, start: Callable[[Normal], Tensor], cut: bool = True) -> list[Tensor]:
        with full_precision(csm), torch.no_grad():
            equations = normal_equations(kspace, csm, cut=cut)
            support = Support(csm, cut=cut)
            x = start(equations) * support.where
            scale = root_mean_square(x)
            noise = relative_noise(kspace, scale)

        def consistent(z: Tensor, weight: Tensor) -> Tensor:
            return equations.consistent(z, weight, scale, self.config.cg_iters)

        images = [v * scale for v in unrolled(x / scale, self.cascades, noise, support, consistent)]
        return [*images[:-1], torch.lerp(images[-1], x, self.share(kspace, noise).to(x.dtype))]

    def share(self, kspace: KSpace, noise: Tensor) -> Tensor:
        """How much of the start the last image keeps: less where much was left out, or much is noise."""
        assert kspace.mask is not None
        accel = 1 / kspace.mask.float().mean((-4, -3, -2, -1), keepdim=True).expand(noise.shape).clamp_min(1e-6)
        seen = torch.stack([torch.ones_like(noise), accel.log(), noise.log()], -1)
        return torch.sigmoid((seen * self.mix).sum(-1))

    def start(self, kspace: KSpace, csm: Tensor, equations: Normal, n_iters: int | None, *, cut: bool = True) -> Tensor:
        """x_0, without gradients: of l1_wavelet, or for 0 iterations of CG-SENSE."""
        if n_iters == 0:
            return equations.start()
        return l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=n_iters), cut=cut)

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the last image, and a little of those before it, from the target."""
        assert kspace.target is not None
        if self.config.form == "e2e":
            return self.end_to_end.loss(kspace)
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        return deep_loss(self.stages(kspace, csm), kspace.target, csm)

    def no_stages(self) -> str | None:
        return "its form e2e makes no complex image" if self.config.form == "e2e" else None

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image after each cascade."""
        return self._images(kspace, csm, lambda equations: self._drawn_start(kspace, csm, equations), cut=False)[1:]

    def drawn_iters(self, kspace: KSpace) -> list[int]:
        """In training starts differ, so that one set of weights serves all: from CG-SENSE to half more iterations.

        Which one follows from the bits of the target's largest value (without a truth: of the samples' largest real
        part): a scan always trains in the same way.

        Returns
        -------
        One number for each example, or for the scan.
        """
        told = kspace.samples.real if kspace.target is None else kspace.target
        n = told.shape[0] if "example" in kspace.axes else 1
        if kspace.n_coils > self.config.start_coils:
            return [0] * n
        peaks = told.reshape(n, -1).amax(-1).float().view(torch.int32).tolist()
        most = _IN_TRAINING if self.config.start_iters is None else self.config.start_iters
        return [round(most * _STARTS[bits % len(_STARTS)]) for bits in peaks]

    def _drawn_start(self, kspace: KSpace, csm: Tensor, equations: Normal) -> Tensor:
        drawn = self.drawn_iters(kspace)
        if "example" not in kspace.axes:
            return self.start(kspace, csm, equations, drawn[0], cut=False)
        if kspace.device.type == "cpu":  # nothing is won by a batch, and one by one each start is the same in any batch
            parts = [(kspace.take("example", [i]), csm[[i]]) for i in range(len(drawn))]
            starts = [
                self.start(part, maps, normal_equations(part, maps, cut=False), n, cut=False)
                for n, (part, maps) in zip(drawn, parts, strict=True)
            ]
            return torch.cat(starts)
        x = torch.zeros_like(csm[..., 0, :, :, :]) if all(drawn) else equations.start()
        rows = [i for i, n in enumerate(drawn) if n]
        part, counts = kspace.take("example", rows), [drawn[i] for i in rows]
        x[rows] = l1_wavelet.reconstruct_each(part, csm[rows], l1_wavelet.Config(), counts, cut=False)
        return x
