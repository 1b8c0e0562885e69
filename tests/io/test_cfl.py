"""BART's files: what bart writes we read alike, what we write bart reads alike."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.axes import picture_geometry
from spinecho.io.formats import arrays, cfl
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft


def noise(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def save(path: Path, array: np.ndarray) -> None:
    """As BART's documentation says: sizes as text, column-major complex64."""
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, array.shape)) + "\n# Command\nnothing\n")
    array.astype(np.complex64).ravel("F").tofile(path.with_suffix(".cfl"))


def scan(path: Path, **options) -> KSpace:
    item = cfl.read(path, ReadOptions(**options))
    assert isinstance(item, KSpace)
    return item


def test_all_dimensions_land_on_their_axes(tmp_path: Path) -> None:
    array = noise(6, 5, 4, 3, 1, 2, 1, 1, 1, 1, 7, 2, 1, 3, 1)
    save(tmp_path / "s", array)
    kspace = scan(tmp_path / "s.cfl")
    assert kspace.axes == ("slice", "time", "contrast", "repetition")
    assert kspace.samples.shape == (3, 7, 2, 2, 3, 4, 5, 6)
    assert complex(kspace.samples[2, 6, 1, 0, 1, 3, 4, 5]) == array[5, 4, 3, 1, 0, 1, 0, 0, 0, 0, 6, 0, 0, 2, 0]
    assert len(kspace.geometries) == 3 and not kspace.geometries[0].oriented
    assert cfl.slice_count(tmp_path / "s.hdr", ReadOptions()) == 3
    part = scan(tmp_path / "s.hdr", slices=(1, 3))
    assert torch.equal(part.samples, kspace.samples[1:]) and part.geometries[0].matches(kspace.geometries[1])
    cfl.write(kspace, tmp_path / "again.cfl", WriteOptions())
    assert torch.equal(scan(tmp_path / "again.cfl").samples, kspace.samples)
    assert (tmp_path / "again.cfl").read_bytes() == (tmp_path / "s.cfl").read_bytes()


def test_coil_images_masks_and_averages(tmp_path: Path) -> None:
    images = noise(6, 5, 1, 3)
    save(tmp_path / "i", images)
    kspace = scan(tmp_path / "i.cfl", domain="coil-images")
    np.testing.assert_allclose(ifft(kspace.samples)[:, 0].numpy(), images[:, :, 0].T, rtol=1e-4, atol=1e-6)
    other = scan(tmp_path / "i.cfl", domain="coil-images", readout="y")
    assert other.encoding.matrix == (1, 6, 5)
    shown = [k.image(root_sum_of_squares(ifft(k.samples))).as_stored().values for k in (kspace, other)]
    torch.testing.assert_close(shown[0], shown[1])
    save(tmp_path / "m", np.array([1, 0, 1, 0, 1])[None])
    masked = scan(tmp_path / "i.cfl", mask=tmp_path / "m.cfl")
    assert masked.mask is not None and masked.mask.shape == (1, 1, 5, 1) and not masked.samples[..., 1, :].any()
    save(tmp_path / "a", np.stack([images] * 3, -1).reshape(6, 5, 1, 3, *(1,) * 10, 3))
    assert scan(tmp_path / "a.cfl").axes == ()
    torch.testing.assert_close(scan(tmp_path / "a.cfl").samples, scan(tmp_path / "i.cfl").samples)
    save(tmp_path / "m", np.ones((1, 4)))
    with pytest.raises(DataError, match=r"mask has dimensions \(1, 4"):
        scan(tmp_path / "i.cfl", mask=tmp_path / "m.cfl")


def test_non_cartesian(tmp_path: Path) -> None:
    angle = np.pi * np.arange(5) / 5
    radius = np.arange(16) - 8.0
    points = np.stack([radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle), np.zeros((16, 5))])
    save(tmp_path / "t", points)
    samples = noise(1, 16, 5, 3)
    save(tmp_path / "s", samples)
    kspace = scan(tmp_path / "s.cfl", traj=tmp_path / "t.cfl")
    assert kspace.traj is not None and kspace.traj.shape == (1, 5, 16, 3) and kspace.encoding.matrix == (1, 16, 16)
    np.testing.assert_allclose(kspace.traj[0].numpy(), points.transpose(2, 1, 0), atol=1e-6)
    np.testing.assert_array_equal(kspace.samples[:, 0].numpy(), samples[0].transpose(2, 1, 0))
    cfl.write(kspace, tmp_path / "o.cfl", WriteOptions())
    assert (tmp_path / "o_traj.cfl").read_bytes() == (tmp_path / "t.cfl").read_bytes()
    assert (tmp_path / "o.cfl").read_bytes() == (tmp_path / "s.cfl").read_bytes()
    save(tmp_path / "t", points[:, :9])
    with pytest.raises(DataError, match=r"\(1, 16, 5\).*\(9, 5\)"):
        scan(tmp_path / "s.cfl", traj=tmp_path / "t.cfl")


def test_pictures_keep_standing_through_cfl(tmp_path: Path) -> None:
    values = torch.from_numpy(np.abs(noise(1, 1, 6, 5)))
    for transposed in (False, True):
        image = Image(values=values, geometries=picture_geometry((1, 6, 5), transposed=transposed))
        cfl.write(image, tmp_path / "i.cfl", WriteOptions())
        again = cfl.read(tmp_path / "i.cfl", ReadOptions(axes="z y x"))
        assert isinstance(again, Image) and torch.equal(again.as_stored().values, image.as_stored().values)
        rows = cfl.cfl_file.mapped(tmp_path / "i.cfl")[:, :, 0, 0, *(0,) * 12]
        np.testing.assert_array_equal(rows.real, image.as_stored().values[0, 0])
        arrays.write(again, tmp_path / "i.npy", WriteOptions())
        np.testing.assert_array_equal(np.load(tmp_path / "i.npy"), image.as_stored().values[0, 0])


@pytest.mark.parametrize(
    ("text", "n_bytes", "said"),
    [
        ("# Dimensions\n4 4 1 2\n", 255, "has 255 bytes, s.hdr declares 256"),
        ("# Dimensions\n4 -4\n", 256, "'4 -4'"),
        ("# Dimensions\nfour\n", 256, "'four'"),
        ("# Dimensions\n", 256, "up to 16 numbers"),
        ("# Dimensions\n4 4 1 1 1 1 2\n", 256, r"dimension 6 \(coeff\) has 2 entries.*bart slice 6 0"),
        ("# Dimensions\n4 2 1 1 4\n", 256, r"dimension 4 \(map\)"),
    ],
)
def test_pairs_that_disagree(tmp_path: Path, text: str, n_bytes: int, said: str) -> None:
    (tmp_path / "s.hdr").write_text(text)
    (tmp_path / "s.cfl").write_bytes(bytes(n_bytes))
    with pytest.raises(DataError, match=said):
        scan(tmp_path / "s.cfl")


def test_one_of_the_pair_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "s", noise(4, 4))
    with pytest.raises(DataError, match="fixed meanings"):
        scan(tmp_path / "s.cfl", axes="coil k1 k0")
    (tmp_path / "s.cfl").unlink()
    with pytest.raises(DataError, match=r"s.cfl is missing beside s.hdr"):
        scan(tmp_path / "s.hdr")


def bart(folder: Path, *words: str) -> None:
    program = shutil.which("bart")
    if program is None:
        pytest.skip("bart is not installed")
    subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.peer
@pytest.mark.parametrize("n", [32, 33])
def test_barts_fft_is_ours(tmp_path: Path, n: int) -> None:
    bart(tmp_path, "phantom", "-G", "-s", "3", "-k", "-x", str(n), "k")
    bart(tmp_path, "fft", "-iu", "7", "k", "i")
    kspace = scan(tmp_path / "k.cfl")
    assert kspace.samples.shape == (3, 1, n, n) and kspace.mask is not None and kspace.mask.all()
    images = cfl.read(tmp_path / "i.cfl", ReadOptions(axes="z y x"))
    assert isinstance(images, Image)
    torch.testing.assert_close(
        ifft(kspace.samples), images.values, rtol=1e-4, atol=1e-5 * float(images.values.abs().max())
    )


@pytest.mark.peer
def test_pictures_stand_as_barts_do(tmp_path: Path) -> None:
    import matplotlib.image

    bart(tmp_path, "phantom", "-G", "-x", "64", "p")
    bart(tmp_path, "toimg", "p", "p.png")
    image = cfl.read(tmp_path / "p.cfl", ReadOptions(axes="z y x"))
    assert isinstance(image, Image)
    theirs = matplotlib.image.imread(tmp_path / "p.png")
    theirs = theirs[..., 0] if theirs.ndim == 3 else theirs
    ours = image.as_stored().magnitude().values[0, 0].numpy()
    np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), atol=0.02)


@pytest.mark.peer
def test_bart_reads_what_we_write(tmp_path: Path) -> None:
    bart(tmp_path, "traj", "-r", "-x", "32", "-y", "9", "t")
    bart(tmp_path, "phantom", "-k", "-t", "t", "s")
    kspace = scan(tmp_path / "s.cfl", traj=tmp_path / "t.cfl")
    assert kspace.traj is not None and kspace.encoding.matrix == (1, 32, 32)
    assert kspace.encoding.trajectory == "radial"
    cfl.write(kspace, tmp_path / "o.cfl", WriteOptions())
    bart(tmp_path, "nrmse", "-t", "1e-6", "s", "o")
    bart(tmp_path, "nrmse", "-t", "1e-6", "t", "o_traj")
