"""What holds of translation whatever is drawn: levels, curves, tiles, air, label maps, names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from two_contrasts import head, image, tissues

from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.translate.base import Ask
from spinecho.tasks.translate.examples.rendered import rendered
from spinecho.tasks.translate.methods import lookup
from spinecho.tasks.translate.parts.air import air
from spinecho.tasks.translate.parts.contrasts import CONTRASTS, PAIRS, asked_for, checked, of_words
from spinecho.tasks.translate.parts.level import level
from spinecho.tasks.translate.parts.planes import across
from spinecho.tasks.translate.run import translate

few = settings(max_examples=15, deadline=None)
HEAD = head("t1")


@few
@given(factor=st.floats(1e-8, 1e8), contrast=st.sampled_from(CONTRASTS))
def test_a_level_is_homogeneous(factor, contrast):
    values = head(contrast)
    assert level(factor * values) == pytest.approx(factor * level(values), rel=1e-4)


@few
@given(axis=st.integers(0, 2), seed=st.integers(0, 99))
def test_a_level_knows_no_sides_and_little_of_noise(axis, seed):
    noisy = head("t1", seed=seed)
    assert level(noisy) == pytest.approx(level(HEAD), rel=0.02)
    assert level(noisy.flip(axis)) == pytest.approx(level(noisy), rel=1e-6)


@few
@given(values=st.lists(st.floats(0, 1), min_size=3, max_size=9), x=st.floats(-1, 3))
def test_a_curve_stays_within_its_knots_and_meets_them(values, x):
    method = lookup.Method(lookup.Config(pairs=("t1-t2",), knots=len(values), top=2.0))
    with torch.no_grad():
        method.curves.copy_(torch.tensor([values]))
    ask = Ask("t1", "t2")
    with torch.no_grad():
        made = float(method(torch.full((1, 1, 1, 1), x), ask).values)
    assert min(values) - 1e-6 <= made <= max(values) + 1e-6
    knots = torch.linspace(0, 2, len(values)).reshape(1, 1, 1, -1)
    np.testing.assert_allclose(method(knots, ask).values.detach().numpy().ravel(), values, atol=1e-5)
    expected = np.interp(x, knots.numpy().ravel(), values)
    assert made == pytest.approx(float(expected), abs=1e-5)


@few
@given(perm=st.permutations(range(12)))
def test_a_curve_treats_each_voxel_alone(perm):
    method = lookup.Method(lookup.Config(pairs=("t1-t2",)))
    with torch.no_grad():
        method.curves.copy_(torch.rand(method.curves.shape, generator=torch.Generator().manual_seed(0)))
    values, ask = HEAD[None], Ask("t1", "t2")
    assert torch.equal(method(values[:, perm], ask).values, method(values, ask).values[:, perm])


@few
@given(shape=st.tuples(*[st.integers(2, 40)] * 3), mm=st.tuples(*[st.floats(0.4, 6)] * 3))
def test_slices_lie_across_the_longest_side_or_z(shape, mm):
    axis = across(shape, mm)
    assert axis == 0 or mm[axis] == max(mm)
    assert max(mm) <= 1.3 * min(mm) or mm[axis] == max(mm)


def test_air_and_head_are_all_there_is():
    for contrast in CONTRASTS:
        assert torch.equal(air(head(contrast)), tissues() == 0)


@few
@given(gain=st.floats(0.5, 2.0), seed=st.integers(0, 9))
def test_a_scanners_gain_changes_nothing(gain, seed):
    one, other = (
        translate(image(g * head("t2", seed=seed)), "lookup", to="t1", contrast="t2").values / g for g in (1.0, gain)
    )
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@few
@given(text=st.text(max_size=30))
def test_any_text_names_one_contrast_or_none(text):
    assert of_words(text) in {None, *CONTRASTS}
    assert of_words(text) == of_words(text.upper().lower())


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_can_be_asked_for_and_has_a_way_back(pair):
    a, b = pair.split("-")
    assert asked_for(a, b, image(HEAD).header) == (a, ()) and checked((pair,)) == (pair,)
    assert Ask(a, b).pair == pair and Ask(a, b).back.back.pair == pair


@few
@given(seed=st.integers(0, 999), pair=st.sampled_from(PAIRS))
def test_rendered_sides_share_their_anatomy(seed, pair):
    """Inside one tissue both sides are as bright as its signal, up to what is drawn; edges lie where they lie."""
    names = list(TISSUES)
    places = np.zeros((8, 40, 40), np.uint8)
    places[:, 4:36, 4:36] = names.index("grey matter")
    places[:, 12:28, 12:28] = names.index("white matter")
    a, b = pair.split("-")
    sides, _ = rendered(places, (a, b), (8, 40, 40), torch.Generator().manual_seed(seed))
    for contrast, side in zip((a, b), sides, strict=True):
        signals = tissue_signals(SEQUENCES[contrast])
        white, grey = side[:, 14:26, 14:26].mean(), side[:, 6:10, 6:34].mean()
        assert float(white / grey) == pytest.approx(signals["white matter"] / signals["grey matter"], rel=0.6)
        assert not side[:, :3].any() and bool((side[:, 5:35, 5:35] > 0).all())


def test_rendered_blocks_larger_than_the_map_are_filled_with_air():
    places = np.full((6, 10, 10), list(TISSUES).index("white matter"), np.uint8)
    (one, other), _ = rendered(places, ("t1", "t2"), (12, 16, 16), torch.Generator().manual_seed(0))
    assert one.shape == other.shape == (12, 16, 16) and not one[7:, 11:].any()


@few
@given(x=st.floats(-2, 2), seed=st.integers(0, 9))
def test_what_a_method_says_of_doubt_is_never_negative(x, seed):
    method = lookup.Method(lookup.Config(pairs=("t1-t2",), knots=5))
    with torch.no_grad():
        method.doubts.copy_(torch.randn(method.doubts.shape, generator=torch.Generator().manual_seed(seed)))
        made = method(torch.full((1, 1, 1, 1), x), Ask("t1", "t2"))
    assert made.spread is not None and float(made.spread) >= 0


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_every_contrast_has_a_sequence_to_render_it(contrast):
    signals = tissue_signals(SEQUENCES[contrast])
    assert signals["air"] == 0 and max(signals["white matter"], signals["grey matter"], signals["csf"]) == 1
    fluid_is_bright = signals["csf"] > signals["white matter"]
    assert fluid_is_bright == (contrast in ("t2", "pd"))


@few
@given(seed=st.integers(0, 99))
def test_the_same_number_renders_the_same(seed):
    places = np.full((6, 12, 12), list(TISSUES).index("csf"), np.uint8)
    one, again = (rendered(places, ("t1", "t2"), (6, 12, 12), torch.Generator().manual_seed(seed))[0] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
