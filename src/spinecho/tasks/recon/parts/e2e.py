"""The plain end-to-end variational network: k-space cascades, coil maps by a network; a reference for `varnet`.

Source: Sriram et al. 2020, doi:10.1007/978-3-030-59713-9_7, eqs. 5 to 9. With M the mask, S the maps and F the Fourier
transform, each cascade k computes from the coils' k-space

    k <- k - eta_k M (k - y) + F S U_k(S^H F^-1 k),     S = normalised(V(F^-1 of the calibration lines)),

and the image is the root sum of squares at the end. How we differ: U_k and V are the homogeneous U-Nets that `varnet`
has too, so that the two forms compare, and U_k knows the noise level; V adds to its input.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex
from torch import Tensor, nn

from spinecho.calib.centre import calibration_region
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import as_channels, as_complex, as_level, root_mean_square
from spinecho.nets.losses import image_loss
from spinecho.nets.unet import UNet
from spinecho.ops.coils import Coils, root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop
from spinecho.tasks.recon.parts.refinement import relative_noise


class CoilMaps(nn.Module):
    """Coil maps from the calibration lines: their images, changed by one network for all coils, of unit norm."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.unet = UNet(2, 2, channels, (1,) * len(channels))

    def forward(self, kspace: KSpace) -> Complex[Tensor, "*batch 1 coil z y x"]:
        if kspace.n_coils == 1:
            return torch.ones_like(kspace.samples).unsqueeze(-5)
        with full_precision(kspace.samples), torch.no_grad():
            calib = calibration_region(kspace)
            images = ifft(centre_crop(calib / calib.abs().amax(), kspace.encoding.matrix))
        apart = images.unsqueeze(-4)  # (*batch, coil, 1, 1, y, x): the network sees one coil at a time
        change = as_complex(self.unet(as_channels(apart)), apart.shape).squeeze(-4)
        with full_precision(kspace.samples):
            maps = images + change
            norm = root_sum_of_squares(maps)
            maps = maps / norm.clamp_min(torch.finfo(norm.dtype).tiny)
            return maps.expand(kspace.samples.shape).unsqueeze(-5)


class KSpaceCascade(nn.Module):
    """One gradient step toward the samples and one refinement of the coil-combined image, in k-space."""

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.unet = UNet(3, 2, channels, blocks)
        self.step = nn.Parameter(torch.tensor(1.0))

    def forward(self, k: Tensor, y: Tensor, mask: Tensor, S: Coils, noise: Tensor) -> Tensor:
        with full_precision(k):
            x = S.adjoint(ifft(k))
        features = [as_channels(x), as_level(noise, x.shape)]
        change = as_complex(self.unet(torch.cat(features, 1)), x.shape)
        with full_precision(k):
            return k - self.step * mask * (k - y) + fft(S(change))


class EndToEnd(nn.Module):
    """Scan of slices to a root sum of squares (*batch, 1, 1, y, x), and the coil maps it used."""

    def __init__(
        self, n_cascades: int, channels: Sequence[int], blocks: Sequence[int], map_channels: Sequence[int]
    ) -> None:
        super().__init__()
        self.maps = CoilMaps(map_channels)
        self.cascades = nn.ModuleList(KSpaceCascade(channels, blocks) for _ in range(n_cascades))

    def forward(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        assert kspace.mask is not None
        csm = self.maps(kspace)
        with full_precision(csm), torch.no_grad():
            scale = root_mean_square(root_sum_of_squares(ifft(kspace.samples)))
            noise = relative_noise(kspace, scale)
        k = y = kspace.samples / scale
        S = Coils(csm)
        for cascade in self.cascades:
            k = cascade(k, y, kspace.mask, S, noise)
        with full_precision(csm):
            return root_sum_of_squares(ifft(k)) * scale, csm

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the image from the target."""
        assert kspace.target is not None
        x, _ = self(kspace)
        with full_precision(x):
            return image_loss(x, kspace.target.abs())
