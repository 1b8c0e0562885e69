"""Undersampling after the fact: what is kept, what becomes the truth, what is refused; and moving scans."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.sampling import acceleration
from spinecho.tasks.recon.retrospective import FLAG, undersample
from spinecho.tasks.recon.run import recon


def full(rng, axes=("slice",), batch=(2,), lines=slice(None)):
    matrix = (1, 32, 24)
    mask = torch.zeros(1, 1, 32, 1, dtype=torch.bool)
    mask[:, :, lines] = True
    mask = mask.reshape(*(1,) * len(batch), *mask.shape)
    samples = torch.randn(*batch, 3, *matrix, dtype=torch.complex64, generator=rng) * mask
    n_slices = batch[axes.index("slice")] if "slice" in axes else 1
    geometries = tuple(Geometry.unknown(matrix[:1] + matrix[1:]).cropped((i, 0, 0), matrix) for i in range(n_slices))
    encoding = Encoding.cartesian(matrix)
    return KSpace(samples=samples, mask=mask, encoding=encoding, geometries=geometries, axes=axes)


def test_what_is_kept(rng):
    whole = full(rng)
    cut = undersample(whole, "random:4:4:7")
    grid = cut.mask.expand(*cut.mask.shape[:-3], *cut.encoding.matrix)
    assert acceleration(grid) == pytest.approx(4)
    assert torch.equal(cut.samples, whole.samples * cut.mask)
    assert torch.equal(cut.target, recon(whole, "zero_filled").values)
    assert cut.header.flags[-1] == FLAG
    assert "random:4:4:7" in cut.header.history[-1]
    assert torch.equal(cut.mask, undersample(whole, "random:4:4:7").mask)
    assert not torch.equal(cut.mask, undersample(whole, "random:4:4:8").mask)


def test_lines_scanned_apart_are_not_used(rng):
    whole = replace(full(rng), calib=torch.ones(1, 3, 1, 8, 24, dtype=torch.complex64))
    assert undersample(whole, "random:2:4:0").calib is None


def test_one_block_of_lines_is_a_full_scan_and_stays_the_limit(rng):
    whole = full(rng, lines=slice(5, 29))
    cut = undersample(whole, "random:2:4:0")
    assert not (cut.mask & ~whole.mask).any()


def test_frames_get_masks_of_their_own(rng):
    series = full(rng, axes=("slice", "time"), batch=(2, 4))
    cut = undersample(series, "kt:4:4:0")
    assert cut.mask.shape == (1, 4, 1, 1, 32, 1)
    assert not torch.equal(cut.mask[:, 0], cut.mask[:, 1])
    assert undersample(series, "random:2:4:0").mask.shape == (1, 1, 1, 1, 32, 1)


def test_refusals(rng):
    with pytest.raises(DataError, match="52 % of its lines"):
        undersample(full(rng, lines=slice(0, 31, 2)), "random:2:4:0")
    with pytest.raises(DataError, match="needs a series of frames"):
        undersample(replace(full(rng, axes=("repetition",), batch=(4,)), axes=("repetition",)), "kt:4:4:0")
    with pytest.raises(DataError, match="KIND:R:CENTRE:SEED"):
        undersample(full(rng), "every second")
    scan = full(rng)
    points = torch.zeros(1, 1, 32, 24, 3)
    with pytest.raises(DataError, match="along a trajectory"):
        undersample(replace(scan, mask=None, traj=points), "random:2:4:0")


def test_everything_moves(rng):
    scan = undersample(full(rng), "random:2:4:0")
    scan = replace(scan, noise_cov=torch.eye(3, dtype=torch.complex64), calib=scan.samples[..., 8:24, :])
    moved = scan.to("meta")
    for name in ("samples", "mask", "calib", "noise_cov", "target"):
        assert getattr(moved, name).is_meta, name
    assert moved.traj is None
    image = scan.image(scan.target, gfactor=scan.target)
    assert image.to("meta").values.is_meta
    assert image.to("meta").extras["gfactor"].is_meta
