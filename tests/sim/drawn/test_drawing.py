"""Scans drawn in batches: what they hold, the same in any batch, noise and truth as told."""

from __future__ import annotations

import pickle
from dataclasses import replace

import anatomies
import pytest
import torch
from anatomies import CPU, RANGES, scans, shots
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.calib.centre import missing_calibration
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.drawn import scan as scan_module
from spinecho.sim.drawn.bucket import MOST_COILS, Bucket, Ranges, sample_bucket
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.masks import Pattern
from spinecho.sim.drawn.radial import sample_spokes, square
from spinecho.sim.drawn.scan import sample
from spinecho.sim.drawn.stack import single, stack
from spinecho.train.draw import generator

BUCKETS = [
    Bucket(shape=(48, 40), receivers=1),
    Bucket(shape=(45, 52), receivers=5, known=True),
    Bucket(shape=(40, 48), receivers=20, points=True),
    Bucket(shape=(40, 76), receivers=16, known=True, long=True),
]
CLEAN = replace(RANGES, snr=(1e6, 1e6))


def test_what_the_scans_of_a_step_share():
    rng = torch.Generator().manual_seed(0)
    drawn = [sample_bucket(rng, Ranges()) for _ in range(400)]
    assert all(96 <= n <= 320 for bucket in drawn for n in bucket.shape)
    assert {bucket.receivers for bucket in drawn} == set(Ranges().coils)
    assert max(bucket.coils for bucket in drawn) == MOST_COILS
    assert 0.1 < sum(bucket.points for bucket in drawn) / 400 < 0.3
    assert 0.05 < sum(bucket.long for bucket in drawn) / 400 < 0.2
    for bucket in drawn:
        ratio = bucket.shape[1] / bucket.shape[0]
        assert 1 / 1.45 < ratio < 2.9 and (ratio < 1.45 or bucket.long)
        assert all(n % 16 == 0 and 1.5 <= n / m < 2 for n, m in zip(bucket.fine, bucket.shape, strict=True))


@pytest.mark.parametrize("bucket", BUCKETS)
def test_shapes_and_scale(bucket):
    k, (y, x) = scans(bucket, 3), bucket.shape
    assert k.axes == ("example",) and k.samples.shape == (3, bucket.coils, 1, y, x)
    assert k.mask.shape == (3, 1, 1, y, x if bucket.points else 1) and k.target.shape == (3, 1, 1, y, x)
    assert torch.allclose(k.samples.abs().amax((1, 2, 3, 4)), torch.ones(3))
    assert (k.samples[~k.mask.expand_as(k.samples)] == 0).all() and "simulated" in k.header.flags
    assert (k.noise_cov is not None) == bucket.known
    assert k.n_receivers == bucket.receivers
    assert all(float(target.max()) > 0 for target in k.target) and torch.isfinite(k.target).all()


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_batch_at_once_equals_its_scans_one_by_one(bucket):
    together = scans(bucket, 6)
    rounding = 1e-4 if bucket.receivers == bucket.coils else 2e-3  # weak virtual coils of equal strength turn easily
    for i in range(6):
        alone = sample(anatomies.shoot(anatomies.store(), bucket, [generator(0, i)], CPU), RANGES)
        assert torch.equal(together.mask[i], alone.mask[0])
        assert float((together.samples[i] - alone.samples[0]).abs().max()) < rounding
        assert float((together.target[i] - alone.target[0]).abs().max() / alone.target.max()) < 1e-4


def test_on_a_cpu_a_scan_is_the_same_bit_for_bit_in_any_batch():
    drawing = pickle.loads(pickle.dumps(Drawing(anatomies.store(), RANGES)))
    for step in range(4):
        ways = [[0, 1, 2], [2], [2, 0]]
        batches = [drawing.batch(generator(step), [generator(step, i) for i in way], CPU) for way in ways]
        for batch, at in zip(batches, (2, 0, 0), strict=True):
            assert torch.equal(batch.samples[at], batches[1].samples[0])
            assert torch.equal(batch.target[at], batches[1].target[0])
        other = drawing.batch(generator(step), [generator(step, 7)], CPU)
        assert other.samples.shape == batches[1].samples.shape, "the step decides the shape"
        assert not torch.equal(other.samples, batches[1].samples)


@pytest.fixture
def all_lines(monkeypatch):
    """Everything is measured, and the centre of k-space may lie within `near` of the middle."""

    def fully(near: int):
        def pattern(bucket, ranges, rows, field):
            mask = torch.ones(len(rows), 1, 1, bucket.shape[0], 1, dtype=torch.bool)
            return Pattern(mask=mask, near=torch.full((len(rows), 2), near))

        monkeypatch.setattr(scan_module, "sample_pattern", pattern)

    return fully


@pytest.mark.parametrize("bucket", BUCKETS)
def test_samples_and_target_are_those_of_the_coil_images(bucket, all_lines):
    """Without noise: the house's transform of maps times image, and the root sum of squares of its inverse."""
    all_lines(1000)
    shot = shots(bucket, 3)
    full = sample(shot, CLEAN)
    images = (shot.maps * shot.image[:, None])[:, :, None]
    k = fft(images)
    assert torch.allclose(full.samples, k / k.abs().amax((1, 2, 3, 4), keepdim=True), atol=1e-4)
    found = root_sum_of_squares(ifft(full.samples))
    assert torch.allclose(found, full.target, atol=1e-4 * float(full.target.max()))


def test_a_centre_too_far_out_is_moved_in_by_whole_steps(all_lines):
    """Rolled k-space: the same magnitudes, energy at most as far out as was asked for."""
    bucket, n = Bucket(shape=(48, 40), receivers=4, known=True), 12
    all_lines(1000)
    free = sample(shots(bucket, n), CLEAN)
    all_lines(1)
    held = sample(shots(bucket, n), CLEAN)
    places = []
    for scans_of in (free, held):
        energy = scans_of.samples.abs().square().sum((1, 2)).flatten(1).argmax(1)
        places.append(torch.stack([energy // 40 - 24, energy % 40 - 20], 1).abs().amax(1))
    assert int(places[0].max()) > 1 and int(places[1].max()) <= 1
    assert torch.allclose(root_sum_of_squares(ifft(held.samples)), held.target, atol=1e-4 * float(held.target.max()))
    assert torch.allclose(free.target, held.target)


@pytest.mark.parametrize(("receivers", "known"), [(6, True), (6, False), (20, True), (20, False)])
def test_noise_has_the_covariance_and_level_that_it_says(receivers, known, all_lines):
    shot = shots(Bucket(shape=(64, 64), receivers=receivers, known=known), 2)
    white = torch.cat([shot.white((64, 64)).flatten(2) for _ in range(20)], 2)
    cov = white @ white.mH / white.shape[2]
    expected = torch.eye(shot.bucket.coils).expand(2, -1, -1) if known else shot.noise @ shot.noise.mH
    assert float((cov - expected).abs().max()) < 0.03
    assert known or float((expected - torch.diag_embed(expected.diagonal(dim1=1, dim2=2))).abs().max()) > 0.05
    all_lines(5)
    with_noise, clean = (sample(shots(shot.bucket, 1), r) for r in (replace(CLEAN, snr=(30.0, 30.0)), CLEAN))
    scale = float(with_noise.target.max() / clean.target.max())
    left = with_noise.samples - clean.samples * scale
    over = clean.target[clean.target > 0.1 * clean.target.max()].mean() * scale
    sigma = float(left.abs().square().mean().sqrt())
    assert sigma == pytest.approx(float(over) / 30, rel=0.25)
    if known:
        assert float(with_noise.noise_cov[0].diagonal().real.mean().sqrt()) == pytest.approx(sigma, rel=0.05)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31))
def test_k_zero_lies_in_the_calibration_block(seed):
    bucket = replace(sample_bucket(generator(seed), Ranges(matrix=(48, 80), coils=(2, 5))), known=bool(seed % 2))
    k = single(scans(bucket, 1, seed, Ranges(matrix=(48, 80))))
    assert missing_calibration(k) is None
    assert k.target.any() and torch.isfinite(torch.view_as_real(k.samples)).all()


def test_spokes_see_the_same_objects():
    bucket = square(Bucket(shape=(40, 60), receivers=3, known=True))
    shot = shots(bucket, 2)
    k = sample_spokes(shot, replace(RANGES, spokes=(60, 60), snr=(1e4, 1e4)), generator(3))
    assert k.samples.shape[:4] == (2, 3, 1, 60) and k.traj.shape[:4] == (2, 1, 60, k.samples.shape[-1])
    assert k.encoding.trajectory == "radial" and torch.allclose(k.samples.abs().amax((1, 2, 3, 4)), torch.ones(2))
    grid = sample(shots(bucket, 2), CLEAN)
    for spokes, lines in zip(k.target, grid.target, strict=True):
        assert torch.allclose(spokes / spokes.max(), lines / lines.max(), atol=1e-5)
    assert stack([single(k, 0), single(k, 1)]).samples.equal(k.samples)


def test_maps_as_if_estimated_err_as_espirit_does():
    drawing = Drawing(anatomies.store(), replace(RANGES, coils=(4, 8)))
    errors = []
    for step in range(6):
        examples = [generator(step, i) for i in range(8)]
        scans_drawn, maps = drawing.batch_with_maps(generator(step), examples, CPU)
        again = drawing.batch(generator(step), [generator(step, i) for i in range(8)], CPU)
        assert torch.equal(scans_drawn.samples, again.samples)
        assert maps.shape == (8, 1, again.n_coils, 1, *again.samples.shape[-2:])
        assert torch.allclose(maps.abs().square().sum(2), torch.ones(1), atol=1e-4)
        bucket = sample_bucket(generator(step), drawing.ranges)
        for i in range(8):
            shot = anatomies.shoot(drawing.store, bucket, [generator(step, i)], CPU)
            true = shot.maps / root_sum_of_squares(shot.maps[:, :, None])[:, :, 0]
            inner = (maps[i : i + 1, 0, :, 0].conj() * true).sum(1).abs().clamp_max(1)
            errors.append(float((1 - inner.square()).mean().sqrt()))
    errors = torch.tensor(errors)
    assert 0.03 < float(errors.median()) < 0.06 and 0.06 < float(errors.quantile(0.9)) < 0.14


@pytest.mark.parametrize("axes", [(), ("time",), ("slice",), ("time", "slice")])
def test_each_scan_of_a_stack_keeps_its_noise(axes):
    grid = (1, 6, 5)

    def one(level: float) -> KSpace:
        shape = [3 if axis == "time" else 1 for axis in axes]
        return KSpace(
            samples=torch.zeros(*shape, 2, *grid, dtype=torch.complex64),
            mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
            encoding=Encoding.cartesian(grid),
            geometries=(Geometry.unknown(grid),),
            axes=axes,
            noise_cov=level * torch.eye(2, dtype=torch.complex64),
        )

    both = stack([one(1.0), one(4.0)])
    assert both.noise_cov.ndim == len(both.axes) + 2
    assert [float(both.part("example", i).noise_cov[..., 0, 0].real.max()) for i in range(2)] == [1.0, 4.0]
    assert float(single(both, 1).noise_cov[..., 0, 0].real.max()) == 4.0
