"""Which 16-bit numbers stand for values, by what the scale promises: exact where it can be, half a step elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.dicom.scale import scale_of, stored
from spinecho.io.numbers import scaled
from spinecho.io.volume import Volume

SHAPE = (1, 1, 2, 2, 3)
few = settings(max_examples=25, deadline=None)


def volume(values: np.ndarray, **kept: str) -> Volume:
    return Volume(values=values.reshape(SHAPE), geometry=Geometry.unknown((2, 2, 3)), header=Header(kept=kept))


def read_back(*volumes: Volume) -> list[np.ndarray]:
    """The values as any reader has them: slope times stored number plus intercept."""
    scale = scale_of(list(volumes))
    numbers = [stored(v.values, scale) for v in volumes]
    assert all(n.min() >= scale.range[0] and n.max() <= scale.range[1] for n in numbers)
    return [n.astype(np.float64) * scale.slope + scale.intercept for n in numbers]


@few
@given(arrays("<i4", 12, elements=st.integers(0, 65535)) | arrays("<i4", 12, elements=st.integers(-32768, 32767)))
def test_whole_numbers_of_16_bits_are_themselves(values):
    for dtype in (np.int32, np.float32):
        v = volume(values.astype(dtype))
        assert scale_of([v]).is_plain
        np.testing.assert_array_equal(read_back(v)[0], v.values)


@few
@given(st.integers(-(2**31), 2**30), arrays("<i8", 12, elements=st.integers(0, 65535)))
def test_whole_numbers_anywhere_that_span_16_bits_have_an_offset(low, values):
    v = volume(values + low)
    low, high = min(0, int(v.values.min())), int(v.values.max())
    if high - low > 65535:
        with pytest.raises(DataError, match=f"its whole numbers go from {low} to {high}"):
            scale_of([v])
        return
    np.testing.assert_array_equal(read_back(v)[0], v.values)


@few
@given(arrays("<f4", 12, elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from([1e-12, 1.0, 1e12]))
def test_real_numbers_are_off_by_half_a_step_of_the_largest(values, factor):
    values = values * np.float32(factor)
    values[0] = 0.5 * factor
    (back,) = read_back(v := volume(values))
    step = np.abs(values).max() / 32767
    assert np.abs(back - v.values).max() <= 0.5001 * step
    assert (back[v.values == 0] == 0).all()


@few
@given(arrays("<u2", 12), st.sampled_from([0.5, 0.001, 3.7]), st.sampled_from([0.0, -100.0, 12.25]))
def test_values_on_the_scale_of_their_file_come_back_as_its_numbers(numbers, slope, inter):
    values, kept = scaled(numbers.reshape(SHAPE), slope, inter)
    scale = scale_of([v := volume(values, **kept)])
    if not scale.is_plain:
        assert (scale.slope, scale.intercept) == (slope, inter)
        np.testing.assert_array_equal(stored(v.values, scale), numbers.reshape(SHAPE))


def test_volumes_that_were_scaled_apart_share_one_scale_that_holds_both():
    small, kept = scaled(np.arange(12, dtype=np.uint16).reshape(SHAPE), 0.5, 0)
    large, kept_too = scaled(5000 * np.arange(12, dtype=np.uint16).reshape(SHAPE), 1.75, 0)
    volumes = [volume(small, **kept), volume(large, **kept_too)]
    one, other = read_back(*volumes)
    step = large.max() / 32767
    assert np.abs(one - small).max() <= step and np.abs(other - large).max() <= step


def test_what_is_no_number_is_zero_or_the_nearest_one():
    values = np.array([np.nan, np.inf, -np.inf, 1.5, -0.25, 0, 1, 1, 1, 1, 1, 1], np.float32)
    (back,) = read_back(volume(values))
    np.testing.assert_allclose(back.ravel()[:5], [0, 0, 0, 1.5, -0.25], atol=1e-4)


@pytest.mark.parametrize(
    "values", [np.zeros(12, np.float32), np.full(12, np.nan, np.float32), np.full(12, 7, np.int32)]
)
def test_pictures_without_contrast_have_a_window_all_the_same(values):
    scale = scale_of([volume(values)])
    assert scale.window[1] >= scale.window[0] + 1 and scale.slope > 0


@few
@given(arrays("<f4", 12, elements=st.floats(-1000, 1000, width=32)))
def test_the_window_is_that_of_the_percentiles_in_stored_numbers(values):
    values[0] = 0.123
    scale = scale_of([v := volume(values)])
    low, high = np.percentile(values.astype(np.float64), (1, 99))
    span = max(high - low, scale.slope)
    np.testing.assert_allclose(scale.window[0] * scale.slope + scale.intercept, low, atol=1e-6 * span + 1e-9)
    np.testing.assert_allclose(scale.window[1] * scale.slope, max(high, low + scale.slope), rtol=1e-6, atol=1e-9)
    assert v.values.dtype == np.float32
