"""How well the error on samples left out tells which reconstruction is best, on real slices and on simulated heads.

Writes a section of RESULTS-LEARNED.md; real and simulated scans have sections of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import simulated
from benchmarks.sections import OUT, circumstances, load_average, table, write_section
from benchmarks.subjects import subject_names
from spinecho.calib.prepare import prepare
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.metrics.inside import inside, psnr_inside
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.methods import checked, l1_wavelet, pnp
from spinecho.tasks.recon.methods._candidates import Candidates, tools
from spinecho.tasks.recon.methods._maps import maps
from spinecho.tasks.recon.slices import settled

ROOT = Path(__file__).parents[1]
CENTRE = {4: 0.08, 8: 0.04}
REAL = {
    "T1 head, 7 coils": "brain_t1_7coil_images.npz",
    "T2 head, 4 coils": "brain_t2_4coil_images.npz",
    "abdomen, echo 0, 4 coils": "liver_4coil_echo0.npz",
    "abdomen, echo 1, 4 coils": "liver_4coil_echo1.npz",
}
NEAR_DB = 0.2
"""A choice that loses less than this is as good as the best one."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case: psnr inside the object (dB) of each candidate, of the mean and of l1_wavelet; the one chosen."""

    name: str
    accel: int
    psnr: dict[str, float]
    mean: float
    baseline: float
    chosen: str

    @property
    def lost(self) -> float:
        """What the choice of the smallest held-out error loses against the best candidate, dB."""
        return max(self.psnr.values()) - self.psnr[self.chosen]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.held_out", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--masks", type=int, nargs="*", default=[0, 1], help="seeds of the masks of real slices")
    parser.add_argument("--simulated", type=int, default=0, help="simulated slices instead of the real ones")
    parser.add_argument("--folds", type=int, default=2)
    for name in ("denoiser", "network", "hqs-net"):
        parser.add_argument(f"--{name}", help=f"weights of checked's {name}; default: those of the package")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def lines(n: int, accel: int, seed: int) -> np.ndarray:
    """Random lines with a full centre, n / accel of them in the mean."""
    centre = round(n * CENTRE[accel])
    mask = np.random.default_rng(seed).random(n) < (n / accel - centre) / (n - centre)
    first = (n - centre + 1) // 2
    mask[first : first + centre] = True
    return mask


def real(shared: Path, seeds: list[int]) -> Iterator[tuple[str, int, KSpace]]:
    """Real slices, undersampled along the phase encode, with the root sum of squares of all samples as the truth."""
    for name, file in REAL.items():
        with np.load(shared / "data" / "kspace" / file) as held:
            coils = held["kspace"] if "kspace" in held else held["arr_0"].transpose(2, 1, 0)
        full = torch.from_numpy(np.ascontiguousarray(coils).astype(np.complex64))[:, None]
        full = full if "liver" in file else fft(full)
        shape = (1, full.shape[-2], full.shape[-1])
        for accel in CENTRE:
            for seed in seeds:
                mask = torch.from_numpy(lines(shape[1], accel, seed))[None, None, :, None]
                yield (
                    name,
                    accel,
                    KSpace(
                        samples=full * mask,
                        mask=mask,
                        encoding=Encoding.cartesian(shape),
                        geometries=(Geometry.unknown(shape),),
                        target=root_sum_of_squares(ifft(full)),
                    ),
                )


def heads(shared: Path, n: int) -> Iterator[tuple[str, int, KSpace]]:
    """Simulated slices of the test label maps."""
    for case in simulated.draw(n, subject_names("label_maps")):
        yield f"{case.subject} at {case.at:.2f}", case.accel, case.kspace(shared / "data")


def score(x: Tensor, truth: Tensor) -> float:
    """psnr inside the object, dB, at the scale that fits best there."""
    image, t = x.abs()[0, 0], truth.abs()[0, 0]
    where = inside(t)
    return psnr_inside(t, image * (image[where] * t[where]).sum() / image[where].square().sum())


def outcome(name: str, accel: int, kspace: KSpace, args: argparse.Namespace) -> Outcome:
    """All candidates of a scan, what their held-out errors say, and the truth."""
    prepared = settled(prepare(kspace)[0])
    chosen = tools(prepared, args.network, args.hqs_net, args.denoiser, pnp.Config(n_steps=10, first=4.0))
    csm, truth = maps(prepared, mend=True), kspace.target
    assert truth is not None
    made = Candidates(prepared, csm, chosen)
    psnr = {n: score(made[n], truth) for n in chosen.names}
    weights, sizes = checked.held_out(prepared, csm, chosen, args.folds)
    errors = dict(zip(chosen.names, sizes.tolist(), strict=False))
    x = sum((float(w) * made[n] for n, w in zip(chosen.names, weights, strict=True)), torch.zeros(()))
    base = l1_wavelet.reconstruct(prepared, csm, l1_wavelet.Config())
    return Outcome(
        name=name,
        accel=accel,
        psnr=psnr,
        mean=score(made.consistent(x), truth),
        baseline=score(base, truth),
        chosen=min(errors, key=lambda n: errors[n]),
    )


def page(outcomes: list[Outcome], how: str) -> str:
    """Gains over l1_wavelet of each case, and how good the choices were at each R."""
    names = list(dict.fromkeys(n for o in outcomes for n in o.psnr))
    rows = [
        [o.name, str(o.accel), f"{o.baseline:.2f}"]
        + [f"{o.psnr[n] - o.baseline:+.2f}" if n in o.psnr else "" for n in names]
        + [o.chosen, f"{o.lost:.2f}", f"{o.mean - o.baseline:+.2f}"]
        for o in outcomes
    ]
    told = []
    for accel in sorted({o.accel for o in outcomes}):
        here = [o for o in outcomes if o.accel == accel]
        near = sum(o.lost < NEAR_DB for o in here)
        gains = [o.mean - o.baseline for o in here]
        told.append(
            f"R = {accel}: the candidate with the smallest held-out error is within {NEAR_DB} dB of the best one in "
            f"{near} of {len(here)} cases; the weighted mean gains {np.mean(gains):+.2f} dB, {min(gains):+.2f} at least"
        )
    head = ["scan", "R", "l1_wavelet, dB", *names, "least held-out error", "lost, dB", "weighted mean"]
    return "\n\n".join([how, *told, table(head, rows)])


def main() -> None:
    """Run, and write the section."""
    args, before = arguments(), load_average()
    kind = "simulated" if args.simulated else "real"
    cases = heads(args.shared, args.simulated) if args.simulated else real(args.shared, args.masks)
    outcomes = []
    with torch.inference_mode():
        for name, accel, kspace in cases:
            outcomes.append(outcome(name, accel, kspace, args))
            print(outcomes[-1], flush=True)
    text = page(outcomes, circumstances("benchmarks.held_out", torch.get_num_threads(), before))
    write_section(args.out, f"held-out {kind}", f"## Choice by samples left out, {kind} scans\n\n{text}")


if __name__ == "__main__":
    main()
