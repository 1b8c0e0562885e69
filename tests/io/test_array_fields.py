"""Arrays inside structs, groups and archives: found, named by --key a.b, and told where they cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io.array.file import variables
from spinecho.io.options import ReadOptions
from spinecho.io.read import read

K = (np.random.default_rng(0).standard_normal((16, 12, 4)) + 1j).astype(np.complex64)
Maker = Callable[[Path, dict[str, Any]], Path]


def v5(folder: Path, content: dict[str, Any]) -> Path:
    savemat(folder / "v5.mat", content)
    return folder / "v5.mat"


def v7(folder: Path, content: dict[str, Any]) -> Path:
    savemat(folder / "v7.mat", content, do_compression=True)
    return folder / "v7.mat"


def v73(folder: Path, content: dict[str, Any]) -> Path:
    """As MATLAB does: structs are groups, axes in reverse, complex values are pairs."""
    with h5py.File(folder / "v73.mat", "w", userblock_size=512) as file:
        _fill(file, content)
    with (folder / "v73.mat").open("r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    return folder / "v73.mat"


def _fill(group: h5py.Group, content: dict[str, Any]) -> None:
    for name, value in content.items():
        if isinstance(value, dict):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            _fill(inner, value)
            continue
        array = np.atleast_2d(value).T
        if array.dtype.kind == "c":
            array = np.ascontiguousarray(array).view([("real", np.float32), ("imag", np.float32)])
        group[name] = array
        group[name].attrs["MATLAB_class"] = np.bytes_("single")


def groups(folder: Path, content: dict[str, Any]) -> Path:
    def fill(group: h5py.Group, inner: dict[str, Any]) -> None:
        for name, value in inner.items():
            fill(group.create_group(name), value) if isinstance(value, dict) else group.create_dataset(name, data=value)

    with h5py.File(folder / "a.h5", "w") as file:
        fill(file, content)
    return folder / "a.h5"


def archive(folder: Path, content: dict[str, Any]) -> Path:
    def flat(inner: dict[str, Any], before: str = "") -> dict[str, Any]:
        found = {}
        for name, value in inner.items():
            found |= flat(value, f"{before}{name}/") if isinstance(value, dict) else {before + name: value}
        return found

    np.savez(folder / "a.npz", **flat(content))
    return folder / "a.npz"


MAKERS: tuple[Maker, ...] = (v5, v7, v73, groups, archive)


def scan(path: Path, key: str | None = None) -> KSpace:
    item = read(path, ReadOptions(axes="k0 k1 coil", key=key))
    assert isinstance(item, KSpace)
    return item


@pytest.mark.parametrize("maker", MAKERS)
def test_a_field_by_its_name(tmp_path: Path, maker: Maker) -> None:
    content = {"data": {"kspace": K, "TE": 3.0, "deep": {"er": {"kspace": 2 * K}}}, "noise": 3 * K[:, :, 0]}
    path = maker(tmp_path, content)
    for key, factor in (("data.kspace", 1), ("data/kspace", 1), ("data.deep.er.kspace", 2), ("er.kspace", 2)):
        np.testing.assert_array_equal(scan(path, key).samples[:, 0], factor * K.transpose(2, 1, 0))
    with pytest.raises(DataError, match=r"'kspace' fits several arrays: data.*deep.er.kspace .*key='data.kspace'$"):
        scan(path, "kspace")
    with pytest.raises(DataError, match=r"holds 3 arrays: .*data.kspace \(16, 12, 4\) complex.*--key data.kspace$"):
        scan(path)
    with pytest.raises(DataError, match=r"no variable 'ksapce'"):
        scan(path, "ksapce")


@pytest.mark.parametrize("maker", MAKERS)
def test_the_only_field_that_fits(tmp_path: Path, maker: Maker) -> None:
    path = maker(tmp_path, {"data": {"kspace": K, "TE": 3.0, "positions": np.ones((4, 3), np.float32)}})
    got = scan(path)
    np.testing.assert_array_equal(got.samples[:, 0], K.transpose(2, 1, 0))
    assert any("kspace (16, 12, 4) complex" in step for step in got.header.history)
    for key, found in (("data", "'data' is no array but holds some"), ("absent.kspace", "no variable 'absent.kspace'")):
        with pytest.raises(DataError, match=found) as error:
            scan(path, key)
        assert (
            "key='data.kspace'" in error.value.do.replace("/", ".")
            and "kspace (16, 12, 4) complex" in error.value.found
        )


@pytest.mark.parametrize("maker", [v5, v7])
def test_struct_arrays_and_cells_are_told(tmp_path: Path, maker: Maker) -> None:
    many = np.zeros((1, 3), [("kspace", object)])
    for i in range(3):
        many[0, i]["kspace"] = K
    cells = np.empty((1, 2), object)
    cells[0, :] = [K, K]
    path = maker(tmp_path, {"many": many, "cells": cells, "s": {"cells": cells, "many": many, "name": "heart"}})
    for key, said in (("many.kspace", "struct array"), ("s.many", "struct array"), ("cells", "cell array")):
        with pytest.raises(DataError, match=rf"is a {said} of shape \(1, [23]\)") as error:
            scan(path, key)
        assert "in MATLAB" in error.value.do
    with pytest.raises(DataError, match=r"no array .*many: a struct array of shape \(1, 3\)") as error:
        scan(path)
    assert "many(1)" in error.value.do or "cells{1}" in error.value.do


def test_struct_arrays_in_v73(tmp_path: Path) -> None:
    path = v73(tmp_path, {"many": {}, "one": {"kspace": K}})
    with h5py.File(path, "r+") as file:
        file["#refs#/a"] = np.ones((2, 2))
        reference = np.array([[file["#refs#/a"].ref] * 3], h5py.ref_dtype)
        file["many"].create_dataset("kspace", data=reference)
        file.create_dataset("cells", data=reference).attrs["MATLAB_class"] = np.bytes_("cell")
    assert scan(path).samples.shape == (4, 1, 12, 16)
    for key, said in (("many.kspace", "struct array"), ("cells", "cell array")):
        with pytest.raises(DataError, match=f"is a {said}"):
            scan(path, key)


def test_objects_in_an_archive_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.array({"kspace": K}, object), te=np.ones(3))
    with pytest.raises(DataError, match="data: Python objects"):
        scan(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"Python objects \(a pickle\)"):
        scan(tmp_path / "a.npz", "data.kspace")


def test_long_lists_are_cut(tmp_path: Path) -> None:
    path = v5(tmp_path, {"hdr": {f"f{i}": np.ones((2, 2)) for i in range(40)}, "a": {"x": K, "y": K[:8]}})
    with pytest.raises(DataError) as error:
        scan(path)
    assert "a.x" in error.value.found and "a.y" in error.value.found and "hdr" not in error.value.found
    with pytest.raises(DataError) as error:
        scan(path, "z")
    assert "a.x (16, 12, 4)" in error.value.found and "34 others" in error.value.found


def test_a_trajectory_in_the_same_struct(tmp_path: Path) -> None:
    radius, angle = np.arange(16) - 8.0, np.pi * np.arange(12) / 12
    path = v5(tmp_path, {"d": {"rawdata": K, "traj": radius[:, None] * np.exp(1j * angle)}})
    assert scan(path).traj is not None


def test_a_struct_may_not_claim_more_than_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = v7(tmp_path, {"data": {"kspace": np.zeros((2000, 2000)), "b": K}})
    monkeypatch.setattr("spinecho.io.limits.HARMLESS", 10**6)
    with pytest.raises(DataError, match="would expand to"):
        variables(path)


@pytest.mark.parametrize("maker", [v5, v73])
def test_from_the_command_line(tmp_path: Path, maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    path = maker(tmp_path, {"data": {"kspace": K, "calib": K[:8]}})
    words = ["--axes", "k0 k1 coil", "-o", str(tmp_path / "o.npy")]
    assert main(["recon", str(path), *words]) == 2
    assert "--key data.kspace" in capsys.readouterr().err.replace("data/", "data.")
    assert main(["recon", str(path), "--key", "data.kspace", *words]) == 0
    assert np.load(tmp_path / "o.npy").shape == (16, 12)
