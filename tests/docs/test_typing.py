"""A user's file that takes the public names passes pyright's strict mode: the wheel says that it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import spinecho

USER = """
from pathlib import Path

import numpy as np
import spinecho

scan = spinecho.read(Path("scan.h5"), spinecho.ReadOptions(axes="coil k1 k0"))
if isinstance(scan, spinecho.KSpace):
    image = spinecho.recon(scan, "l1_wavelet", power=1)
    spinecho.write(image, "brain.nii.gz", spinecho.WriteOptions(keep_complex=True))
    first: tuple[float, float, float] = image.geometry.voxel_mm
    print(image.header.history, image.values.shape, scan.is_cartesian, first)
else:
    quiet = spinecho.denoise(scan, sigma=3.0)
    even = spinecho.correct(spinecho.superres(quiet, "bspline"), mask=quiet)
    transform: spinecho.Transform = spinecho.register(quiet, even, "rigid")
    regions = transform.warp(spinecho.segment(even), onto=quiet.geometry, mode="nearest")
    again = spinecho.from_numpy(spinecho.to_numpy(regions), "z y x", affine=np.eye(4))
    print(again.geometry.affine.shape, spinecho.__version__, spinecho.to_nibabel(again))
try:
    spinecho.read("absent")
except spinecho.DataError as error:
    print(error.do, error.typed())
"""
WRONG = 'import spinecho\nimage = spinecho.recon("scan.h5")\nn: str = spinecho.read("a").header.te_ms\n'


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "user.py").write_text(text)
    home = Path(sys.prefix)
    options = {"include": ["user.py"], "typeCheckingMode": "strict", "venvPath": str(home.parent), "venv": home.name}
    options["extraPaths"] = [str(Path(spinecho.__file__).parents[1])]
    (folder / "pyrightconfig.json").write_text(json.dumps(options))
    command = [sys.executable, "-m", "pyright", "-p", "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_package_says_that_it_is_typed():
    assert (Path(spinecho.__file__).parent / "py.typed").is_file()


def test_a_users_file_is_strict(tmp_path):
    pytest.importorskip("pyright")
    done = checked(tmp_path, USER)
    assert done.returncode == 0, done.stdout + done.stderr
    done = checked(tmp_path, WRONG)
    assert "reportArgumentType" in done.stdout and "user.py:3" in done.stdout, "it does look"
