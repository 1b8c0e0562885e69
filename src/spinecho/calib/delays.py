"""Where radial spokes really lie: delays of the gradients and phases of eddy currents, from where spokes cross.

Gradients begin late, by another time along each axis, so that a spoke in the direction d is shifted by S d (S a
symmetric 2 x 2 matrix), and eddy currents turn its phase by b d. Two spokes see the same sample where they cross: S and
b are those with which all pairs of spokes agree best.

Source: Rosenzweig et al., Simple auto-calibrated gradient delay estimation from few spokes using Radial Intersections
(RING), Magn Reson Med 2019, doi:10.1002/mrm.27506, for the ellipse of delays and the crossings. How we differ: all
crossings are fitted at once, instead of one at a time and then a line through them, and the phase is fitted with them
(linear in the direction, as that of eddy currents is).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.core.kspace import KSpace

_REACH, _UP = 4.0, 32
"""Crossings are looked for up to this |k|, in cycles per field of view, on a grid of so many steps for each."""
_SIDE = 16
"""Samples on each side of the kernel that reads a spoke between its samples."""
_FEWEST, _MOST = 8, 48
"""Spokes of a plane: below that nothing is looked for, and of more some are taken, evenly."""
_PLANES = 16
"""Planes (slices, frames, partitions) that are looked at, evenly, of more."""
_COILS = 6
"""Virtual coils that the fit sees."""
_STEEPEST, _PAIRS = 0.5, 4000
"""Least sine of the angle between two spokes whose crossing counts: of others it may lie anywhere along them. And how
many pairs are looked at, evenly, of more."""
_STARTS, _TRIED = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5), 4
"""Delays along each axis that the fit may start from, and from how many pairs of them it does: the best."""
_STEP, _TURNS = 0.02, 20
"""Of the differences that stand for derivatives, and how often the fit is improved."""
_DIFFER, _BETTER = 1e-4, 0.8
"""Squared difference of crossing spokes below which nothing is wrong, and the share of it that may be left at most."""
_SHIFT, _PHASE = 0.01, math.radians(1)
"""What is less than this (cycles per field of view, radians) is not worth a change."""


@dataclass(frozen=True)
class Delays:
    """What is wrong about a scan's spokes.

    Parameters
    ----------
    shift
        S along x, along y, and between them, in cycles per field of view.
    phase
        b along x and y, in radians.
    before, after
        Mean squared difference of spokes where they cross, as a share of their energy there, as the trajectory says
        and with S and b.
    """

    shift: tuple[float, float, float]
    phase: tuple[float, float]
    before: float
    after: float

    @property
    def matters(self) -> bool:
        """Whether crossing spokes agree so much better with them that they are believed."""
        size = max(map(abs, self.shift)) >= _SHIFT or max(map(abs, self.phase)) >= _PHASE
        return size and self.before > _DIFFER and self.after < _BETTER * self.before

    def __str__(self) -> str:
        x, y, xy = self.shift
        return (
            f"spokes shifted by what their crossings tell (gradient delays): {x:+.2f} along x, {y:+.2f} along y, "
            f"{xy:+.2f} between them, in cycles per field of view; phases turned by up to "
            f"{math.degrees(math.hypot(*self.phase)):.0f} degrees; crossing spokes differed by "
            f"{100 * math.sqrt(self.before):.0f} %, now by {100 * math.sqrt(self.after):.0f} %"
        )


def without_delays(kspace: KSpace) -> KSpace:
    """A radial scan with its spokes where they were measured, as far as their crossings tell; others as they are."""
    if kspace.encoding.is_exact or (delays := estimate_delays(kspace)) is None or not delays.matters:
        return kspace
    assert kspace.traj is not None
    x, y, xy = delays.shift
    d = _directions(kspace.traj)
    ellipse = torch.tensor([[x, xy, 0], [xy, y, 0], [0, 0, 0]], dtype=d.dtype, device=d.device)
    phase = d @ torch.tensor([*delays.phase, 0], dtype=d.dtype, device=d.device)
    turn = torch.polar(torch.ones_like(phase), -phase)
    return replace(
        kspace,
        samples=kspace.samples * turn[..., None].unsqueeze(-4),
        traj=kspace.traj + (d @ ellipse)[..., None, :],
        encoding=replace(kspace.encoding, is_exact=True),
        header=kspace.header.noted(str(delays)),
    )


def estimate_delays(kspace: KSpace) -> Delays | None:
    """Delays and phases of a scan whose readouts are spokes in a plane, or in a stack of them; None for all others.

    Parameters
    ----------
    kspace
        At least 8 spokes a plane, each through the centre, in even steps. Frames and slices are taken together.
    """
    if kspace.traj is None or kspace.encoding.trajectory != "radial" or kspace.traj.shape[-3] < _FEWEST:
        return None
    traj = kspace.traj.expand(*kspace.samples.shape[:-4], *kspace.traj.shape[-4:])
    planes = np.unravel_index(_evenly(math.prod(traj.shape[:-3]), _PLANES), traj.shape[:-3])
    spokes = _evenly(traj.shape[-3], _MOST)
    traj = traj[planes][:, spokes].double()
    samples = kspace.samples.movedim(-4, -3)[planes][:, :, spokes].transpose(1, 2)
    d = _directions(traj)
    near = _near(traj, d)
    if near is None:
        return None
    radius = (traj * d[..., None, :]).sum(-1)[..., near]
    curves = [_curves(*plane) for plane in zip(_compressed(samples[..., near]), radius, strict=True)]
    return _Crossings(torch.stack(curves), d[..., :2]).fitted()


def _evenly(n: int, most: int) -> np.ndarray:
    """Indices of `most` of n things, or of all."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(int)


def _directions(traj: Float[Tensor, "*batch spoke sample 3"]) -> Float[Tensor, "*batch spoke 3"]:
    """Unit vectors along which the spokes run."""
    return torch.nn.functional.normalize(traj[..., -1, :] - traj[..., 0, :], dim=-1)


def _near(traj: Float[Tensor, "plane spoke sample 3"], d: Float[Tensor, "plane spoke 3"]) -> slice | None:
    """The samples of each spoke that are read between; None unless all are even, flat and run through the centre."""
    radius = (traj * d[..., None, :]).sum(-1)
    step = radius.diff(dim=-1)
    mean = step.mean()
    beside = torch.linalg.vector_norm((traj - radius[..., None] * d[..., None, :])[..., :2], dim=-1)
    if d[..., 2].abs().max() > 1e-3 or (step - mean).abs().max() > 0.02 * mean or beside.max() > 0.02 * mean:
        return None
    middle = radius.abs().argmin(-1)
    side = math.ceil(_REACH / float(mean)) + 1
    first, last = int(middle.min()) - side, int(middle.max()) + side
    if first < 0 or last >= radius.shape[-1]:
        return None
    return slice(max(0, first - _SIDE), last + _SIDE + 1)


def _compressed(samples: Complex[Tensor, "plane spoke coil sample"]) -> Complex[Tensor, "plane spoke new sample"]:
    """A few virtual coils that hold most of the energy near the centre, the same for all planes."""
    y = samples.transpose(1, 2).flatten(2)
    _, vectors = torch.linalg.eigh((y @ y.mH).sum(0))
    return vectors[:, -_COILS:].mH @ samples


def _curves(
    samples: Complex[Tensor, "spoke coil sample"], radius: Float[Tensor, "spoke sample"]
) -> Complex[Tensor, "spoke coil step"]:
    """Each spoke on one fine grid of radii from -_REACH to _REACH, by a sinc under a cosine's arch."""
    n = round(_REACH * _UP)
    grid = torch.arange(-n, n + 1, device=radius.device) / _UP
    step = radius.diff(dim=-1).mean(-1)[..., None, None]
    away = (grid[:, None] - radius[..., None, :]) / step
    arch = torch.where(away.abs() < _SIDE, torch.cos(math.pi / 2 * away / _SIDE).square(), 0)
    kernel = (torch.sinc(away) * arch).to(samples.dtype)
    return torch.einsum("smn,scn->scm", kernel, samples)


class _Crossings:
    """All pairs of spokes that cross steeply enough, and how far they differ there for given delays and phases."""

    def __init__(self, curves: Complex[Tensor, "plane spoke coil step"], d: Float[Tensor, "plane spoke 2"]) -> None:
        first, second = torch.triu_indices(d.shape[1], d.shape[1], 1, device=d.device)
        sine = d[:, first, 0] * d[:, second, 1] - d[:, first, 1] * d[:, second, 0]
        plane, pair = torch.where(sine.abs() > _STEEPEST)
        kept = _evenly(len(plane), _PAIRS)
        plane, pair = plane[kept], pair[kept]
        self.curves = curves.transpose(-1, -2)
        self.plane, self.first, self.second = plane, first[pair], second[pair]
        self.d, self.e = d[plane, self.first], d[plane, self.second]
        self.sine = sine[plane, pair]

    def sides(self, p: Float[np.ndarray, "5"]) -> tuple[Tensor, Tensor]:
        """What the two spokes of each pair hold where they cross, (pair, coil)."""
        x, y, xy, bx, by = p.tolist()
        S = torch.tensor([[x, xy], [xy, y]], dtype=self.d.dtype, device=self.d.device)
        apart = (self.e - self.d) @ S
        across = [apart[:, 0] * v[:, 1] - apart[:, 1] * v[:, 0] for v in (self.e, self.d)]
        b = torch.tensor([bx, by], dtype=self.d.dtype, device=self.d.device)
        turn = torch.polar(torch.ones_like(self.sine), (self.e - self.d) @ b)[:, None].to(self.curves.dtype)
        u, v = self.read(self.first, across[0] / self.sine), self.read(self.second, across[1] / self.sine)
        return turn * u, v

    def read(self, spoke: Tensor, radius: Tensor) -> Complex[Tensor, "pair coil"]:
        """A spoke of each pair at a radius."""
        place = ((radius + _REACH) * _UP).clamp(0, self.curves.shape[2] - 1.001)
        low = place.long()
        part = (place - low)[:, None].to(self.curves.real.dtype)
        return self.curves[self.plane, spoke, low] * (1 - part) + self.curves[self.plane, spoke, low + 1] * part

    def mismatch(self, p: np.ndarray, *, phases: bool = True) -> float:
        """|u - v|^2 over |u|^2 + |v|^2; without regard to the phase of each pair if not `phases`."""
        u, v = self.sides(p)
        energy = _energy(u) + _energy(v)
        if not phases:
            product = (u.conj() * v).sum(-1, keepdim=True)
            v = v * torch.polar(torch.ones_like(product.real), -product.angle())
        return _energy(u - v) / energy if energy else 0.0

    def difference(self, p: np.ndarray) -> np.ndarray:
        """u - v of all pairs, in real numbers."""
        u, v = self.sides(p)
        return torch.view_as_real(u - v).double().flatten().cpu().numpy()

    def fitted(self) -> Delays | None:
        """The delays and phases of the least disagreement; None without a crossing."""
        if not len(self.plane):
            return None
        grid = [np.array([x, y, 0.0, 0.0, 0.0]) for x in _STARTS for y in _STARTS]
        starts = sorted(grid, key=lambda p: self.mismatch(p, phases=False))[:_TRIED]
        after, p = min((self.descended(p) for p in starts), key=lambda end: end[0])
        x, y, xy, bx, by = p.tolist()
        return Delays((x, y, xy), (bx, by), self.mismatch(np.zeros(5)), after)

    def descended(self, p: Float[np.ndarray, "5"]) -> tuple[float, Float[np.ndarray, "5"]]:
        """The mismatch at the end of damped Gauss-Newton steps (Levenberg-Marquardt), and where that is."""
        least, damping = self.mismatch(p), 1e-3
        for _ in range(_TURNS):
            slopes = [self.difference(p + h) - self.difference(p - h) for h in _STEP * np.eye(5)]
            jacobian = np.stack(slopes, -1) / (2 * _STEP)
            normal = jacobian.T @ jacobian
            damped = normal + np.diag(damping * normal.diagonal() + 1e-12)
            step = np.linalg.solve(damped, -jacobian.T @ self.difference(p))
            if (tried := self.mismatch(p + step)) < least:
                p, least, damping = p + step, tried, damping / 5
            else:
                damping *= 10
            if np.abs(step).max() < 1e-4:
                break
        return least, p


def _energy(values: Tensor) -> float:
    return float(torch.view_as_real(values).square().sum())
