"""Transformer: shifted-window attention unrolled with data consistency, one set of weights for all scans.

Source: Liu et al. 2021, Swin transformer, arXiv:2103.14030; Huang et al. 2022, SwinMR,
doi:10.1016/j.neucom.2022.04.051; Aggarwal et al. 2019, doi:10.1109/TMI.2018.2865356, for data consistency by conjugate
gradients. From x_0, a few iterations of `l1_wavelet`, with F the Fourier transform, e the size of x_0's samples about
each place of k-space and p the prompt,

    z = x_0 + F^-1 e L(F x_0 / e, p),    then    z = x + W_k(x, z_before, x_0, p),

each followed by x = argmin |A x - y|^2 + w_k |x - z|^2. L is attention among all lines of k-space (tokens are stretches
of a line), W_k attention in windows of the image, and p what the scan says of itself, by which every block scales and
shifts its features (FiLM, Perez et al. 2018, arXiv:1709.07871): acceleration, noise, coils, how far its samples reach,
and contrast. How we differ: many coils, solved data consistency, the prompt, the block in k-space; images come in units
of the start's root mean square, so that nothing depends on the scale though the network has biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor, nn

from spinecho.calib.csm import estimate_csm
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import as_channels, as_complex, as_level, root_mean_square
from spinecho.nets.lines import LineAttention
from spinecho.nets.windows import ShiftedWindows
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import l1_wavelet
from spinecho.tasks.recon.parts.normal import Normal, normal_equations
from spinecho.tasks.recon.parts.prompt import N_NUMBERS, prompt
from spinecho.tasks.recon.parts.refinement import (
    Support,
    Weighed,
    deep_loss,
    refused,
    relative_noise,
    slice_by_slice,
)
from spinecho.tasks.recon.parts.whitened import N_PLACES, Whitened


@dataclass(frozen=True, kw_only=True)
class Config:
    n_cascades: int = 4
    """refinements in the image, each with its own network"""
    channels: int = 48
    """of a token, 2 x 2 pixels; a multiple of the heads"""
    groups: int = 2
    """of two attentions each (the second's windows shifted) in each refinement"""
    heads: int = 3
    """of each attention"""
    side: int = 8
    """tokens along a side of a window"""
    line_blocks: int = 2
    """attentions among the lines of k-space before all refinements; 0: none"""
    cg_iters: int = 5
    """conjugate-gradient iterations of each data consistency"""
    start_iters: int = 20
    """iterations of l1_wavelet to start from; 0: of CG-SENSE"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares, so that the picture compares with the scanner's"""

    def __post_init__(self) -> None:
        if min(self.n_cascades, self.groups, self.heads) < 1 or self.channels % self.heads or self.side % 2:
            each = f"{setting('channels', self.channels)}, {setting('heads', self.heads)}, {setting('side', self.side)}"
            do = "give channels that are a multiple of the heads, an even side, and at least one of everything"
            raise DataError(f"no such attention can be made: {each}", do=do)


class Step(Weighed):
    """What a network adds to an image or to samples."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def change(self, features: list[Tensor], told: Tensor, shape: torch.Size) -> Tensor:
        """What the network adds to an image of that shape, or to its samples."""
        return as_complex(self.network(torch.cat(features, 1), told), shape)


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("cg_iters", "start_iters", "noise_floor")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        self.lines = None
        if c.line_blocks:
            n_in = 2 + N_PLACES
            attention = LineAttention(n_in, 2, c.channels, c.line_blocks, heads=c.heads, n_numbers=N_NUMBERS)
            self.lines = Step(attention)
        self.cascades = nn.ModuleList(
            Step(ShiftedWindows(7, 2, c.channels, c.groups, heads=c.heads, side=c.side, n_numbers=N_NUMBERS))
            for _ in range(c.n_cascades)
        )

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return refused(kspace)

    def forward(self, kspace: KSpace) -> Image:
        return slice_by_slice(kspace, self.slices, self.config.noise_floor)

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        """Image and coil maps of a scan of slices."""
        csm = estimate_csm(kspace)
        return self.images(kspace, csm)[-1], csm

    def images(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], *, cut: bool = True
    ) -> list[Complex[Tensor, "*batch 1 z y x"]]:
        """The image after each step, the start first (`cut`: as in `CartesianSense`; networks see all of the grid)."""
        with full_precision(csm), torch.no_grad():
            equations = normal_equations(kspace, csm, cut=cut)
            support = Support(csm, cut=False)
            x = self.start(kspace, csm, equations, cut=cut) * support.where
            scale = root_mean_square(x)
            noise = relative_noise(kspace, scale)
            start = x / scale
            told = prompt(kspace, start, noise)
        x, before, images = start, start, [start]
        if self.lines is not None:
            with full_precision(csm), torch.no_grad():
                spectrum = Whitened(kspace, start, noise)
            change = self.lines.change(spectrum.features, told, spectrum.shape)
            with full_precision(csm):
                before = x + spectrum.image(change) * support.where
                x = equations.consistent(before, self.lines.weight(noise), scale, self.config.cg_iters)
            images.append(x)
        for step in self.cascades:
            assert isinstance(step, Step)
            features = [*map(as_channels, (x, before, start)), as_level(noise.log() / math.log(10), x.shape)]
            change = step.change(features, told, x.shape)
            with full_precision(csm):
                before = x + change * support.where
                x = equations.consistent(before, step.weight(noise), scale, self.config.cg_iters)
            images.append(x)
        return [v * scale for v in images]

    def start(self, kspace: KSpace, csm: Tensor, equations: Normal, *, cut: bool) -> Tensor:
        """x_0: of l1_wavelet, or for 0 iterations of CG-SENSE."""
        if not self.config.start_iters:
            return equations.start()
        return l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=self.config.start_iters), cut=cut)

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the last image, and a little of those before it, from the target."""
        assert kspace.target is not None
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        return deep_loss(self.stages(kspace, csm), kspace.target, csm)

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image after each step."""
        return self.images(kspace, csm, cut=False)[1:]
