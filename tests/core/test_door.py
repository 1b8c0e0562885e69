"""A name where nothing lies says what is near; a pointer in place of the data is called one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spinecho.core.door import check_present
from spinecho.core.errors import DataError

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 31457280\n"
ANNEX = "/annex/objects/SHA256E-s31457280--" + "0" * 64 + ".h5\n"


def test_what_is_there_passes(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"version 2 of something else")
    (tmp_path / "b.h5").symlink_to(tmp_path / "a.h5")
    for name in ("a.h5", "b.h5", "."):
        check_present(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("scan", "scan.h5"),
        ("scan.hdf5", "scan.h5"),
        ("Scan.h5", "scan.h5"),
        ("scna.h5", "scan.h5"),
        ("scan_2.npz", "scan_2.npy"),
    ],
)
def test_what_is_near(tmp_path: Path, name: str, near: str) -> None:
    for other in ("scan.h5", "scan_2.npy", "unlike.txt", ".scan.h5"):
        (tmp_path / other).touch()
    with pytest.raises(DataError, match="there is no such file") as error:
        check_present(tmp_path / name)
    assert near in error.value.do and "unlike" not in error.value.do and ".scan" not in error.value.do


def test_nothing_is_near(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file -> check the path$"):
        check_present(tmp_path / "scan.h5")
    with pytest.raises(DataError, match=r"there is no folder .*away"):
        check_present(tmp_path / "away" / "scan.h5")


@pytest.mark.parametrize("suffix", ["h5", "nii.gz", "dat", "npy", "mat", "dcm", "safetensors", "cfl", "unknown"])
def test_pointers_of_git_lfs(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_text(LFS)
    with pytest.raises(DataError, match=r"pointer of Git LFS.*31.5 MB.*git lfs pull --include 'a\.") as error:
        check_present(tmp_path / f"a.{suffix}")
    assert error.value.file.endswith(suffix)


def test_pointers_of_git_annex(tmp_path: Path) -> None:
    target = Path(".git/annex/objects/3Q/xZ/SHA256E-s31457280--00.h5/SHA256E-s31457280--00.h5")
    (tmp_path / "locked.h5").symlink_to(target)
    (tmp_path / "unlocked.h5").write_text(ANNEX)
    for name in ("locked.h5", "unlocked.h5"):
        with pytest.raises(DataError, match=rf"git-annex.*git annex get '{name}'"):
            check_present(tmp_path / name)
    (tmp_path / "link.h5").symlink_to("elsewhere.h5")
    with pytest.raises(DataError, match=r"a link to elsewhere\.h5, which does not exist"):
        check_present(tmp_path / "link.h5")
    (tmp_path / target).parent.mkdir(parents=True)
    (tmp_path / target).write_bytes(b"content")
    check_present(tmp_path / "locked.h5")
