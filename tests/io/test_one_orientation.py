"""The image of a scan along a trajectory lies as that of a Cartesian scan of the same object, in every format."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mrd_files import grid_lines, header, line, save

from spinecho.cli import main
from spinecho.core.kspace import KSpace
from spinecho.io import cfl_file
from spinecho.io.array.traj import covered
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.io.write import write

BLOBS = ((1.0, (9, 0, 0), 4.0), (0.8, (-6, 7, 3), 2.5), (0.5, (2, -10, -4), 2.0))
"""height, centre (x, y, z) and width, in pixels: no mirror and no turn leaves them in place"""
SIZES = {"square": (48, 48, 1), "rectangular": (56, 36, 1), "flat": (40, 56, 1), "3-D": (40, 32, 16)}


def signal(points: np.ndarray, sizes: tuple[int, int, int]) -> np.ndarray:
    """Samples of the blobs at points (..., 3) = (kx, ky, kz), cycles per field of view, in two coils."""
    k = points / np.array(sizes)
    coils = []
    for lean in (0.02, -0.03):
        total = np.zeros(points.shape[:-1], complex)
        for height, centre, width in BLOBS:
            at = np.array(centre) * [1, 1, sizes[2] > 1]
            size = width ** (3 if sizes[2] > 1 else 2)
            bell = np.exp(-2 * (np.pi * width) ** 2 * (k**2).sum(-1))
            total += height * (1 + lean * centre[0]) * size * bell * np.exp(-2j * np.pi * (k @ at))
        coils.append(total)
    return np.stack(coils).astype(np.complex64)


def grid(sizes: tuple[int, int, int]) -> np.ndarray:
    """Every sample of a Cartesian scan, (k2, k1, k0, 3)."""
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in sizes[::-1]), indexing="ij")
    return np.stack([x, y, z], -1).astype(float)


def path(sizes: tuple[int, int, int], kind: str) -> np.ndarray:
    """(k2, k1, k0, 3): lines as a Cartesian scan has them, or spokes of an ellipse, a stack of them in 3-D."""
    if kind == "lines":
        return grid(sizes)
    angle = np.pi * np.arange(120) / 120
    radius = (np.arange(128) - 64) / 64
    plane = np.stack(
        [radius * np.cos(angle)[:, None] * sizes[0] / 2, radius * np.sin(angle)[:, None] * sizes[1] / 2], -1
    )
    levels = np.arange(sizes[2]) - sizes[2] // 2
    full = np.zeros((sizes[2], 120, 128, 3))
    full[..., :2], full[..., 2] = plane, levels[:, None, None]
    return full


def save_cfl(name: Path, array: np.ndarray) -> None:
    cfl_file.save(name, array.reshape(*array.shape, *(1,) * (16 - array.ndim)).astype(np.complex64))


def save_pair(name: Path, samples: np.ndarray, points: np.ndarray) -> None:
    """BART's (1, sample, spoke, coil) and (3, sample, spoke), from (coil, k2, k1, k0) and (k2, k1, k0, 3)."""
    flat = samples.reshape(len(samples), -1, samples.shape[-1])
    save_cfl(name, flat.transpose(2, 1, 0)[None])
    save_cfl(name.with_name(name.name + "_traj"), points.reshape(-1, *points.shape[2:]).transpose(2, 1, 0))


def recon(folder: Path, scan: str, *words: str, suffix: str = "cfl", method: str = "") -> np.ndarray:
    """The image that the command writes, as it is stored, with its axes of length 1 left out.

    By a quick method: how an image lies does not depend on it.
    """
    out = folder / f"out.{suffix}"
    method = method or ("zero_filled" if scan.startswith("grid") else "gridding")
    assert main(["recon", str(folder / scan), "-o", str(out), "--method", method, *words]) == 0
    return np.abs(np.load(out) if suffix == "npy" else cfl_file.mapped(out)).squeeze()


def assert_alike(ours: np.ndarray, theirs: np.ndarray, least: float = 0.97) -> None:
    assert ours.shape == theirs.shape
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > least


@pytest.mark.parametrize("suffix", ["cfl", "npy"])
@pytest.mark.parametrize("kind", ["lines", "spokes"])
@pytest.mark.parametrize("name", SIZES)
def test_cfl(tmp_path: Path, name: str, kind: str, suffix: str) -> None:
    sizes, points = SIZES[name], path(SIZES[name], kind)
    save_cfl(tmp_path / "grid", signal(grid(sizes), sizes).transpose(3, 2, 1, 0))
    save_pair(tmp_path / "scan", signal(points, sizes), points)
    cartesian = recon(tmp_path, "grid.cfl", suffix=suffix)
    if suffix == "cfl":
        assert cartesian.shape == tuple(n for n in sizes if n > 1)
    along = recon(tmp_path, "scan.cfl", "--traj", str(tmp_path / "scan_traj.cfl"), suffix=suffix)
    assert_alike(along, cartesian)


@pytest.mark.parametrize("axes", ["coil k1 k0", "k0 k1 coil", "k0 coil k1", "coil k2 k1 k0", "k0 k1 k2 coil"])
@pytest.mark.parametrize("written", ["npy", "cfl"])
def test_arrays(tmp_path: Path, axes: str, written: str) -> None:
    """In numpy's order and in MATLAB's: whichever way up the owner stores a scan, both kinds of scan stand so."""
    sizes = SIZES["3-D" if "k2" in axes else "rectangular"]
    points, order = path(sizes, "spokes"), [("coil", "k2", "k1", "k0").index(n) for n in axes.split()]
    if "k2" not in axes:
        order = [*order, 1]

    def turned(samples: np.ndarray) -> np.ndarray:
        array = samples.transpose(order)
        return array if "k2" in axes else array[..., 0]

    np.save(tmp_path / "grid.npy", turned(signal(grid(sizes), sizes)))
    np.save(tmp_path / "scan.npy", turned(signal(points, sizes)))
    each = [turned(np.broadcast_to(points[None, ..., i], (1, *points.shape[:3]))) for i in range(3)]
    np.save(tmp_path / "traj.npy", np.stack([np.squeeze(e, axes.split().index("coil")) for e in each], -1))
    cartesian = recon(tmp_path, "grid.npy", "--axes", axes, suffix=written)
    along = recon(tmp_path, "scan.npy", "--axes", axes, "--traj", str(tmp_path / "traj.npy"), suffix=written)
    assert_alike(along, cartesian)


@pytest.mark.parametrize("suffix", ["mrd", "h5"])
def test_through_mrd_and_our_own(tmp_path: Path, suffix: str) -> None:
    """A scan written as MRD or .h5 keeps standing as it stood, along a trajectory or not."""
    sizes = SIZES["rectangular"]
    points = path(sizes, "spokes")
    save_cfl(tmp_path / "grid", signal(grid(sizes), sizes).transpose(3, 2, 1, 0))
    save_pair(tmp_path / "scan", signal(points, sizes), points)
    wanted = recon(tmp_path, "grid.cfl")
    for name, options in (("grid", ReadOptions()), ("scan", ReadOptions(traj=tmp_path / "scan_traj.cfl"))):
        write(read(tmp_path / f"{name}.cfl", options), tmp_path / f"{name}.{suffix}")
        assert_alike(recon(tmp_path, f"{name}.{suffix}"), wanted)


@pytest.mark.parametrize("fov_mm", [(5.0, 280.0, 180.0), (5.0, 180.0, 280.0)])
def test_foreign_mrd(tmp_path: Path, fov_mm: tuple[float, float, float]) -> None:
    """More spokes than the matrix has lines: they are counted by the same counter, and widen nothing."""
    sizes = SIZES["rectangular"]
    points, cartesian = path(sizes, "spokes"), signal(grid(sizes), sizes)
    head = {"matrix": sizes[::-1], "fov_mm": fov_mm}
    save(tmp_path / "grid.h5", header(**head), grid_lines(cartesian))
    each = zip(signal(points, sizes)[:, 0].swapaxes(0, 1), points[0].astype(np.float32), strict=True)
    lines = [line(y, traj=k[:, :2], kspace_encode_step_1=i) for i, (y, k) in enumerate(each)]
    save(tmp_path / "scan.h5", header(**head, trajectory="radial"), lines)
    assert_alike(recon(tmp_path, "scan.h5"), recon(tmp_path, "grid.h5"))


def test_lines_are_not_called_spokes(tmp_path: Path) -> None:
    """Straight readouts that pass by the centre are not radial: the ramp would weigh them wrongly."""
    sizes = SIZES["square"]
    for kind, called in (("lines", "other"), ("spokes", "radial")):
        points = path(sizes, kind)
        save_pair(tmp_path / kind, signal(points, sizes), points)
        scan = read(tmp_path / f"{kind}.cfl", ReadOptions(traj=tmp_path / f"{kind}_traj.cfl"))
        assert isinstance(scan, KSpace) and scan.encoding.trajectory == called


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--readout", "y"), "--readout"),
        (("--domain", "coil-images"), "--domain"),
        (("--mask", "m.cfl"), "--mask"),
    ],
)
@pytest.mark.parametrize("scan", ["s.cfl", "s.npy"])
def test_what_means_nothing_along_a_trajectory(
    tmp_path: Path, scan: str, words: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    points = path(SIZES["square"], "spokes")
    samples = signal(points, SIZES["square"])
    save_pair(tmp_path / "s", samples, points)
    np.save(tmp_path / "s.npy", samples[:, 0])
    np.save(tmp_path / "s_traj.npy", points[0])
    traj = str(tmp_path / scan.replace("s.", "s_traj."))
    axes = ("--axes", "coil k1 k0") if scan.endswith("npy") else ()
    command = ["recon", str(tmp_path / scan), "--traj", traj, *axes, *words, "-o", str(tmp_path / "o.npy")]
    assert main(command) == 2
    assert f"{said} does not apply along a trajectory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reach", "n_spokes", "matrix"),
    [((31.5, 31.5), 2, (64, 64)), ((32, 32), 1, (64, 64)), ((32, 16), 30, (64, 32)), ((16, 32), 200, (32, 64))],
)
def test_few_spokes_cover_the_whole_disc(reach: tuple[float, float], n_spokes: int, matrix: tuple[int, int]) -> None:
    angle = np.pi * np.arange(n_spokes) / n_spokes + 0.3 * (n_spokes < 3)
    radius = np.linspace(-1, 1, 65)
    spokes = np.stack([radius * reach[0] * np.cos(angle)[:, None], radius * reach[1] * np.sin(angle)[:, None]], -1)
    points = np.zeros((1, n_spokes, 65, 3))
    points[..., :2], points[..., 2] = spokes, 1e-6
    assert covered(points) == (1, *matrix[::-1])


def bart(folder: Path, *words: str) -> None:
    program = shutil.which("bart")
    if program is None:
        pytest.skip("bart is not installed")
    subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)


BART = {
    "spokes": ("-r", "-x", "64", "-y", "101"),
    "golden angle, whole turn": ("-r", "-G", "-D", "-x", "48", "-y", "89"),
    "rectangular lines": ("-x", "64", "-y", "40"),
    "balls": ("-3", "-r", "-x", "24", "-y", "900"),
}


@pytest.mark.peer
@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("name", BART)
def test_as_bart_reconstructs_it(tmp_path: Path, name: str, coils: int) -> None:
    many = ("-s", str(coils)) if coils > 1 else ()
    is_3d = ("-3",) if "-3" in BART[name] else ()
    bart(tmp_path, "traj", *BART[name], "t")
    bart(tmp_path, "phantom", *is_3d, *many, "-k", "-t", "t", "k")
    ours = recon(tmp_path, "k.cfl", "--traj", str(tmp_path / "t.cfl"), method="auto")
    for way in ("-i", "-a"):
        bart(tmp_path, "nufft", way, "t", "k", "i")
        bart(tmp_path, "rss", "8", "i", "r")
        assert_alike(ours, np.abs(cfl_file.mapped(tmp_path / "r.cfl")).squeeze(), 0.9 if way == "-i" else 0.5)


@pytest.mark.peer
@pytest.mark.parametrize("is_3d", [False, True])
def test_a_grid_as_barts_fft(tmp_path: Path, is_3d: bool) -> None:
    bart(tmp_path, "phantom", *(("-3",) if is_3d else ()), "-s", "2", "-k", "-x", "24", "k")
    bart(tmp_path, "fft", "-iu", "7", "k", "i")
    bart(tmp_path, "rss", "8", "i", "r")
    assert_alike(recon(tmp_path, "k.cfl", method="auto"), np.abs(cfl_file.mapped(tmp_path / "r.cfl")).squeeze())
