"""Scans from arrays in memory: what `read` makes of a file of the same array, and errors that say what fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spinecho
from spinecho.core.errors import DataError

RNG = np.random.default_rng(0)


def samples(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


def spokes(n: int = 9, m: int = 16) -> np.ndarray:
    angle = np.pi * np.arange(n) / n
    return np.exp(1j * angle) * (np.arange(m)[:, None] - m / 2)


def same(a: spinecho.KSpace, b: object) -> bool:
    assert isinstance(b, spinecho.KSpace)
    parts = ((a.samples, b.samples), (a.mask, b.mask), (a.traj, b.traj))
    equal = all(x is y if x is None or y is None else torch.equal(x, y) for x, y in parts)
    lies = all(one.matches(two) for one, two in zip(a.geometries, b.geometries, strict=True))
    return equal and lies and a.axes == b.axes and a.encoding == b.encoding


@pytest.mark.parametrize(
    "axes, shape, options",
    [
        ("k1 k0", (8, 12), {}),
        ("coil k1 k0", (3, 8, 12), {"voxel_mm": (1.0, 2.0, 3.0)}),
        ("k0 k1 coil", (12, 8, 3), {"oversampling": 2.0}),
        ("slice coil k1 k0", (2, 3, 8, 12), {}),
        ("time coil k1 k0", (4, 2, 8, 6), {}),
        ("average coil k1 k0", (2, 2, 8, 6), {}),
        ("coil k2 k1 k0", (2, 4, 8, 6), {}),
        ("y x coil", (8, 12, 3), {"domain": "coil-images", "readout": "y"}),
        ("z y x coil", (4, 8, 6, 2), {"domain": "coil-images"}),
    ],
)
def test_it_is_what_a_file_of_the_array_gives(tmp_path, axes, shape, options):
    array = samples(*shape)
    np.save(tmp_path / "k.npy", array)
    read = spinecho.read(tmp_path / "k.npy", spinecho.ReadOptions(axes=axes, **options))
    made = spinecho.from_samples(array, axes, **options)
    assert same(made, read)
    assert any("from an array" in step for step in made.header.history)


def test_masks_and_trajectories_are_those_of_files(tmp_path):
    array, mask = samples(2, 8, 12), RNG.random(8) < 0.7
    np.save(tmp_path / "k.npy", array * mask[:, None])
    np.save(tmp_path / "mask.npy", mask)
    options = spinecho.ReadOptions(axes="coil k1 k0", mask=tmp_path / "mask.npy")
    made = spinecho.from_samples(array * mask[:, None], "coil k1 k0", mask=mask)
    assert same(made, spinecho.read(tmp_path / "k.npy", options))
    fuller = spinecho.from_samples(array, "coil k1 k0", mask=mask)
    assert torch.equal(fuller.samples, made.samples)
    assert any("retrospectively" in flag for flag in fuller.header.flags)

    radial, traj = samples(16, 9, 2), spokes()
    np.save(tmp_path / "r.npy", radial)
    np.save(tmp_path / "t.npy", traj)
    options = spinecho.ReadOptions(axes="k0 k1 coil", traj=tmp_path / "t.npy")
    assert same(spinecho.from_samples(radial, "k0 k1 coil", traj=traj), spinecho.read(tmp_path / "r.npy", options))


def test_tensors_lists_and_pairs_of_reals_are_taken():
    array = samples(2, 8, 6)
    pairs = np.stack([np.real(array), np.imag(array)], -1)
    expected = spinecho.from_samples(array, "coil k1 k0")
    for form in (torch.from_numpy(array), array.tolist(), pairs, torch.from_numpy(pairs)):
        assert same(spinecho.from_samples(form, "coil k1 k0"), expected)


def test_the_array_stays_the_owners():
    array = samples(2, 8, 6)
    before = array.copy()
    kspace = spinecho.from_samples(array, "coil k1 k0")
    kspace.samples.zero_()
    assert np.array_equal(array, before)


@pytest.mark.parametrize(
    "array, axes, options, says",
    [
        (samples(3, 8, 12), "coil k1", {}, "names 2 axes"),
        (samples(3, 8, 12), "coil k1 speed", {}, "unknown name 'speed'"),
        (samples(3, 8, 12), "coil y x", {}, "names axes of an image"),
        (samples(3, 8, 12), "coil k1 k0", {"domain": "coil-images"}, "needs image axes"),
        (np.real(samples(3, 8, 12)), "coil k1 k0", {}, "must be complex"),
        (samples(3, 8, 12), "coil k1 k0", {"mask": np.ones(9)}, "the mask has shape"),
        (samples(3, 8, 12), "coil k1 k0", {"mask": np.zeros(8)}, "zero everywhere"),
        (samples(3, 8, 12), "coil k1 k0", {"traj": np.ones((4, 4, 2))}, "the trajectory has shape"),
        (
            samples(2, 9, 16),
            "coil k1 k0",
            {"traj": spokes().T, "mask": np.ones(9)},
            "does not apply along a trajectory",
        ),
        (samples(3, 8, 12), "coil k1 k0", {"oversampling": 0.5}, "out of range"),
        (samples(3, 8, 12), "map k1 k0", {}, "map axis"),
    ],
)
def test_what_does_not_fit_is_told(array, axes, options, says):
    with pytest.raises(DataError, match=says):
        spinecho.from_samples(array, axes, **options)


@settings(deadline=None, max_examples=40)
@given(st.permutations(["time", "coil", "k1", "k0"]))
def test_any_order_of_axes_gives_the_same_scan(order):
    sizes = {"time": 2, "coil": 3, "k1": 6, "k0": 4}
    array = np.arange(2 * 3 * 6 * 4).reshape(2, 3, 6, 4) + 1j
    turned = np.transpose(array, [list(sizes).index(n) for n in order])
    made = spinecho.from_samples(turned, " ".join(order))
    assert torch.equal(made.samples, spinecho.from_samples(array, "time coil k1 k0").samples)


def test_a_scan_stored_with_its_readout_down_comes_out_as_it_was_stored():
    """Inside the package x is the readout; the owner of the array never sees it so."""
    picture = np.zeros((16, 24), np.complex64)
    picture[3:9, 5:20] = 2
    for readout in ("x", "y"):
        scan = spinecho.from_samples(picture, "y x", domain="coil-images", readout=readout)
        array = np.abs(spinecho.to_numpy(spinecho.recon(scan, "zero_filled")))
        np.testing.assert_allclose(array[0], picture.real, atol=1e-4)
