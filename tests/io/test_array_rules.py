"""The rules by which bare arrays become samples: names of axes, masks, averages, trajectories, sizes in messages."""

from __future__ import annotations

from dataclasses import fields
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.io.array import samples as array_samples
from spinecho.io.array.kspace import cropped_size, mask_tensor
from spinecho.io.array.traj import in_cycles_per_fov, is_radial, laid_out
from spinecho.io.axes import (
    NAMES,
    arranged,
    batch_axes,
    parse_axes,
    picture_geometry,
    rows_are_readout,
)
from spinecho.io.guess import guesses
from spinecho.io.limits import HARMLESS, check_expansion, check_memory, free_memory, human
from spinecho.io.options import ReadOptions, refuse_idle

SIZES = {"slice": 2, "time": 3, "coil": 4, "k2": 5, "k1": 6, "k0": 7}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@given(names=st.permutations(list(SIZES)), separator=st.sampled_from([" ", ",", ", ", "  "]))
@settings(max_examples=30, deadline=None)
def test_arranged_puts_every_sample_where_its_names_say(names: list[str], separator: str) -> None:
    array = np.arange(np.prod(list(SIZES.values()))).reshape([SIZES[n] for n in names])
    assert parse_axes(separator.join(names), array.shape) == tuple(names)
    order = ("contrast", *SIZES)
    moved = arranged(array, names, order)
    assert moved.shape == (1, *SIZES.values()) and np.shares_memory(moved, array)
    np.testing.assert_array_equal(moved[0], np.einsum(array, [order.index(n) for n in names], range(1, 7)))


def test_an_axis_without_a_place_is_refused_with_the_places() -> None:
    with pytest.raises(DataError, match=r"the axis 'slice' has no place here -> use k1 k0"):
        arranged(np.zeros((2, 3, 4)), ("slice", "k1", "k0"), ("k1", "k0"))


@pytest.mark.parametrize("text", ["", "coil", "slice time", " , "])
def test_axes_without_a_plane_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="neither a k-space nor an image axis -> the names are slice time"):
        parse_axes(text, (3,) * len(text.split()))


@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=8), image=st.booleans(), matlab=st.booleans())
@settings(max_examples=80, deadline=None)
def test_what_is_guessed_can_be_said(shape: list[int], image: bool, matlab: bool) -> None:
    if image and len(shape) > 7:
        shape = shape[:7]
    for coil_images in (False, True):
        found = guesses(shape, image=image and not coil_images, coil_images=coil_images, column_major=matlab)
        assert found
        for words in (g.axes for g in found):
            assert parse_axes(words, shape) == tuple(words.split())
            assert set(words.split()) <= set(NAMES)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((8, 64, 60), {}, "coil k1 k0"),
        ((64, 60, 8), {}, "k0 k1 coil"),
        ((4, 20, 64, 60), {}, "slice coil k1 k0"),
        ((4, 100, 128, 112), {}, "coil slice k1 k0"),
        ((30, 10, 8, 64, 60), {}, "time slice coil k1 k0"),
        ((20, 64, 60), {"image": True}, "slice y x"),
        ((64, 60, 20), {"image": True}, "y x slice"),
        ((30, 20, 64, 60), {"image": True}, "time slice y x"),
        ((64, 60, 8), {"coil_images": True}, "y x coil"),
        ((64,), {}, "k0"),
    ],
)
def test_the_likeliest_reading(shape: tuple[int, ...], options: dict, words: str) -> None:
    assert guesses(shape, **options)[0].axes == words


@pytest.mark.parametrize(
    ("names", "readout", "vertical"),
    [
        ("coil k1 k0", "x", False),
        ("coil k0 k1", "x", True),
        ("k0 coil k1", "y", True),
        ("y x coil", "y", True),
        ("x y coil", "x", False),
        ("coil k1 k0", "y", False),
    ],
)
def test_which_way_the_readout_runs_in_the_picture(names: str, readout: str, vertical: bool) -> None:
    assert rows_are_readout(names.split(), readout) is vertical


def test_batch_axes_come_in_the_houses_order() -> None:
    for order in permutations(["repetition", "coil", "slice", "time"]):
        assert batch_axes(order) == ("slice", "time", "repetition")


@pytest.mark.parametrize("transposed", [False, True])
def test_a_part_of_the_slices_lies_where_it_lay_in_the_whole(transposed: bool) -> None:
    settings = {"transposed": transposed, "voxel_mm": (1.5, 2.0, 4.0)}
    whole = picture_geometry((1, 6, 8), n_slices=5, **settings)
    part = picture_geometry((1, 6, 8), n_slices=2, first_slice=3, **settings)
    assert len(whole) == 5 and all(a.matches(b) for a, b in zip(whole[3:], part, strict=True))
    assert whole[0].voxel_mm == ((2.0, 1.5, 4.0) if transposed else (1.5, 2.0, 4.0))
    steps = np.diff([g.to_world((0, 0, 0)) for g in whole], axis=0)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 4.0)


@pytest.mark.parametrize("voxel", [(1, 0, 1), (1, 1, -2), (1, np.nan, 1), (np.inf, 1, 1)])
def test_voxels_without_a_size_are_refused(voxel: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match=r"voxel sizes must be over 0 mm, got .* give three, e.g. voxel_mm=\(1, 1, 3\)"):
        picture_geometry((1, 4, 4), transposed=False, voxel_mm=voxel)


ANY_FORMAT = ("slices", "simulate_mask", "exact_trajectory")


@pytest.mark.parametrize("option", [f.name for f in fields(ReadOptions) if f.name not in ANY_FORMAT])
def test_every_option_that_would_do_nothing_is_named(option: str) -> None:
    values = {"axes": "k1 k0", "domain": "coil-images", "readout": "y", "key": "a", "oversampling": 2.0, "series": "3"}
    given_value = values.get(option, (1.0, 1.0, 1.0) if option == "voxel_mm" else Path("a"))
    options = ReadOptions(**{option: given_value})
    with pytest.raises(DataError, match=f"^{option} does not apply to X files.*leave out {option}"):
        refuse_idle(options, "X")
    refuse_idle(options, "X", option)
    refuse_idle(ReadOptions(slices=(0, 1), simulate_mask="random:4:0.1:0", exact_trajectory=True), "X")


@pytest.mark.parametrize(
    ("shape", "names", "at"),
    [
        ((6, 7, 2), 2, -1),
        ((2, 6, 7), 2, 0),
        ((2, 6, 2), 2, -1),
        ((2, 6, 7), None, None),
        ((6, 7, 2), None, -1),
        ((6, 7, 2), 3, None),
        ((6, 7, 3), 2, None),
        ((2,), 0, None),
    ],
)
def test_where_real_and_imaginary_part_are_kept(shape: tuple[int, ...], names: int | None, at: int | None) -> None:
    assert array_samples.pair(shape, names) == at


@pytest.mark.parametrize("dtype", ["<i2", ">i4", "u1", "<f8", ">f4", "f2", "?"])
def test_pairs_of_any_number_become_complex(dtype: str) -> None:
    parts = np.random.default_rng(0).integers(0, 2, (5, 6, 2)).astype(dtype)
    want = parts[..., 0].astype(float) + 1j * parts[..., 1].astype(float)
    last = array_samples.to_complex(parts, ("k1", "k0"))
    first = array_samples.to_complex(np.moveaxis(parts, -1, 0), ("k1", "k0"))
    assert last.dtype == first.dtype == np.complex64
    np.testing.assert_array_equal(last, want)
    np.testing.assert_array_equal(first, want)


def test_text_is_no_sample() -> None:
    with pytest.raises(DataError, match="the samples have type <U1 -> give complex numbers"):
        array_samples.to_complex(np.array([["a"]]), None)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_mask_means_what_broadcasting_by_name_means(data) -> None:
    names = tuple(data.draw(st.permutations(list(SIZES))))
    kept = data.draw(st.sampled_from([tuple(SIZES), ("slice", "time", "k2", "k1", "k0"), ("k2", "k1", "k0")]))
    own = tuple(n for n in names if n in kept)
    single = data.draw(st.sets(st.sampled_from(own))) | ({"coil"} & set(own))
    shape = [1 if n in single else SIZES[n] for n in own]
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(shape) < 0.6
    mask.flat[0] = True
    varied = {n for n, m in zip(own, shape, strict=True) if m > 1}
    if varied <= {"k0"} or (len(shape) == 2 and 1 in shape):
        return
    got = mask_tensor(mask, names, [SIZES[n] for n in names])
    want = arranged(mask, own, ("slice", "time", "coil", "k2", "k1", "k0"))
    assert got.shape[-4] == 1
    np.testing.assert_array_equal(*np.broadcast_arrays(got.numpy(), want))


def test_masks_of_the_phase_encodes_and_of_frames() -> None:
    names, sizes = ("coil", "k2", "k1", "k0"), (4, 5, 6, 7)
    plane = np.random.default_rng(0).random((5, 6)) < 0.5
    np.testing.assert_array_equal(mask_tensor(plane, names, sizes)[0, :, :, 0].numpy(), plane)
    frames = np.random.default_rng(1).random((3, 6)) < 0.5
    got = mask_tensor(frames, ("time", "k1", "k0"), (3, 6, 7))
    assert got.shape == (3, 1, 1, 6, 1)
    np.testing.assert_array_equal(got[:, 0, 0, :, 0].numpy(), frames)


def test_a_partial_echo_may_be_a_mask_along_the_readout() -> None:
    echo = np.broadcast_to(np.arange(7) >= 2, (1, 6, 7))
    got = mask_tensor(echo, ("coil", "k1", "k0"), (4, 6, 7))
    assert got.shape == (1, 1, 6, 7) and (got[0, 0].numpy() == echo[0]).all()


def test_masks_that_say_nothing_are_refused() -> None:
    names, sizes = ("coil", "k1", "k0"), (3, 6, 7)
    own = np.ones((3, 6, 7), bool)
    own[1, 2] = False
    with pytest.raises(DataError, match="differs from coil to coil -> give one mask for all coils"):
        mask_tensor(own, names, sizes)
    for bad in (np.full(6, np.nan), np.array(["a"] * 6)):
        with pytest.raises(DataError, match="give 0 and 1, or false and true"):
            mask_tensor(bad, names, sizes)
    with pytest.raises(DataError, match=r"the mask has shape \(4,\); the samples are \(3, 6, 7\) \(coil k1 k0\)"):
        mask_tensor(np.ones(4), names, sizes)


def test_chance_zeros_of_integers_leave_a_line_measured_but_scattered_points_count_singly() -> None:
    samples = torch.from_numpy(normal(2, 1, 8, 40))
    few, many = samples.clone(), samples.clone()
    few[:, 0, 3, [5, 17]] = 0
    many[:, 0, :, ::3] = 0
    assert array_samples.measured(few).shape == (1, 1, 8, 1) and array_samples.measured(few).all()
    assert (array_samples.measured(many)[0, 0] == (torch.arange(40) % 3 != 0)).all()
    one_coil = samples.clone()
    one_coil[0, 0, 2] = 0
    assert array_samples.measured(one_coil).all(), "a coil that is silent is measured none the less"


@given(seed=st.integers(0, 1000), dim=st.integers(0, 1))
@settings(max_examples=20, deadline=None)
def test_averages_are_means_of_what_was_measured(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 2, 2, 1, 5, 4)
    samples, mask = normal(*shape, seed=seed), rng.random((3, 2, 1, 1, 5, 1)) < 0.5
    got, got_mask = array_samples.averaged(torch.from_numpy(samples), torch.from_numpy(mask), dim)
    weights = np.broadcast_to(mask, shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        want = np.nan_to_num((samples * weights).sum(dim) / weights.sum(dim))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got_mask.numpy(), mask.any(dim))


def test_sizes_after_the_crop() -> None:
    assert [cropped_size(40, f) for f in (1.0, 1.25, 2.0, 3.0, 40.0)] == [40, 32, 20, 13, 1]
    for bad in (0.99, 41.0, -2.0):
        with pytest.raises(DataError, match=f"oversampling={bad:g} is out of range -> 2 is usual; 1 is none"):
            cropped_size(40, bad)


def test_kooshballs_and_reversed_components() -> None:
    rng = np.random.default_rng(0)
    ends = rng.standard_normal((9, 3))
    ends /= np.linalg.norm(ends, axis=1, keepdims=True)
    points = (np.arange(16) - 8.0)[:, None] * ends[:, None]
    names = ("coil", "k1", "k0")
    for array in (points, points.transpose(2, 1, 0), np.ascontiguousarray(points.transpose(2, 0, 1))):
        got = laid_out(array, names, (4, 9, 16))
        np.testing.assert_array_equal(got[0], points)
    assert is_radial(got)
    _, n, unit = in_cycles_per_fov(got)
    assert (n, unit) == ((16, 16, 16), "cycles per field of view")
    scaled, n, unit = in_cycles_per_fov(got / 16)
    assert (n, unit) == ((16, 16, 16), "cycles per pixel")
    np.testing.assert_allclose(scaled, got, rtol=1e-12)


def test_a_spiral_is_not_straight_and_points_may_not_reach_too_far() -> None:
    turn = np.linspace(0, 6 * np.pi, 64)
    spiral = np.stack([turn * np.cos(turn), turn * np.sin(turn), 0 * turn], -1)[None, None]
    assert not is_radial(spiral)
    with pytest.raises(DataError, match="not straight, so the matrix cannot be known -> give it in cycles per field"):
        in_cycles_per_fov(spiral / np.abs(spiral).max() / 2)
    with pytest.raises(DataError, match=r"reach 1e.06, too far for 64 samples per readout"):
        in_cycles_per_fov(spiral / np.abs(spiral).max() * 1e6)


def test_sizes_are_said_as_people_say_them() -> None:
    said = [human(n) for n in (0, 999, 1000, 1_280_000, 999_999, 3 * 10**9, 1280 * 10**9)]
    assert said == ["0 bytes", "999 bytes", "1 kB", "1.28 MB", "1 MB", "3 GB", "1.28 TB"]


@given(n=st.integers(0, 2**50), disk=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_only_large_and_improbable_contents_are_refused(n: int, disk: int) -> None:
    if n <= HARMLESS or n <= 200 * disk:
        check_expansion(n, disk, "it")
        return
    with pytest.raises(DataError, match=r"^a file: it would expand to .*, the file has .* if you trust it") as error:
        check_expansion(n, disk, "it", path="a file")
    assert human(n) in str(error.value) and human(disk) in str(error.value)


def test_memory_is_weighed_against_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < free_memory() < 2**62
    monkeypatch.setattr("spinecho.io.limits.free_memory", lambda: 10**9)
    check_memory(6 * 10**8, "it")
    with pytest.raises(DataError, match=r"it needs 601 MB of memory, 1 GB are free -> read a part of it \(slices"):
        check_memory(601 * 10**6, "it")
    monkeypatch.setattr("spinecho.io.limits.free_memory", lambda: 0)
    check_memory(HARMLESS, "it")
