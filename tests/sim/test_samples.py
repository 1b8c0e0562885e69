"""The sample scans ship and are small; what is simulated says so and carries its truth, what is real does not."""

from __future__ import annotations

from importlib.resources import as_file, files

import pytest

import spinecho
from spinecho.core.kspace import KSpace
from spinecho.ops.sampling import acceleration

NAMES = ("cartesian_r4.mrd.h5", "kt_series.mrd.h5", "radial.mrd.h5")


REAL = "low_field.mrd.h5"


def load(name) -> KSpace:
    with as_file(files("spinecho.samples") / name) as path:
        scan = spinecho.read(path)
    assert isinstance(scan, KSpace)
    return scan


def test_files_of_four_megabytes_with_their_licences():
    folder = files("spinecho.samples")
    with as_file(folder) as path:
        sizes = {p.name: p.stat().st_size for p in path.iterdir() if p.name.endswith(".h5")}
    assert set(sizes) == {*NAMES, REAL} and sum(sizes.values()) < 4_000_000
    assert "McGill" in (folder / "LICENSE-ICBM152.txt").read_text()
    assert all(name in (folder / "README.md").read_text() for name in sizes)


@pytest.mark.parametrize("name", NAMES)
def test_samples_say_that_they_are_simulated(name):
    scan = load(name)
    assert "simulated" in scan.header.flags and "ICBM 152" in scan.header.history[0]
    assert scan.noise_cov is not None and scan.target is not None
    assert scan.geometries[0].oriented


def test_the_low_field_slice_is_real_and_lies_as_patients_lie():
    scan = load(REAL)
    assert "simulated" not in scan.header.flags and scan.target is None and scan.header.field_t == 0.055
    assert "assumed" in scan.header.history[0] and scan.samples.shape == (1, 1, 1, 126, 128)
    geometry = scan.geometries[0]
    assert geometry.oriented and geometry.voxel_mm == pytest.approx((2, 2, 10))
    image = spinecho.recon(scan)
    values = image.values.abs().reshape(126, 128)
    lit = (values > 0.25 * values.quantile(0.99)).float()
    rows, columns = (lit.sum(axis) > 3 for axis in (1, 0))
    assert rows.sum() < columns.sum(), "the head is longer from front to back, which is along k0"


def test_what_the_samples_are():
    cartesian, series, radial = map(load, NAMES)
    assert cartesian.n_coils == 8 and cartesian.mask is not None
    lines = cartesian.mask.any(-1).flatten()
    assert int(lines.sum()) == 63 and bool(lines[78:102].all())
    assert series.axes == ("time",) and series.samples.shape[0] == 8 and series.mask is not None
    assert acceleration(series.mask.expand(8, 1, 1, 100, 1)) == pytest.approx(4, rel=0.02)
    assert radial.traj is not None and radial.encoding.trajectory == "radial"
