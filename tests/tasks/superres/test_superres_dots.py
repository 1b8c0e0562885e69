"""The judge on constructed cases: dots of known strength, spots of its own, energy in a known band."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fine_heads import head
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.metrics.head import brightness
from spinecho.tasks.superres.judge import MEASURES, Options, dots, scores
from spinecho.tasks.superres.judge.degraded import Loss, _inputs, cases, losses, run
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation, along, maps_of

CPU = torch.device("cpu")
PLAIN = head((8, 80, 72), 2.0)
TRUTH, PLACES = dots.planted(PLAIN, 8)


def spot(place: tuple[int, int, int], strength: float) -> Tensor:
    """A dot of the planted size, by its formula."""
    at = [torch.arange(n) - p for n, p in zip(PLAIN.shape, place, strict=True)]
    z, y, x = torch.meshgrid(*at, indexing="ij")
    return strength * torch.exp(-0.5 * (z.square() + y.square() + x.square()) / dots.SIGMA**2)


def test_planted_dots_have_the_size_and_strength_that_is_said():
    left = TRUTH - PLAIN
    for i, place in enumerate(PLACES):
        left = left - spot(place, (-1) ** i * dots.STRENGTH * brightness(PLAIN))
    assert len(PLACES) == 8 and float(left.abs().max()) < 1e-5


def test_they_lie_deep_inside_and_away_from_the_ends_of_the_volume():
    for z, y, x in PLACES:
        assert 3 <= z < 5 and float(PLAIN[z, y, x]) > 0
    thin = head((1, 80, 72))
    assert len(dots.planted(thin, 5)[1]) == 5, "a single slice has room for some"
    assert dots.planted(torch.zeros(4, 30, 30), 5)[1] == [], "nothing has no inside"


def test_no_more_are_planted_than_there_is_room_for():
    _, places = dots.planted(PLAIN, 10_000)
    apart = [np.linalg.norm(np.subtract(a, b)) for i, a in enumerate(places) for b in places[:i]]
    assert 20 < len(places) < 10_000 and min(apart) >= 9


@pytest.mark.parametrize("share", [-0.5, 0.0, 0.3, 1.0, 1.4])
def test_what_is_kept_is_the_share_of_the_amplitude_whatever_else_changes(share):
    result = PLAIN + share * (TRUTH - PLAIN)
    assert dots.kept(TRUTH, PLAIN, result, PLACES) == pytest.approx(share, abs=1e-3)
    assert dots.kept(TRUTH, PLAIN, result + 0.3, PLACES) == pytest.approx(share, abs=1e-3), "an offset is no dot"


def test_a_dot_that_was_lost_and_one_that_was_kept_make_a_half():
    result = PLAIN.clone()
    for i, place in enumerate(PLACES):
        if i % 2:
            result += spot(place, -dots.STRENGTH * brightness(PLAIN))
    assert dots.kept(TRUTH, PLAIN, result, PLACES) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_spots_of_its_own_are_counted_for_each_planted_one(number, sign):
    """In a flat object, away from what was planted and from the edge, which is a spot itself."""
    flat = (PLAIN > 0).float()
    truth, many = dots.planted(flat, 24)
    truth, places = dots.planted(flat, 8)
    result = truth.clone()
    for place in sorted(many[8:], key=lambda p: np.hypot(p[1] - 40, p[2] - 36))[:number]:
        result += spot(place, sign * 0.9 * dots.STRENGTH * brightness(flat))
    seen = dots.new(truth, result, places) * len(places)
    assert number <= seen <= 5 * number, "each is seen in at most the slices that it reaches"
    assert dots.new(truth, truth + (result - truth) / 10, places) == 0, "faint ones are none"


@pytest.mark.parametrize("change", [lambda t: t, lambda t: 0.9 * t, lambda t: t.roll(1, -1), lambda t: t + 0.1])
def test_a_result_without_spots_of_its_own_has_none(change):
    """Less contrast, a voxel's shift and an offset make no new dot."""
    assert dots.new(TRUTH, change(TRUTH), PLACES) == 0


def wave(k: int, n: int = 48) -> Tensor:
    """k periods along x in a volume (2, 4, n)."""
    return torch.cos(2 * math.pi * k * torch.arange(n, dtype=torch.float64) / n + 0.3).expand(2, 4, n)


@pytest.mark.parametrize(("k", "is_lost"), [(0, False), (3, False), (7, False), (9, True), (20, True)])
def test_the_lost_band_is_all_of_a_high_wave_and_nothing_of_a_low_one(k, is_lost):
    beyond = scores.lost(wave(k), (2, 4, 16))
    torch.testing.assert_close(beyond, wave(k) if is_lost else torch.zeros_like(beyond), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("amplitude", [0.0, 0.5, 1.0, 3.0])
def test_sharpness_is_the_energy_of_the_lost_band_over_the_truths(amplitude):
    truth, result = 5 + wave(2) + wave(12), 4 + 2 * wave(2) + amplitude * wave(12)
    assert scores.sharpness(truth, result, (2, 4, 16)) == pytest.approx(amplitude**2, abs=1e-9)


def case(kind: str = "kspace", ratios: tuple[float, float, float] = (1.0, 2.0, 2.0), width: float = 1.0):
    loss = Loss(name="x", ratios=ratios, degradation=Degradation(kind, width))
    plain = Image(values=PLAIN[None] / PLAIN.max(), geometries=(Geometry.unknown((8, 80, 72)),))
    return _inputs(plain, loss, 4, CPU)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("ratios", [(1.0, 2.0, 2.0), (2.0, 1.0, 1.0), (2.0, 2.0, 2.0)])
def test_the_low_resolution_is_the_truth_degraded_and_methods_agree_with_it(kind, ratios):
    one = case(kind, ratios)
    shape = one.low.geometry.shape
    expected = along(one.truth[None], maps_of(one.degradations, shape, one.truth.shape))
    torch.testing.assert_close(one.low.values, expected)
    figures = scores.figures(one, run(one, "bspline", {}).result)
    assert figures["disagreement"] < 1e-4 and set(figures) == {m.name for m in MEASURES}


@pytest.mark.parametrize("ratios", [(2.0, 2.0, 2.0), (4.0, 1.0, 1.0), (1.0, 4.0, 4.0)])
@pytest.mark.parametrize("width", [0.6, 0.8])
def test_slices_with_a_gap_are_told_to_the_method_along_every_axis(ratios, width):
    """Else a method would undo another loss than the judge's, and be blamed for it."""
    one = case("slices", ratios, width)
    outcome = run(one, "bspline", {})
    assert f"thick slices (box, {width:.3g} of their distance)" in outcome.note
    assert scores.figures(one, outcome.result)["disagreement"] < 1e-4


def test_the_score_of_any_result_knows_no_units():
    one = case()
    result = run(one, "bspline", {}).result
    other = case()
    scaled = type(one)(
        truth=1e4 * other.truth,
        plain=1e4 * other.plain,
        low=Image(values=1e4 * other.low.values, geometries=other.low.geometries),
        dots=other.dots,
        degradations=other.degradations,
    )
    a, b = scores.figures(one, result), scores.figures(scaled, 1e4 * result)
    for name in a:
        assert b[name] == pytest.approx(a[name], rel=2e-2, abs=1e-4), name


def test_a_better_result_has_better_figures():
    one = case()
    worse = run(one, "bspline", {}).result
    better = (worse + one.truth[None]) / 2
    a, b = scores.figures(one, worse), scores.figures(one, better)
    for measure in MEASURES:
        if measure.better and measure.name not in ("dots_new", "disagreement"):
            assert measure.better * b[measure.name] > measure.better * a[measure.name], measure.name
    assert abs(b["dots_kept"] - 1) < abs(a["dots_kept"] - 1) and b["disagreement"] <= a["disagreement"] + 1e-6


@pytest.mark.parametrize(("axes", "lost"), [("in-plane", (1, 2, 2)), ("through-plane", (2, 1, 1)), ("all", (2, 2, 2))])
def test_the_axes_that_lose_detail_are_those_that_are_named(axes, lost):
    (loss,) = losses(Options(images=(), factors=(2.0,), axes=axes), Geometry.unknown((8, 9, 10)))
    assert loss.ratios == lost
    (thick,) = losses(Options(images=(), distance_mm=3.0, axes=axes), Geometry.unknown((8, 9, 10), (1.0, 1.5, 0.5)))
    full = (6.0, 2.0, 3.0)
    assert thick.ratios == tuple(f if n > 1 else 1.0 for f, n in zip(full, lost, strict=True))


def test_digests_tell_apart_what_differs_and_nothing_else(tmp_path):
    for name, scale in (("a", 1.0), ("b", 1.0), ("c", 0.5)):
        values = head((4, 40, 36), 5.0 if name != "c" else 6.0).numpy() * scale
        np.save(tmp_path / f"{name}.npy", values)

    def digests(**options) -> list[str]:
        chosen = Options(images=(tmp_path,), **{"factors": (2.0,), **options})
        return [one.digest for one in cases(chosen, CPU).each]

    one = digests()
    assert one[0] == one[1] != one[2], "the values count, the file's name does not"
    others = [digests(factors=(3.0,)), digests(degradation="blur"), digests(dots=3), digests(axes="all")]
    assert len({d[0] for d in (one, *others)}) == 5 and digests() == one
