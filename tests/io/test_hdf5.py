"""HDF5 that declares too much, is broken, or is sound."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from spinecho.core.errors import DataError
from spinecho.io import limits
from spinecho.io.hdf5 import as_complex, check_members, dataset, open_h5, read_dataset


def test_a_small_file_that_declares_terabytes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (400_000, 400_000), "c8", chunks=(100, 100))
    assert (tmp_path / "a.h5").stat().st_size < 10_000
    with open_h5(tmp_path / "a.h5") as file, pytest.raises(DataError, match=r"would expand to 1\.28 TB"):
        read_dataset(file["x"])


def test_a_gzip_bomb(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (160, 1 << 20), "u1", chunks=(1, 1 << 20), compression="gzip", fillvalue=0)
        for i in range(160):
            file["x"][i] = 0
    with open_h5(tmp_path / "a.h5") as file, pytest.raises(DataError, match="would expand"):
        read_dataset(file["x"])


def test_more_than_memory_is_refused_unless_a_part_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 1 << 20)
    monkeypatch.setattr(limits, "HARMLESS", 1 << 10)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(1 << 18).reshape(1 << 8, 1 << 10)
    with open_h5(tmp_path / "a.h5") as file:
        with pytest.raises(DataError, match="of memory"):
            read_dataset(file["x"])
        assert read_dataset(file["x"], (slice(3, 5),))[1, 2] == 4 * 1024 + 2


def test_damage_under_a_checksum(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.full(1000, 7, np.uint8), chunks=(1000,), fletcher32=True)
    content = (tmp_path / "a.h5").read_bytes()
    at = content.index(b"\7" * 1000) + 500
    (tmp_path / "a.h5").write_bytes(content[:at] + b"\0" + content[at + 1 :])
    with open_h5(tmp_path / "a.h5") as file, pytest.raises(DataError, match="/x cannot be read"):
        read_dataset(file["x"])


def test_members_that_overlap_would_overrun_a_buffer():
    check_members(np.dtype([("a", "<f4", (3,)), ("b", [("c", "<u2")])]), "x")
    overlapping = np.dtype({"names": ["a", "b"], "formats": ["<f8", "<f4"], "offsets": [0, 4], "itemsize": 12})
    for damaged in (overlapping, np.dtype([("head", overlapping), ("data", "<f4")])):
        with pytest.raises(DataError, match="the type of x is damaged at its member 'b'"):
            check_members(damaged, "x")


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_hdf5(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.h5: the HDF5 file cannot be read"), open_h5(tmp_path / "a.h5"):
        pass


def test_missing_datasets_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["b/c"] = 1
    with open_h5(tmp_path / "a.h5") as file, pytest.raises(DataError, match=r"no dataset 'x' in /.*it holds b"):
        dataset(file, "x")


def test_pairs_are_complex():
    pairs = np.array([(1, 2), (3, 4)], [("real", ">f4"), ("imag", ">f4")])
    assert as_complex(pairs).tolist() == [1 + 2j, 3 + 4j] and as_complex(pairs).dtype == np.complex64
    other = np.array([(1, 2)], [("red", "u1"), ("intensity", "u1")])
    assert as_complex(other) is other
