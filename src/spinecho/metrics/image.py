"""Image metrics, each with its protocol in the name; all compare magnitude volumes (slice, y, x) in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Real
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from spinecho.core.errors import DataError

Volume = Real[Tensor, "_slice _y _x"]

PROTOCOL = (
    "fastMRI: nmse and psnr over the volume, psnr and ssim with the target volume's maximum as range, "
    "ssim with a 7x7 uniform window averaged over slices; hfen: 15x15 Laplacian of Gaussian, sigma 1.5"
)
"""What the numbers of `score` mean, for tables and reports."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One prediction against its target."""

    nmse: float
    nrmse: float
    psnr: float
    ssim: float
    hfen: float


def score(target: Volume, prediction: Volume) -> Scores:
    """All metrics of a prediction, by the protocols that `PROTOCOL` names."""
    return Scores(
        nmse=nmse_fastmri(target, prediction),
        nrmse=nrmse(target, prediction),
        psnr=psnr_fastmri(target, prediction),
        ssim=ssim_fastmri(target, prediction),
        hfen=hfen(target, prediction),
    )


def nmse_fastmri(target: Volume, prediction: Volume) -> float:
    """||prediction - target||^2 / ||target||^2 over the volume (Zbontar et al. 2018, arXiv:1811.08839, eq. 9)."""
    t, p = _pair(target, prediction)
    return ((p - t).square().sum() / t.square().sum()).item()


def nrmse(target: Volume, prediction: Volume) -> float:
    """||prediction - target|| / ||target|| over the volume: the root of `nmse_fastmri`."""
    return nmse_fastmri(target, prediction) ** 0.5


def psnr_fastmri(target: Volume, prediction: Volume) -> float:
    """10 log10(max(target)^2 / mean squared error), dB, over the volume (Zbontar et al. 2018, eq. 10)."""
    t, p = _pair(target, prediction)
    return (10 * torch.log10(t.max().square() / (p - t).square().mean())).item()


def ssim_fastmri(target: Volume, prediction: Volume) -> float:
    """Structural similarity with the target volume's maximum as range, 7x7 uniform window, mean over slices.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13, as fastMRI's evaluation computes it: K1 = 0.01,
    K2 = 0.03, sample covariance, windows that lie wholly inside the slice.
    """
    return ssim_windows(target, prediction).mean((-1, -2)).mean().item()


def ssim_windows(target: Volume, prediction: Volume, top: float | None = None) -> Float64[Tensor, "slice y2 x2"]:
    """Of each 7x7 window that lies wholly inside a slice, (slice, y - 6, x - 6); as `ssim_fastmri` averages them.

    `top` is the range; None: the target's maximum.
    """
    t, p = _pair(target, prediction)
    if min(t.shape[-2:]) < 7:
        raise DataError(f"ssim needs slices of at least 7x7 pixels, got {tuple(t.shape[-2:])}")
    window, n = 7, 49

    def mean(x: Tensor) -> Tensor:
        return avg_pool2d(x[:, None], window, stride=1)[:, 0]

    c1, c2 = ((k * (t.max() if top is None else top)) ** 2 for k in (0.01, 0.03))
    mt, mp = mean(t), mean(p)
    vt, vp, cov = (
        (mean(a * b) - ma * mb) * n / (n - 1) for a, b, ma, mb in ((t, t, mt, mt), (p, p, mp, mp), (t, p, mt, mp))
    )
    return (2 * mt * mp + c1) * (2 * cov + c2) / ((mt.square() + mp.square() + c1) * (vt + vp + c2))


def hfen(target: Volume, prediction: Volume) -> float:
    """High-frequency error norm: ||LoG(prediction - target)|| / ||LoG(target)||, 15x15 kernel, sigma 1.5 pixels.

    Source: Ravishankar and Bresler 2011, doi:10.1109/TMI.2010.2090538; normalised by the target as is usual since.
    """
    t, p = _pair(target, prediction)
    r = torch.arange(-7, 8, dtype=t.dtype, device=t.device)
    squared = (r[:, None].square() + r.square()) / (2 * 1.5**2)
    kernel = (squared - 1) * torch.exp(-squared)
    kernel = (kernel - kernel.mean())[None, None]
    error, reference = (conv2d(x[:, None], kernel, padding=7) for x in (p - t, t))
    return (error.square().sum() / reference.square().sum()).sqrt().item()


def _pair(target: Volume, prediction: Volume) -> tuple[Tensor, Tensor]:
    if target.shape != prediction.shape:
        raise DataError(
            f"target has shape {tuple(target.shape)}, prediction {tuple(prediction.shape)}",
            do="crop both to the same grid",
        )
    if not target.any():
        do = "give a truth that is not empty, and covers the same place as the image"
        raise DataError("the target is zero everywhere, so no relative error exists", do=do)
    return target.double(), prediction.double()
