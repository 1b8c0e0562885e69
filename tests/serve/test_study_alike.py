"""Both groups through the same steps: one size, one depth, one window, whatever scale the values have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import picture

from spinecho.core.errors import DataError
from spinecho.serve.study.alike import LARGEST_SIDE, WHITE, alike, common_side, differences
from spinecho.serve.study.images import Source


def source(values: np.ndarray, name: str = "a.png", coarse: bool = False) -> Source:
    tensor = torch.from_numpy(np.asarray(values, dtype=np.float32))
    matrix = (tensor.shape[0], tensor.shape[1])
    return Source(name=name, sha256=name, values=tensor, matrix=matrix, coarse=coarse)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def test_equal_squares_stay_as_they_are():
    values = noise(40, 40)
    shown = alike([source(values), source(noise(40, 40, seed=1))])
    high = np.percentile(values.astype(np.float32), 99.5)
    expected = np.clip(values / high * WHITE, 0, 1) * 4095
    assert shown.side == 40 and shown.levels == 4095
    assert np.abs(shown.pixels[0] - expected).max() <= 0.51


def test_white_lies_where_the_page_expects_it_with_room_above():
    values = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    pixels = alike([source(values)]).pixels[0]
    assert np.percentile(pixels, 99.5) == pytest.approx(WHITE * 4095, abs=2)
    assert pixels.max() > WHITE * 4095


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_the_scale_of_values_does_not_matter(scale):
    values = noise(32, 32)
    a, b = (alike([source(v)]).pixels.astype(int) for v in (values, values * scale))
    assert np.abs(a - b).max() <= 1


def test_negative_values_are_black_at_their_lowest():
    values = noise(64, 64) * 2 - 1
    pixels = alike([source(values)]).pixels[0]
    assert pixels[values < np.percentile(values, 0.4)].max() == 0
    assert np.median(pixels) == pytest.approx(WHITE * 4095 / 2, rel=0.05)


def test_one_coarse_source_makes_all_of_one_depth():
    shown = alike([source(noise(32, 32)), source(picture(0), coarse=True)])
    assert shown.levels == 255 and shown.pixels.max() <= 255


def test_unlike_sizes_leave_no_image_as_it_was():
    sources = [source(noise(64, 64)), source(noise(96, 80)), source(noise(64, 50))]
    shown = alike(sources)
    assert shown.side == 56 and shown.pixels.shape == (3, 56, 56)
    assert {len(p.tobytes()) for p in shown.pixels} == {2 * 56 * 56}


def test_one_object_at_two_sizes_looks_the_same():
    """A disc of 64 and of 128 pixels: the same filter in units of the pixels that are shown."""
    discs = []
    for side in (64, 128):
        rows, columns = (np.mgrid[:side, :side] - (side - 1) / 2) / side
        discs.append(source(np.exp(-(rows**2 + columns**2) / 0.05)))
    a, b = alike(discs).pixels.astype(float) / 4095
    assert np.abs(a - b).max() < 0.01


def test_the_middle_stays_in_the_middle():
    values = np.zeros((30, 20))
    values[10:20, 5:15] = 1
    pixels = alike([source(values)]).pixels[0]
    assert pixels.shape == (30, 30)
    np.testing.assert_array_equal(pixels, pixels[::-1])
    np.testing.assert_array_equal(pixels, pixels[:, ::-1])


@given(st.lists(st.tuples(st.integers(16, 700), st.integers(16, 700)), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_common_side_is_never_larger_than_the_smallest_image(shapes):
    sources = [source(np.zeros(s)) for s in shapes]
    side, longest = common_side(sources), [max(s) for s in shapes]
    assert side <= min(LARGEST_SIDE, *longest)
    if len(set(longest)) > 1:
        assert side < min(longest)


def test_a_nearly_empty_image_is_shown_all_the_same():
    values = np.zeros((64, 64))
    values[5, 6] = 3
    assert alike([source(values)]).pixels[0, 5, 6] > 0


def test_tiny_images_are_refused():
    with pytest.raises(DataError, match=r"tiny has 8 pixels"):
        alike([source(noise(64, 64)), source(noise(8, 8), "tiny")])


def test_nothing_is_said_of_groups_that_are_alike():
    assert differences([source(noise(32, 32))], [source(noise(32, 32, seed=1))]) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (source(noise(32, 48)), "32 x 32 pixels, synthetic ones 32 x 48"),
        (source(picture(0), coarse=True), "0 of 1 real and 1 of 1 synthetic"),
        (source(np.pad(noise(16, 16), 8)), "75% of a synthetic one is empty"),
    ],
)
def test_what_tells_the_groups_apart_is_said(other, said):
    assert any(said in text for text in differences([source(noise(32, 32))], [other]))
