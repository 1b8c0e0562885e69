"""Greys of regions, fitted: means and a smooth field that are known come back, borders move to where the image has
them, and what the greys cannot know stays with the prior."""

from __future__ import annotations

import math

import pytest
import torch
from rendered import balls
from rendered import head as picture
from torch.nn import functional as F

from spinecho.ops.windows import gaussian
from spinecho.tasks.segment.parts.greys import around, asked_again, fitted, logged, settled
from spinecho.tasks.segment.parts.names import REGIONS, classes_of

SHAPE = (56, 60, 58)
BRIGHT = {0: 0.1, 24: 0.2, 3: 0.45, 2: 0.7, 10: 0.55, 4: 0.25}
"""Grey of each label"""


@pytest.fixture(scope="module")
def head():
    """Classes, a picture with noise, and a blurred prior."""
    classes = classes_of(balls(SHAPE)).long()
    values = torch.zeros(SHAPE)
    for i, region in enumerate(REGIONS):
        if region.label in BRIGHT:
            values[classes == i] = BRIGHT[region.label]
    values = values * (1 + 0.03 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)))
    share = gaussian(F.one_hot(classes, len(REGIONS)).movedim(-1, 0).float(), 2.0)
    return classes, values, (share + 1e-4).log().log_softmax(0)


def test_means_come_back(head):
    _, values, logs = head
    greys = fitted(values, logs, 2.0)
    assert greys is not None and greys.means.shape == (len(REGIONS) + 2,)
    for i, region in enumerate(REGIONS[1:]):
        if region.label in BRIGHT:
            wanted = math.log(BRIGHT[region.label] + 0.02)
            assert float(greys.means[3 + i]) == pytest.approx(wanted, abs=0.05), region.name
    assert float(greys.field.abs().max()) < 0.1


def test_a_smooth_field_is_found_and_not_taken_for_tissue(head):
    classes, values, logs = head
    z = torch.linspace(-1, 1, SHAPE[0])[:, None, None].expand(SHAPE)
    greys = fitted(values * torch.exp(0.3 * z), logs, 2.0)
    assert greys is not None
    brain = classes > 0
    error = (greys.field - 0.3 * z)[brain]
    assert float((error - error.mean()).std()) < 0.3 * float((0.3 * z)[brain].std())


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_borders_move_to_where_the_image_has_them(head, slope):
    classes, values, logs = head
    tilted = values * torch.exp(slope * torch.linspace(-1, 1, SHAPE[2]))
    greys = fitted(tilted, logs, 2.0)
    assert greys is not None
    after = asked_again(logs, tilted, greys.field, greys).argmax(0)
    wrong = [int((one != classes).sum()) for one in (logs.argmax(0), after)]
    assert wrong[1] < 0.35 * wrong[0]


def test_equal_greys_leave_the_prior(head):
    """Two regions of one grey: the prior alone tells them apart."""
    classes, _, logs = head
    flat = torch.where(classes > 0, 0.5, 0.1)
    greys = fitted(flat, logs, 2.0)
    assert greys is not None
    after = asked_again(logs, flat, greys.field, greys)
    thalamus, white = (next(i for i, r in enumerate(REGIONS) if r.label == n) for n in (10, 2))
    before, later = (p[thalamus] - p[white] for p in (logs, after))
    inner = (classes == thalamus) | (classes == white)
    assert float((before - later)[inner].abs().median()) < 0.5


def test_it_is_bayes_rule(head):
    _, values, logs = head
    greys = fitted(values, logs, 2.0)
    assert greys is not None
    at = (28, 30, 12)
    y = math.log(float(values[at]) + 0.02) - float(greys.field[at])
    bells = [
        -0.5 * min(4.0, abs(y - m) / s) ** 2 - math.log(s)
        for m, s in zip(greys.means.tolist(), greys.widths.tolist(), strict=True)
    ]
    outside = math.log(sum(math.exp(b) * w for b, w in zip(bells[:3], greys.shares.tolist(), strict=True)))
    wanted = logs[:, *at] + torch.tensor([outside, *bells[3:]])
    after = asked_again(logs, values, greys.field, greys)[:, *at]
    assert bool(logs[0, *at].exp() < 0.98) and torch.allclose(after, wanted, atol=1e-4)


def test_where_there_is_surely_no_brain_nothing_changes(head):
    _, values, logs = head
    greys = fitted(values, logs, 2.0)
    assert greys is not None
    sure = logs[0].exp() > 0.99
    assert bool(sure.any())
    after = asked_again(logs, values, greys.field, greys)
    assert torch.equal(after[:, sure], logs[:, sure])


def test_a_strange_grey_decides_little(head):
    """A voxel brighter than any tissue: what the prior holds for sure stays."""
    _, values, logs = head
    greys = fitted(values, logs, 2.0)
    assert greys is not None
    white = next(i for i, r in enumerate(REGIONS) if r.label == 2)
    prior = torch.full((len(REGIONS), 1), -20.0)
    prior[white] = 0.0
    for grey in (0.0, 1.0, 5.0):
        after = asked_again(prior, torch.tensor([grey]), torch.zeros(1), greys)
        assert int(after.argmax(0)) == white


def test_too_little_of_a_brain(head):
    _, values, _ = head
    nothing = torch.full((len(REGIONS), *SHAPE), -20.0)
    nothing[0] = 0.0
    assert fitted(values, nothing, 2.0) is None
    assert not bool(around(nothing.exp()).any())


def test_a_flat_image_gives_finite_numbers(head):
    _, _, logs = head
    for grey in (0.0, 1.0):
        flat = torch.full(SHAPE, grey)
        greys = fitted(flat, logs, 2.0)
        assert greys is not None
        after = asked_again(logs, flat, greys.field, greys)
        assert bool(torch.isfinite(after).all())
        assert float((after.argmax(0) == logs.argmax(0)).float().mean()) > 0.95


def test_the_logarithm_takes_dark_voxels():
    assert torch.equal(logged(torch.tensor([-1.0, 0.0])), logged(torch.zeros(2)))


def test_neighbours_quieten_single_voxels(head):
    """Salt in the prior goes; a plane between two regions stays where it is."""
    classes, _, _ = head
    logs = -10.0 * (1 - F.one_hot(classes, len(REGIONS)).movedim(-1, 0).float())
    salt = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) < 0.02
    logs[1, salt] = 1.5
    before, after = (int((x.argmax(0) != classes).sum()) for x in (logs, settled(logs, (1.0, 1.0, 1.0))))
    assert after < 0.3 * before
    half = torch.full((len(REGIONS), 8, 8, 8), -20.0)
    half[1, :, :, :4] = half[2, :, :, 4:] = 0.0
    assert torch.equal(settled(half, (1.0, 1.0, 1.0)).argmax(0), half.argmax(0))


def test_thick_slices_are_no_neighbours():
    """A region of one thick slice is not worn away by the slices beside it."""
    logs = torch.full((len(REGIONS), 3, 9, 9), -10.0)
    logs[2, 0] = logs[1, 1] = logs[2, 2] = 0.0
    logs[2, 1] = -0.8
    thick, cubes = (settled(logs, (mm, 1.0, 1.0)) for mm in (5.0, 1.0))
    assert int(thick[:, 1, 4, 4].argmax()) == 1 and int(cubes[:, 1, 4, 4].argmax()) == 2
    assert torch.equal(settled(logs[:, :1], (1.0, 1.0, 1.0)).argmax(0), logs[:, :1].argmax(0))


@pytest.mark.parametrize("planes", [5, 24, 60])
def test_slabs_leave_no_seam(monkeypatch, planes):
    from spinecho.tasks.segment.parts import seen as back_module
    from spinecho.tasks.segment.parts.seen import back, seen

    image = picture(balls((50, 52, 48)), (1.0, 1.0, 1.0))
    head = seen(image, 2.0)
    rng = torch.Generator().manual_seed(0)
    scores = gaussian(8 * torch.randn(len(REGIONS), *head.grid.shape, generator=rng), 1.0)
    greys = fitted(head.values[0], scores.log_softmax(0), 2.0)
    whole = back(scores, head, greys)
    monkeypatch.setattr(back_module, "_SLAB", planes)
    parts = back(scores, head, greys)
    assert torch.equal(whole[0], parts[0])
    torch.testing.assert_close(whole[1], parts[1])
