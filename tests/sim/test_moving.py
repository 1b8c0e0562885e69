"""Moving scenes: areas in closed form against pixels, contraction over a beat, uptake against integrals by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.sim import moving
from spinecho.sim.moving import Beat, Uptake, arriving, arterial, beating, concentration, sample_beat

STILL = Beat(squeeze=0, twist=0)


def disc(radius, n=160, centre=(0.0, 0.0)):
    y, x = (((torch.arange(n) - (n - 1) / 2) / (n / 2)) for _ in range(2))
    far = (y[:, None] - centre[0]).square() + (x[None] - centre[1]).square()
    return (far < radius**2).float()


def test_a_still_picture_stays():
    picture = disc(0.4) * torch.rand(160, 160, generator=torch.Generator().manual_seed(0))
    frames = beating(picture, STILL, 3)
    assert frames.shape == (3, 1, 1, 160, 160)
    assert torch.allclose(frames[:, 0, 0], picture.expand(3, -1, -1), atol=1e-5)


def test_contraction_is_rest_then_systole_then_rest():
    times = torch.linspace(0, 1, 1001)
    c = Beat().contraction(times)
    assert c[0] == 0 and float(c.max()) == pytest.approx(1, abs=1e-4)
    assert float(times[c.argmax()]) == pytest.approx(moving.SYSTOLE, abs=2e-3)
    assert not c[times > moving.RELAXED + 1e-3].any() and bool((c.diff().abs() < 0.01).all())
    twice = Beat(beats=2, phase=0.25).contraction(times)
    assert torch.allclose(twice[:400], twice[500:900], atol=1e-3)


@pytest.mark.parametrize(("squeeze", "reach", "radius"), [(0.3, 0.5, 0.3), (0.6, 0.35, 0.2), (0.2, 0.4, 0.45)])
def test_area_is_that_of_the_pixels(squeeze, reach, radius):
    beat = Beat(squeeze=squeeze, reach=reach, twist=0.3)
    times = torch.arange(8) / 8
    frames = beating(disc(radius), beat, 8)
    counted = frames.sum((1, 2, 3, 4)) / frames[0].sum()
    assert torch.allclose(counted, beat.area(radius, times), atol=0.02)
    assert float(counted.min()) < 0.95


def test_area_far_inside_is_the_squeeze_squared():
    beat = Beat(squeeze=0.5, reach=10.0)
    at_systole = beat.area(0.1, torch.tensor([moving.SYSTOLE]))
    assert float(at_systole) == pytest.approx(1 / 1.5**2, rel=1e-3)


def test_motion_follows_the_centre_and_leaves_the_rest():
    beat = Beat(centre=(0.3, -0.2), reach=0.2, squeeze=0.5)
    at = beat.places((100, 120), torch.tensor([0.0, moving.SYSTOLE]))
    moved = (at[1] - at[0]).norm(dim=-1)
    y, x = divmod(int(moved.argmax()), 120)
    half = 50
    place = torch.tensor([(y - 49.5) / half, (x - 59.5) / half])
    assert float((place - torch.tensor(beat.centre)).norm()) < 0.25
    assert float(moved[:10].max()) < 1e-3


def test_twist_turns_without_changing_lengths():
    beat = Beat(squeeze=0, twist=0.5, reach=0.4)
    at = beat.places((64, 64), torch.tensor([0.0, moving.SYSTOLE]))
    assert torch.allclose(at[1].norm(dim=-1), at[0].norm(dim=-1), atol=1e-5)
    assert float((at[1] - at[0]).norm(dim=-1).max()) > 0.05


def test_breath_moves_the_front_and_drift_everything():
    breath = replace(STILL, breath=0.1, breaths=1.0)
    at = breath.places((80, 80), torch.tensor([0.0, 0.25]))
    moved = (at[1] - at[0])[..., 0]
    assert float(moved[0].mean()) > 0.09 and float(moved[-1].mean()) < 0.01
    drift = replace(STILL, drift=(0.1, -0.05))
    at = drift.places((80, 80), torch.tensor([0.0, 0.5]))
    assert torch.allclose(at[1] - at[0], torch.tensor([0.05, -0.025]).expand(80, 80, 2), atol=1e-6)


def test_another_slice_comes_in_at_systole():
    beat = replace(STILL, through=0.4, beats=1.0)
    frames = beating(torch.ones(16, 16), beat, 20, torch.zeros(16, 16))
    middle = frames[:, 0, 0, 8, 8]
    assert torch.allclose(middle, 1 - 0.4 * beat.contraction(torch.arange(20) / 20), atol=1e-5)


def test_drawn_beats_repeat_and_never_fold():
    times = torch.linspace(0, 1, 9)
    for seed in range(12):
        beat = sample_beat(torch.Generator().manual_seed(seed))
        assert beat == sample_beat(torch.Generator().manual_seed(seed))
        at = beat.places((48, 48), times)
        down, right = at.diff(dim=1)[:, :, :-1], at.diff(dim=2)[:, :-1]
        assert bool((down[..., 0] * right[..., 1] - down[..., 1] * right[..., 0] > 0).all())


def test_no_frames_are_refused():
    with pytest.raises(DataError, match="0 frames"):
        beating(disc(0.3), Beat(), 0)


def test_arterial_arrives_and_peaks():
    times = torch.linspace(0, 120, 1201)
    c = arterial(times, 20, 4, 5)
    assert not c[times <= 20].any()
    assert float(times[c.argmax()]) == pytest.approx(20 + 3 * 4, abs=2) and 5 < float(c.max()) < 6.5
    assert 0.1 < float(c[-1]) < 1.2, "a tail stays"


def test_concentration_of_a_constant_input_is_known():
    """c = v_p + K (1 - exp(-k t)) / k."""
    times = torch.linspace(0, 300, 3001)
    uptake = Uptake(plasma=0.05, transfer=0.25, washout=0.8)
    got = concentration(uptake, torch.ones_like(times), times)
    expected = 0.05 + 0.25 * (1 - torch.exp(-0.8 * times / 60)) / 0.8
    assert torch.allclose(got, expected, atol=1e-4)
    assert torch.equal(concentration(Uptake(plasma=0.3), times, times), 0.3 * times)


def test_signals_of_arriving_contrast_are_the_spoiled_echos():
    tissues = torch.tensor([[0, 1], [2, 1]])
    t1, pd = {0: 1.0, 1: 800.0, 2: 1400.0}, {0: 0.0, 1: 0.8, 2: 1.0}
    curve = torch.tensor([0.0, 1.0, 4.0])
    frames = arriving(tissues, t1, pd, {1: curve}, tr_ms=5, flip_deg=15, relaxivity=4.5)
    assert frames.shape == (3, 1, 1, 2, 2) and not frames[:, 0, 0, 0, 0].any()
    for i, c in enumerate(curve.tolist()):
        e1 = math.exp(-5 * (1 / 800 + 4.5e-3 * c))
        a = math.radians(15)
        signal = 0.8 * math.sin(a) * (1 - e1) / (1 - math.cos(a) * e1)
        assert float(frames[i, 0, 0, 0, 1]) == pytest.approx(signal, rel=1e-5)
    assert torch.allclose(frames[:, 0, 0, 1, 0], frames[:1, 0, 0, 1, 0].expand(3)), "no curve, no change"
    with pytest.raises(DataError, match="differ in length"):
        arriving(tissues, t1, pd, {1: curve, 2: curve[:2]})
