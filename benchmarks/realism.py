"""`python -m benchmarks.realism`: how far drawn scans still are from real ones, in patches and in coil maps."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.anatomy import training_volumes
from benchmarks.patches import NAMES, describe, energy_distance, told_apart
from benchmarks.sections import table
from spinecho.calib.csm import estimate_csm
from spinecho.core.chance import log_uniform
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import ifft
from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.coils import receivers
from spinecho.sim.drawn.objects import objects
from spinecho.sim.drawn.rows import Rows
from spinecho.sim.drawn.scan import at_matrix
from spinecho.sim.drawn.store import Store, stored
from spinecho.sim.draws import Draws, sample_coil_images
from spinecho.train.draw import generator

ROOT = Path(__file__).parents[1]
_CPU = torch.device("cpu")
_SNR = (12.0, 60.0)
_MATRIX = (192, 224)
_COILS = 8


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realism", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--scans", type=int, default=80, help="drawn for each side")
    return parser.parse_args()


def combined(coil_images: Tensor, maps: Tensor) -> Tensor:
    """Roemer's combination with unit maps whose phase is that of their sum, as a reference coil gives it."""
    unit = maps / maps.abs().square().sum(0).sqrt().clamp_min(1e-12)
    reference = unit[0] / unit[0].abs().clamp_min(1e-12)
    return (unit.conj() * coil_images).sum(0) * reference


def real(shared: Path) -> list[Tensor]:
    """Complex hearts, every echo, and head and neck slices of two channels combined by ESPIRiT's maps."""
    folder = shared / "data"
    images = [
        torch.from_numpy(echo)
        for path in sorted((folder / "complex").glob("*.npz"))
        for echo in np.load(path)["images"]
    ]
    samples = torch.from_numpy(np.load(folder / "kspace_train/headneck_2coil_32slices.npz")["kspace"])
    for one in samples[4:28:2]:
        matrix = (1, one.shape[1], one.shape[2])
        scan = KSpace(
            samples=one[:, None] / one.abs().max(),
            mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
            encoding=Encoding.cartesian(matrix),
            geometries=(Geometry.unknown(matrix),),
        )
        csm = estimate_csm(scan)[0]
        images.append((csm.conj() * ifft(scan.samples)).sum(0)[0])
    return images


def drawn(store: Store, i: int) -> tuple[Tensor, Tensor]:
    """Coil images and maps by `sim.drawn`."""
    rows = Rows.drawn([generator("realism", i)])
    bucket = Bucket(shape=_MATRIX, receivers=_COILS, known=True)
    image, wide = objects(store, bucket, rows, _CPU)
    image = at_matrix(image, _MATRIX, rows.of("noise").only_last(9))
    held = receivers(image, bucket, wide, rows.of("coils"), rows.of("noise"))
    return held.maps[0] * image[0], held.maps[0]


def drawn_before(store: Store, i: int) -> tuple[Tensor, Tensor]:
    """The same magnitudes with phase and coils of `sim.draws`."""
    rows = Rows.drawn([generator("realism", i)])
    image, _ = objects(store, Bucket(shape=_MATRIX, receivers=_COILS), rows, _CPU)
    draws = Draws(coils=(_COILS,), odd=0.0)
    rng, even = generator("realism", i), torch.ones_like(image[0].real)
    coil_images = sample_coil_images(image[0].abs(), _MATRIX, rng, draws)[:, 0]
    rng = generator("realism", i)
    maps = sample_coil_images(even, _MATRIX, rng, draws)[:, 0]
    return coil_images, maps


def seen(make: Callable[[Store, int], tuple[Tensor, Tensor]], store: Store, i: int) -> Tensor:
    """Combined, with noise."""
    coil_images, maps = make(store, i)
    rss = coil_images.abs().square().sum(0).sqrt()
    sigma = float(rss[rss > 0.1 * rss.max()].mean()) / log_uniform(generator("snr", i), *_SNR)
    white = torch.randn(coil_images.shape, dtype=torch.complex64, generator=generator("noise", i))
    return combined(coil_images + sigma * white, maps)


def map_steps(maps: Tensor) -> Tensor:
    """How steep coil maps of unit norm are: |grad s| times the field of view, of points 1/48 of it apart."""
    parts = torch.stack([maps.real, maps.imag], 1)
    coarse = torch.nn.functional.adaptive_avg_pool2d(parts, 48)
    s = torch.complex(coarse[:, 0], coarse[:, 1])
    s = s / s.abs().square().sum(0).sqrt().clamp_min(1e-12)
    down, right = (s[:, 1:, :-1] - s[:, :-1, :-1]), (s[:, :-1, 1:] - s[:, :-1, :-1])
    return (down.abs().square() + right.abs().square()).sum(0).sqrt().flatten() * 48


def main() -> None:
    """Print both tables."""
    chosen = arguments()
    store = stored([v for v in training_volumes(chosen.shared) if v.kind != "complex"])
    sides = {"sim.draws (before)": drawn_before, "sim.drawn (now)": drawn}
    rows_real = [describe(image) for image in real(chosen.shared)]
    truth = torch.cat(rows_real)
    half = torch.cat(rows_real[::2]), torch.cat(rows_real[1::2])
    print(f"patches of {len(rows_real)} real images: {len(truth)}; complex hearts are left out of the drawn objects\n")
    rows = [["real against real, every second image", f"{energy_distance(*half):.3f}", "", *_medians(truth)]]
    for name, make in sides.items():
        parts = [describe(seen(make, store, i)) for i in range(chosen.scans)]
        groups = torch.cat([torch.full((len(p),), i) for i, p in enumerate([*rows_real, *parts])])
        patches = torch.cat(parts)
        apart = told_apart(truth, patches, groups)
        rows.append([name, f"{energy_distance(truth, patches):.3f}", f"{apart:.3f}", *_medians(patches)])
    print(table(["", "energy distance", "told apart (AUC)", *NAMES], rows))
    maps = torch.from_numpy(np.load(chosen.shared / "data/kspace_train/coil_maps_32.npz")["maps"])
    held = {"real, 8 of 32 channels": [maps[i::4] for i in range(4)]}
    held |= {name: [make(store, i)[1] for i in range(40)] for name, make in sides.items()}
    steep = {name: torch.cat([map_steps(m) for m in each]) for name, each in held.items()}
    levels = (0.1, 0.5, 0.9, 0.99)
    cells = [[name, *(f"{float(s.quantile(q)):.2f}" for q in levels)] for name, s in steep.items()]
    print(table(["coil maps: steps per field of view at quantile", *map(str, levels)], cells))


def _medians(patches: Tensor) -> list[str]:
    return [f"{v:.2f}" for v in patches.median(0).values.tolist()]


if __name__ == "__main__":
    main()
