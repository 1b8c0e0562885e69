"""bart, as a program: k-space out, an image back, in a folder of its own that is gone afterwards."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io.cfl_file import mapped, save

SOLVERS = {
    "l2": "-l2 -r {weight} -i 50",
    "wavelet": "-R W:{axes}:0:{weight} -i 200",
    "tv": "-R T:{axes}:0:{weight} -i 200",
}
"""Arguments of `bart pics` for each penalty; axes is a bit mask of the image's dimensions."""

CALIBRATIONS = ("-m1", "-m1 -k5", "-m1 -k4", "-m1 -c 0.5", "-m1 -c 0")
"""Arguments of `bart ecalib` to choose from: with few central lines its default (kernel 6, crop 0.8) loses tissue."""


@cache
def bart_version() -> str:
    """What `bart version` says.

    Raises
    ------
    DataError
        If there is no such program.
    """
    if shutil.which("bart") is None:
        raise DataError(
            "the oracle needs the program bart, which is not on the PATH",
            do="install it (apt install bart, or https://mrirecon.github.io/bart), or leave the oracle out",
        )
    return run(Path.cwd(), "version").strip()


class Bart:
    """One undersampled scan in bart's files; `calibrate` makes the coil maps (ones for a single coil).

    Parameters
    ----------
    kspace
        Cartesian, one image (no batch axes longer than 1), prepared.
    folder
        An empty one.
    """

    def __init__(self, kspace: KSpace, folder: Path) -> None:
        samples = kspace.samples
        if samples.shape[:-4].numel() > 1:
            do = "give it slice by slice, and one frame"
            raise DataError(f"the oracle takes one image at a time, this scan has {samples.shape[:-4].numel()}", do=do)
        self.folder, self.matrix = folder, kspace.encoding.matrix
        y = samples.reshape(samples.shape[-4:]).cpu().numpy()
        _put(folder / "y", y)
        self.calibrations = CALIBRATIONS if kspace.n_coils > 1 else ()
        if kspace.n_coils == 1:
            _put(folder / "csm", np.ones_like(y))
        self.axes = sum(2**i for i, n in enumerate(reversed(self.matrix)) if n > 1)

    def calibrate(self, arguments: str) -> None:
        """Make the maps that `pics` uses, by `bart ecalib` with one of CALIBRATIONS."""
        run(self.folder, f"ecalib {arguments} y csm")

    def pics(self, penalty: str, weight: float) -> Tensor:
        """Magnitude image (1, z, y, x) of `bart pics` with one of SOLVERS."""
        solver = SOLVERS[penalty].format(axes=self.axes, weight=f"{weight:.6g}")
        run(self.folder, f"pics {solver} y csm x")
        image = np.abs(mapped(self.folder / "x").reshape(self.matrix[::-1], order="F").T)
        return torch.from_numpy(np.ascontiguousarray(image))[None]


def run(folder: Path, command: str) -> str:
    """Run `bart COMMAND` there and hand back what it prints.

    Raises
    ------
    DataError
        With bart's own words, where it fails.
    """
    done = subprocess.run(["bart", *command.split()], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-200:]
        raise DataError(f"bart {command.split()[0]} failed: {words}", do="run it by hand on the same scan to see why")
    return done.stdout


def _put(path: Path, array: np.ndarray) -> None:
    """(coil, k2, k1, k0) as bart's (k0, k1, k2, coil)."""
    save(path, array.T.reshape(*array.shape[::-1], *(1,) * 12))
