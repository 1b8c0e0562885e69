"""Errors of transforms in mm, similarity in a mask, and the memory of a piece of work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from skimage.metrics import normalized_mutual_information

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine, Rigid, Velocity, identity
from spinecho.evaluate.peak import peak_resident
from spinecho.metrics.similarity import foreground10, ncc_foreground, nmi_foreground64
from spinecho.metrics.warp_error import inverse_error_mm, landmark_error_mm, mask_points, warp_error_mm

GRID = Geometry.from_frame([4.0, 5.0, -6.0], np.diag([1.0, -1.0, 1.0]), (2.0, 1.0, 3.0), (9, 10, 11))


def shifted(by: tuple[float, float, float]) -> Rigid:
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return Rigid(matrix)


def test_a_shift_is_as_wrong_as_it_is_long_whatever_the_voxels() -> None:
    found = warp_error_mm(shifted((3.0, 0.0, 4.0)), identity(), GRID)
    assert (found.mean, found.p95, found.max) == pytest.approx((5.0, 5.0, 5.0))
    assert inverse_error_mm(shifted((3.0, 0.0, 4.0)), GRID).max == pytest.approx(0, abs=1e-9)
    assert inverse_error_mm(shifted((3.0, 0.0, 4.0)), GRID, inverse=identity()).mean == pytest.approx(5.0)


def test_a_scaling_errs_by_the_distance_from_its_centre() -> None:
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    mask = torch.zeros(GRID.shape, dtype=torch.bool)
    mask[2, 3, 4] = mask[0, 0, 0] = True
    points = GRID.to_world([[0, 0, 0], [4, 3, 2]])
    found = warp_error_mm(Affine(matrix), identity(), GRID, mask)
    assert found.mean == pytest.approx(np.linalg.norm(points, axis=1).mean())
    assert found.max == pytest.approx(np.linalg.norm(points, axis=1).max())
    np.testing.assert_allclose(mask_points(GRID, mask).numpy(), points)


def test_nothing_to_measure_is_no_number_and_other_grids_are_told() -> None:
    assert np.isnan(warp_error_mm(identity(), identity(), GRID, torch.zeros(GRID.shape, dtype=torch.bool)).mean)
    with pytest.raises(DataError, match="mask has shape"):
        mask_points(GRID, torch.ones(2, 2, 2, dtype=torch.bool))


def test_landmarks_are_not_rounded_to_voxels() -> None:
    fixed = torch.tensor([[0.25, 0.0, 0.0], [1.0, 2.0, 3.0]])
    moving = fixed + torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    found = landmark_error_mm(shifted((1.0, 0.0, 0.0)), fixed, moving)
    assert (found.mean, found.max) == pytest.approx((1.0, 2.0))
    with pytest.raises(DataError, match="landmarks"):
        landmark_error_mm(identity(), fixed, moving[:1].repeat(3, 1))


def test_a_smooth_flow_is_undone_by_its_inverse(rng: torch.Generator) -> None:
    z, y, x = np.indices((20, 20, 20)) / 19 * np.pi
    bump = torch.from_numpy(np.sin(x) * np.sin(y) * np.sin(z)).float()
    grid = Geometry.unknown((20, 20, 20), (1.5, 1.5, 1.5))
    flow = Velocity(torch.stack([3 * bump, -2 * bump, bump]), grid)
    inside = torch.zeros(grid.shape, dtype=torch.bool)
    inside[5:-5, 5:-5, 5:-5] = True
    assert 1 < warp_error_mm(flow, identity(), grid, inside).mean < 4
    assert inverse_error_mm(flow, grid, inside).max < 0.1 * 1.5  # a tenth of a voxel on so coarse a grid


def test_similarity_is_that_of_scipy_and_scikit_image(rng: torch.Generator) -> None:
    a = torch.rand(20, 21, 22, generator=rng)
    b = 0.5 * a + 0.1 * torch.rand(20, 21, 22, generator=rng)
    mask = torch.rand(20, 21, 22, generator=rng) > 0.4
    assert ncc_foreground(a, b, mask) == pytest.approx(pearsonr(a[mask].numpy(), b[mask].numpy()).statistic, abs=1e-6)
    clipped = [t[mask].numpy().clip(*np.quantile(t[mask].numpy(), [0.005, 0.995])) for t in (a, b)]
    theirs = normalized_mutual_information(clipped[0], clipped[1], bins=64)
    assert nmi_foreground64(a, b, mask) == pytest.approx(theirs, rel=1e-3)
    assert nmi_foreground64(a, a, mask) == pytest.approx(2.0)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_similarity_and_foreground_do_not_depend_on_the_scale(rng: torch.Generator, scale: float) -> None:
    a = torch.rand(12, 12, 12, generator=rng)
    a[:, :, :6] *= 0.01
    assert torch.equal(foreground10(a * scale), foreground10(a))
    assert not foreground10(a)[:, :, :6].any()
    mask = foreground10(a)
    assert ncc_foreground(a * scale, a, mask) == pytest.approx(1.0)
    assert nmi_foreground64(a * scale, a, mask) == pytest.approx(2.0, rel=1e-3)


def test_constant_or_empty_images_have_no_correlation() -> None:
    flat, full = torch.ones(5, 5, 5), torch.ones(5, 5, 5, dtype=torch.bool)
    assert np.isnan(ncc_foreground(flat, flat, full))
    assert np.isnan(ncc_foreground(flat, flat, ~full))
    assert np.isnan(nmi_foreground64(flat, flat, full))
    assert not foreground10(torch.zeros(4, 4, 4)).any()


def test_peak_memory_tells_of_this_work_only() -> None:
    with peak_resident() as before:
        pass
    with peak_resident() as large:
        torch.ones(40_000_000).add_(1)
    with peak_resident() as after:
        pass
    assert large.n_bytes - before.n_bytes > 140_000_000
    assert after.n_bytes <= large.n_bytes
