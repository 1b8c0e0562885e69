"""Translation of images as they come: grids, scales, series, what is told, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from two_contrasts import head, image

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.tasks.translate.base import Ask
from spinecho.tasks.translate.parts.air import air
from spinecho.tasks.translate.parts.level import level
from spinecho.tasks.translate.run import translate

ASKED = {"to": "t2", "contrast": "t1"}


def made(values=None, **options) -> Image:
    given = image(700 * head("t1") if values is None else values)
    return translate(given, "lookup", **{**ASKED, **options})


def test_a_level_is_twice_the_median_and_scales():
    values = head("t1")
    inside = values[values > 0]
    assert level(values) == pytest.approx(2 * float(inside.median()), rel=0.05)
    assert level(1e6 * values) == pytest.approx(1e6 * level(values), rel=1e-5)
    bright = values.clone()
    bright[6, 20, 18] = 1e4
    assert level(bright) == pytest.approx(level(values), rel=1e-3), "a vessel moves nothing"
    assert level(torch.zeros(3, 8, 8)) == 0
    rng = torch.Generator().manual_seed(0)
    noisy = (values + 0.02 * torch.randn(values.shape, generator=rng)).abs()
    assert level(noisy) == pytest.approx(level(values), rel=0.1), "air beside the head does not count"


def test_air_hangs_together_with_the_edges():
    values = torch.zeros(6, 20, 20)
    values[:, 4:16, 4:16] = 0.5
    values[:, 8:11, 8:11] = 0
    outside = torch.ones(6, 20, 20, dtype=torch.bool)
    outside[:, 4:16, 4:16] = False
    assert torch.equal(air(values), outside), "a dark hole is no air, even where the volume ends in it"
    noisy = values + 0.03 * torch.rand(values.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(air(noisy), outside), "noise is dark in images that are not masked"
    values[:, 4, 4:16] = 0.05
    assert torch.equal(air(values), outside), "in those that are, fluid at the surface is none"
    for axis, n in enumerate(values.shape):
        thin = [x.narrow(axis, n // 2, 1) for x in (values, outside)]
        assert torch.equal(air(thin[0]), thin[1]), "a slice along any axis"


def test_air_stays_dark():
    result = made()
    assert not result.values[0][head("t1") == 0][:50].any()
    assert all(not m[0, :, 0].any() for m in result.extras.values())


def test_fluid_becomes_bright_and_white_matter_dark():
    """What patient 07's curves say of any head: dark in T1 is bright in T2."""
    given, result = 700 * head("t1"), made()
    places = head("t1")
    fluid, white = (places > 0.05) & (places < 0.15), (places > 0.42) & (places < 0.5)
    assert float(result.values[0][fluid].mean()) > 1.3 * float(result.values[0][white].mean())
    assert float(given[fluid].mean()) < 0.5 * float(given[white].mean())
    assert spinecho.translate(image(given), "lookup", **ASKED).values.equal(result.values)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_scales_change_nothing_but_the_units(factor):
    one, other = made(), made(700 * factor * head("t1"))
    torch.testing.assert_close(other.values / factor, one.values, rtol=1e-4, atol=1e-2)
    for name in ("spread", "cycle"):
        torch.testing.assert_close(other.extras[name] / factor, one.extras[name], rtol=1e-4, atol=1e-2)


def test_its_history_says_what_it_is():
    history = made().header.history
    assert "t2 translated from t1 by lookup" in history
    assert any("its T2 contrast is guessed from T1, never measured" in w for w in made().header.warnings)
    assert any("stay alike" in w for w in made().header.warnings)
    assert "synthetic" in made().header.flags
    timed = Image(
        values=head("t1")[None], geometries=image(head("t1")).geometries, header=Header(te_ms=(4.0,), tr_ms=(9.0,))
    )
    header = translate(timed, "lookup", **ASKED).header
    assert header.te_ms == () == header.tr_ms, "no scanner took it with these timings"


def test_auto_says_why():
    history = translate(image(head("t1"), "t1.nii.gz"), to="t2").header.history
    assert "taken as t1, as the file's name (t1.nii.gz) says" in history
    assert "auto took supervised: trained weights for t2 of t1" in history
    wide = Geometry.from_frame((0, 0, 0), np.eye(3), (9, 9, 9), (12, 40, 36))
    told = translate(image(head("t1"), "t1.nii.gz", wide), to="t2").header.history
    assert any(line.startswith("auto took lookup: trained weights for t2 of t1; not supervised, ") for line in told)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_grid_is_the_same_head(axis):
    values = 700 * head("t1", turn=0.3)
    geometry = Geometry.from_frame((3, -5, 20), np.eye(3), (1, 1, 1), (12, 40, 36))
    one = translate(image(values, geometry=geometry), "lookup", **ASKED)
    turned = image(values.flip(axis), geometry=geometry.flipped(axis))
    other = translate(turned, "lookup", **ASKED)
    torch.testing.assert_close(other.values.flip(1 + axis), one.values)
    torch.testing.assert_close(other.extras["cycle"].flip(1 + axis), one.extras["cycle"])
    order = (2, 0, 1)
    permuted = image(values.permute(order).contiguous(), geometry=geometry.permuted(order))
    back = translate(permuted, "lookup", **ASKED).values[0].permute(1, 2, 0)
    torch.testing.assert_close(back, one.values[0])


def test_series_and_complex_images():
    values = torch.stack([head("t1"), 3 * head("t1", seed=1)])[:, None]
    series = translate(image(values), "lookup", **ASKED)
    assert series.values.shape == values.shape and series.extras["spread"].shape == values.shape
    alone = translate(image(3 * head("t1", seed=1)), "lookup", **ASKED)
    torch.testing.assert_close(series.values[1], alone.values)
    turned = image(head("t1") * torch.polar(torch.ones(1), torch.tensor([0.7])))
    result = translate(turned, "lookup", **ASKED)
    torch.testing.assert_close(result.values, translate(image(head("t1")), "lookup", **ASKED).values, atol=1e-4, rtol=0)
    assert "magnitude of the complex image" in result.header.history


def test_nothing_in_gives_nothing():
    result = made(torch.zeros(4, 30, 30))
    assert not result.values.any() and "there is nothing in it" in result.header.history


def test_progress_ends_with_all_of_it():
    told: list[tuple[int, int]] = []
    made(torch.stack([head("t1"), head("t1")])[:, None], tell=lambda a, b: told.append((a, b)))
    assert told == [(100, 200), (200, 200)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"contrast": "t2"}, "nothing is to be done"),
        ({"contrast": ""}, "neither the file's name"),
        ({"to": "pd"}, "lookup cannot take this image: its weights make t2 of t1, .* not pd of t1"),
        ({"passes": 0}, "passes is 0"),
        ({"values": torch.full((4, 30, 30), torch.nan)}, "NaN"),
        ({"nonsense": 1}, "has no setting nonsense"),
    ],
)
def test_what_cannot_be_done_is_said(options, said):
    with pytest.raises(DataError, match=said):
        made(**options)


def test_methods_without_weights_say_how_to_train_them():
    with pytest.raises(DataError, match=r"no trained weights .*spinecho train translate/pix2pix3d"):
        translate(image(head("t1")), "pix2pix3d", **ASKED)


def test_auto_without_weights_for_a_pair_says_how_to_train_some():
    with pytest.raises(DataError, match=r"no method has trained weights for pd of t1: .* --pairs t1-pd"):
        translate(image(head("t1")), to="pd", contrast="t1")


def test_an_ask_knows_its_way_back():
    ask = Ask("t1", "flair", (3.0, 1.0, 1.0))
    assert ask.pair == "t1-flair" and ask.back.pair == "flair-t1" and ask.back.voxel_mm == (3.0, 1.0, 1.0)


@pytest.mark.parametrize("method", ["lookup", "supervised"])
def test_more_air_about_the_head_changes_nothing(method):
    """What a method sees is the head and some air, wherever it lies in the field of view."""
    near = torch.nn.functional.pad(head("t1"), (20, 20, 20, 20, 20, 20))
    far = torch.nn.functional.pad(near, (9, 31, 0, 17, 25, 4))
    one, other = (translate(image(x, "t1.nii.gz"), method, to="t2") for x in (near, far))
    inner = (slice(None), slice(25, 25 + 52), slice(0, 80), slice(9, 9 + 76))
    for a, b in [(one.values, other.values), *((one.extras[k], other.extras[k]) for k in one.extras)]:
        torch.testing.assert_close(b[inner], a)
        assert float(b.sum()) == pytest.approx(float(a.sum()), rel=1e-5), "nothing outside"
