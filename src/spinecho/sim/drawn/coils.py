"""Coil maps of a batch: the law of Biot and Savart on a coarse grid, mixed, compressed, and interpolated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex
from torch import Tensor
from torch.nn import functional as F

from spinecho.sim.coils import loop_field
from spinecho.sim.drawn.arrays import Loops, sample_loops
from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.interpolate import spread
from spinecho.sim.drawn.measured import SHARE, measured_fields
from spinecho.sim.drawn.noise import NoiseOfCoils, sample_noise
from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.rows import Rows

COARSE = 48
"""Points of the grid along each axis on which fields are computed."""
_EVEN = 0.9
"""Largest power of the root sum of squares that all maps of a scan are divided by: objects are not brightest under the
coils alone."""
_BUTLER = 0.2
"""Share of arrays that are read out as modes, whose maps have poles in the middle."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Receivers:
    """What receives: maps as a method sees them (prewhitened, compressed), and the factor of their noise.

    Parameters
    ----------
    maps
        (n, coil, y, x), of any scale.
    noise
        Lower triangular factor L of the coils' noise: L times white noise; mean diagonal of L L^H 1. None: white.
    """

    maps: Complex[Tensor, "n coil y x"]
    noise: Complex[Tensor, "n coil coil"] | None


def receivers(
    image: Complex[Tensor, "n y x"],
    bucket: Bucket,
    wide: Bool[Tensor, "n 1"],
    rows: Rows,
    noise_rows: Rows,
    measured: Complex[Tensor, "channel v u"] | None = None,
) -> Receivers:
    """Coils about the objects.

    Single coils are even in half of the scans, a fifth of the arrays is read out as modes. More than `bucket.coils`
    receivers are compressed to the virtual ones that hold most of the object's energy, as `calib.prepare` does.

    Parameters
    ----------
    measured
        Maps of a real array, which some of the scans take (`measured.SHARE`) where it has the channels.
    """
    coarse = _seen(bucket, wide, rows, measured)
    drawn = sample_noise(bucket.receivers, noise_rows)
    if bucket.known:
        coarse = _mixed(drawn.whitening, coarse)
    rows_of = None
    if bucket.receivers > bucket.coils:
        rows_of = _compressing(coarse, image, bucket.coils)
        coarse = _mixed(rows_of, coarse)
    even = rows.only_last(1).uniform(0, _EVEN)[..., None, None]
    coarse = coarse * power(coarse).sum(1, keepdim=True).clamp_min(1e-12) ** (-even / 2)
    parts = spread(torch.stack([coarse.real, coarse.imag], 2), bucket.shape)
    maps = torch.complex(parts[:, :, 0], parts[:, :, 1])
    return Receivers(maps=maps, noise=None if bucket.known else _factor(drawn, rows_of))


def _seen(
    bucket: Bucket, wide: Bool[Tensor, "n 1"], rows: Rows, measured: Tensor | None
) -> Complex[Tensor, "n coil v u"]:
    """Maps of all receivers on the coarse grid."""
    n = bucket.receivers
    loops = sample_loops(n, bucket.shape, wide, rows)
    even, modes, real = rows.chance(0.5), rows.chance(_BUTLER), rows.chance(SHARE)
    coarse = fields(loops, bucket.shape)
    if measured is not None and n <= len(measured):
        others = measured_fields(measured, n, COARSE, rows.rest())
        coarse = torch.where(real[..., None, None], others, coarse)
    if n == 1:
        return torch.where(even[..., None, None], torch.ones_like(coarse), coarse)
    if n > bucket.coils:
        return coarse
    k = torch.arange(n, device=coarse.device)
    turn = 2 * math.pi / n * k[:, None] * k
    butler = torch.polar(torch.full_like(turn, n**-0.5), turn)
    eye = torch.eye(n, dtype=butler.dtype, device=coarse.device)
    return _mixed(torch.where(modes[..., None], butler, eye), coarse)


def fields(loops: Loops, shape: tuple[int, int]) -> Complex[Tensor, "n coil v u"]:
    """B1 - i B2 of unit current by reciprocity, 1 and 2 being the axes across the main field, on the coarse grid.

    Source and formula: `sim.coils.sensitivities`. Scaled so that the mean square over the grid and the coils is 1.
    """
    device = loops.centre.device
    y, x = (((torch.arange(COARSE, device=device) + 0.5) / COARSE - 0.5) * n / max(shape) for n in shape)
    points = torch.stack([x.expand(COARSE, -1), y[:, None].expand(-1, COARSE), torch.zeros_like(x).expand(COARSE, -1)])
    offset = points.view(1, 1, 3, -1) - loops.centre[..., None]
    axis = loops.normal[..., None]
    z = (offset * axis).sum(2)
    radial = offset - z[:, :, None] * axis
    radius = loops.radius[..., None]
    rho = radial.square().sum(2).sqrt().maximum(1e-2 * radius)
    b_rho, b_z = loop_field(rho, z, radius)
    field = (b_rho / rho)[:, :, None] * radial + b_z[:, :, None] * axis
    across = (loops.field + torch.tensor([1, 2], device=device)) % 3
    first, second = (field.take_along_dim(across[:, None, i : i + 1, None], 2)[:, :, 0] for i in (0, 1))
    turned = torch.polar(loops.gain, loops.phase)[..., None]
    received = torch.complex(first, -second) * turned
    scale = power(received).mean((1, 2), keepdim=True).sqrt()
    return (received / scale).unflatten(2, (COARSE, COARSE))


def _mixed(matrix: Complex[Tensor, "n new coil"], maps: Complex[Tensor, "n coil v u"]) -> Tensor:
    return (matrix @ maps.flatten(2)).unflatten(2, maps.shape[2:])


def _compressing(maps: Tensor, image: Tensor, n_coils: int) -> Complex[Tensor, "n new coil"]:
    """Leading eigenvectors of the coils' covariance over the object, their phases fixed by their sum."""
    energy = F.adaptive_avg_pool2d(power(image)[:, None], COARSE)
    weighted = (maps * energy.sqrt()).flatten(2)
    _, vectors = torch.linalg.eigh((weighted @ weighted.mH).to(torch.complex128))
    vectors = vectors[..., -n_coils:].flip(-1)
    total = vectors.sum(1, keepdim=True)
    return (vectors * total.conj() / total.abs().clamp_min(1e-12)).mH.to(maps.dtype)


def _factor(drawn: NoiseOfCoils, rows: Tensor | None) -> Complex[Tensor, "n coil coil"]:
    """Of the noise of unwhitened coils, after compression."""
    cov = drawn.covariance if rows is None else rows @ drawn.covariance @ rows.mH
    return torch.linalg.cholesky(cov.to(torch.complex128)).to(torch.complex64)
