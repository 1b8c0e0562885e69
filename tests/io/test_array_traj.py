"""Trajectories: layouts and units are found, and what cannot be known is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io.array.traj import in_cycles_per_fov, is_radial, laid_out
from spinecho.io.formats import arrays
from spinecho.io.options import ReadOptions


def spokes(n_spokes: int = 7, n: int = 32) -> np.ndarray:
    """(k2=1, k1, k0, 3) in cycles per field of view."""
    angle = np.pi * np.arange(n_spokes)[:, None] / n_spokes
    radius = np.arange(n) - n // 2
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * radius * angle], -1)[None]


@pytest.mark.parametrize("order", ["k1 k0", "k0 k1", "coil k1 k0", "k0 coil k1"])
@pytest.mark.parametrize("layout", ["complex", "last 2", "last 3", "first 3", "reversed"])
def test_layouts(order: str, layout: str) -> None:
    points, names = spokes(), order.split()
    sizes = [{"k1": 7, "k0": 32, "coil": 4}[n] for n in names]
    plain = points[0] if names.index("k1") < names.index("k0") else points[0].swapaxes(0, 1)
    array = {
        "complex": plain[..., 0] + 1j * plain[..., 1],
        "last 2": plain[..., :2],
        "last 3": plain,
        "first 3": np.moveaxis(plain, -1, 0),
        "reversed": np.moveaxis(plain, -1, 0).swapaxes(1, 2),
    }[layout]
    np.testing.assert_array_equal(laid_out(array, names, sizes), points)


def test_a_wrong_shape_says_what_is_wanted() -> None:
    with pytest.raises(DataError, match=r"\(9, 32\) complex128.*wanted is complex kx \+ i ky of shape \(7, 32\)"):
        laid_out(np.zeros((9, 32), complex), ["k1", "k0"], [7, 32])


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, "field of view"), (1 / 32, "cycles per pixel"), (np.pi / 16, "radians")]
)
def test_units(factor: float, unit: str) -> None:
    scaled, n, found = in_cycles_per_fov(spokes() * factor)
    assert n == (1, 32, 32) and unit in found
    np.testing.assert_allclose(scaled, spokes(), atol=1e-9)


def test_units_that_cannot_be_known() -> None:
    t = np.linspace(0, 1, 200)
    spiral = 0.5 * np.stack([t * np.cos(40 * t), t * np.sin(40 * t), 0 * t], -1)[None, None]
    assert not is_radial(spiral) and is_radial(spokes())
    with pytest.raises(DataError, match="not straight"):
        in_cycles_per_fov(spiral)
    assert in_cycles_per_fov(spiral * 128)[1] == (1, 128, 128)
    with pytest.raises(DataError, match="too far"):
        in_cycles_per_fov(spokes() * 1000)
    with pytest.raises(DataError, match="all trajectory points are zero"):
        in_cycles_per_fov(spokes() * 0)
    with pytest.raises(DataError, match="NaN"):
        in_cycles_per_fov(spokes() * np.nan)


def test_a_mat_file_with_both(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((32, 7, 4)) + 1j
    points = spokes()[0].swapaxes(0, 1) / 32
    savemat(tmp_path / "s.mat", {"rawdata": samples, "k": points[..., 0] + 1j * points[..., 1]})
    with pytest.raises(DataError, match='--axes "k0 k1 coil"'):
        arrays.read(tmp_path / "s.mat", ReadOptions())
    kspace = arrays.read(tmp_path / "s.mat", ReadOptions(axes="k0 k1 coil", oversampling=2))
    assert isinstance(kspace, KSpace) and kspace.traj is not None and kspace.mask is None
    np.testing.assert_allclose(kspace.traj[0], spokes()[0], atol=1e-5)
    np.testing.assert_allclose(kspace.samples[:, 0], samples.transpose(2, 1, 0), rtol=1e-6)
    assert kspace.encoding.matrix == (1, 32, 32) and kspace.encoding.recon_matrix == (1, 16, 16)
    assert kspace.encoding.trajectory == "radial"


def test_a_trajectory_in_a_file_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones((5, 4, 7, 32), np.complex64))
    np.save(tmp_path / "t.npy", spokes()[0])
    options = ReadOptions(axes="time coil k1 k0", traj=tmp_path / "t.npy")
    kspace = arrays.read(tmp_path / "s.npy", options)
    assert isinstance(kspace, KSpace) and kspace.traj is not None
    assert kspace.axes == ("time",) and kspace.traj.shape == (1, 1, 7, 32, 3)


def test_the_radial_heart(shared_data: Path) -> None:
    kspace = arrays.read(shared_data / "kspace/cardiac_radial_12coil.mat", ReadOptions(axes="k0 k1 coil"))
    assert isinstance(kspace, KSpace) and kspace.traj is not None
    assert kspace.samples.shape == (12, 1, 25, 256) and kspace.encoding.matrix == (1, 256, 256)
    assert abs(float(kspace.traj.abs().max()) - 128) < 1e-3
