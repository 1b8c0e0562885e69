"""No reading option is ignored: those that say nothing of what an array holds are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinecho.core.errors import DataError
from spinecho.io.cfl_file import save
from spinecho.io.options import ReadOptions
from spinecho.io.read import read

IDLE = [("readout", "y"), ("mask", Path("m.npy")), ("traj", Path("t.npy")), ("oversampling", 2.0)]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    k = (rng.normal(size=(2, 12, 16)) + 1j * rng.normal(size=(2, 12, 16))).astype(np.complex64)
    np.save("k.npy", k)
    np.save("image.npy", np.abs(k[0]))
    np.save("m.npy", np.ones((12, 16), bool))
    np.save("t.npy", np.zeros((12, 16, 2)))
    save(Path("image.cfl"), np.abs(k[0])[..., None].astype(np.complex64))


@pytest.mark.parametrize(("option", "value"), IDLE)
@pytest.mark.parametrize(("file", "axes"), [("image.npy", None), ("image.npy", "y x"), ("image.cfl", "z y x")])
def test_an_image_has_no_samples_to_describe(file, axes, option, value):
    if option == "traj" and axes is None:
        pytest.skip("with a trajectory it may hold real and imaginary parts, and is asked about")
    with pytest.raises(DataError, match=f"{option} does not apply to images"):
        read(Path(file), ReadOptions(**{"axes": axes, option: value}))


def test_the_names_of_samples_say_where_the_readout_runs():
    with pytest.raises(DataError, match="readout does not apply to samples"):
        read(Path("k.npy"), ReadOptions(axes="coil k1 k0", readout="y"))


@pytest.mark.parametrize("readout", ["x", "y"])
def test_coil_images_do_not(readout):
    scan = read(Path("k.npy"), ReadOptions(axes="coil y x", domain="coil-images", readout=readout))
    assert scan.samples.shape[-2:] == ((12, 16) if readout == "x" else (16, 12))
