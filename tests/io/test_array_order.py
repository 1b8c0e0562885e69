"""Arrays go out in the order they came in: any names, any order, any lengths; and what is guessed of them is sound."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.array.write import named_array, write
from spinecho.io.axes import BATCH, IMAGE, KSPACE, NAMES, arranged, parse_axes
from spinecho.io.guess import completed, guesses, phase_encode, run_outwards, swapped
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.io.read import read

few = settings(max_examples=30, deadline=None)


def sizes(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, int]]:
    """Some of the names, k1 and k0 always, in some order, with lengths from 1 to 4 (k0: at least 2)."""
    always = names[-2:]
    some = st.lists(st.sampled_from(names[:-2]), unique=True, max_size=4).map(lambda more: [*more, *always])
    return some.flatmap(st.permutations).flatmap(
        lambda order: st.tuples(*[st.integers(1 + (n == "k0"), 4) for n in order]).map(
            lambda n: dict(zip(order, n, strict=True))
        )
    )


def random_array(of: dict[str, int]) -> np.ndarray:
    rng = np.random.default_rng(len(of))
    shape = tuple(of.values())
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def kspace_of(array: np.ndarray, names: list[str]) -> KSpace:
    axes = tuple(n for n in BATCH if n in names)
    samples = torch.from_numpy(np.ascontiguousarray(arranged(array, names, (*axes, "coil", *KSPACE))))
    shape = (samples.shape[-3], samples.shape[-2], samples.shape[-1])
    n_slices = samples.shape[axes.index("slice")] if "slice" in axes else 1
    return KSpace(
        samples=samples,
        mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
        encoding=Encoding.cartesian(shape),
        geometries=(Geometry.unknown(shape),) * n_slices,
        axes=axes,
    )


@few
@given(sizes((*BATCH, "coil", *KSPACE)))
def test_kspace_goes_out_in_the_order_it_was_read_with_every_axis_that_was_named(of):
    array = random_array(of)
    out, names = named_array(kspace_of(array, list(of)), " ".join(of))
    assert names == tuple(of)
    np.testing.assert_array_equal(out, array)


@few
@given(sizes((*BATCH, "coil", *KSPACE)))
def test_without_an_order_axes_of_one_are_left_out_and_the_others_in_the_houses_order(of):
    out, names = named_array(kspace_of(random_array(of), list(of)))
    assert list(names) == sorted((n for n in of if of[n] > 1), key=NAMES.index)
    assert out.shape == tuple(of[n] for n in names)


@pytest.mark.parametrize("axes", ["coil k1 k0", "k0 k1 coil", "slice coil k1 k0", "k1 k0", "time k1 k0 slice coil"])
@pytest.mark.parametrize("n_coils", [1, 3])
def test_a_file_that_was_converted_is_read_with_the_same_axes(axes, n_coils, tmp_path):
    lengths = {"coil": n_coils, "k1": 6, "k0": 8, "slice": 2, "time": 2}
    array = random_array({n: lengths[n] for n in axes.split()})
    np.save(tmp_path / "in.npy", array)
    scan = read(tmp_path / "in.npy", ReadOptions(axes=axes))
    write(scan, tmp_path / "out.npy", WriteOptions(input_axes=axes))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), array)


def test_a_combined_image_has_no_axis_of_coils_left():
    image = Image(values=torch.ones(1, 1, 4, 5), geometries=(Geometry.unknown((1, 4, 5)),))
    assert named_array(image, "coil k1 k0")[1] == ("y", "x")
    assert named_array(image, "coil k1 k0")[0].shape == (4, 5)


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
@pytest.mark.parametrize("n_coils", [1, 3])
def test_what_is_written_says_its_axes_itself(suffix, n_coils, tmp_path):
    array, path = random_array({"coil": n_coils, "k1": 4, "k0": 6}), tmp_path / f"scan{suffix}"
    write(kspace_of(array, ["coil", "k1", "k0"]), path, WriteOptions())
    options = ReadOptions() if suffix == ".h5" else ReadOptions(key="kspace", axes=axes_of(path))
    np.testing.assert_array_equal(read(path, options).samples.reshape(array.shape), array)


def axes_of(path: Path) -> str:
    from scipy.io import loadmat

    return str(np.load(path)["axes"] if path.suffix == ".npz" else loadmat(path)["axes"][0])


SHAPES = st.lists(st.integers(1, 400), min_size=1, max_size=9)


@few
@given(SHAPES, st.sampled_from(["image", "coil_images", ""]), st.booleans(), st.sampled_from(["", "/kspace", "img"]))
def test_every_guess_is_a_name_for_every_axis_and_no_two_are_alike(shape, kind, columns, named):
    how = {kind: True} if kind else {}
    found = guesses(shape, column_major=columns, named=named, plain_hdf5=True, **how)
    most = 8 if kind == "image" else 9
    assert (1 if len(shape) <= most else 0) <= len(found) <= 3 and len({g.axes for g in found}) == len(found)
    for guess in found:
        names = parse_axes(guess.axes, shape)
        assert guess.why and bool(set(names) & set(IMAGE)) is bool(kind)


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((32, 32, 1, 4, *(1,) * 12), np.complex64, {}),  # BART's 16 dimensions, saved from Python
        ((32, 32, 1, 4, *(1,) * 12), np.complex64, {"axes": "coil k1 k0"}),
        ((2,) * 11, np.float32, {}),
        ((2,) * 10, np.complex64, {"domain": "coil-images"}),
        ((2,) * 10, np.complex64, {"axes": "coil y x", "domain": "coil-images"}),
    ],
)
def test_more_axes_than_there_are_names_are_told_with_the_way_out(shape, dtype, options, tmp_path):
    np.save(tmp_path / "x.npy", np.ones(shape, dtype))
    with pytest.raises(DataError, match=r"1[016].* -> leave out those of length 1: numpy.squeeze"):
        read(tmp_path / "x.npy", ReadOptions(**options))


@pytest.mark.parametrize(
    ("shape", "how", "axes"),
    [
        ((8, 256, 200), {}, "coil k1 k0"),
        ((256, 200, 8), {"column_major": True}, "k0 k1 coil"),
        ((30, 8, 256, 200), {}, "slice coil k1 k0"),
        ((16, 15, 640, 368), {"named": "kspace", "plain_hdf5": True}, "slice coil k0 k1"),
        ((35, 640, 368), {"named": "kspace", "plain_hdf5": True}, "slice k0 k1"),
        ((8, 256, 200), {"coil_images": True}, "coil y x"),
        ((30, 256, 200), {"image": True}, "slice y x"),
        ((25, 10, 12, 192, 160), {}, "time slice coil k1 k0"),
    ],
)
def test_the_likeliest_layout_of_a_usual_shape(shape, how, axes):
    assert guesses(shape, **how)[0].axes == axes


@few
@given(SHAPES.filter(lambda s: len(s) > 2), st.data())
def test_names_that_were_given_stay_in_their_order_where_a_guess_has_them(shape, data):
    full = guesses(shape)[0].axes.split()
    given_ = [n for n in full if data.draw(st.booleans())]
    if not set(given_) & set(KSPACE):
        return
    assert [n for n in completed(given_, shape).split() if n in given_] == given_


@few
@given(st.integers(0, 1), st.sets(st.integers(0, 15), min_size=1, max_size=15), st.integers(1, 3))
def test_lines_of_zeros_lie_across_the_phase_encode(side, lines, n_coils):
    block = np.ones((n_coils, 16, 12) if side == 0 else (n_coils, 12, 16), np.complex64)
    block[(slice(None),) * (1 + side) + (sorted(lines),)] = 0
    assert phase_encode(block) == side
    assert phase_encode(block * 0) is phase_encode(block * 0 + 1) is None


def test_readouts_run_outwards_and_across_them_the_distance_stays():
    angle, radius = np.linspace(0, np.pi, 20, endpoint=False), np.linspace(-8, 8, 17)
    spokes = np.stack([np.outer(np.cos(angle), radius), np.outer(np.sin(angle), radius), np.zeros((20, 17))], -1)
    assert run_outwards(spokes) > 10 * run_outwards(spokes.swapaxes(0, 1))


def test_swapping_twice_is_nothing():
    for axes in itertools.islice(itertools.permutations(["coil", "k1", "k0", "time"]), 24):
        text = " ".join(axes)
        assert swapped(swapped(text)) == text != swapped(text)
    assert math.isfinite(run_outwards(np.zeros((2, 3, 3))))
