"""Deep cascade: small networks with data consistency in between; takes published weights of its plain form.

Source: Schlemper et al. 2018, doi:10.1109/TMI.2017.2760978. From x_0 = A^H y, n_cascades times, with C a chain of
n_convs convolutions with ReLU between,

    z = x + C(x),    x = argmin |A x - y|^2 + w |x - z|^2    (equation 3)

For one coil and w = 0 that is the z whose measured samples are replaced by y (equation 5, noise-free): `hard`, which is
what the published weights were trained with. How we differ by default: any number of coils (combined by ESPIRiT's maps,
the system solved by conjugate gradients), and w is learned, growing with the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from spinecho.calib.csm import estimate_csm
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import as_channels, as_complex
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.normal import cartesian
from spinecho.tasks.recon.parts.refinement import deep_loss, refused, relative_noise, slice_by_slice


@dataclass(frozen=True, kw_only=True)
class Config:
    n_cascades: int = 5
    """networks, each with a data consistency behind it"""
    n_convs: int = 5
    """convolutions of each network, 3 x 3 pixels, at least 2"""
    channels: int = 64
    """between the convolutions"""
    consistency: Literal["solved", "hard"] = "solved"
    """hard: measured samples are put back as they are, one coil only; solved: a least-squares problem, any coils"""
    cg_iters: int = 5
    """conjugate-gradient iterations of each data consistency that is solved"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares, so that the picture compares with the scanner's"""

    def __post_init__(self) -> None:
        if self.n_cascades < 1 or self.n_convs < 2:
            raise DataError(
                f"n_cascades is {self.n_cascades}, n_convs {self.n_convs}", do="give at least 1 and at least 2"
            )


class Chain(nn.Sequential):
    """Convolutions with biases and ReLU between them, two channels in and out."""

    def __init__(self, n_convs: int, channels: int) -> None:
        sizes = [2, *[channels] * (n_convs - 1), 2]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers[:-1])
        last = self.convolutions[-1]
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """In their order."""
        return [layer for layer in self if isinstance(layer, nn.Conv2d)]


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("cg_iters", "noise_floor")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.chains = nn.ModuleList(Chain(config.n_convs, config.channels) for _ in range(config.n_cascades))
        self.log_weight = nn.Parameter(torch.full([config.n_cascades], -3.0))
        self.log_power = nn.Parameter(torch.tensor(0.5))

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return refused(kspace)

    def forward(self, kspace: KSpace) -> Image:
        if self.config.consistency == "hard" and kspace.n_coils > 1:
            raise DataError(
                f"hard data consistency is for one coil, the scan has {kspace.n_coils}",
                do="use weights trained with consistency solved",
            )
        return slice_by_slice(kspace, self.slices, self.config.noise_floor)

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        """Image and coil maps of a scan of slices."""
        csm = estimate_csm(kspace)
        return self.images(kspace, csm)[-1], csm

    def images(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], *, cut: bool = True
    ) -> list[Complex[Tensor, "*batch 1 z y x"]]:
        """The image after each cascade, the start first (`cut`: as in `CartesianSense`)."""
        assert kspace.mask is not None
        with full_precision(csm), torch.no_grad():
            A = CartesianSense(kspace.mask, csm, cut=cut)
            start = A.adjoint(kspace.samples)
            unit = peak(start)
            noise = relative_noise(kspace, unit)
            equations = cartesian(A, kspace.samples)
        images = [start / unit]
        for chain, log_weight in zip(self.chains, self.log_weight, strict=True):
            x = images[-1]
            change = as_complex(chain(as_channels(x)), x.shape)
            with full_precision(csm):
                z = x + change
                if self.config.consistency == "hard":
                    images.append(z + A.adjoint(kspace.samples / unit - A(z)))
                    continue
                weight = torch.exp(log_weight + self.log_power * noise.log())
                images.append(equations.consistent(z, weight, unit, self.config.cg_iters))
        return [x * unit for x in images]

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the last image, and a little of those before it, from the target."""
        assert kspace.target is not None
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        return deep_loss(self.stages(kspace, csm), kspace.target, csm)

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image after each cascade."""
        return self.images(kspace, csm, cut=False)[1:]

    @classmethod
    def imported(cls, arrays: Sequence[np.ndarray], *, flip_kernels: bool) -> Method:
        """The plain form with weights of the published layout: for each convolution its kernel, then its biases.

        Parameters
        ----------
        arrays
            In the order of the network, kernels (out, in, 3, 3). The number of cascades and of channels is found.
        flip_kernels
            Whether they come from a framework that convolves with flipped kernels.

        Raises
        ------
        DataError
            If shapes or their order do not fit; it names the first array that does not.
        """
        config = replace(_layout(arrays), consistency="hard")
        method = cls(config)
        chains = [chain for chain in method.chains if isinstance(chain, Chain)]
        layers = [conv for chain in chains for conv in chain.convolutions]
        with torch.no_grad():
            for conv, kernel, biases in zip(layers, arrays[::2], arrays[1::2], strict=True):
                weights = torch.from_numpy(np.array(kernel, dtype=np.float32))
                conv.weight.copy_(weights.flip(-2, -1) if flip_kernels else weights)
                assert conv.bias is not None
                conv.bias.copy_(torch.from_numpy(np.array(biases, dtype=np.float32)))
        return method


def peak(x: Complex[Tensor, "*batch 1 z y x"]) -> Float[Tensor, "*batch 1 1 1 1"]:
    """The largest magnitude of each image: the unit in which chains with biases see it."""
    top = x.abs().amax((-4, -3, -2, -1), keepdim=True)
    return top.clamp_min(torch.finfo(top.dtype).tiny)


def _layout(arrays: Sequence[np.ndarray]) -> Config:
    """How many cascades of how many convolutions the arrays are."""
    if not arrays or len(arrays) % 2:
        raise DataError(f"there are {len(arrays)} arrays", do="give a kernel and its biases for each convolution")
    ends = [i for i, kernel in enumerate(arrays[::2]) if kernel.ndim == 4 and kernel.shape[0] == 2]
    n_convs = ends[0] + 1 if ends else 0
    if n_convs < 2 or len(arrays) % (2 * n_convs):
        raise DataError(
            f"no cascades can be recognised in {len(arrays)} arrays of shapes {[a.shape for a in arrays[:4]]}, ...",
            do="give kernels (out, in, 3, 3) and biases in the order of the network, two channels out of each cascade",
        )
    channels = int(arrays[0].shape[0])
    config = Config(n_cascades=len(arrays) // (2 * n_convs), n_convs=n_convs, channels=channels)
    sizes = [2, *[channels] * (n_convs - 1), 2]
    wanted = [s for a, b in pairwise(sizes) for s in ((b, a, 3, 3), (b,))]
    for i, array in enumerate(arrays):
        if array.shape != (shape := wanted[i % len(wanted)]):
            raise DataError(f"array {i} has shape {array.shape}", do=f"give {shape} there")
    return config
