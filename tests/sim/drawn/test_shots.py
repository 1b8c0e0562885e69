"""Scans in shots between which the object moved, and scans at less than their resolution: by what one can compute."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from anatomies import RANGES, shots
from torch import Tensor

from spinecho.ops.fourier import ifft
from spinecho.sim.drawn import shots as motion
from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.scan import sample
from spinecho.sim.drawn.short import LEAST, MOST, sample_short
from spinecho.sim.drawn.shots import moved, sample_poses, sample_shots, shots_of
from spinecho.train.draw import generator

CLEAN = replace(RANGES, snr=(1e6, 1e6), accel=(1.0, 1.0))
BUCKETS = [
    Bucket(shape=(48, 40), receivers=3),
    Bucket(shape=(45, 52), receivers=5, known=True),
    Bucket(shape=(40, 48), receivers=4, points=True),
    Bucket(shape=(40, 76), receivers=4, long=True),
]


def blob(shape: tuple[int, int], at: tuple[float, float], width: float = 3.0) -> Tensor:
    """A Gaussian at a place in pixels from the middle (y, x), with a phase that it carries along."""
    y, x = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    value = torch.exp(-((y[:, None] - at[0]).square() + (x - at[1]).square()) / (2 * width**2))
    return (value * (1 + 0.5j)).to(torch.complex64)


@pytest.mark.parametrize("shape", [(64, 64), (61, 80), (80, 48)])
@pytest.mark.parametrize("degrees", [0.0, 5.0, -12.0])
def test_a_turn_and_a_shift_are_those_of_the_plane(shape, degrees):
    """From y towards x by an angle, then along each axis: a blob comes to lie where geometry says."""
    (y, x), angle = shape, math.radians(degrees)
    start, shift = (8.0, -5.0), (0.03, -0.02)
    there = (
        start[0] * math.cos(angle) - start[1] * math.sin(angle) + shift[0] * y,
        start[0] * math.sin(angle) + start[1] * math.cos(angle) + shift[1] * x,
    )
    image = moved(blob(shape, start)[None], torch.tensor([angle]), torch.tensor([shift]))[0]
    torch.testing.assert_close(image, blob(shape, there), atol=2e-3, rtol=0)


def test_motion_keeps_energy_and_can_be_undone():
    image = torch.randn(3, 32, 32, dtype=torch.complex64, generator=generator(0))
    turn, shift = torch.tensor([0.0, 0.05, -0.08]), torch.tensor([[0.1, 0.0], [0.02, -0.01], [0.0, 0.0]])
    there = moved(image, turn, shift)
    torch.testing.assert_close(there.abs().square().sum((1, 2)), image.abs().square().sum((1, 2)), rtol=1e-4, atol=0)
    still = moved(image, torch.zeros(3), torch.zeros(3, 2))
    torch.testing.assert_close(still, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("in_turn", [True, False])
def test_every_shot_takes_its_part_of_the_lines(in_turn):
    lines = torch.rand(4, 60, generator=generator(1)) < 0.4
    number = shots_of(lines, 5, in_turn=in_turn)
    for measured, of in zip(lines, number, strict=True):
        counts = torch.bincount(of[measured], minlength=5)
        assert int(counts.max() - counts.min()) <= 1, "as many lines in each"
        taken = of[measured]
        if in_turn:
            assert torch.equal(taken, torch.arange(len(taken)) % 5)
        else:
            assert torch.equal(taken, taken.sort().values), "one stretch each"
    assert int(number.min()) == 0 and int(number.max()) == 4


@pytest.mark.parametrize("bucket", BUCKETS)
def test_scans_are_those_of_lines_but_for_the_motion(bucket, monkeypatch):
    monkeypatch.setattr(motion, "MOST_DEG", 0.0)
    monkeypatch.setattr(motion, "MOST_SHIFT", 0.0)
    still, plain = sample_shots(shots(bucket, 2), RANGES, generator(3)), sample(shots(bucket, 2), RANGES)
    torch.testing.assert_close(still.samples, plain.samples, atol=2e-5, rtol=0)
    assert torch.equal(still.mask, plain.mask)
    torch.testing.assert_close(still.target, plain.target, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_truth_is_the_pose_of_the_middle_line(bucket):
    """Lines of its shot are those of a still scan (up to the scale), others are not."""
    step = generator(3)
    moving, still = sample_shots(shots(bucket, 2), CLEAN, step), sample(shots(bucket, 2), CLEAN)
    scale = (still.target.flatten(1).norm(dim=1) / moving.target.flatten(1).norm(dim=1))[:, None, None, None, None]
    torch.testing.assert_close(moving.target * scale, still.target)
    far = ((moving.samples * scale - still.samples).abs().amax((1, 2, 4)) > 2e-4) & moving.mask.any(-1)[:, 0, 0]
    middle = bucket.shape[0] // 2
    for row in far:
        assert not row[middle] and row.any(), "the middle line agrees, others moved"
    assert torch.equal(moving.mask, still.mask)


def test_poses_lie_within_what_is_said_and_differ_between_shots():
    poses = torch.cat([sample_poses(shots(BUCKETS[0], 4, seed), 6) for seed in range(10)])
    assert poses.shape == (40, 6, 3)
    most = torch.tensor([math.radians(motion.MOST_DEG), motion.MOST_SHIFT, motion.MOST_SHIFT])
    assert (poses.abs() <= most).all() and (poses.abs().amax((0, 1)) > 0.8 * most).all()
    size = poses.abs().amax((1, 2))
    assert float(size.min()) < 0.25 * float(size.max()), "some scans hardly move"
    assert not torch.equal(poses[:, 0], poses[:, 1])


def test_motion_shows_in_the_image():
    bucket = Bucket(shape=(48, 48), receivers=1)
    moving, still = sample_shots(shots(bucket, 3), CLEAN, generator(0)), sample(shots(bucket, 3), CLEAN)
    errors = []
    for scan in (moving, still):
        image = ifft(scan.samples).abs().squeeze((1, 2))
        truth = scan.target.squeeze((1, 2))
        errors.append(float((image - truth).norm() / truth.norm()))
    assert errors[0] > errors[1] + 0.05


@pytest.mark.parametrize("bucket", BUCKETS)
def test_short_scans_lack_their_outer_lines_and_nothing_else(bucket):
    short, plain = sample_short(shots(bucket, 2), RANGES, generator(5)), sample(shots(bucket, 2), RANGES)
    lines, whole = (k.mask.any(-1)[:, 0, 0] for k in (short, plain))
    y = bucket.shape[0]
    distance = (torch.arange(y) - y // 2).abs()
    kept = lines.any(0)
    radius = int(distance[kept].max())
    assert 0.5 * LEAST * y - 4 <= radius <= 0.5 * MOST * y + 1
    inner = distance <= radius
    assert torch.equal(lines[:, inner], whole[:, inner]) and not lines[:, ~inner].any()
    scale = (plain.target.flatten(1).norm(dim=1) / short.target.flatten(1).norm(dim=1))[:, None, None, None, None]
    torch.testing.assert_close(short.samples * scale, plain.samples * short.mask)
    torch.testing.assert_close(short.target * scale, plain.target)


@pytest.mark.parametrize("sampling", [sample_shots, sample_short])
def test_a_scan_is_the_same_in_any_batch(sampling):
    both = sampling(shots(BUCKETS[1], 2), RANGES, generator(4))
    one = sampling(shots(BUCKETS[1], 1), RANGES, generator(4))
    torch.testing.assert_close(both.samples[:1], one.samples)
    torch.testing.assert_close(both.target[:1], one.target)
