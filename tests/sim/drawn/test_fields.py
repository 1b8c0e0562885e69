"""Coil maps, susceptibility and phase of a batch, against the closed forms and the one-by-one code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from anatomies import CPU, shots

from spinecho.core.geometry import Geometry
from spinecho.sim.coils import Loop, sensitivities
from spinecho.sim.drawn.arrays import Loops, sample_loops
from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.coils import COARSE, fields
from spinecho.sim.drawn.interpolate import blobs, cubic, spread, waves
from spinecho.sim.drawn.noise import sample_noise
from spinecho.sim.drawn.phase import _moved, _vortices, susceptibility_field
from spinecho.sim.drawn.rows import PARTS, Rows


def rows(part: str, n: int = 3, seed: int = 0) -> Rows:
    return Rows(torch.rand(n, PARTS[part], generator=torch.Generator().manual_seed(seed)))


def test_maps_are_those_of_the_same_loops_one_by_one():
    wide = torch.zeros(2, 1, dtype=torch.bool)
    drawn = sample_loops(5, (60, 60), wide, rows("coils", 2))
    drawn = Loops(**{**drawn.__dict__, "field": torch.tensor([[2], [2]]), "gain": torch.ones(2, 5)})
    found = fields(drawn, (60, 60))
    for i in range(2):
        loops = tuple(
            Loop(tuple((200 * c).tolist()), tuple(n.tolist()), 200 * float(r), float(p))
            for c, n, r, p in zip(drawn.centre[i], drawn.normal[i], drawn.radius[i], drawn.phase[i], strict=True)
        )
        cell = 200 / COARSE
        at = Geometry.from_frame([cell / 2, cell / 2, 0], np.eye(3), (cell, cell, 5.0), (1, COARSE, COARSE))
        expected = sensitivities(loops, at)[0, :, 0]
        shift = torch.linalg.lstsq(expected.reshape(-1, 1), found[i].reshape(-1, 1)).solution
        error = (found[i] - shift * expected).abs()
        assert float(error.quantile(0.99)) < 1e-3 * float(found[i].abs().median())


def test_arrays_lie_about_the_object():
    wide = torch.tensor([[False], [True], [False]])
    for n in (1, 4, 12, 32):
        loops = sample_loops(n, (80, 120), wide, rows("coils"))
        assert loops.centre.shape == (3, n, 3)
        assert torch.allclose(loops.normal.norm(dim=-1), torch.ones(3, n), atol=1e-5)
        assert float(loops.radius.min()) > 0.03 and float(loops.radius.max()) < 0.6
        reach = loops.centre[..., :2].norm(dim=-1)
        assert float(reach.min()) > 0.1, "none in the middle"
        assert torch.isfinite(torch.view_as_real(fields(loops, (80, 120)))).all()


def test_receivers_have_the_coils_of_the_bucket():
    for receivers, coils in ((1, 1), (7, 7), (16, 12)):
        shot = shots(Bucket(shape=(40, 44), receivers=receivers), 2)
        assert shot.maps.shape == (2, coils, 40, 44) and shot.noise.shape == (2, coils, coils)


def test_whitening_whitens():
    for n in (1, 2, 3, 8):
        drawn = sample_noise(n, rows("noise"))
        eye = torch.eye(n).expand(3, -1, -1)
        assert torch.allclose(drawn.whitening @ drawn.covariance @ drawn.whitening.mH, eye + 0j, atol=1e-4)
        assert torch.allclose(drawn.covariance.diagonal(dim1=1, dim2=2).real.mean(1), torch.ones(3), atol=1e-5)


def test_the_field_of_a_cylinder_across_and_along_the_main_field():
    """Inside a long cylinder chi / 3 along B0, and chi / 3 - chi / 2 across it: + chi a^2 cos(2 phi) / (2 r^2) outside.

    A zero frequency across the slice stands for infinite length.
    """
    n, radius, ppm = 256, 20.0, 2.0
    y, x = torch.meshgrid(*(torch.arange(n) - n / 2 + 0.5,) * 2, indexing="ij")
    chi = ppm * (torch.hypot(x, y) < radius).float()[None]
    long = torch.full((1, 1), 1e-4)
    along = susceptibility_field(chi, torch.tensor([[0.0, 0.0, 1.0]]), long)[0]
    across = susceptibility_field(chi, torch.tensor([[1.0, 0.0, 0.0]]), long)[0]
    middle, side, top = (128, 128), (128, 128 + 40), (128 + 40, 128)
    assert float(along[middle]) == pytest.approx(ppm / 3, abs=0.05)
    assert float(across[middle]) == pytest.approx(ppm / 3 - ppm / 2, abs=0.05)
    outside = ppm / 2 * (radius / 40) ** 2
    assert float(across[side]) == pytest.approx(outside, rel=0.15)
    assert float(across[top]) == pytest.approx(-outside, rel=0.15)


def test_interpolation_keeps_lines_and_waves():
    assert torch.allclose(cubic(50, 20, CPU).sum(1), torch.ones(50), atol=1e-5)
    line = torch.arange(20.0) * 3 + 1
    fine = cubic(50, 20, CPU) @ line
    expected = ((torch.arange(50) + 0.5) * 20 / 50 - 0.5) * 3 + 1
    assert torch.allclose(fine[5:-5], expected[5:-5], atol=1e-4)
    y, x = torch.meshgrid(*((torch.arange(16) + 0.5) / 16,) * 2, indexing="ij")
    coarse = torch.cos(2 * math.pi * (x + 0.5 * y))[None]
    y, x = torch.meshgrid(*((torch.arange(64) + 0.5) / 64,) * 2, indexing="ij")
    error = (spread(coarse, (64, 64)) - torch.cos(2 * math.pi * (x + 0.5 * y)))[:, 4:-4, 4:-4]
    assert float(error.abs().max()) < 0.02


def test_waves_and_blobs():
    found = waves(rows("phase", 200), (40, 44), torch.ones(200, 1))
    assert found.shape == (200, 40, 44)
    assert 0.7 < float(found.square().mean()) < 1.6, "mean square about one"
    y, x = blobs(rows("phase"), (40, 44), 2, (0.05, 0.05), (0.0, 0.0))
    spots = y @ x.mT
    assert torch.allclose(spots[:, 20, 22], torch.full((3,), 2.0)), "all in the middle, on top of each other"


def test_fat_moves_by_whole_pixels_and_leaves_the_edge_empty():
    fat = torch.arange(12.0).view(1, 2, 6).expand(2, -1, -1)
    moved = _moved(fat, torch.tensor([[2.2], [-1.0]]))
    assert moved[0, 0].tolist() == [0, 0, 0, 1, 2, 3] and moved[1, 0].tolist() == [1, 2, 3, 4, 5, 0]


def test_phase_turns_once_about_a_vortex():
    n = 600
    there = [v for v in _vortices((40, 40), rows("phase", n)) if not torch.allclose(v, v[0, 0])]
    assert 0.06 * n < len(there) < 0.2 * n
    for field in there[:5]:
        ring = torch.cat([field[0, :-1], field[:-1, -1], field[-1, 1:].flip(0), field[1:, 0].flip(0)])
        turns = (ring.roll(-1) * ring.conj()).angle().sum() / (2 * math.pi)
        assert abs(round(float(turns))) <= 2 and float(turns) == pytest.approx(round(float(turns)), abs=1e-3)
