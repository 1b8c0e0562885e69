"""Echo-planar readouts: samples taken on gradient ramps back to an even grid, odd and even lines back in phase.

Sources. Ramp sampling: the position in k-space is the integral of the readout gradient; we invert the sampling by least
squares onto an image grid instead of interpolating samples. Odd-even phase: a straight line through the phase between
navigators of both directions, its slope from the autocorrelation along x (Ahn and Cho, IEEE Trans Med Imaging 1987,
6:32), then, where no lines are skipped, both parameters refined to the least entropy of the image (Clare, Proc ISMRM
2003, 1041).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from spinecho.ops.fourier import ifft


@dataclass(frozen=True)
class Ramp:
    """A readout gradient: up, flat, down, in us; sampling begins `delay_us` after its start and lasts `duration_us`."""

    up_us: float
    flat_us: float
    down_us: float
    delay_us: float
    duration_us: float
    is_sine: bool = False

    def position(self, n_samples: int) -> np.ndarray:
        """k of each sample, with k = 0 at the gradient's centre of area and the whole sampled extent as 1."""
        total = self.up_us + self.flat_us + self.down_us
        time = np.linspace(0, total, 8192)
        up = np.clip(time / self.up_us, 0, 1)
        down = np.clip((total - time) / self.down_us, 0, 1)
        gradient = np.sin(np.pi / 2 * up) * np.sin(np.pi / 2 * down) if self.is_sine else up * down
        area = np.concatenate([[0], np.cumsum((gradient[1:] + gradient[:-1]) / 2 * np.diff(time))])
        sampled = self.delay_us + self.duration_us / n_samples * (np.arange(n_samples) + 0.5)
        ends = np.interp([self.delay_us, self.delay_us + self.duration_us], time, area)
        return (np.interp(sampled, time, area) - area[-1] / 2) / (ends[1] - ends[0])


@lru_cache(maxsize=64)
def to_image_line(ramp: Ramp, n_samples: int, n: int, shift: float) -> np.ndarray:
    """Matrix (n, n_samples) from the samples of a readout to the n pixels of its line across the field of view.

    The samples are y_j = m^(-1/2) sum_x exp(-2 pi i k_j x / n) p_x over m >= n pixels, as many as the coarsest step of
    k can tell apart; the matrix is the regularised inverse, cut to the n pixels in the middle.

    Parameters
    ----------
    shift
        Distance of the field of view from the isocentre along the readout, in fields of view. The receiver follows
        it at the flat top's frequency, also on the ramps, where the gradient is weaker; the phase that this leaves,
        2 pi shift (k of an even step - k), is taken out. (Signs are for conjugated samples.)
    """
    k = ramp.position(n_samples) * n
    coarsest = float(np.diff(k).max())
    m = min(2 * n, 2 * int(n / coarsest / 2))
    x = np.arange(m) - m // 2
    sampling = np.exp(-2j * np.pi * k[:, None] * x / n) / np.sqrt(m)
    inverse = np.linalg.pinv(sampling, rcond=1e-3)
    middle = ramp.up_us + ramp.flat_us / 2
    time = ramp.delay_us + ramp.duration_us / n_samples * (np.arange(n_samples) + 0.5) - middle
    even = time / (ramp.duration_us / n_samples) * coarsest
    receiver = np.exp(-2j * np.pi * shift * (even - k))
    start = m // 2 - n // 2
    # Unit noise stays unit noise on average over the pixels, as with a unitary transform.
    matrix = (inverse * receiver)[start : start + n]
    return (matrix / np.sqrt(np.mean(np.sum(np.abs(matrix) ** 2, 1)))).astype(np.complex64)


def navigator_phase(reflected: np.ndarray, forward: np.ndarray) -> tuple[float, float]:
    """Slope (rad per pixel) and offset (rad, at n // 2) of the phase of reflected against forward lines.

    Parameters
    ----------
    reflected, forward
        Navigators in image space along the readout, (line, coil, x).
    """
    c = (reflected.mean(0) * forward.mean(0).conj()).sum(0)
    slope = float(np.angle(np.sum(c[1:] * c[:-1].conj())))
    x = np.arange(len(c)) - len(c) // 2
    return slope, float(np.angle(np.sum(c * np.exp(-1j * slope * x))))


def phase_ramp(slope: float, offset: float, n: int) -> np.ndarray:
    """What reflected lines (..., x) are multiplied with."""
    return np.exp(-1j * (slope * (np.arange(n) - n // 2) + offset)).astype(np.complex64)


def least_entropy(lines: np.ndarray, reflected: np.ndarray, start: tuple[float, float]) -> tuple[float, float]:
    """Slope and offset near `start` for which the image has the least entropy of its magnitude.

    Parameters
    ----------
    lines
        (coil, y, x): image space along x, k-space along y.
    reflected
        Which y were read backwards.

    Returns
    -------
    `start` itself if the search runs further off than 0.5 rad across a quarter of the field of view or in the middle:
    then the image has no clear minimum.
    """
    from scipy.optimize import minimize

    n = lines.shape[-1]
    parts = [ifft(torch.from_numpy(np.where(w[:, None], lines, 0)), (-2,)).numpy() for w in (~reflected, reflected)]

    def entropy(p: np.ndarray) -> float:
        image = np.sqrt((np.abs(parts[0] + parts[1] * phase_ramp(p[0], p[1], n)) ** 2).sum(0))
        b = image / np.linalg.norm(image)
        return float(-np.sum(b * np.log(np.maximum(b, np.finfo(b.dtype).tiny))))

    slope, offset = start
    first_step = [[slope, offset], [slope + 0.8 / n, offset], [slope, offset + 0.1]]
    options = {"initial_simplex": first_step, "xatol": 1e-4, "fatol": 1e-7, "maxiter": 200}
    minimum = minimize(entropy, start, method="Nelder-Mead", options=options).x
    step = abs(minimum[0] - slope) * n / 4, abs(minimum[1] - offset)
    return (float(minimum[0]), float(minimum[1])) if max(step) < 0.5 else start
