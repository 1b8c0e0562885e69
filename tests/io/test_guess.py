"""The axes that an error suggests: tried by running them, on arrays as people store them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from mrd_files import to_kspace
from scipy.io import savemat

from spinecho.cli import main
from spinecho.io.guess import guesses


def objects(n_slices: int, n_coils: int, rows: int, columns: int) -> np.ndarray:
    """Coil images (slice, coil, row, column) of boxes: no two slices, no two coils, rows and columns alike."""
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    images = np.zeros((n_slices, n_coils, rows, columns), np.complex64)
    for s in range(n_slices):
        box = (abs(y + 0.2) < 0.55 - 0.04 * (s % 7)) & (abs(x - 0.1) < 0.4) | (abs(y - 0.6) < 0.1) & (
            abs(x + 0.3) < 0.3
        )
        for c in range(n_coils):
            angle = 2 * np.pi * c / n_coils
            images[s, c] = box * np.exp(-((y - np.cos(angle)) ** 2) - (x - np.sin(angle)) ** 2 + 1j * angle)
    return images


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path / "s.npy", array)
    return path / "s.npy"


def mat(path: Path, array: np.ndarray) -> Path:
    savemat(path / "s.mat", {"data": array})
    return path / "s.mat"


def fastmri(path: Path, array: np.ndarray) -> Path:
    with h5py.File(path / "s.h5", "w") as file:
        file["kspace"] = array
    return path / "s.h5"


def suggested(path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The axes of the error's commands, in its order; it must call them a guess."""
    assert main(["recon", str(path), "-o", str(path.parent / "x.npy"), *words]) == 2
    said = capsys.readouterr().err
    assert "guess" in said
    return re.findall(r'--axes "([a-z0-9 ]+)"', said)


SCANS = {
    "fastMRI, few slices": (fastmri, (3, 8, 64, 48), "slice coil rows columns"),
    "fastMRI, many slices": (fastmri, (12, 4, 64, 48), "slice coil rows columns"),
    "fastMRI, as many": (fastmri, (4, 4, 64, 48), "slice coil rows columns"),
    "fastMRI, tall": (fastmri, (5, 15, 96, 40), "slice coil rows columns"),
    "fastMRI, one coil": (fastmri, (35, 1, 64, 48), "slice rows columns"),
    "sigpy": (npy, (1, 8, 64, 48), "coil rows columns"),
    "sigpy, many coils": (npy, (1, 32, 64, 48), "coil rows columns"),
    "numpy, slices": (npy, (10, 8, 48, 64), "slice coil rows columns"),
    "numpy, few slices": (npy, (3, 16, 64, 48), "slice coil rows columns"),
    "MATLAB": (mat, (1, 8, 64, 48), "rows columns coil"),
    "MATLAB, slices": (mat, (5, 8, 64, 48), "rows columns coil slice"),
    "MATLAB, many slices": (mat, (30, 8, 64, 48), "rows columns coil slice"),
    "MATLAB, slices before coils": (mat, (50, 8, 64, 56), "rows columns slice coil"),
    "BART's order": (npy, (1, 8, 64, 48), "rows columns one coil"),
    "Siemens' order": (mat, (5, 16, 64, 48), "rows coil columns slice"),
}


def stored(array: np.ndarray, order: str) -> np.ndarray:
    """From (slice, coil, rows, columns), with axes of length 1 where the order names them."""
    names = ["slice", "coil", "rows", "columns"]
    wanted = [n for n in order.split() if n in names]
    kept = array.transpose([*(i for i, n in enumerate(names) if n not in wanted), *(names.index(n) for n in wanted)])
    kept = kept.reshape(kept.shape[-len(wanted) :])
    return np.expand_dims(kept, order.split().index("one")) if "one" in order else kept


@pytest.mark.parametrize("name", SCANS)
def test_the_first_guess_gives_the_image(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    maker, sizes, order = SCANS[name]
    images = objects(*sizes)
    path = maker(tmp_path, stored(to_kspace(images, (-2, -1)), order))
    axes = suggested(path, capsys)
    command = ["recon", str(path), "--method", "zero_filled", "-o", str(tmp_path / "o.npy"), "--axes"]
    for other in axes[1:]:
        assert main([*command, other]) == 0, "an alternative must be possible"
    assert main([*command, axes[0]]) == 0
    wanted = np.sqrt((abs(images) ** 2).sum(1))
    got = np.load(tmp_path / "o.npy").squeeze()
    if order.split()[-1] == "slice":
        got = np.moveaxis(got, -1, 0)
    elif "columns slice" in order:
        got = np.moveaxis(got, 2, 0)
    assert got.shape == wanted.squeeze().shape
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("maker", [npy, mat, fastmri])
@pytest.mark.parametrize("along", [-1, -2])
def test_lines_left_out_tell_the_phase_encode(
    tmp_path: Path, maker: Callable[..., Path], along: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kspace = to_kspace(objects(3, 8, 64, 48), (-2, -1))
    lines = np.moveaxis(kspace, along, 0)
    lines[1::2] = 0
    array = kspace.transpose(2, 3, 1, 0) if maker is mat else kspace
    path = maker(tmp_path, array)
    first = suggested(path, capsys)[0].split()
    assert first.index("k1") == {-1: array.shape.index(48), -2: array.shape.index(64)}[along]
    assert main(["recon", str(path), "--axes", " ".join(first), "-o", str(tmp_path / "o.npy")]) == 0
    assert "fully sampled" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("maker", "order"), [(npy, "coil rows columns"), (mat, "rows columns coil"), (npy, "slice coil rows columns")]
)
def test_coil_images(
    tmp_path: Path, maker: Callable[..., Path], order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = objects(5 if "slice" in order else 1, 8, 64, 48)
    path = maker(tmp_path, stored(images, order))
    axes = suggested(path, capsys, "--domain", "coil-images")[0]
    assert axes == order.replace("rows columns", "y x")
    assert main(["recon", str(path), "--axes", axes, "--domain", "coil-images", "-o", str(tmp_path / "o.npy")]) == 0


@pytest.mark.parametrize(
    ("maker", "order"), [(npy, "slice rows columns"), (mat, "rows columns slice"), (npy, "rows columns slice")]
)
def test_images(tmp_path: Path, maker: Callable[..., Path], order: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = maker(tmp_path, stored(abs(objects(5, 1, 64, 48)), order))
    assert main(["convert", str(path), str(tmp_path / "o.nii")]) == 2
    axes = re.findall(r'--axes "([a-z ]+)"', capsys.readouterr().err)[0]
    assert axes == order.replace("rows columns", "y x")
    assert main(["convert", str(path), str(tmp_path / "o.nii"), "--axes", axes]) == 0


@pytest.mark.parametrize("kind", ["radial", "spiral"])
@pytest.mark.parametrize("order", ["coil k1 k0", "k0 k1 coil", "coil k0 k1", "k1 k0 coil"])
def test_a_trajectory_tells_its_readout(
    tmp_path: Path, kind: str, order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    t, arm = (np.arange(64) - 32) / 64, np.pi * np.arange(40) / 40
    if kind == "spiral":
        t, arm = np.arange(64) / 128, 2 * arm
    points = 64 * t * np.exp(1j * (arm[:, None] + (20 * t if kind == "spiral" else 0)))  # (k1, k0)
    names = order.split()
    samples = np.ones((8, 40, 64), np.complex64).transpose([("coil", "k1", "k0").index(n) for n in names])
    np.save(tmp_path / "s.npy", samples)
    np.save(tmp_path / "t.npy", points if names.index("k1") < names.index("k0") else points.T)
    assert suggested(tmp_path / "s.npy", capsys, "--traj", str(tmp_path / "t.npy"))[0] == order


def test_names_given_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "s.npy", np.ones((8, 64, 60), np.complex64))
    for given, wanted in (("k0 k1", "coil k0 k1"), ("k1 k0", "coil k1 k0"), ("y x", "coil y x"), ("slice", "slice k")):
        assert main(["recon", str(tmp_path / "s.npy"), "--axes", given, "-o", str(tmp_path / "o.npy")]) == 2
        said = capsys.readouterr().err
        assert f'--axes "{wanted}' in said or (given == "slice" and "neither" in said)


def test_guesses_say_why() -> None:
    first, *others = guesses((3, 8, 64, 48), named="kspace", plain_hdf5=True)
    assert first.axes == "slice coil k0 k1" and "fastMRI" in first.why
    assert "coil slice k1 k0" in [g.axes for g in others] and all(g.why for g in others)
    assert len({g.axes for g in (first, *others)}) == 1 + len(others) <= 3
