"""Every reader meets absent files, pointers and BART's bare names at one door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.io import cfl_file
from spinecho.io.dicom.files import series_headers
from spinecho.io.options import ReadOptions
from spinecho.io.points import read_points
from spinecho.io.read import read, slice_count
from spinecho.io.transform.files import read_transform

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 31457280\n"
SUFFIXES = ("h5", "mrd", "nii", "nii.gz", "mgz", "dat", "npy", "npz", "mat", "dcm", "cfl", "hdr", "png", "")


def save(base: Path, shape: tuple[int, ...] = (16, 12, 1, 2)) -> None:
    values = np.random.default_rng(0).standard_normal(shape) + 1j
    cfl_file.save(base, values.reshape(*shape, *(1,) * (16 - len(shape))))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("text", [LFS, "/annex/objects/MD5E-s31457280--00.h5\n"])
def test_pointers_in_every_format(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"scan.{suffix}"
    path.write_text(text)
    for reader in (read, slice_count, read_transform, load_state, read_points):
        with pytest.raises(DataError, match=r"pointer of Git LFS|content is in git-annex"):
            reader(path)


def test_pointers_beside_and_within(tmp_path: Path) -> None:
    save(tmp_path / "k")
    (tmp_path / "k.cfl").write_text(LFS)
    with pytest.raises(DataError, match="pointer of Git LFS"):
        read(tmp_path / "k.hdr")
    (tmp_path / "p.npy").write_text(LFS)
    np.save(tmp_path / "k.npy", np.ones((4, 4), np.complex64))
    for option in ("mask", "traj"):
        with pytest.raises(DataError, match=r"p\.npy: .*pointer of Git LFS"):
            read(tmp_path / "k.npy", ReadOptions(axes="k1 k0", **{option: tmp_path / "p.npy"}))
    for name in ("series/a.dcm", "series/0001", "series/1.2.840.3"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(LFS)
        for reader in (read, series_headers):
            with pytest.raises(DataError, match="pointer of Git LFS"):
                reader(tmp_path / "series")
        path.unlink()


def _recon(path: Path, out: Path) -> list[str]:
    return ["recon", str(path), "-o", str(out / "o.npy")]


def _info(path: Path, out: Path) -> list[str]:
    return ["info", str(path)]


def _convert(path: Path, out: Path) -> list[str]:
    return ["convert", str(path), str(out / "o.h5")]


def _evaluate(path: Path, out: Path) -> list[str]:
    words = ["--methods", "zero_filled", "--accel", "2", "--centre", "4", "--seeds", "1"]
    return ["evaluate", "--data", str(path), *words, "--report", str(out / "r.html")]


@pytest.mark.parametrize("command", [_recon, _info, _convert])
@pytest.mark.parametrize("name", ["ksp", "ksp.", "ksp.hdr", "ksp.cfl", "a.b", "a.b.", "a.b.cfl", "a.b.hdr"])
def test_barts_names(tmp_path: Path, name: str, command: Callable[[Path, Path], list[str]]) -> None:
    save(tmp_path / "ksp")
    for suffix in ("cfl", "hdr"):
        (tmp_path / f"a.b.{suffix}").write_bytes((tmp_path / f"ksp.{suffix}").read_bytes())
    assert main(command(tmp_path / name, tmp_path)) == 0


def test_barts_names_of_masks_and_trajectories(tmp_path: Path) -> None:
    save(tmp_path / "ksp")
    save(tmp_path / "pattern", (1, 12))
    assert read(tmp_path / "ksp", ReadOptions(mask=tmp_path / "pattern"))
    save(tmp_path / "rad", (1, 16, 12))
    save(tmp_path / "traj", (3, 16, 12))
    assert read(tmp_path / "rad", ReadOptions(traj=tmp_path / "traj"))


@pytest.mark.parametrize("command", [_recon, _info, _convert, _evaluate])
def test_a_bare_name_of_nothing_says_what_is_near(
    tmp_path: Path, command: Callable[[Path, Path], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "ksp2")
    assert main(command(tmp_path / "ksp", tmp_path)) == 2
    assert "near it lie ksp2.cfl, ksp2.hdr" in capsys.readouterr().err
    (tmp_path / "ksp2.cfl").unlink()
    assert main(command(tmp_path / "ksp2", tmp_path)) == 2
    assert "ksp2.cfl is missing beside ksp2.hdr" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["ksp", "ksp.hdr", "ksp.cfl"])
@pytest.mark.parametrize("target", ["ksp.cfl", "ksp.hdr"])
@pytest.mark.parametrize("command", ["recon", "convert"])
def test_the_pair_is_not_written_over_itself(tmp_path: Path, command: str, source: str, target: str) -> None:
    save(tmp_path / "ksp")
    before = (tmp_path / "ksp.cfl").read_bytes()
    words = [str(tmp_path / source), *(["-o"] if command == "recon" else []), str(tmp_path / target)]
    assert main([command, *words]) == 2
    assert (tmp_path / "ksp.cfl").read_bytes() == before


@pytest.mark.parametrize("command", ["register", "change"])
def test_two_images_are_compared_by_bare_name(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        save(tmp_path / name)
    assert main([command, str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "o.nii")]) == 2
    assert "it holds k-space" in capsys.readouterr().err
    assert main([command, str(tmp_path / "a"), str(tmp_path / "a.hdr"), "-o", str(tmp_path / "o.nii")]) == 2
    assert "are the same file" in capsys.readouterr().err


def test_a_folder_without_a_series_is_not_taken_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="it is a folder without a DICOM series -> name one file in it"):
        read(tmp_path)
