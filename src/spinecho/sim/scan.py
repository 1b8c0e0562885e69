"""A whole simulated scan from a few parameters: object, contrast, phase, coils, sampling, noise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from spinecho.core.bounds import at_least, over_0
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.sim import anatomy, noise, trajectory
from spinecho.sim.acquire import acquire
from spinecho.sim.coils import around, sample_loops, sensitivities
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.mask_spec import parse
from spinecho.sim.phantom import frames, phantom
from spinecho.sim.phase import sample_phase


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Everything that decides a simulated scan: the same parameters give the same samples."""

    matrix: tuple[int, int, int] = (1, 320, 320)
    """encoded (z, y, x); z > 1 is a 3-D encoding"""
    fov_mm: tuple[float, float, float] = (5.0, 240.0, 240.0)
    """field of view (z, y, x); for one slice, z is its thickness"""
    offset_mm: float = 20.0
    """how far above the brain's centre the slice lies"""
    contrast: str = "t1"
    """one of sim.contrast.SEQUENCES, or `random`"""
    field_t: float = 3.0
    n_coils: int = 8
    sampling: str = "random:4:24:0"
    """a mask (`sim.mask_spec`), `full`, or radial:SPOKES or spiral:INTERLEAVES (2-D, twofold oversampled readout)"""
    n_frames: int = 1
    """over 1: a dynamic series (phantom only)"""
    snr: float = 40.0
    """as `sim.noise` defines it; inf: no noise"""
    phase_rad: float = 0.8
    """strength of the smooth image phase"""
    texture: float = 0.04
    """unevenness inside tissues"""
    fineness: int = 2
    """how many times finer in-plane than the matrix the object is"""
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, n_coils=1, n_frames=1, fineness=1, phase_rad=0)
        over_0(self, "field_t")
        if not self.snr > 0:
            raise DataError(f"{setting('snr')} is {self.snr:g}", do="give more than 0; inf is without noise")
        for name in ("matrix", "fov_mm"):
            if not min(getattr(self, name)) > 0:
                raise DataError(f"{setting(name)} is {getattr(self, name)}", do="give three numbers over 0")


def sample_scan(generator: torch.Generator, base: Scan = Scan()) -> Scan:
    """Draw contrast, field, position, coils, sampling, SNR, phase and seed; the rest (matrix ...) is the base's."""
    pick = lambda options: options[int(torch.randint(len(options), (1,), generator=generator))]  # noqa: E731
    uniform = lambda low, high: low + (high - low) * float(torch.rand(1, generator=generator))  # noqa: E731
    seed = int(torch.randint(2**31, (1,), generator=generator))
    kind, accel = pick(["random", "equispaced", "gaussian"]), pick([3, 4, 5, 6, 8])
    return replace(
        base,
        offset_mm=uniform(-20, 50),
        contrast=pick([*SEQUENCES, "random"]),
        field_t=pick([1.5, 3.0]),
        n_coils=pick([4, 6, 8, 12, 16, 20]),
        sampling=f"{kind}:{accel}:{0.32 / accel:.3f}:{seed % 1000}",
        snr=uniform(10, 60),
        phase_rad=uniform(0.2, 1.5),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulated:
    """A simulated scan with its truth.

    Parameters
    ----------
    kspace
        Samples, noise covariance, target (root sum of squares of the noise-free, prewhitened coil images).
    image
        The object on the fine grid, complex, (*batch, 1, z, y, x).
    csm
        Coil maps on the encoded image grid, not normalised, (1, coil, z, y, x).
    scan
        The parameters, which `kspace.header.history` holds as JSON too.
    """

    kspace: KSpace
    image: Complex[Tensor, "*batch 1 z y x"]
    csm: Complex[Tensor, "1 coil mz my mx"]
    scan: Scan


def simulate_brain(labels: Int[Tensor, "z y x"], geometry: Geometry, scan: Scan) -> Simulated:
    """A scan of a labelled head (FreeSurfer ids, see `sim.tissue`): one axial slice, or a 3-D volume."""
    rng = torch.Generator().manual_seed(scan.seed)
    contrast = (
        anatomy.sample_contrast(rng)
        if scan.contrast == "random"
        else anatomy.of_sequence(SEQUENCES[scan.contrast], scan.field_t)
    )
    onto = _grid(scan)
    planes = 3 if scan.matrix[0] == 1 else 1
    centred = anatomy.at_isocentre(labels, geometry)
    magnitude = sum(
        contrast.render(
            anatomy.resample_labels(labels, centred, _moved(onto, ((p + 0.5) / planes - 0.5) * scan.fov_mm[0]))
        )
        for p in range(planes)
    )
    magnitude = torch.as_tensor(magnitude) / planes * anatomy.texture(onto.shape, rng, scan.texture).clamp_min(0)
    return measure(magnitude[None], onto, scan, rng, note=contrast.name)


def simulate_phantom(scan: Scan) -> Simulated:
    """A scan of the analytic phantom: a slice, a volume, or with n_frames a series."""
    rng = torch.Generator().manual_seed(scan.seed)
    onto = _grid(scan)
    if scan.n_frames == 1:
        magnitude = phantom(onto.shape)
    else:
        magnitude = torch.stack([phantom(onto.shape, shapes) for shapes in frames(scan.n_frames)])
    return measure(magnitude.clamp_min(0), onto, scan, rng, note="analytic phantom")


def measure(
    magnitude: Float[Tensor, "*frame 1 z y x"], geometry: Geometry, scan: Scan, rng: torch.Generator, *, note: str
) -> Simulated:
    """Phase, coils, sampling and noise for an object that is there already.

    Parameters
    ----------
    magnitude
        On a grid at least as fine as `scan.matrix`, over `scan.fov_mm`; frames first for a series.
    geometry
        Of that grid; the coils stand about LPS (0, 0, 0), outside of the object.
    note
        What the object is, for the history.
    """
    image = torch.polar(magnitude, sample_phase(rng, strength=scan.phase_rad).on(geometry.shape).expand_as(magnitude))
    loops = sample_loops(scan.n_coils, rng, half_axes_mm=around(magnitude, geometry))
    mask, traj = _sampling(scan)
    axes = ("time",) if magnitude.ndim == 5 else ()
    sequence = SEQUENCES.get(scan.contrast)
    header = Header(
        field_t=scan.field_t,
        te_ms=(sequence.te_ms,) if sequence else (),
        tr_ms=(sequence.tr_ms,) if sequence else (),
        slice_thickness_mm=scan.fov_mm[0] if scan.matrix[0] == 1 else 0.0,
        protocol="simulated",
    ).noted(f"simulated ({note}): {json.dumps(asdict(scan))}")
    csm = sensitivities(loops, geometry)
    clean = acquire(
        image, csm, mask=mask, traj=traj, matrix=scan.matrix, geometries=(geometry,), axes=axes, header=header
    )
    clean = replace(clean, encoding=_described(clean.encoding, scan))
    maps = sensitivities(loops, geometry.resized(scan.matrix))
    if scan.snr == float("inf"):
        return Simulated(kspace=clean, image=image, csm=maps, scan=scan)
    assert clean.target is not None
    sigma = noise.object_mean(clean.target) / scan.snr
    cov = noise.sample_covariance(scan.n_coils, rng) * sigma**2
    kspace = acquire(
        image,
        csm,
        mask=mask,
        traj=traj,
        matrix=scan.matrix,
        noise_cov=cov,
        generator=rng,
        geometries=(geometry,),
        axes=axes,
        header=header,
    )
    kspace = replace(kspace, encoding=clean.encoding)
    return Simulated(kspace=kspace, image=image, csm=maps, scan=scan)


def _grid(scan: Scan) -> Geometry:
    """The axial grid about the isocentre, `fineness` times finer in-plane than the matrix."""
    z, y, x = scan.matrix
    shape = (z, y * scan.fineness, x * scan.fineness)
    voxel = [f / n for f, n in zip(scan.fov_mm, shape, strict=True)][::-1]
    return Geometry.from_frame([0, 0, scan.offset_mm], np.eye(3), voxel, shape)


def _moved(geometry: Geometry, along_mm: float) -> Geometry:
    affine = np.array(geometry.affine)
    affine[:3, 3] += geometry.directions[:, 2] * along_mm
    return replace(geometry, affine=affine)


def _sampling(scan: Scan) -> tuple[Tensor | None, Tensor | None]:
    if scan.sampling == "full":
        return torch.ones(1, 1, 1, 1, dtype=torch.bool), None
    kind, _, number = scan.sampling.partition(":")
    size = scan.matrix[2]
    if kind in ("radial", "spiral") and not (number.isdecimal() and int(number)):
        raise DataError(f"{setting('sampling')} is {scan.sampling!r}", do=f"give {kind}:N with N of 1 or more")
    if kind == "radial" and scan.n_frames > 1:
        n = int(number)
        return None, torch.stack([trajectory.radial(n, 2 * size, size, first=n * t) for t in range(scan.n_frames)])
    if kind == "radial":
        return None, trajectory.radial(int(number), 2 * size, size)
    if kind == "spiral":
        n = int(number)
        return None, trajectory.spiral(n, round(4 * size * size / n), size)
    return parse(scan.sampling).draw(scan.matrix, scan.n_frames), None


def _described(encoding: Encoding, scan: Scan) -> Encoding:
    """What was asked for, in the words of a header."""
    names: Mapping[str, str] = {"radial": "radial", "spiral": "spiral"}
    kind = scan.sampling.partition(":")[0]
    if kind in names:
        return replace(encoding, trajectory="radial" if kind == "radial" else "spiral")
    if kind in ("full", "partial"):
        return encoding
    return replace(encoding, acceleration=(1.0, parse(scan.sampling).accel))
