"""Moving scenes by number: small series with noise for a denoiser, and series measured by several coils."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, log_uniform, uniform
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop
from spinecho.sim import mask
from spinecho.sim.coils import around, sample_loops, sensitivities
from spinecho.sim.draws_moving import sample_frames
from spinecho.sim.noise import object_mean
from spinecho.sim.phase import sample_phase
from spinecho.tasks.recon.parts.series import Series
from spinecho.train.draw import generator

_LENGTHS = (8, 10, 12, 16)
"""Frames of small series; all of a step have as many"""
_LEVELS = (0.004, 0.2)
"""Noise relative to the brightest pixel, even in the logarithm"""
_RIGHT = 0.15
"""Share of the small series in which nothing but noise is wrong"""
_FOV_MM = 320.0


@dataclass(frozen=True, eq=False)
class Pictures:
    """Slices that are made to move.

    Parameters
    ----------
    stacks
        Slices (n, y, x), at most 1 in magnitude.
    weights
        How often each stack is drawn from.
    """

    stacks: tuple[np.ndarray, ...]
    weights: tuple[float, ...]

    def pair(self, rng: torch.Generator) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
        """Magnitudes of a slice and of one near it, turned and mirrored alike."""
        stack = self.stacks[int(torch.multinomial(torch.tensor(self.weights), 1, generator=rng))]
        at = integer(rng, len(stack))
        near = min(max(at + 2 * integer(rng, 2) - 1, 0), len(stack) - 1)
        both = torch.from_numpy(np.abs(stack[[at, near]]).astype(np.float32))
        both = both.flip(-1) if chance(rng, 0.5) else both
        both = both.transpose(-2, -1) if chance(rng, 0.5) else both
        both = both / both[0].max().clamp_min(1e-3)
        return both[0], both[1]


@dataclass(frozen=True, eq=False)
class SmallSeries:
    """Denoising examples by number.

    Parameters
    ----------
    size
        Pixels along a side.
    part
        What they are for: "train" and "validate" give different ones.
    """

    pictures: Pictures
    size: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Series:
        """One series; those of a step have one length."""
        n_frames = _LENGTHS[integer(generator(self.seed, self.part, step), len(_LENGTHS))]
        rng = generator(self.seed, self.part, step, index)
        pair = torch.stack(self.pictures.pair(rng))
        picture, other = _window(pair, 2 * self.size, rng)
        frames = resized(sample_frames(picture, other, n_frames, rng), (self.size, self.size))
        clean = torch.polar(frames / frames.max().clamp_min(1e-3), _phases(frames, rng))
        sigma = log_uniform(rng, *_LEVELS)
        white = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=rng)) * (sigma / 2**0.5)
        wrong = clean if chance(rng, _RIGHT) else mistaken(clean, rng)
        noisy, change = put_right(wrong, clean + white, rng)
        level = float((noisy - clean).abs().square().mean().sqrt()) * log_uniform(rng, 0.5, 1.4)
        return Series(clean[None], noisy[None], change[None], torch.tensor([max(level, _LEVELS[0])]))


@dataclass(frozen=True, eq=False)
class MovingScans:
    """Series of undersampled scans by several coils, one by one (`draw.Singles`)."""

    pictures: Pictures

    def scan(self, rng: torch.Generator) -> KSpace:
        """A scan of a scene, lines along y: a strip of it, which costs less and is as hard along y."""
        n_frames, y = 10 + 2 * integer(rng, 4), 72 + 8 * integer(rng, 4)
        x = 40 + 8 * integer(rng, 3)
        picture, other = resized(torch.stack(self.pictures.pair(rng)), (2 * y, 2 * y)).clamp_min(0)
        frames = sample_frames(picture, other, n_frames, rng)
        at = integer(rng, 2 * (y - x) // 2) + (y - x) // 2
        frames = frames[:, None, None, :, at : at + 2 * x]
        phase = _phases(frames[:, 0, 0], rng)[:, None, None]
        return measured(torch.polar(frames, phase), (y, x), rng)


def measured(frames: Complex[Tensor, "t 1 1 fy fx"], shape: tuple[int, int], rng: torch.Generator) -> KSpace:
    """Frames on a grid finer than the matrix (y, x), by several coils, at random lines of each frame, with noise."""
    y, x = shape
    k = centre_crop(fft(frames, (-2, -1)), (1, y, x)) * (y * x / frames[0].numel()) ** 0.5
    n_coils, seen = (4, 6, 8, 8, 10, 12)[integer(rng, 6)], frames.abs().amax(0)[0]
    coils = _maps(n_coils, seen, shape, rng) * ifft(k, (-2, -1))
    target = root_sum_of_squares(coils)
    sigma = object_mean(target) / log_uniform(rng, 8, 100)
    rate = min(log_uniform(rng, 3, 11), y / 9)
    pattern = mask.kt_random_lines(len(frames), y, rate, 4 + integer(rng, 5), rng)
    white = torch.view_as_complex(torch.randn(*coils.shape, 2, generator=rng)) * (sigma / 2**0.5)
    return KSpace(
        samples=(fft(coils, (-2, -1)) + white) * pattern,
        mask=pattern,
        encoding=Encoding.cartesian((1, y, x)),
        geometries=(Geometry.unknown((1, y, x)),),
        noise_cov=torch.eye(coils.shape[1], dtype=torch.complex64) * sigma**2 if chance(rng, 0.7) else None,
        axes=("time",),
        header=Header().flagged("simulated"),
        target=target,
    )


def _maps(
    n_coils: int, seen: Float[Tensor, "1 v u"], shape: tuple[int, int], rng: torch.Generator
) -> Complex[Tensor, "1 coil 1 y x"]:
    """Of loops about what is seen, whose size and place are random."""
    y, x = shape
    coarse, centre = 24, [uniform(rng, -25, 25) for _ in range(3)]
    grid = Geometry.from_frame(
        centre, np.eye(3), (_FOV_MM * x / y / coarse, _FOV_MM / coarse, 8.0), (1, coarse, coarse)
    )
    axes, size = around(F.adaptive_max_pool2d(seen, coarse), grid), uniform(rng, 1.0, 1.3)
    loops = sample_loops(n_coils, rng, half_axes_mm=(axes[0] * size, axes[1] * size, axes[2] * size))
    maps = sensitivities(loops, grid)[0, :, 0]
    parts = F.interpolate(torch.view_as_real(maps).movedim(-1, 1), size=shape, mode="bicubic", align_corners=False)
    return torch.complex(parts[:, 0], parts[:, 1])[None, :, None]


def mistaken(clean: Complex[Tensor, "t y x"], rng: torch.Generator) -> Complex[Tensor, "t y x"]:
    """What few samples may first be taken for: too few temporal components, or frames that run into each other."""
    if chance(rng, 0.5):
        wrong = _few_components(clean, 1 + integer(rng, 4))
    else:
        times = torch.arange(len(clean))
        near = torch.exp(-((times[:, None] - times) / uniform(rng, 0.7, 4.0)).square())
        wrong = ((near / near.sum(1, keepdim=True)).to(clean.dtype) @ clean.flatten(1)).view_as(clean)
    return torch.lerp(clean, wrong, uniform(rng, 0.3, 1.3))


def put_right(
    wrong: Complex[Tensor, "t y x"], truth: Complex[Tensor, "t y x"], rng: torch.Generator
) -> tuple[Complex[Tensor, "t y x"], Complex[Tensor, "t y x"]]:
    """wrong + P (truth - wrong), P of the lines of a random mask, and the second part times the acceleration.

    Several coils unfold much, so that a mask takes more lines here than one of that acceleration has.
    """
    t, y, _ = wrong.shape
    rate = log_uniform(rng, 1.3, 6.0)
    change = ifft(_lines(t, y, rate, rng) * fft(truth - wrong, (-2,)), (-2,))
    return wrong + change, change * (rate * uniform(rng, 1.0, 2.5))


def _lines(t: int, y: int, rate: float, rng: torch.Generator) -> Bool[Tensor, "t y 1"]:
    return mask.kt_random_lines(t, y, rate, min(4, int(y / rate)), rng).reshape(t, y, 1)


def _few_components(clean: Complex[Tensor, "t y x"], n: int) -> Complex[Tensor, "t y x"]:
    """The nearest series of n time courses."""
    flat = clean.flatten(1)
    _, vectors = torch.linalg.eigh(flat @ flat.mH)
    kept = vectors[:, -n:]
    return (kept @ (kept.mH @ flat)).view_as(clean)


def _window(pair: Float[Tensor, "2 y x"], size: int, rng: torch.Generator) -> Float[Tensor, "2 s s"]:
    """A square of both, at one of several scales, that is not dark."""
    n = min(round(size * log_uniform(rng, 1.0, 2.0)), *pair.shape[-2:])
    for _ in range(6):
        y, x = (integer(rng, m - n + 1) for m in pair.shape[-2:])
        cut = pair[:, y : y + n, x : x + n]
        if float(cut[0].mean()) > 0.06:
            break
    return resized(cut, (size, size)).clamp_min(0)


def resized(pictures: Float[Tensor, "n y x"], shape: tuple[int, int]) -> Float[Tensor, "n v u"]:
    """At another number of pixels, without aliases."""
    if pictures.shape[-2:] == shape:
        return pictures
    return F.interpolate(pictures[None], shape, mode="bicubic", antialias=True, align_corners=False)[0].clamp_min(0)


def _phases(frames: Tensor, rng: torch.Generator) -> Float[Tensor, "t y x"]:
    """A smooth phase, and now and then another that comes with time."""
    t, y, x = frames.shape
    fixed = sample_phase(rng, strength=uniform(rng, 0.1, 1.5), highest=uniform(rng, 0.3, 2.0)).on((1, y, x))[0, 0]
    if chance(rng, 0.7):
        return fixed.expand(t, -1, -1)
    more = sample_phase(rng, strength=uniform(rng, 0.1, 0.8)).on((1, y, x))[0, 0]
    return fixed + more * torch.sin(torch.linspace(0, uniform(rng, 1, 7), t))[:, None, None]
