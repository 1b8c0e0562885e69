"""The demo's pair and its denoised image: what is made is known exactly, and what is found is near it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.demo import pair
from spinecho.demo.quiet import denoised
from spinecho.metrics.similarity import foreground10
from spinecho.metrics.warp_error import warp_error_mm
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge.case import run_method


def thinned(head: Image, step: int = 2) -> Image:
    """Means over blocks of voxels."""
    values = torch.nn.functional.avg_pool3d(head.values[0].float()[None, None], step)[0]
    grid = head.geometry
    middle = grid.to_world([(n - 1) / 2 for n in reversed(grid.shape)])
    sides = [v * step for v in grid.voxel_mm]
    shape = (values.shape[1], values.shape[2], values.shape[3])
    onto = Geometry.from_frame(middle, grid.directions, (sides[0], sides[1], sides[2]), shape)
    return Image(values=values, geometries=(onto,))


@pytest.fixture(scope="module")
def head() -> Image:
    return thinned(pair.sample_head())


def test_the_sample_is_a_brain_and_no_face():
    head = pair.sample_head()
    assert head.geometry.shape == (68, 80, 64) and head.geometry.voxel_mm == (2.5, 2.5, 2.5) and head.geometry.oriented
    inside = head.values[0] > 0
    litres = float(inside.sum()) * 2.5**3 / 1e6
    assert 1.2 < litres < 2.2, "a brain without skull and skin"
    assert not bool(inside[:, 0].any()) and not bool(inside[:, :, 0].any()), "air at the front and at the side"


def test_the_second_visit_lies_where_its_transform_says(head):
    moving, way = pair.second_visit(head)
    back = way.warp(moving, onto=head.geometry).values[0]
    inside = foreground10(head.values[0])
    there, here = (
        torch.corrcoef(torch.stack([head.values[0][inside], v[inside]]))[0, 1]
        for v in (back, identity().warp(moving, onto=head.geometry).values[0])
    )
    assert there > 0.9 > here + 0.3, "shading and noise keep it from 1"


def test_nothing_of_the_brain_moves_out_of_the_picture(head):
    moving, way = pair.second_visit(head)
    points = way.points(head.geometry)[foreground10(head.values[0])]
    index = torch.from_numpy(moving.geometry.to_voxel(points.numpy()))
    assert bool((index >= 0).all())
    assert bool((index <= torch.tensor(moving.geometry.shape[::-1]) - 1).all())


def test_a_seed_makes_one_visit_and_the_history_says_that_it_is_made(head):
    one, again, other = (pair.second_visit(head, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one.values, again.values) and not torch.equal(one.values, other.values)
    assert any("simulated" in step for step in one.header.history)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_visit_has_the_scale_of_the_head(head, scale):
    usual, _ = pair.second_visit(head)
    scaled, _ = pair.second_visit(replace(head, values=head.values * scale))
    torch.testing.assert_close(scaled.values / scale, usual.values, rtol=1e-3, atol=1e-3)


def test_aligned_knows_how_far_off_it_was_and_is(head):
    made = pair.aligned(head)
    inside = foreground10(head.values[0])
    _, truth = pair.second_visit(head)
    assert made.before.mean == pytest.approx(
        float(truth.displacement(head.geometry).norm(dim=0)[inside].mean()), rel=1e-3
    )
    assert made.before.mean > 5 and made.after.mean < 0.4 * made.before.mean
    assert warp_error_mm(truth, truth, head.geometry, inside).max == 0


def test_denoising_knows_how_much_nearer_it_came():
    scan = simulate_phantom(Scan(matrix=(1, 48, 44), n_coils=3, sampling="full", snr=8, fineness=1)).kspace
    made = run_method(scan, "cg_sense")
    quiet = denoised(scan, made)
    assert quiet.method == "cg_sense" and quiet.seconds > 0
    assert torch.equal(quiet.before.values, made.image.values) and not quiet.before.extras
    assert torch.equal(quiet.truth.values, scan.target.abs())
    psnr = quiet.figures[0]
    assert "psnr" in psnr.name and float(psnr.after) > float(psnr.before) + 1
