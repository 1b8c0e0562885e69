"""Maps of a block of the full scan: it has the samples of the centre, and few lines of one's own are no better."""

from __future__ import annotations

import math

import torch
from benchmarks.calibration_lines import block_of, figures

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft
from spinecho.sim.mask_spec import MaskSpec

SHAPE = (1, 64, 48)


def scan() -> KSpace:
    """A disc with structure, seen by four coils around it."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in SHAPE[1:]], indexing="ij")
    disc = (y**2 + x**2 < 0.6).float() * (1 + 0.5 * torch.cos(9 * y + 4 * x))
    turns = [torch.tensor(math.pi / 2 * c) for c in range(4)]
    maps = [
        torch.polar(1 / (0.4 + (y - 1.3 * t.sin()) ** 2 + (x - 1.3 * t.cos()) ** 2), t + x * t.sin()) for t in turns
    ]
    samples = fft((torch.stack(maps) * disc)[:, None])
    noise = torch.randn(samples.shape, dtype=samples.dtype, generator=torch.Generator().manual_seed(0))
    mask = torch.ones((1, 1, 1, 1), dtype=torch.bool)
    samples = samples + 1e-2 * noise
    return KSpace(
        samples=samples,
        mask=mask,
        encoding=Encoding.cartesian(SHAPE),
        geometries=(Geometry.unknown(SHAPE),),
        axes=(),
    )


def test_the_block_is_the_centre():
    samples = scan().samples
    assert torch.equal(block_of(scan(), 8), samples[..., 28:36, 20:28])
    assert block_of(scan(), 50).shape == (4, 1, 50, 48)


def test_few_lines_are_no_better_than_the_block():
    ((own, whole),) = figures(scan(), MaskSpec("random", 4, 0.08, 0), ["l1_wavelet"])
    assert 10 < own < whole
