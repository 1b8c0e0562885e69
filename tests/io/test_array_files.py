"""Files of arrays: parts read without the whole, variables by name, BART's pairs, likeness of turned pictures."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from test_arrays import noise, scan

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io import cfl_file
from spinecho.io.array.file import variables
from spinecho.io.array.variable import pick
from spinecho.io.formats import arrays, cfl
from spinecho.io.likeness import check_likeness
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.io.placing import read_affine
from spinecho.io.read import read


@pytest.mark.parametrize("axis", [0, 1])
def test_one_slice_of_half_a_gigabyte_is_read_alone(tmp_path: Path, axis: int) -> None:
    shape = (400, 4, 200, 200) if axis == 0 else (4, 400, 200, 200)
    path = tmp_path / "s.npy"
    memory = np.lib.format.open_memmap(path, "w+", np.complex64, shape)  # sparse: nothing of it is on the disk
    one = noise(4, 200, 200)
    memory[(slice(None),) * axis + (300,)] = one
    memory.flush()
    del memory
    names = "slice coil k1 k0" if axis == 0 else "coil slice k1 k0"
    tracemalloc.start()
    kspace = scan(path, axes=names, slices=(300, 301))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(kspace.samples[0, :, 0].numpy(), one)
    assert peak < 20 * one.nbytes < 0.1 * 8 * np.prod(shape)


def test_a_structured_complex_of_matlab_with_all_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "s.mat"
    samples = noise(3, 6, 8).astype(np.complex128)
    fields = np.zeros((8, 6, 3), [("real", "<f8"), ("imag", "<f8")])
    fields["real"], fields["imag"] = samples.real.T, samples.imag.T
    with h5py.File(path, "w", userblock_size=512) as f:
        for name, values, kind in (
            ("scan/raw", fields, b"double"),
            ("note", np.array([[104, 105]], "u2"), b"char"),
            ("list", np.zeros((2, 2)), b"cell"),
            ("#refs#/a", np.zeros((9, 9, 9)), b"double"),
        ):
            f[name] = values
            f[name].attrs["MATLAB_class"] = np.bytes_(kind)
    with path.open("r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file")
    assert [(v.name, v.shape, v.is_complex) for v in variables(path)] == [("scan/raw", (3, 6, 8), True)]
    for key in (None, "raw", "scan/raw", "/scan/raw"):
        np.testing.assert_allclose(scan(path, axes="coil k1 k0", key=key).samples[:, 0].numpy(), samples, rtol=1e-6)
    part = variables(path)[0].read((slice(1, 3),))
    np.testing.assert_array_equal(part, samples[1:3])


def test_variables_are_picked_by_name_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as f:
        f["first/k"], f["second/k"], f["scalar"] = noise(4, 4), noise(5, 5), 3.0
    found = variables(path)
    assert pick(found, "second/k", path).shape == (5, 5)
    for key, said in (("k", "'k' fits several arrays: "), ("third", "there is no variable 'third'; the file holds .*")):
        with pytest.raises(DataError, match=rf"{said}first/k \(4, 4\)"):
            pick(found, key, path)
    with pytest.raises(DataError, match=r"holds 2 arrays: .* -> .*: spinecho recon s\.h5 --key second/k"):
        pick(found, None, path)
    np.savez(tmp_path / "e.npz", a=np.zeros(3), b=np.zeros((0, 4)))
    with pytest.raises(DataError, match=r"no array of at least two axes inside; the file holds a \(3,\) float64"):
        pick(variables(tmp_path / "e.npz"), None, tmp_path / "e.npz")


def test_a_lone_complex_array_is_the_scan_among_real_ones(tmp_path: Path) -> None:
    savemat(tmp_path / "s.mat", {"mask": np.ones((6, 8)), "data": noise(6, 8), "fov": np.ones((40, 40)), "n": "text"})
    kspace = arrays.read(tmp_path / "s.mat", ReadOptions())
    assert isinstance(kspace, KSpace) and kspace.samples.shape == (1, 1, 6, 8)
    assert kspace.header.history[0] == "read data (6, 8) complex64 as k1 k0 (guessed)"


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
def test_every_bit_of_the_head_may_be_wrong(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    {
        "npy": lambda: np.save(path, noise(4, 6)),
        "npz": lambda: np.savez(path, a=noise(4, 6)),
        "h5": lambda: h5py.File(path, "w").create_dataset("a", data=noise(4, 6)).file.close(),
    }[suffix]()
    good, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for at in rng.integers(0, min(len(good), 700), 60):
        path.write_bytes(good[:at] + bytes([good[at] ^ (1 << int(rng.integers(8)))]) + good[at + 1 :])
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert error.found and error.file
    assert refused > 0


_USED = [i for i, name in enumerate(cfl_file.DIMS) if name in ("k0", "k1", "k2", "coil", *cfl.BATCH)]


@given(shape=st.lists(st.integers(1, 3), min_size=len(_USED), max_size=len(_USED)), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_pairs_of_any_dimensions_come_back(tmp_path_factory, shape: list[int], seed: int) -> None:
    full = [1] * 16
    for i, n in zip(_USED, shape, strict=True):
        full[i] = n
    full[cfl_file.DIMS.index("average")] = 1
    array = noise(*full, seed=seed)
    folder = tmp_path_factory.mktemp("a")
    cfl_file.save(folder / "s", array)
    assert cfl_file.sizes(folder / "s.hdr") == tuple(full)
    np.testing.assert_array_equal(cfl_file.mapped(folder / "s.hdr"), array)
    kspace = scan_of_pair(folder / "s.cfl")
    sizes = dict(zip(cfl_file.DIMS, full, strict=True))
    assert kspace.samples.shape == tuple(sizes[n] for n in (*kspace.axes, "coil", "k2", "k1", "k0"))
    cfl.write(kspace, folder / "again.cfl", WriteOptions())
    assert (folder / "again.cfl").read_bytes() == (folder / "s.cfl").read_bytes()


def scan_of_pair(path: Path, **options) -> KSpace:
    item = cfl.read(path, ReadOptions(**options))
    assert isinstance(item, KSpace)
    return item


def test_what_a_pair_may_not_say(tmp_path: Path) -> None:
    cfl_file.save(tmp_path / "s", noise(6, 5, 1, 2))
    for slices in ((0, 2), (1, 1)):
        with pytest.raises(DataError, match=rf"slices {slices[0]}:{slices[1]} were asked for, the file has 1"):
            scan_of_pair(tmp_path / "s.cfl", slices=slices)
    cfl_file.save(tmp_path / "t", noise(2, 6, 5))
    with pytest.raises(DataError, match=r"t\.cfl has 2 entries along dimension 0 -> give kx, ky, kz"):
        scan_of_pair(tmp_path / "s.cfl", traj=tmp_path / "t.cfl")
    with pytest.raises(DataError, match="key does not apply to cfl files"):
        scan_of_pair(tmp_path / "s.cfl", key="a")
    (tmp_path / "s.hdr").write_text("# Command\nfft\n# Dimensions\n6 5 1 2 " + "1 " * 13)
    with pytest.raises(DataError, match="give up to 16 numbers over 0"):
        scan_of_pair(tmp_path / "s.cfl")


@given(
    axes=st.sets(st.integers(0, 2)),
    exchanged=st.booleans(),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-9, 1.0, 1e9]),
)
@settings(max_examples=30, deadline=None)
def test_every_turn_of_a_picture_is_told_by_its_name(axes: set[int], exchanged: bool, seed: int, scale: float) -> None:
    series = np.random.default_rng(seed).random((4, 7, 7))
    turned = np.flip(series, tuple(axes))
    image = scale * (turned.swapaxes(1, 2) if exchanged else turned)
    if not axes and not exchanged:
        assert check_likeness(image, series).startswith("correlation with that series 1.00")
        return
    with pytest.raises(DataError, match="turn the array as the series lies") as error:
        check_likeness(image, series)
    said = str(error.value)
    assert ("rows and columns exchanged" in said) == exchanged
    swapped = {0: "slices", 1: "columns" if exchanged else "rows", 2: "rows" if exchanged else "columns"}
    back = {swapped[a] for a in axes} if exchanged else {("slices", "rows", "columns")[a] for a in axes}
    told = {word for word in ("slices", "rows", "columns") if f"{word} mirrored" in said}
    assert len(told) == len(axes) and (told == back or exchanged)


@pytest.mark.parametrize("separator", [" ", ",", "\t", ", "])
def test_an_affine_may_be_separated_in_any_usual_way(tmp_path: Path, separator: str) -> None:
    want = np.array([[0, -2.5, 0, 10], [1.5, 0, 0, -3], [0, 0, 4, 1e-3], [0, 0, 0, 1]])
    text = "\n".join(separator.join(f"{v:.17g}" for v in row) for row in want)
    (tmp_path / "a.txt").write_text("# made by hand\n" + text + "\n")
    np.testing.assert_array_equal(read_affine(tmp_path / "a.txt"), want)
    with pytest.raises(DataError, match=r"absent.txt: it is not an affine: .* -> write 4 lines of 4 numbers"):
        read_affine(tmp_path / "absent.txt")


def test_a_mask_of_two_phase_encodes_and_one_of_repetitions(tmp_path: Path) -> None:
    samples, rng = noise(2, 3, 5, 6, 8), np.random.default_rng(0)
    plane, frames = rng.random((5, 6)) < 0.5, rng.random((2, 6)) < 0.5
    np.save(tmp_path / "s.npy", samples)
    for mask, spread in ((plane, plane[None, None, ..., None]), (frames, frames[:, None, None, :, None])):
        np.save(tmp_path / "m.npy", mask)
        kspace = scan(tmp_path / "s.npy", axes="repetition coil k2 k1 k0", mask=tmp_path / "m.npy")
        np.testing.assert_array_equal(kspace.samples.numpy(), samples * spread)
        assert kspace.mask is not None and kspace.mask.shape[-1] == 1
        np.testing.assert_array_equal(*np.broadcast_arrays(kspace.mask.numpy(), spread))
