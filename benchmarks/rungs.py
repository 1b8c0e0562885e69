"""The ladder from a real slice to a simulated one: one thing after the other becomes what the simulator draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.grid import resample
from spinecho.sim.coils import sample_loops, sensitivities
from spinecho.sim.phase import sample_phase
from spinecho.tasks.recon.retrospective import masked

SMALL = 160
"""Pixels along each axis on the last rung, at most."""

FOV_MM = 240.0
"""The longer side of what the simulated coils stand about."""

_SEED = 4_000_000
_CENTRE = 24


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a slice is taken apart into.

    Parameters
    ----------
    image
        (1, 1, y, x), the coils combined by their own maps.
    csm
        (coil, 1, y, x), the slice's own maps, by ESPIRiT from its central 24 lines.
    cov
        (coil, coil), the noise of the coils, as the air has it.
    """

    image: Tensor
    csm: Tensor
    cov: Tensor


def taken_apart(full: KSpace) -> Parts:
    """A full slice's image, maps and noise."""
    lines = torch.zeros(1, 1, full.encoding.matrix[1], 1, dtype=torch.bool)
    middle = lines.shape[-2] // 2
    lines[..., middle - _CENTRE // 2 : middle + _CENTRE // 2, :] = True
    csm = estimate_csm(masked(full, lines, "the central lines"))[0]
    coils = ifft(full.samples)
    return Parts(image=(csm.conj() * coils).sum(0, keepdim=True), csm=csm, cov=_noise(full, coils))


def _noise(full: KSpace, coils: Tensor) -> Tensor:
    """Coil covariance where there is least signal, at the level that the scan has."""
    power = root_sum_of_squares(coils).flatten()
    air = coils.flatten(1)[:, power <= power.quantile(0.1)]
    cov = air @ air.mH / air.shape[1]
    return cov * (noise_sigma(full) ** 2 / cov.diagonal().real.mean())


def _as_scan(image: Tensor, csm: Tensor, cov: Tensor, seed: int) -> KSpace:
    """A full scan of image x maps with fresh noise; its truth has none."""
    clean = csm * image
    rng = torch.Generator().manual_seed(_SEED + seed)
    white = torch.randn(clean.shape, dtype=torch.complex64, generator=rng)
    values, vectors = torch.linalg.eigh(cov)
    noise = torch.einsum("cd,dzyx->czyx", vectors * values.clamp_min(0).sqrt(), white)
    matrix = (1, clean.shape[-2], clean.shape[-1])
    scan = KSpace(
        samples=fft(clean) + noise,
        mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
        encoding=Encoding.cartesian(matrix),
        geometries=(Geometry.unknown(matrix),),
        target=root_sum_of_squares(clean),
    )
    return replace(scan, header=scan.header.flagged("simulated"))


def simulated_maps(n_coils: int, matrix: tuple[int, int, int], seed: int) -> Tensor:
    """Maps (coil, 1, y, x) as the simulator draws them, about a slice of square pixels."""
    voxel = FOV_MM / max(matrix)
    grid = Geometry.from_frame([0, 0, 0], torch.eye(3).numpy(), (voxel, voxel, 5.0), matrix)
    return sensitivities(sample_loops(n_coils, torch.Generator().manual_seed(_SEED + seed)), grid)[0]


def simulated_phase(matrix: tuple[int, int, int], seed: int) -> Tensor:
    """exp(i phi) of a smooth phase, (1, 1, y, x)."""
    phi = sample_phase(torch.Generator().manual_seed(_SEED + seed), strength=0.8).on(matrix)
    return torch.polar(torch.ones_like(phi), phi)


def _combined(p: Parts, seed: int) -> KSpace:
    return _as_scan(p.image, p.csm, p.cov, seed)


def _magnitude(p: Parts, seed: int) -> KSpace:
    return _as_scan(p.image.abs().to(p.csm.dtype), p.csm, p.cov, seed)


def _maps(p: Parts, seed: int) -> KSpace:
    return _as_scan(p.image.abs(), simulated_maps(len(p.csm), _matrix(p.image), seed), p.cov, seed)


def _phase(p: Parts, seed: int) -> KSpace:
    matrix = _matrix(p.image)
    image = p.image.abs() * simulated_phase(matrix, seed)
    return _as_scan(image, simulated_maps(len(p.csm), matrix, seed), p.cov, seed)


def _small(p: Parts, seed: int) -> KSpace:
    """Fewer pixels over the same field of view; the noise of a pixel stays."""
    _, y, x = _matrix(p.image)
    image = resample(p.image.abs(), (1, min(y, SMALL), min(x, SMALL))).clamp_min(0)
    return _phase(replace(p, image=image), seed)


RUNGS: dict[str, Callable[[Parts, int], KSpace]] = {
    "combined image, own maps, fresh noise": _combined,
    "its magnitude, own maps": _magnitude,
    "magnitude, simulated maps": _maps,
    "and simulated phase": _phase,
    f"the same at {SMALL} x {SMALL}": _small,
}
"""Each keeps what the one before has replaced; above them stands the real slice."""

REAL = "real"


def rung(full: KSpace, name: str, seed: int = 0) -> KSpace:
    """The full scan of a rung; `real` is the slice itself."""
    return full if name == REAL else RUNGS[name](taken_apart(full), seed)


def _matrix(image: Tensor) -> tuple[int, int, int]:
    return int(image.shape[-3]), int(image.shape[-2]), int(image.shape[-1])
