"""Objects for training: never the same twice, always the same from the same generator, no finer than they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.calib.centre import missing_calibration
from spinecho.core.errors import DataError
from spinecho.sim.draws import Draws, fine_shape
from spinecho.tasks.recon.examples.acquisitions import cartesian
from spinecho.tasks.recon.examples.objects import Labels, Objects, Pictures, bend
from spinecho.tasks.recon.examples.simulated import Lit, Simulated


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def head() -> np.ndarray:
    """Skull (of FreeSurfer ids) around white matter, with a ventricle."""
    r = np.sqrt(sum(g**2 for g in np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 44, 48)), indexing="ij")))
    return np.select([r < 0.2, r < 0.6, r < 0.8], [4, 2, 3], 0).astype(np.uint8)


LABELS = Labels((head(),))
PICTURES = Pictures((toy.disc((36, 40, 44)).numpy(),))


@pytest.mark.parametrize("objects", [LABELS, PICTURES])
def test_the_generator_decides_everything(objects):
    assert isinstance(objects, Objects)
    torch.manual_seed(1)
    a = objects.draw(seeded(5), (48, 40))
    torch.manual_seed(2)
    assert torch.equal(a, objects.draw(seeded(5), (48, 40)))
    assert not torch.equal(a, objects.draw(seeded(6), (48, 40)))


@pytest.mark.parametrize("objects", [LABELS, PICTURES])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), y=st.integers(32, 90), x=st.integers(32, 90))
def test_magnitudes_that_fill_much_of_the_field_of_view(objects, seed, y, x):
    found = objects.draw(seeded(seed), (y, x))
    assert found.shape == (y, x) and found.dtype == torch.float32
    if not found.any():
        return  # all tissues of the plane without signal: see below
    assert torch.isfinite(found).all() and float(found.min()) >= 0 and float(found.max()) == pytest.approx(1, abs=1e-5)
    assert float((found > 0.02).float().mean()) > 0.03


def test_planes_without_signal_are_not_scanned():
    """Now and then all tissues of a plane are dark, as by an inversion pulse: nothing to be learned from."""
    black = next(s for s in range(786, 790) if not LABELS.draw(seeded(s), (51, 47)).any())
    source = Simulated(LABELS, Draws(matrix=(32, 40)))
    assert Lit(source.objects).draw(seeded(black), fine_shape((34, 30))).any()

    class Dark:
        def draw(self, rng, shape):
            return torch.zeros(shape)

    with pytest.raises(DataError, match="black"):
        Simulated(Dark(), Draws()).scan(seeded())


@pytest.mark.parametrize("radial", [0.0, 0.5, 1.0])
def test_share_of_radial_scans(radial):
    source = Simulated(LABELS, Draws(matrix=(32, 40), coils=(1, 3)), (("radial", radial), ("cartesian", 1 - radial)))
    n = sum(not source.scan(seeded(i)).is_cartesian for i in range(24))
    assert n == 24 * radial or (radial == 0.5 and 5 < n < 19)


def test_contrasts_of_labels_differ():
    """Grey over white matter turns around from one draw to another."""
    ratios = []
    for seed in range(12):
        picture = LABELS.draw(seeded(seed), (60, 60))
        values = picture[picture > 0.05]
        ratios.append(float(values.quantile(0.25) / values.quantile(0.75)))
    assert max(ratios) - min(ratios) > 0.2


def test_stacks_are_sliced_along_their_first_axis_only():
    """Each plane of this stack is even; across it one would see steps."""
    stack = np.ones((6, 40, 40), np.float32) * np.arange(1, 7, dtype=np.float32)[:, None, None]
    for seed in range(8):
        found = Pictures((stack,), axes=(0,)).draw(seeded(seed), (40, 40))
        inner = found[16:24, 16:24]
        assert float(inner.max() - inner.min()) < 1e-4


def test_interpolated_images_lose_what_they_never_had():
    """A picture is drawn with at most 1.3 new pixels for one old one, which on drawn grids is fewer than one each."""
    plane = torch.zeros(40, 40)
    plane[10:30, 10:30] = 1
    widths = []
    for seed in range(20):
        found = bend(plane, seeded(seed), (200, 200), at_most=1.3)
        widths.append(float((found > 0.5).sum()) ** 0.5 / 20)
    assert max(widths) < 1.3 * 1.1 and min(widths) > 0.7 * 1.3 * 0.85
    assert float((bend(plane, seeded(0), (200, 200)) > 0.5).sum()) ** 0.5 > 100, "without the limit it fills the grid"


def test_nothing_bends_to_nothing():
    assert not bend(torch.zeros(20, 24), seeded(), (30, 30)).any()


def test_fine_patterns_do_not_fold_on_coarse_grids():
    """Stripes finer than the new pixels become grey, not wide stripes."""
    plane = torch.zeros(200, 200)
    plane[20:180, 20:180] = (torch.arange(160) % 2).float()
    found = bend(plane, seeded(3), (40, 40))
    inside = found[15:25, 15:25]
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.1) and float(inside.std()) < 0.12


def test_brightness_follows_the_anatomy():
    """Air stays dark, whatever the contrast."""
    for seed in range(6):
        picture = LABELS.draw(seeded(seed), (64, 64))
        assert float(picture[:2].max()) < 0.3 or float(picture[-2:].max()) < 0.3


def test_a_scan_whose_centre_lies_outside_its_calibration_block_is_drawn_again(monkeypatch):
    """A steep phase moves the peak of k-space; the run of the shipped weights ended on such a scan."""
    good = Simulated(LABELS, Draws(coils=(4,), masks=("random",))).scan(seeded(1))
    assert missing_calibration(good) is None
    lines = good.mask.clone()
    lines[..., good.mask.shape[-2] // 2 - 6 : good.mask.shape[-2] // 2 + 6, :] = False
    drawn = iter([replace(good, mask=lines, samples=good.samples * lines), good])
    monkeypatch.setattr(cartesian, "acquire_random", lambda *_: next(drawn))
    assert Simulated(LABELS, Draws()).scan(seeded(2)) is good
    monkeypatch.setattr(cartesian, "acquire_random", lambda *_: replace(good, mask=lines, samples=good.samples * lines))
    with pytest.raises(DataError, match="calibration"):
        Simulated(LABELS, Draws()).scan(seeded(2))
