"""Whether two contrasts agree, MIND features that do not care, and what a pair is then compared by."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from heads import bend, head, seen_through
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.geometry import Geometry
from spinecho.ops.windows import gaussian
from spinecho.tasks.register.parts.compare import comparison, contrast_agreement
from spinecho.tasks.register.parts.features import mind
from spinecho.tasks.register.parts.pair import Pair
from spinecho.tasks.register.parts.similarity import ssd

N = 24
GEOMETRY = Geometry.from_frame((0, 0, 0), np.eye(3), (6.0, 6.0, 6.0), (N, N, N))


def own(seed: int = 1) -> torch.Tensor:
    """A head from 0 to 1, exactly 0 outside."""
    values = head(seed, GEOMETRY).values
    return values / values.max() * (values > 4)


def pair(moving: torch.Tensor) -> Pair:
    return Pair(own(), moving, None, GEOMETRY)


def textured(seed: int, n: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return gaussian(torch.rand(1, n, n, n, generator=generator, dtype=torch.float64), 0.7, "edge")


# contrast agreement


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 1.0), st.floats(0.0, 0.3), st.integers(0, 50))
def test_the_same_contrast_agrees_whatever_its_gain_and_offset_and_its_negative_does_not(gain, offset, seed):
    one = own(seed)
    inside = one > 0
    other = (offset + gain * (1 - offset) * one) * inside
    assert contrast_agreement(one, other) > 0.97
    negative = (1 - gain * one) * inside
    assert contrast_agreement(one, negative) < -0.97
    assert contrast_agreement(one, other) == pytest.approx(contrast_agreement(other, one), abs=1e-5)


def test_it_depends_on_the_tissue_where_another_contrast_does():
    """Bright tissue turns dark: neither 1 nor -1."""
    one = own()
    arch = (0.2 + 2.5 * one * (1 - one)) * (one > 0)
    assert -0.9 < contrast_agreement(one, arch) < 0.9


def test_bias_noise_and_a_small_displacement_do_not_hide_that_the_contrast_is_one():
    moved = seen_through(head(1, GEOMETRY), bend(3.0, geometry=GEOMETRY)).values
    generator = torch.Generator().manual_seed(5)
    ramp = torch.linspace(0.7, 1.3, N)
    other = moved / moved.max() * (moved > 4) * ramp + 0.01 * torch.randn(1, N, N, N, generator=generator)
    assert contrast_agreement(own(), other) > 0.9


def test_background_does_not_count():
    """Its edge is bright against dark in every contrast; what lies far from the head may be anything."""
    one = own()
    negative = (1.2 - one).clamp_max(1) * (one > 0)
    crowded = negative.clone()
    crowded[..., :2] = 1
    alone = contrast_agreement(one, negative)
    assert alone < -0.97 and contrast_agreement(one, crowded) == pytest.approx(alone, abs=1e-6)
    wider = [torch.nn.functional.pad(v, [4] * 6) for v in (one, negative)]
    assert contrast_agreement(wider[0], wider[1]) == pytest.approx(alone, abs=1e-4)


def test_nothing_to_compare_is_no_agreement():
    empty = torch.zeros(1, N, N, N)
    assert contrast_agreement(empty, empty) == 0 and contrast_agreement(own(), empty) == 0


# what the pair is compared by


def test_contrasts_choose_the_similarity_and_a_person_is_told():
    same, other = comparison(pair(0.8 * own()), "auto"), comparison(pair((1 - own()) * (own() > 0)), "auto")
    assert same.similarity == "lncc" and "local correlation" in same.words and "1.00" in same.words
    assert other.similarity == "translated" and "MIND" in other.words
    for similarity in ("lncc", "mind", "translated"):
        assert comparison(pair(own()), similarity).similarity == similarity


def test_terms_follow_the_similarity_and_the_size_of_the_voxels():
    negative = (1 - own()) * (own() > 0)
    two = pair(negative)
    velocity = torch.zeros(3, N // 2, N // 2, N // 2)
    (term,) = comparison(two, "lncc").terms(two, 2, velocity, 4)
    assert term.fixed.shape == (1, N // 2, N // 2, N // 2) and term.pull is not ssd
    (term,) = comparison(two, "mind").terms(two, 1, velocity, 2)
    assert term.fixed.shape == (12, N, N, N) and term.pull is ssd
    (term,) = comparison(two, "translated").terms(two, 4, velocity, 4)
    assert term.fixed.shape == (12, N // 4, N // 4, N // 4) and term.pull is ssd
    terms = comparison(two, "translated").terms(two, 1, velocity, 2)
    assert [t.weight for t in terms] == [0.5, 0.5]
    inside = own() > 0
    for term in terms:  # each image beside the other in its own contrast
        assert float((term.fixed - term.moving)[inside].square().mean().sqrt()) < 0.03


def test_features_of_a_pair_are_those_of_its_images_and_computed_once():
    two = pair(0.5 * own())
    compare = comparison(two, "mind")
    first = compare.features(two)
    assert first[0] is compare.features(two)[0]
    torch.testing.assert_close(first[0], mind(two.fixed))
    torch.testing.assert_close(compare.features(pair(own(2)))[1], mind(own(2)))


# MIND


@settings(max_examples=12, deadline=None)
@given(st.floats(0.01, 100.0), st.booleans(), st.floats(-100.0, 100.0), st.integers(0, 50))
def test_mind_does_not_see_gain_offset_or_sign(gain, negative, offset, seed):
    image = textured(seed)
    torch.testing.assert_close(mind((-gain if negative else gain) * image + offset), mind(image), rtol=1e-5, atol=1e-7)


def test_mind_is_the_formula_of_its_paper():
    """Sums of squared differences of 3^3 patches about two neighbours at a right angle, loop by loop."""
    image, distance = textured(1), 2
    found = mind(image, 1, distance)[:, 6, 5, 6]
    sides = [(s, axis) for axis in range(3) for s in (-distance, distance)]
    wanted = []
    for (s, a), (t, b) in combinations(sides, 2):
        if a == b:
            continue
        places = [[6, 5, 6], [6, 5, 6]]
        places[0][a] += s
        places[1][b] += t
        one, other = (image[0, z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] for z, y, x in places)
        wanted.append((one - other).square().sum())
    d = torch.stack(wanted)
    d = d - d.min()
    assert len(d) == 12
    torch.testing.assert_close(found.sort().values, torch.exp(-d / d.mean()).sort().values)


def test_mind_lies_from_0_to_1_and_its_best_pair_has_1():
    found = mind(textured(2))
    assert found.shape == (12, 12, 12, 12)
    assert float(found.min()) >= 0 and float(found.max()) == 1
    assert bool((found.amax(0) == 1).all())
    flat = mind(torch.full((1, 6, 6, 6), 0.4))
    assert bool((flat == 1).all())


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_mind_looks_as_far_as_distance_and_radius_say(distance):
    image = textured(3)
    changed = image.clone()
    changed[0, 6, 6, 6] += 0.5
    reach = distance + 1
    differs = (mind(image, 1, distance) - mind(changed, 1, distance)).abs().amax(0) > 1e-4
    at = differs.nonzero() - 6
    assert len(at) and int(at.abs().max()) == reach


def test_mind_of_two_contrasts_is_nearest_where_they_are_aligned():
    one = own()
    other = (0.2 + 2.5 * one * (1 - one)) * (one > 0)
    inside = one[0] > 0.2

    def apart(shift: int) -> float:
        return float((mind(one) - mind(other.roll(shift, 3))).square().sum(0)[inside].mean())

    assert apart(0) < min(apart(s) for s in (-2, -1, 1, 2))
