"""Objects seen by coils, and their samples on a grid: undersampled, with noise, ready for a method, with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import centring, fft, ifft, plain_fft
from spinecho.ops.sampling import centre_crop
from spinecho.sim.drawn.bucket import Bucket, Ranges
from spinecho.sim.drawn.coils import receivers
from spinecho.sim.drawn.masks import Pattern, most_steps, sample_pattern
from spinecho.sim.drawn.objects import objects
from spinecho.sim.drawn.power import largest, power
from spinecho.sim.drawn.rows import Rows
from spinecho.sim.drawn.store import Store

EXAMPLE = "example"
"""The batch axis of scans drawn together."""
_PLANE = (-2, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shot:
    """Scans before sampling.

    Parameters
    ----------
    image
        Objects at the matrix, with their phase.
    maps
        Of the coils, as a method sees them: prewhitened, compressed.
    noise
        Factor of the coils' noise (`coils.Receivers`); None: white.
    rows, generators
        Numbers of each example, and what draws its fields of numbers on the device.
    """

    bucket: Bucket
    image: Complex[Tensor, "n y x"]
    maps: Complex[Tensor, "n coil y x"]
    noise: Complex[Tensor, "n coil coil"] | None
    rows: Rows
    generators: tuple[torch.Generator, ...]

    @property
    def target(self) -> Float[Tensor, "n 1 1 y x"]:
        """Root sum of squares of the noise-free coil images."""
        return (power(self.image) * power(self.maps).sum(1)).sqrt()[:, None, None]

    def white(self, shape: tuple[int, ...]) -> Complex[Tensor, "n coil *any"]:
        """Noise of the coils with mean variance 1, (n, coil, *shape)."""
        size = (self.bucket.coils, *shape)
        drawn = [
            torch.randn(size, dtype=torch.complex64, generator=g, device=self.image.device) for g in self.generators
        ]
        white = torch.stack(drawn) if len(drawn) > 1 else drawn[0][None]
        return white if self.noise is None else (self.noise @ white.flatten(2)).view_as(white)

    def sigma(self, target: Tensor, ranges: Ranges) -> Float[Tensor, "n 1"]:
        """Standard deviation of the noise, for an SNR from the range as `sim.noise` defines it."""
        flat = target.flatten(1)
        over = flat > 0.1 * flat.amax(1, keepdim=True)
        snr = self.rows.of("noise").only_last(1).log_uniform(*ranges.snr)
        return (flat * over).sum(1, keepdim=True) / over.sum(1, keepdim=True) / snr


def shoot(store: Store, bucket: Bucket, generators: Sequence[torch.Generator], device: torch.device) -> Shot:
    """Objects and coils, one of each for every generator.

    Parameters
    ----------
    generators
        Of the CPU. On another device each gets a companion there, which its last number seeds.
    """
    rows = Rows.drawn(generators)
    if device.type != "cpu":
        seeds = [int(torch.randint(2**62, (1,), generator=g)) for g in generators]
        generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    store = store.on(device)
    image, wide = objects(store, bucket, rows, device)
    moved = rows.to(device)
    seen = at_matrix(image, bucket.shape, moved.of("noise").only_last(9))
    held = receivers(seen, bucket, wide, moved.of("coils"), moved.of("noise"), store.maps)
    return Shot(bucket=bucket, image=seen, maps=held.maps, noise=held.noise, rows=moved, generators=tuple(generators))


def at_matrix(image: Complex[Tensor, "n fy fx"], shape: tuple[int, int], rows: Rows) -> Complex[Tensor, "n y x"]:
    """The object at the matrix, by its k-space: a third apodised, a fifth with zeros beyond 60 to 95 % of each axis.

    Scanners filter and interpolate so.
    """
    y, x = shape
    k = centre_crop(fft(image, _PLANE), shape) * (y * x / image[0].numel()) ** 0.5
    soft, short = rows.chance(0.35), rows.chance(0.2)
    rolls, edges, steep = rows.uniform(0.3, 1.0), rows.uniform(0.6, 0.95, 2), rows.uniform(0.02, 0.2)
    for axis, n in enumerate(shape):
        radius = ((torch.arange(n, device=k.device) - n // 2) / (n / 2)).abs()
        filtered = 0.5 + 0.5 * torch.cos(torch.pi * ((radius - 1 + rolls) / rolls).clamp(0, 1) * (1 - steep))
        window = torch.where(soft, filtered, 1.0) * (~short | (radius <= edges[:, axis : axis + 1]))
        k = k * (window[:, :, None] if axis == 0 else window[:, None])
    return ifft(k, _PLANE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lattice:
    """Where samples on a grid are taken.

    Parameters
    ----------
    pattern
        Of each example.
    steps
        Samples by which k-space is rolled so that its centre lies where the pattern wants it, (n, 2).
    """

    pattern: Pattern
    steps: Int[Tensor, "n 2"]


def sample(shot: Shot, ranges: Ranges) -> KSpace:
    """Samples on a grid, largest 1, with masks from the range; k = 0 lies where the calibration lines hold it."""
    k = transformed(shot)
    white = shot.white(shot.bucket.shape)
    at = lattice(shot, ranges, k)
    return noisy(shot, ranges, rolled(k, at.steps), white, at.pattern.mask)


def lattice(shot: Shot, ranges: Ranges, k: Complex[Tensor, "n coil y x"]) -> Lattice:
    """Masks from the range, and where the centre of k-space comes to lie."""
    field = None
    if shot.bucket.points:
        drawn = [torch.rand(shot.bucket.shape, generator=g, device=shot.image.device) for g in shot.generators]
        field = torch.stack(drawn)
    pattern = sample_pattern(shot.bucket, ranges, shot.rows.of("mask"), field)
    return Lattice(pattern=pattern, steps=_steps(k, pattern.near))


def noisy(
    shot: Shot,
    ranges: Ranges,
    k: Complex[Tensor, "n coil y x"],
    white: Complex[Tensor, "n coil y x"],
    mask: Bool[Tensor, "n 1 1 y #x"],
) -> KSpace:
    """The scans with noise (`Shot.white`) on what the mask takes of k-space."""
    target = shot.target
    sigma = shot.sigma(target, ranges)
    samples = (k + sigma[..., None, None] * white) * mask[:, :, 0]
    return finished(shot, samples[:, :, None], target, sigma, mask=mask)


def finished(
    shot: Shot,
    samples: Complex[Tensor, "n coil 1 k1 k0"],
    target: Tensor,
    sigma: Float[Tensor, "n 1"],
    *,
    mask: Tensor | None = None,
    traj: Tensor | None = None,
) -> KSpace:
    """The scans scaled to unit maximum."""
    scale = 1 / largest(samples)
    scale_of = scale[:, None, None, None, None]
    noise_cov = None
    if shot.bucket.known:
        variance = (sigma[:, 0] * scale).square()[:, None, None]
        noise_cov = (torch.eye(shot.bucket.coils, device=samples.device) * variance).to(torch.complex64)
    matrix = (1, *shot.bucket.shape)
    encoding = Encoding.cartesian(matrix)
    return KSpace(
        samples=samples * scale_of,
        mask=mask,
        traj=traj,
        encoding=encoding,
        geometries=(Geometry.unknown(matrix),),
        noise_cov=noise_cov,
        axes=(EXAMPLE,),
        header=Header().flagged("simulated"),
        target=target * scale_of,
        receivers=0 if shot.bucket.receivers == shot.bucket.coils else shot.bucket.receivers,
    )


def transformed(shot: Shot) -> Complex[Tensor, "n coil y x"]:
    """k-space of the coil images; the centring phases go on one image and one grid, so that nothing is shifted."""
    (ay, by), (ax, bx) = (centring(n, shot.image) for n in shot.bucket.shape)
    k = plain_fft(shot.maps * (shot.image * (by[:, None] * bx).conj())[:, None], _PLANE)
    return k * (ay[:, None] * ax).conj()


def _steps(k: Complex[Tensor, "n coil y x"], near: Int[Tensor, "n 2"]) -> Int[Tensor, "n 2"]:
    """How much further than `near` from the middle a steep phase has moved the centre of k-space."""
    y, x = k.shape[2:]
    inner = k[:, :, y // 2 - y // 4 : y // 2 + y // 4 + 1, x // 2 - x // 4 : x // 2 + x // 4 + 1]
    energy = power(inner).sum(1)
    at = energy.flatten(1).argmax(1)
    centre = torch.stack([at // energy.shape[2] - y // 4, at % energy.shape[2] - x // 4], 1)
    return most_steps(centre, near)


def rolled(k: Complex[Tensor, "n coil y x"], steps: Int[Tensor, "n 2"]) -> Complex[Tensor, "n coil y x"]:
    """k-space moved back by whole samples, which is a ramp of phase over the images."""
    if not bool(steps.any()):
        return k
    y, x = k.shape[2:]
    number = torch.arange(len(k), device=k.device)[:, None, None, None]
    coil = torch.arange(k.shape[1], device=k.device)[:, None, None]
    down = (torch.arange(y, device=k.device) + steps[:, :1]) % y
    right = (torch.arange(x, device=k.device) + steps[:, 1:]) % x
    return k[number, coil, down[:, None, :, None], right[:, None, None]]
