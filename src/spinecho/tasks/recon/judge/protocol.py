"""How a reconstruction is judged: magnitude, scaled to the truth by least squares, the truth's maximum as range."""

from __future__ import annotations

import torch
from scipy.ndimage import binary_fill_holes, binary_opening
from torch import Tensor

from spinecho.calib.prepare import prewhiten
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.metrics.image import Scores, Volume, psnr_fastmri, score
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


def fitted(truth: Volume, prediction: Volume) -> Volume:
    """The prediction times the factor a that minimises |a prediction - truth|^2 (an image of zeros stays)."""
    energy = float(prediction.square().sum())
    return prediction * (float((prediction * truth).sum()) / energy) if energy > 0 else prediction


def judge(truth: Volume, values: Tensor) -> tuple[Scores, float]:
    """All metrics of image values (*batch, channel, z, y, x) by the protocol that the judge's `JUDGED` tells, and psnr
    inside."""
    prediction = fitted(truth, flat_slices(values))
    return score(truth, prediction), psnr_inside(truth, prediction)


def figures(truth: Volume, values: Tensor) -> dict[str, float]:
    """The same by name.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values.
    """
    if not bool(torch.isfinite(values).all()):
        raise DataError("its image holds NaN or infinite values")
    scores, inside = judge(truth, values)
    return {"psnr": scores.psnr, "ssim": scores.ssim, "psnr_inside": inside, "nmse": scores.nmse, "hfen": scores.hfen}


def psnr_inside(truth: Volume, prediction: Volume) -> float:
    """psnr over the object's pixels only, with the same range; nan where there is no object."""
    inside = object_pixels(truth)
    if not inside.any():
        return float("nan")
    # One slice of one row holds the pixels; the range is the maximum, which lies inside.
    return psnr_fastmri(truth[inside][None, None], prediction[inside][None, None])


def object_pixels(truth: Volume) -> Tensor:
    """Pixels over a twentieth of the largest, specks dropped and holes filled, in each slice."""
    bright = (truth > 0.05 * truth.max()).cpu().numpy()
    filled = [torch.from_numpy(binary_fill_holes(binary_opening(s, iterations=2))) for s in bright]
    return torch.stack(filled).to(truth.device)
