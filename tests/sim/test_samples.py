"""The sample scans ship, are small, are marked as simulated, and carry their truth."""

from __future__ import annotations

from importlib.resources import as_file, files

import pytest

import spinecho
from spinecho.core.kspace import KSpace
from spinecho.ops.sampling import acceleration

NAMES = ("cartesian_r4.mrd.h5", "kt_series.mrd.h5", "radial.mrd.h5")


def load(name) -> KSpace:
    with as_file(files("spinecho.samples") / name) as path:
        scan = spinecho.read(path)
    assert isinstance(scan, KSpace)
    return scan


def test_three_files_of_three_megabytes_with_their_licences():
    folder = files("spinecho.samples")
    with as_file(folder) as path:
        sizes = {p.name: p.stat().st_size for p in path.iterdir() if p.name.endswith(".h5")}
    assert set(sizes) == set(NAMES) and sum(sizes.values()) < 3_000_000
    assert "McGill" in (folder / "LICENSE-ICBM152.txt").read_text()
    assert all(name in (folder / "README.md").read_text() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_samples_say_that_they_are_simulated(name):
    scan = load(name)
    assert "simulated" in scan.header.flags and "ICBM 152" in scan.header.history[0]
    assert scan.noise_cov is not None and scan.target is not None
    assert scan.geometries[0].oriented


def test_what_the_samples_are():
    cartesian, series, radial = map(load, NAMES)
    assert cartesian.n_coils == 8 and cartesian.mask is not None
    lines = cartesian.mask.any(-1).flatten()
    assert int(lines.sum()) == 63 and bool(lines[78:102].all())
    assert series.axes == ("time",) and series.samples.shape[0] == 8 and series.mask is not None
    assert acceleration(series.mask.expand(8, 1, 1, 100, 1)) == pytest.approx(4, rel=0.02)
    assert radial.traj is not None and radial.encoding.trajectory == "radial"
