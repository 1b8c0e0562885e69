"""How a reconstruction is judged: inside the object without any noise floor; whole images, all with the same floor."""

from __future__ import annotations

import torch
from torch import Tensor

from spinecho.calib.noise import rss_noise, with_noise_power
from spinecho.calib.prepare import prewhiten
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.metrics.image import Volume, score
from spinecho.metrics.inside import score_inside
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.ops.grid import to_recon_grid
from spinecho.tasks.recon.judge.case import flat_slices


def truth_of(full: KSpace) -> Volume:
    """Root sum of squares of all samples of a fully sampled scan, on the image's grid, as (slice, y, x) in float64.

    Coils are prewhitened where there is a noise covariance, since reconstructions are made of such coils.
    """
    coils = ifft(prewhiten(full).samples)
    return flat_slices(to_recon_grid(full.image(root_sum_of_squares(coils)), full.encoding).values)


def floor_of(kspace: KSpace, kind: str) -> float:
    """Noise of all coils together, which whole images are shown with: a real truth has it, a simulated one has not."""
    return rss_noise(prewhiten(kspace)) if kind == "real" else 0.0


def fitted(truth: Volume, prediction: Volume) -> Volume:
    """The prediction times the factor a that minimises |a prediction - truth|^2 (an image of zeros stays)."""
    energy = float(prediction.square().sum())
    return prediction * (float((prediction * truth).sum()) / energy) if energy > 0 else prediction


def figures(truth: Volume, values: Tensor, floor: float = 0.0) -> dict[str, float]:
    """All metrics of image values (*batch, channel, z, y, x) without noise floor, as in the judge's `JUDGED`.

    Parameters
    ----------
    floor
        What whole images get, on the scale of the values: sqrt(|x|^2 + floor^2).

    Raises
    ------
    DataError
        If the image holds NaN or infinite values.
    """
    if not bool(torch.isfinite(values).all()):
        raise DataError("its image holds NaN or infinite values")
    image = flat_slices(values)
    inside, whole = score_inside(truth, image), score(truth, fitted(truth, with_noise_power(image, floor)))
    own = {"psnr_inside": inside.psnr, "ssim_inside": inside.ssim}
    return {**own, "psnr": whole.psnr, "ssim": whole.ssim, "nmse": whole.nmse, "hfen": whole.hfen}
