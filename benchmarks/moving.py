"""`python -m benchmarks.moving`: series of beating hearts and of arriving contrast, by dynamic and static methods.

Simulated from chest slices of the test part and from shells of tissue; each series is drawn from its number, and
none was used to choose a setting or to train. psnr inside the object, one scale for all frames. A section of
docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

import spinecho
from benchmarks.sections import circumstances, load_average, table
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import prepare
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.evaluate.markdown import write_section
from spinecho.methods import registry
from spinecho.metrics.inside import inside, psnr_inside
from spinecho.sim.moving import Uptake, arriving, arterial, beating, concentration, sample_beat
from spinecho.sim.scan import Scan, measure
from spinecho.sim.splits import CHEST
from spinecho.tasks.recon.methods import llr

ROOT = Path(__file__).parents[1]
TITLE = "Moving scenes, simulated"
N_FRAMES, N_COILS, MATRIX = 24, 8, 128
RATES, SNRS = (4, 8), (15.0, 30.0, 60.0)
STATIC = ("cg_sense", "l1_wavelet", "hqs_net")
NETWORK, APART = "varnet_kt", "varnet_kt, frames apart"


def hearts(folder: Path, n: int) -> Iterator[tuple[str, int, KSpace]]:
    """Chest slices that beat."""
    for i, picture in enumerate(chests(folder, n)):
        rng = torch.Generator().manual_seed(1000 + i)
        frames = beating(picture, sample_beat(rng), N_FRAMES)
        for rate in RATES:
            yield "heart", rate, measured(frames, rate, SNRS[i % len(SNRS)], i, rng)


def is_ready() -> bool:
    """Whether the package holds weights of the network."""
    return registry.offer("recon", NETWORK).is_ready


def chests(folder: Path, n: int) -> Iterator[Tensor]:
    """Slices of the test part (`sim.splits`), 0 to 1; at most ten differ."""
    pictures = np.load(folder / "chest" / "slices_100.npz")["images"]
    held = CHEST["test"]
    for i in range(n):
        yield torch.from_numpy(pictures[held[(3 * i) % len(held)] - 1].astype(np.float32)) / 255


def boluses(n: int) -> Iterator[tuple[str, int, KSpace]]:
    """Shells of three tissues that take up a contrast agent."""
    for i in range(n):
        rng = of_number(i)
        frames = bolus(rng)[1]
        for rate in RATES:
            yield "bolus", rate, measured(frames, rate, SNRS[i % len(SNRS)], i, rng)


def of_number(i: int) -> torch.Generator:
    """What bolus i is drawn from."""
    return torch.Generator().manual_seed(2000 + i)


def bolus(rng: torch.Generator) -> tuple[Integer[Tensor, "y x"], Float[Tensor, "t 1 1 y x"]]:
    """Tissue of each pixel (0: none) on twice the matrix, and frames of them as a contrast agent arrives."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 2 * MATRIX) for _ in range(2)), indexing="ij")
    a, b, c, d = torch.rand(4, generator=rng).tolist()
    tissues = ((y.square() + (x / (0.6 + 0.3 * a)).square()) < 0.7).long()
    tissues[(y - 0.3 * b).square() + x.square() < 0.1 + 0.1 * c] = 2
    tissues[(y + 0.4).square() + (x - 0.3 * d).square() < 0.02] = 3
    times = torch.arange(N_FRAMES) * 3.0
    blood = arterial(times, 10 + 10 * a, 2 + 2 * b, 5.0)
    uptakes = {1: Uptake(plasma=0.03, transfer=0.1 * d, washout=0.5), 2: Uptake(plasma=0.1, transfer=0.5 * c)}
    curves = {k: concentration(u, blood, times) for k, u in uptakes.items()} | {3: blood}
    t1, pd = {0: 1.0, 1: 900.0, 2: 1200.0, 3: 1600.0}, {0: 0.0, 1: 0.8, 2: 0.9, 3: 1.0}
    return tissues, arriving(tissues, t1, pd, curves)


def measured(
    frames: Tensor, rate: int, snr: float, seed: int, rng: torch.Generator, side: int = MATRIX, n_coils: int = N_COILS
) -> KSpace:
    """The series, random lines of its own in each frame."""
    scan = Scan(
        matrix=(1, side, side),
        fov_mm=(8, 320, 320),
        n_coils=n_coils,
        sampling=f"kt-random:{rate}:6:{seed}",
        n_frames=len(frames),
        snr=snr,
        seed=seed,
        contrast="t2",
    )
    n = frames.shape[-1]
    grid = Geometry.from_frame((0, 0, 0), np.eye(3), (320 / n, 320 / n, 8), (1, n, n))
    return measure(frames, grid, scan, rng, note="moving scene").kspace


def score(values: Tensor, truth: Tensor) -> float:
    """Mean over the frames of psnr inside the object, dB, at one scale."""
    x, t = (v.abs().reshape(-1, *v.shape[-2:]) for v in (values, truth))
    where = inside(t.mean(0))
    scale = (x[:, where] * t[:, where]).sum() / x[:, where].square().sum()
    return fmean(psnr_inside(b, scale * a) for a, b in zip(x, t, strict=True))


def images(scan: KSpace) -> Iterator[tuple[str, Tensor, float]]:
    """By the network of series, the same with each frame for itself, llr with its own threshold and with that of the
    noise alone, and frame by frame; seconds of each."""
    ways = {NETWORK: (NETWORK, {}), APART: (NETWORK, {"apart": True})} if is_ready() else {}
    for told, (name, settings) in (ways | {name: (name, {}) for name in ("llr", *STATIC)}).items():
        before = time.perf_counter()
        values = spinecho.recon(scan, name, **settings).values
        yield told, values, time.perf_counter() - before
    prepared = prepare(scan)[0]
    before = time.perf_counter()
    csm, config = estimate_csm(prepared), llr.Config()
    yield (
        "llr, noise alone",
        llr.solved(prepared, csm, config, llr.automatic_threshold(prepared, 8)),
        (time.perf_counter() - before),
    )


def main() -> None:
    """Run, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moving", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--n", type=int, default=9, help="scenes of each kind")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    parser.add_argument("--threads", type=int, default=1)
    args, before = parser.parse_args(), load_average()
    torch.set_num_threads(args.threads)
    rows: dict[tuple[str, int, str], list[tuple[float, float]]] = {}
    with torch.inference_mode():
        for scenes in (hearts(args.shared / "data", args.n), boluses(args.n)):
            for kind, rate, scan in scenes:
                assert scan.target is not None
                for name, values, seconds in images(scan):
                    rows.setdefault((kind, rate, name), []).append((score(values, scan.target), seconds))
                print(kind, rate, {k[2]: v[-1] for k, v in rows.items() if k[:2] == (kind, rate)}, file=sys.stderr)
    cells = []
    for (kind, rate, name), each in rows.items():
        base = [p for p, _ in rows[kind, rate, "llr"]]
        gains = [p - b for (p, _), b in zip(each, base, strict=True)]
        psnr, seconds = fmean(p for p, _ in each), median(s for _, s in each)
        gain = [f"{psnr:.2f}", f"{fmean(gains):+.2f}", f"{min(gains):+.2f}", f"{1000 * seconds / N_FRAMES:.0f}"]
        cells.append([kind, str(rate), f"`{name}`", *gain])
    head = ["scene", "R", "method", "psnr inside, dB", "over `llr`", "least of the scenes", "ms a frame"]
    told = f"{args.n} scenes of each kind, {N_FRAMES} frames of {MATRIX} x {MATRIX}, {N_COILS} coils, SNR 15, 30, 60; "
    told += "times are medians."
    text = f"{told} {circumstances('benchmarks.moving', args.threads, before)}\n\n{table(head, cells)}"
    print(f"## {TITLE}\n\n{text}")
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
