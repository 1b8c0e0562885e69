"""Figures of an image before and after some work: closed forms, series, grids, labels; and its pictures' window."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate.image_pictures import bounds_of, rows_of_pictures, shown_maps, shown_volume, what_is_shown
from spinecho.evaluate.image_scores import FIGURES, figures, on_grid_of, stacked
from spinecho.metrics.overlap import dice_per_label

SHAPE = (6, 32, 28)
GRID = Geometry.from_frame((3, -2, 7), np.eye(3), (1, 1, 3), SHAPE)


def head() -> torch.Tensor:
    """An ellipsoid with waves, all of it bright, (z, y, x)."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return ((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1).float() * (1 + 0.2 * torch.sin(6 * x + 4 * y + z))


def image(values: torch.Tensor, **changes) -> Image:
    values = values[None] if values.ndim == 3 else values
    return Image(values=values, geometries=(GRID,), axes=("time",) * (values.ndim - 4), **changes)


def noisy(sigma: float, seed: int = 0) -> torch.Tensor:
    return head() + sigma * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def psnr(told: list, which: str = "after") -> float:
    return float(getattr(told[0], which))


def test_the_truth_itself_is_perfect():
    told = figures(image(noisy(0.1)), image(head()), image(head()))
    assert [f.after for f in told] == ["inf", "1.0000", "0.0000"]
    assert all(math.isfinite(float(f.before)) for f in told)


def test_half_the_error_is_six_decibels():
    error = noisy(0.1) - head()
    told = figures(image(head() + error), image(head() + error / 2), image(head()))
    assert psnr(told) - psnr(told, "before") == pytest.approx(20 * math.log10(2), abs=0.02)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_figures_know_no_units(scale):
    one, other = (figures(*(image(s * v) for v in (noisy(0.1), noisy(0.05), head()))) for s in (1.0, scale))
    for a, b in zip(one, other, strict=True):
        assert float(b.before) == pytest.approx(float(a.before), rel=2e-3)
        assert float(b.after) == pytest.approx(float(a.after), rel=2e-3)


def test_no_scale_is_fitted_to_the_truth():
    assert psnr(figures(image(head()), image(2 * head()), image(head()))) < 5


def test_a_series_has_the_mean_of_its_volumes():
    frames = [noisy(s, i) for i, s in enumerate((0.05, 0.1, 0.2))]
    series = image(torch.stack(frames)[:, None])
    told = figures(series, series, image(head()))
    alone = [psnr(figures(image(f), image(f), image(head()))) for f in frames]
    assert psnr(told) == pytest.approx(np.mean(alone), abs=0.01)
    own = figures(series, series, series)
    assert own[0].after == "inf", "each with its own truth"


def test_complex_images_are_compared_by_their_magnitude():
    turned = head() * torch.polar(torch.ones(()), torch.tensor(0.7))
    assert psnr(figures(image(turned), image(turned), image(head()))) > 100


def test_what_lies_elsewhere_is_read_at_the_same_place_of_the_world():
    """A truth with its axes in another order and mirrored, on a grid of its own: the same figures."""
    order = (2, 0, 1)
    turned = Image(values=head().permute(order)[None].flip(1), geometries=(GRID.permuted(order).flipped(0),))
    there = on_grid_of(turned, GRID)
    torch.testing.assert_close(there.values[0], head(), rtol=1e-5, atol=1e-5)
    one, other = (figures(image(noisy(0.1)), image(noisy(0.05)), truth) for truth in (image(head()), turned))
    assert psnr(one) == pytest.approx(psnr(other), abs=0.02)
    same = image(head())
    assert on_grid_of(same, GRID).values is same.values, "nothing is read between voxels where nothing must be"


def test_volumes_stand_one_after_the_other():
    values = torch.arange(6.0).reshape(2, 3, 1, 1, 1, 1).expand(2, 3, 1, *SHAPE)
    both = Image(values=values, geometries=(GRID,), axes=("time", "contrast"))
    assert stacked(both).shape == (6, *SHAPE) and stacked(both)[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


def regions() -> torch.Tensor:
    """Two halves, 3 and 8."""
    inside = head() > 0
    halves = torch.full(SHAPE, 3, dtype=torch.uint8)
    halves[..., SHAPE[2] // 2 :] = 8
    return halves * inside


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int64, torch.float32])
def test_labels_are_compared_as_labels_whatever_numbers_hold_them(kind):
    made = regions().roll(1, -1)
    told = figures(image(head()), image(made), image(regions().to(kind)))
    expected = dice_per_label(regions().long(), made.long())
    assert [f.name for f in told] == ["mean Dice", "Dice of label 3", "Dice of label 8"]
    assert [f.after for f in told[1:]] == [f"{expected[label]:.3f}" for label in (3, 8)]
    assert float(told[0].after) == pytest.approx(np.mean(list(expected.values())), abs=1e-3)
    assert all(f.before == "" for f in told)


def test_labels_of_a_series_are_all_compared():
    good, bad = regions(), torch.zeros_like(regions())
    series = image(torch.stack([good, bad])[:, None])
    told = figures(image(head()), series, image(good))
    assert [f.after for f in told] == ["0.500"] * 3, "one is right, one has nothing"
    assert [f.after for f in figures(image(head()), series, series)] == ["1.000"] * 3
    with pytest.raises(DataError, match="the truth has 2 volumes, the result 1 -> give one, or as many"):
        figures(image(head()), image(good), series)


def test_labels_too_small_to_be_scored_leave_a_dash():
    few = torch.zeros(SHAPE, dtype=torch.uint8)
    few[2, 10:14, 10:14] = 5
    told = figures(image(head()), image(few), image(few))
    assert [(f.name, f.after) for f in told] == [("mean Dice", "–")]


def test_labels_on_another_grid_are_read_at_the_nearest_voxel():
    affine = GRID.affine @ np.array([[0.5, 0, 0, -0.25], [0, 0.5, 0, -0.25], [0, 0, 0.5, -0.25], [0, 0, 0, 1]])
    fine = Geometry((12, 64, 56), affine)
    doubled = regions().repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    made = Image(values=doubled[None], geometries=(fine,))
    assert all(float(f.after) > 0.97 for f in figures(image(head()), made, image(regions())))


def test_every_figure_takes_a_truth_and_an_image_and_says_which_is_better():
    for measure, digits in FIGURES.values():
        values = [measure(head().double(), x.double()) for x in (head(), noisy(0.05), noisy(0.3))]
        assert values == sorted(values) or values == sorted(values, reverse=True)
        assert digits >= 2 and values[1] != values[2]


def test_the_volume_that_is_shown_is_the_middle_one_of_its_first_component():
    frames = torch.stack([k * head() for k in range(5)])[:, None]
    assert torch.equal(shown_volume(image(frames)).values[0], 2 * head())
    assert what_is_shown(image(frames)) == "volume 2 (from 0) of 5 is shown" and what_is_shown(image(head())) == ""
    broken = head().clone()
    broken[0, 0, 0], broken[0, 0, 1] = torch.nan, torch.inf
    assert bool(shown_volume(image(broken)).values.isfinite().all())
    whole = shown_volume(image(regions()))
    assert whole.values.dtype == torch.float32


def test_maps_that_lie_on_another_grid_are_not_shown():
    extras = {"own": head()[None], "other": torch.zeros(1, 2, 2, 2), "wave": head()[None] * 1j}
    maps = shown_maps(image(head(), extras=extras))
    assert list(maps) == ["own", "wave"] and torch.equal(maps["wave"].values, head()[None])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_bounds_of_maps_are_apart_in_any_unit(scale):
    low, high = bounds_of(scale * head())
    assert low == 0 and high == pytest.approx(1.2 * scale, rel=0.05)
    low, high = bounds_of(torch.full((9,), scale))
    assert low < scale < high


def test_nothing_can_be_shown_of_nothing_and_is_no_error():
    rows = rows_of_pictures(image(torch.zeros(SHAPE)), image(torch.zeros(SHAPE)), {})
    assert rows and all(p.picture.png.startswith(b"\x89PNG") for row in rows for p in row.pictures)


def test_truth_and_labels_stand_beside_the_image():
    labels = replace(image(regions()))
    (row, *_) = rows_of_pictures(image(noisy(0.1)), image(head()), {}, labels, image(head()))
    captions = [p.picture.caption for p in row.pictures]
    assert captions[:3] == ["before", "after", "truth"] and captions[-1] == "after, with the labels in outline"
    (row, *_) = rows_of_pictures(image(head()), labels, {}, None, labels)
    assert [p.picture.caption for p in row.pictures] == ["before", "labels, over the image", "truth, over the image"]
