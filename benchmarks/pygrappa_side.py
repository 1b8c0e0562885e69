"""pygrappa's compiled GRAPPA, run by the peers' own Python."""

from __future__ import annotations

import numpy as np
from pygrappa import cgrappa
from worker import Timed, serve, timed


def grappa(case: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    """cgrappa with its 5x5 kernel; the weight is its Tikhonov `lamda`. Root sum of squares of the filled coils."""
    samples = np.ascontiguousarray(np.moveaxis(case["samples"], 0, -1), np.complex128)  # cgrappa takes no other
    n, wide = len(case["mask"]), int(case["n_centre"])
    start = n // 2 - wide // 2
    calib = np.ascontiguousarray(samples[start : start + wide])
    fill = lambda: cgrappa(samples, calib, kernel_size=(5, 5), coil_axis=-1, lamda=0.01 if weight is None else weight)  # noqa: E731
    filled, seconds = timed(fill)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(filled, (0, 1)), axes=(0, 1)), (0, 1))
    return np.sqrt((np.abs(images) ** 2).sum(-1)), 0.0, seconds, seconds


if __name__ == "__main__":
    serve({"grappa": grappa})
