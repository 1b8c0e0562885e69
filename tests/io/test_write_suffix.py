"""The longest suffix names the format: scan.mrd.h5 is MRD, scan.h5 is spinecho's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinecho.core.errors import DataError
from spinecho.io.array import own as array_own
from spinecho.io.options import ReadOptions
from spinecho.io.read import find_format, read
from spinecho.io.write import write


@pytest.mark.parametrize(
    ("name", "wanted"), [("o.h5", "arrays"), ("o.mrd.h5", "mrd"), ("o.mrd", "mrd"), ("o.cfl", "cfl")]
)
def test_the_longest_suffix_wins(tmp_path: Path, name: str, wanted: str) -> None:
    np.save(tmp_path / "s.npy", np.ones((3, 8, 8), np.complex64))
    write(read(tmp_path / "s.npy", ReadOptions(axes="coil k1 k0")), tmp_path / name)
    assert find_format(tmp_path / name).__name__.endswith("." + wanted)
    assert array_own.is_own(tmp_path / name) == (wanted == "arrays")


def test_a_suffix_of_two_parts_is_named_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones((3, 8, 8), np.complex64))
    with pytest.raises(DataError, match=r"no writer for kspace files called '\.nii\.gz'"):
        write(read(tmp_path / "s.npy", ReadOptions(axes="coil k1 k0")), tmp_path / "o.nii.gz")


@pytest.mark.parametrize(("name", "wanted"), [("o.nii.gz", "NIfTI"), ("o.mgz", "MGH"), ("o.npy", "array")])
def test_an_image_names_its_format(tmp_path: Path, name: str, wanted: str) -> None:
    np.save(tmp_path / "s.npy", np.ones((5, 8, 8), np.float32))
    write(read(tmp_path / "s.npy", ReadOptions(axes="z y x")), tmp_path / name)
    assert read(tmp_path / name, ReadOptions(axes="z y x") if wanted == "array" else None).header.file_format == wanted
