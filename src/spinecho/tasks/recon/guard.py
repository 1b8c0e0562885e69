"""The check after each reconstruction: what the image leaves of the measured samples, and when that is a warning."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from spinecho.calib.noise import noise_sigma
from spinecho.core.errors import plain, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.linop import norms
from spinecho.ops.model import forward_model
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.limits import outside

FAR_ABOVE_NOISE = 3.0
FAR_ABOVE_NOTHING = 0.05
"""A residual is far off where its root mean square is over 3 times the noise and its norm over 5 % of the samples'."""
OUTSIDE, CONTRADICTION = "outside the card of ", "the image contradicts the measured samples: "
INVENTION = "what is not measured: "
"""How warnings begin that learned methods alone have."""
UNEXPLAINED = 0.4
"""Of one slice or frame: over 3 times the noise and over 40 % of the samples' norm, the image does not explain what was
measured. (On simulated heads cg_sense, l1_wavelet and tv leave at most 10 % with 4 to 16 coils, 24 % with 2 coils and 4
calibration lines; of noise alone cg_sense leaves all, which is 1.03 times the noise.)"""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a comparison of an image with the measured samples found.

    Parameters
    ----------
    contradiction
        A sentence if the residual of the whole is far above the noise; "" if not, None if it is not known.
    unexplained
        Entries of the batch whose image does not explain their samples: boolean, of the batch's shape.
    relative
        Norm of each entry's residual over that of its samples.
    """

    contradiction: str | None
    unexplained: np.ndarray
    relative: np.ndarray

    def sentences(self, axes: tuple[str, ...]) -> list[str]:
        """One for each entry that is unexplained."""
        return [
            f"{entry(axes, self.unexplained.shape, place)}the image does not explain the measured samples: it leaves "
            f"{100 * self.relative[tuple(place)]:.0f} % of their norm, far above the noise; compare with "
            + plain(setting("method", "zero_filled"))
            for place in np.argwhere(self.unexplained)
        ]


def entry(axes: tuple[str, ...], shape: tuple[int, ...], place: np.ndarray | tuple[int, ...]) -> str:
    """`slice 7 of 7: `, counted from 1; empty for a scan of one entry."""
    positions = [f"{axis} {i + 1} of {n}" for axis, n, i in zip(axes, shape, place, strict=True) if n > 1]
    return f"{', '.join(positions)}: " if positions else ""


def guarded(image: Image, verdict: Verdict, kspace: KSpace, runner: Recon) -> Image:
    """The image of a prepared scan with warnings in the history.

    They name each slice or frame whose image does not explain its samples. Where a learned method made the image, they
    name each way in which the scan lies outside the model card, and a residual on the measured samples that is far
    above the noise (over 3 times, and over 5 % of the samples' norm): the image then contradicts what was measured.
    """
    header = image.header.warned(*verdict.sentences(image.axes))
    if not runner.learned:
        return replace(image, header=header)
    header = header.warned(*(f"{OUTSIDE}{runner.weights}: {way}" for way in outside(runner.card, kspace)))
    header = header.warned(*[INVENTION + runner.invents] * bool(runner.invents))
    if verdict.contradiction is None:
        header = header.noted("the residual on the measured samples is not known: no complex image with coil maps")
    elif verdict.contradiction:
        header = header.warned(f"{verdict.contradiction}; compare with {setting('method', 'l1_wavelet')}")
    return replace(image, header=header)


def compared(image: Image, kspace: KSpace) -> tuple[Image, Verdict]:
    """Compare the image with the measured samples, where it is complex and has coil maps.

    Entries of the batch that were combined without maps (there all maps are zero) are left out, and so is an image
    that was compared before.

    Returns
    -------
    The image, whose history says how large A x - y is, relative to y and to the noise, with the extra `residual`,
    A^H (A x - y); and what that means.
    """
    csm, batch = image.extras.get("csm"), tuple(kspace.samples.shape[:-4])
    unknown = Verdict(None, np.zeros(batch, dtype=bool), np.zeros(batch))
    if csm is None or not image.values.is_complex() or csm.shape[-5] != image.values.shape[-4]:
        return image, unknown
    if "residual" in image.extras:
        return image, replace(unknown, contradiction="")
    distance, residual = forward_model(kspace, csm).residual(image.values, kspace.samples)
    sums = _sums(kspace, image, distance)
    size, whole, n_measured = sums
    if not sums[1].sum() > 0:
        return image, unknown
    sigma = noise_sigma(kspace)
    shares = np.asarray(np.sqrt(size / np.where(whole > 0, whole, 1)))
    noisy = size <= (FAR_ABOVE_NOISE * sigma) ** 2 * n_measured
    unexplained = np.asarray(~(noisy | (shares <= UNEXPLAINED)))
    relative, rms = _overall(sums)
    step = f"residual on the measured samples: {100 * relative:.2f} % of their norm"
    step += f", {rms / sigma:.2f} x the noise" if sigma > 0 else "; they hold no measurable noise"
    held = whole > 0  # of empty entries there is nothing to explain
    fine = ~unexplained & held if (~unexplained & held).any() else held
    relative, rms = _overall(sums[:, fine])
    far = not (rms <= FAR_ABOVE_NOISE * sigma or relative <= FAR_ABOVE_NOTHING)
    contradiction = f"{CONTRADICTION}{step}" if far else ""
    extras = {**image.extras, "residual": residual}
    image = replace(image, extras=extras, header=image.header.noted(step))
    return image, Verdict(contradiction, unexplained, shares)


def _overall(sums: Float[np.ndarray, "3 *batch"]) -> tuple[float, float]:
    """Norm of the residual over that of the samples, and its root mean square."""
    size, whole, n_measured = (float(part.sum()) for part in sums)
    return (size / whole) ** 0.5, (size / max(n_measured, 1)) ** 0.5


def _sums(kspace: KSpace, image: Image, distance: torch.Tensor) -> Float[np.ndarray, "3 *batch"]:
    """|A x - y|^2, |y|^2 and the number of samples of each entry of the batch; zeros for one combined without maps."""
    y, n_batch = kspace.samples, kspace.samples.ndim - 4
    csm = image.extras["csm"]
    mapped = torch.stack([(s != 0).any() for s in csm.reshape(-1, *csm.shape[-5:])]).reshape(csm.shape[:-5])
    blank = (image.values == 0).flatten(n_batch).all(-1)
    known = (mapped | blank).expand(y.shape[:-4])
    counted = (y != 0).flatten(n_batch).sum(-1)
    sums = torch.stack([distance.double() ** 2, norms(y, n_batch).double() ** 2, counted.double()])
    return torch.where(known, sums, 0).cpu().numpy()
