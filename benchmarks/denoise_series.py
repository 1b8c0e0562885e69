"""`python -m benchmarks.denoise_series`: methods on a series of 20 volumes, simulated from test heads.

Echoes of one head: its label map as spin echoes of 20 echo times, of which noise is the same in all; Rician. A section
of docs/results.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

import spinecho
from benchmarks.sections import circumstances, load_average, table
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate.markdown import write_section
from spinecho.metrics.head import psnr_head, ssim_head
from spinecho.sim.anatomy import of_sequence, texture
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.splits import split
from spinecho.train.label_maps import read_head

ROOT = Path(__file__).parents[1]
TITLE = "Denoising: a series of 20 volumes, simulated"
N_ECHOES, FIRST_MS, LAST_MS = 20, 12.0, 202.0
LEVELS = (0.03, 0.09)
METHODS = ("nlmeans", "mppca", "unet25d", "components")


def series(path: Path, n_slices: int, seed: int) -> Tensor:
    """Echoes (n, z, y, x) of the middle slices of a head at 2 mm, the brightest voxel of the first about 1."""
    labels, _ = read_head(path)
    middle = labels.shape[0] // 2
    labels = labels[middle - n_slices : middle + n_slices]
    uneven = texture((1, *labels.shape[1:]), torch.Generator().manual_seed(seed), 0.03)[0]
    volumes = []
    for te in np.linspace(FIRST_MS, LAST_MS, N_ECHOES):
        sequence = replace(SEQUENCES["pd"], te_ms=float(te))
        # one scale for all echoes: `of_sequence` makes the brightest tissue 1, and fluid hardly decays
        values = of_sequence(sequence).render(labels) * np.exp(-(te - FIRST_MS) / 1900.0)
        fine = values * uneven
        volumes.append(torch.nn.functional.avg_pool3d(fine[None, None], 2)[0, 0])
    return torch.stack(volumes)


def noisy(clean: Tensor, level: float, seed: int) -> Tensor:
    """Rician."""
    rng = torch.Generator().manual_seed(seed)
    real, imaginary = level * torch.randn(2, *clean.shape, generator=rng)
    return torch.hypot(clean + real, imaginary)


def main() -> None:
    """Run, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoise_series", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--slices", type=int, default=7)
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    torch.set_num_threads(1)
    files = [args.shared / "data" / "label_maps" / f"labels_{name}.nii.gz" for name in split("label_maps", "test")]
    rows: dict[tuple[float, str], list[tuple[float, float]]] = {}
    for seed, file in enumerate(files[: args.heads]):
        clean = series(file, args.slices, seed)
        z, y, x = clean.shape[1:]
        geometry = Geometry.from_frame((0, 0, 0), np.eye(3), (2, 2, 2), (z, y, x))
        for level in LEVELS:
            image = Image(values=noisy(clean, level, seed)[:, None], geometries=(geometry,), axes=("time",))
            for method in METHODS:
                values = spinecho.denoise(image, method).values[:, 0]
                figures = [(psnr_head(t, v), ssim_head(t, v)) for t, v in zip(clean, values, strict=True)]
                rows.setdefault((level, method), []).append(
                    (fmean(f[0] for f in figures), fmean(f[1] for f in figures))
                )
                print(file.name, level, method, rows[level, method][-1], flush=True)
    cells = []
    for (level, method), each in rows.items():
        base = fmean(p for p, _ in rows[level, "mppca"])
        psnr, ssim = (fmean(values) for values in zip(*each, strict=True))
        cells.append([f"{100 * level:g} %", f"`{method}`", f"{psnr:.2f}", f"{ssim:.3f}", f"{psnr - base:+.2f}"])
    head = ["noise", "method", "psnr head, dB", "ssim head", "over `mppca`, dB"]
    told = f"{args.heads} test heads, {N_ECHOES} echoes at 2 mm, each echo against its own truth."
    how = circumstances("benchmarks.denoise_series", 1, before)
    text = f"{told} {how}\n\n{table(head, cells)}"
    print(text)
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
