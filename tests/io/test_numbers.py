"""Laws of whole numbers in files: held exactly, scaled and restored to the bit, refused where a type is too small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spinecho.core.errors import DataError
from spinecho.io.numbers import as_type, held, kept_type, restored, scaled, smallest

INTEGERS = ["<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", ">i2", ">u2", ">i4", ">u4"]
SMALL = ["<i1", "<i2", "<u1", "<u2", ">i2", ">u2"]
few = settings(max_examples=40, deadline=None)


def of(types: list[str]) -> st.SearchStrategy[np.ndarray]:
    return st.sampled_from(types).flatmap(lambda t: arrays(t, (2, 3)))


@few
@given(of(INTEGERS))
def test_integers_are_held_exactly_in_a_type_of_torch_and_go_back(stored):
    values = held(stored)
    assert [int(v) for v in values.flat] == [int(v) for v in stored.flat]
    assert torch.from_numpy(values).shape == stored.shape
    back = restored(values, kept_type(stored))
    assert back is not None and back[1:] == (1, 0)
    np.testing.assert_array_equal(back[0], stored)
    assert back[0].dtype == stored.dtype.newbyteorder("=")


@few
@given(arrays("<f8", (2, 3), elements=st.integers(-(2**53), 2**53).map(float)))
def test_whole_doubles_are_labels_once_float32_cannot_count_so_far(stored):
    values = held(stored)
    is_far = np.abs(stored).max() > 2**24
    assert values.dtype == (np.int64 if is_far else np.float32)
    np.testing.assert_array_equal(values.astype(np.float64), stored)
    assert kept_type(stored) == ({"dtype": "float64"} if is_far else {})


@pytest.mark.parametrize("odd", [np.nan, np.inf, 0.5, 1e300])
def test_one_number_that_is_not_whole_makes_them_all_floats(odd):
    stored = np.array([2.0**30, odd])
    assert held(stored).dtype == np.float32 and kept_type(stored) == {}


@pytest.mark.parametrize(("stored", "dtype"), [("f2", "f4"), ("f4", "f4"), ("c8", "c8"), ("c16", "c8"), ("?", "u1")])
def test_other_numbers_become_32_bits_each(stored, dtype):
    assert held(np.ones(3, stored)).dtype == dtype
    assert held(np.ones(0, stored)).shape == (0,)


def test_unsigned_numbers_beyond_the_signed_ones_are_refused_by_name():
    with pytest.raises(DataError, match=f"it holds the number {2**63}"):
        held(np.array([0, 2**63], np.uint64))
    assert held(np.array([2**63 - 1], np.uint64))[0] == 2**63 - 1


@few
@given(of(SMALL), st.integers(-100, 100).filter(bool), st.integers(-1000, 1000))
def test_a_whole_scale_keeps_whole_numbers(stored, slope, inter):
    values, kept = scaled(stored, slope, inter)
    assert values.dtype.kind in "iu"
    np.testing.assert_array_equal(values, stored.astype(np.int64) * slope + inter)
    back = restored(values, kept)
    assert back is not None and back[1:] == (slope, inter)
    np.testing.assert_array_equal(back[0], stored)


@few
@given(of(INTEGERS[:3] + SMALL), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_any_other_scale_gives_the_stored_numbers_back_to_the_bit(stored, slope, inter):
    slope, inter = float(np.float32(slope)), float(np.float32(inter))
    values, kept = scaled(stored, slope, inter)
    np.testing.assert_allclose(values, stored.astype(np.float64) * slope + inter, rtol=1e-6, atol=slope / 4)
    back = restored(values, kept)
    assert back is not None
    np.testing.assert_array_equal(back[0], stored)
    assert back[1:] == (slope, inter)


@few
@given(of(SMALL), st.sampled_from([0.5, 0.1, 3.0]))
def test_what_was_computed_from_them_is_no_stored_number(stored, slope):
    values, kept = scaled(stored, slope, 0)
    computed = values.astype(np.float64) + 0.37 * slope
    assert restored(computed, kept) is None
    assert restored(values.astype(np.complex64), kept) is None
    assert restored(values, {}) is None


def test_numbers_outside_the_kept_type_are_not_restored():
    assert restored(np.array([[-1, 5]], np.int32), {"dtype": "uint16"}) is None
    assert restored(np.array([[0.0, np.nan]], np.float32), {"dtype": "uint8", "slope": "0.5"}) is None
    assert restored(np.array([[0.0, 400.0]], np.float32), {"dtype": "uint8", "slope": "0.5"}) is None


def test_floats_and_complex_values_are_scaled_too():
    values, kept = scaled(np.array([[1 + 2j, -3j]], np.complex64), 2.0, 1.0)
    np.testing.assert_array_equal(values, [[3 + 4j, 1 - 6j]])
    assert kept == {} and values.dtype == np.complex64
    values, kept = scaled(np.array([[1.5, -2.0]], np.float32), 2.0, 1.0)
    np.testing.assert_array_equal(values, [[4.0, -3.0]])
    assert kept == {}


@few
@given(arrays("<i8", 4), st.sampled_from(["u1", "i1", "u2", "i2", "i4", "f4", "f8"]))
def test_a_format_holds_whole_numbers_exactly_or_refuses_them(values, dtype):
    try:
        as_written = as_type(values, dtype, "the format", "write another")
    except DataError as error:
        worst = max(map(int, values), key=abs)
        assert f"it has the whole number {worst}" in str(error) or f"{-worst}" in str(error)
        with np.errstate(over="ignore", invalid="ignore"):
            limit = 2**24 if dtype == "f4" else 2**53
            assert dtype[0] == "f" or (values.astype(dtype) != values).any()
            assert dtype[0] != "f" or np.abs(values.astype(float)).max() >= limit
        return
    assert [int(v) for v in as_written] == [int(v) for v in values]


def test_floats_are_rounded_to_a_format_without_a_word():
    assert as_type(np.array([1e300, 0.1]), np.float32, "x", "y").tolist() == [np.inf, np.float32(0.1)]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 255], "u1"), ([-1, 255], "i2"), ([0, 256], "i2"), ([0, 40000], "i4"), ([-(2**40)], "i8"), ([], "u1")],
)
def test_the_smallest_type_that_holds_them(values, dtype):
    assert smallest(np.array(values, np.int64)) == np.dtype(dtype)
    assert smallest(np.array(values, np.int64), "f8") == np.dtype("f8")
