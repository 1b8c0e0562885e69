"""`python -m benchmarks.register_uncertainty`: what `methods/uncertainty.py` predicts, against warps that are known.

The pairs are those of `python -m benchmarks.register_pairs --sets warps_dev warps`. Each is registered by `hybrid` at
its defaults (kept in runs/register/uncertainty/, by version), then the standard deviation is predicted and compared
with the true error in the brain. `--fit` prints by what `ALIKE` and `UNLIKE` there
are to be multiplied. Delete the kept registrations after a change of `hybrid`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.transform import Transform
from spinecho.core.version import __version__
from spinecho.io.read import read_image
from spinecho.io.transform.files import read_transform, write_transform
from spinecho.tasks.register.run import register
from spinecho.tasks.register.uncertainty import Restarts, spread

ROOT = Path(__file__).parents[1] / "runs/register"
_STEP = 7
"""Every so many voxels of the brain are scored: neighbours tell nothing new"""
_BINS = 8


def main() -> None:
    """One table per pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=["warps_dev", "warps"], default=["warps_dev"])
    parser.add_argument("--pairs", nargs="+", default=["t1-t1", "t1-flair"])
    parser.add_argument("--n", type=int, default=Restarts().n, help="restarts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fit", action="store_true", help="print the factor that fits each pair")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.sets:
        for pair in args.pairs:
            error, sd = scored(ROOT / name / "pairs" / pair, args.n)
            print(f"\n{name} {pair}: {error.shape[1]} voxels of the brain")
            report(error, sd)
            if args.fit:
                print(f"factor that fits: {float(rms(error.norm(dim=0)) / rms(sd)):.3f}")


def scored(folder: Path, n: int) -> tuple[Tensor, Tensor]:
    """Error vectors (3, voxels) in mm, and what was predicted of their lengths."""
    fixed, moving = read_image(folder / "fixed.nii.gz"), read_image(folder / "moving.nii.gz")
    transform = registered(fixed, moving, folder)
    predicted = spread(fixed, moving, transform, restarts=Restarts(n=n)).values[0]
    error = transform.displacement(fixed.geometry) - torch.from_numpy(np.load(folder / "truth.npy"))
    known = error.isfinite().all(0)
    return error[:, known][:, ::_STEP], predicted[known][::_STEP]


def registered(fixed: Image, moving: Image, folder: Path) -> Transform:
    """By `hybrid`; from the disk where it was done before."""
    kept = ROOT / "uncertainty" / f"{__version__}_{folder.parents[1].name}_{folder.name}.h5"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_transform(register(fixed, moving), kept, fixed.geometry)
    return read_transform(kept)


def report(error: Tensor, sd: Tensor) -> None:
    """Error by predicted standard deviation, shares within one and two of them, correlation of ranks."""
    length = error.norm(dim=0)
    print("predicted sd, mm (rms)   error, mm (rms)   error, mm (mean)")
    for part in sd.argsort().chunk(_BINS):
        print(f"{rms(sd[part]):22.2f}   {rms(length[part]):15.2f}   {float(length[part].mean()):16.2f}")
    print(f"{rms(sd):22.2f}   {rms(length):15.2f}   {float(length.mean()):16.2f}   all")
    by_axis = sd / math.sqrt(3)
    for times, normal, vector in ((1, 0.683, 0.608), (2, 0.954, 0.993)):
        one = float((error.abs() < times * by_axis).double().mean())
        whole = float((length < times * sd).double().mean())
        print(f"within {times} sd: components {one:.3f} (normal: {normal}), lengths {whole:.3f} (normal: {vector})")
    print(f"Spearman correlation of length and sd: {float(spearmanr(length, sd)[0]):.3f}")


def rms(values: Tensor) -> Tensor:
    """Root mean square."""
    return values.square().mean().sqrt()


if __name__ == "__main__":
    main()
