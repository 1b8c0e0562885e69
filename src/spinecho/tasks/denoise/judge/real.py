"""Real noise: images of fully sampled single-coil scans; nobody knows the truth, but what air and noise are like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.names import told_apart
from spinecho.evaluate.judge import Case, LeftOut
from spinecho.io.read import read
from spinecho.metrics.inside import inside
from spinecho.ops.fourier import ifft
from spinecho.tasks.denoise.judge.inputs import Inputs, plain

_EDGE = 6
"""Pixels beside the object's edge that are neither object nor air"""


def cases(files: Sequence[Path], device: torch.device) -> Iterator[Case | LeftOut]:
    """Of each scan the complex image, and its magnitude."""
    for file, called in zip(files, told_apart(files), strict=True):
        try:
            values = _image(file)
        except DataError as error:
            yield LeftOut(n=2, scan=called, why=str(error.within(file)))
            continue
        digest = sha256(values.numpy().tobytes()).hexdigest()[:16]
        for kind, one in (("complex", values), ("magnitude", values.abs())):
            yield Case(
                name=f"{called}, {kind}",
                digest=f"{digest}:{kind}",
                scan=called,
                group=f"noise of the scanner, {kind} images",
                kind="real",
                load=lambda one=one: _inputs(one, device),
                about=f"{called}: {values.shape[-3]} slices",
            )


def scores(inputs: Inputs, image: Image) -> dict[str, float]:
    """How much of the variance of air is gone, and whether what was taken from the object is like noise.

    The correlation of neighbours r(1) of the residual, |sum d(x) d*(x + 1)| / sum |d|^2 over pixels inside the object,
    is 0 where white noise alone was taken away.
    """
    before, after = (v.cpu()[0] for v in (inputs.noisy.values, image.values))
    object_, air = parts(before)
    taken = before - after
    removed = 1 - _variance(after[air]) / _variance(before[air])
    if not bool(taken[object_].any()):
        return {"air_removed": 100 * float(removed), "residual": 0.0}
    return {"air_removed": 100 * float(removed), "residual": max(_neighbours(taken, object_, a) for a in (-1, -2))}


def parts(values: Tensor) -> tuple[Tensor, Tensor]:
    """Object and air of (z, y, x), with a seam between them that is neither; air without what is exactly zero."""
    where = inside(values.abs()).numpy()
    seam = (1, 2 * _EDGE + 1, 2 * _EDGE + 1)
    around = torch.from_numpy(np.asarray(binary_dilation(where, np.ones(seam))))
    within = torch.from_numpy(np.asarray(binary_erosion(where, np.ones(seam))))
    return within, ~around & (values != 0)


def _variance(values: Tensor) -> Tensor:
    return (values - values.mean()).abs().square().mean()


def _neighbours(taken: Tensor, where: Tensor, axis: int) -> float:
    n = taken.shape[axis]
    both = where.narrow(axis, 0, n - 1) & where.narrow(axis, 1, n - 1)
    centred = taken - taken[where].mean()
    one, two = centred.narrow(axis, 0, n - 1)[both], centred.narrow(axis, 1, n - 1)[both]
    return float((one * two.conj()).mean().abs() / centred[where].abs().square().mean())


def _image(file: Path) -> Tensor:
    """The complex image (1, z, y, x) of the first slice, at unit maximum."""
    scan = read(file)
    if not isinstance(scan, KSpace):
        raise DataError("it holds an image", do="give raw k-space")
    if not scan.is_cartesian or scan.n_coils != 1 or (scan.mask is not None and not bool((scan.mask != 0).all())):
        raise DataError("it is not a fully sampled scan of one coil", do="leave it out")
    values = ifft(scan.samples.to(torch.complex64))
    values = values.reshape(-1, *values.shape[-3:])[:1]
    return values / values.abs().max()


def _inputs(values: Tensor, device: torch.device) -> Inputs:
    n = values.shape[-3]
    return Inputs(truth=None, noisy=plain(values).to(device), kept=slice(0, n), sigma=float("nan"))
