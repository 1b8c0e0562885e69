"""`python -m benchmarks.invention`: small lesions planted in full scans, seen and invented after undersampling.

Spots brighter than what lies around them are multiplied into the coils' images of a full scan, which is then
undersampled; the same scan without them is undersampled alike. A template observer (`metrics.observer`) looks for them
in both images. Beside it how sharp the images are. Real slices, or with `--simulated N` heads of the test label maps.
A section of docs/results.md each.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

import spinecho
from benchmarks import simulated
from benchmarks.sections import circumstances, load_average, table
from benchmarks.subjects import Subject, scanned, subject_names
from benchmarks.transfer import SLICES, listed
from spinecho.core.kspace import KSpace
from spinecho.evaluate.markdown import write_section
from spinecho.evaluate.planting import calm_places
from spinecho.methods import registry
from spinecho.metrics.image import hfen
from spinecho.metrics.inside import fitted_inside, inside, psnr_inside
from spinecho.metrics.observer import Place, invented, observed, spot
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.retrospective import undersample

ROOT = Path(__file__).parents[1]
TITLE = "Planted lesions, {kind} scans"
METHODS = ("l1_wavelet", "varnet", "hqs_net", "checked", "gan")
RATES = ((4, 0.08), (8, 0.04))
SIGMA = (1.0, 1.2, 1.2)
"""Of a spot, in voxels (z, y, x): as wide as 2.8 pixels at half its height"""
CONTRAST = 0.4
"""Of a spot, relative to what lies below it"""
NUMBER = 24
"""Of spots in a slice, at most"""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of one image without spots (psnr inside in dB, hfen, detail relative to the truth's), and of the pair."""

    psnr: float
    hfen: float
    detail: float
    sensitivity: float
    false_alarms: float
    invented: int


def with_spots(full: KSpace, places: Sequence[Place]) -> KSpace:
    """A full scan of one slice whose object has spots; each coil sees them as it sees the tissue below."""
    coils = ifft(full.samples)
    shape = coils.shape[-3:]
    gain = 1 + CONTRAST * torch.stack([spot(shape, p, SIGMA) for p in places]).sum(0).float()
    target = None if full.target is None else full.target * gain
    return replace(full, samples=fft(coils * gain), target=target)


def score(truth: Tensor, plain: Tensor, spotted: Tensor, places: Sequence[Place]) -> Score:
    """Of images (z, y, x) of the scan without and with spots; the truth has none."""
    where = inside(truth)
    size = CONTRAST * float(truth[where].median())
    plain, spotted = (fitted_inside(truth, v) for v in (plain, spotted))
    seen = observed(spotted, plain, places, size, SIGMA)
    return Score(
        psnr=psnr_inside(truth, plain),
        hfen=hfen(truth, plain),
        detail=detail(plain, where) / detail(truth, where),
        sensitivity=seen["sensitivity"],
        false_alarms=seen["false_alarms"],
        invented=invented(plain, truth, size, SIGMA),
    )


def detail(values: Float[Tensor, "z y x"], where: Tensor) -> float:
    """Root mean square over the object of what frequencies above half of the highest make up."""
    k = fft(values.to(torch.complex64), (-2, -1))
    far = [torch.linspace(-1, 1, n + 1)[:-1].square() for n in k.shape[-2:]]
    high = ifft(k * ((far[0][:, None] + far[1]) > 0.25), (-2, -1)).abs()
    return float(high[where].square().mean().sqrt())


def scans(args: argparse.Namespace) -> Iterator[tuple[str, int, KSpace, MaskSpec]]:
    """Slice, acceleration, full scan and mask; a simulated one has a noise-free target."""
    if not args.simulated:
        for slice_ in listed(SLICES):
            full = slice_.load(0)
            for rate, centre in RATES:
                for seed in args.masks:
                    yield slice_.name, rate, full, MaskSpec("random", rate, centre, seed)
        return
    data = args.shared / "data"
    for i, case in enumerate(simulated.draw(args.simulated, subject_names("label_maps"))):
        rates = dict(RATES)
        if case.accel in rates:
            subject = Subject(dataset="label_maps", name=case.subject, at=case.at)
            full = scanned(data, subject, replace(case.scan, sampling="full"))
            name = f"{case.subject} at {case.at:.2f}"
            yield name, case.accel, full, MaskSpec("random", case.accel, rates[case.accel], i)


def scored(full: KSpace, spec: MaskSpec, methods: Sequence[str]) -> Mapping[str, Score]:
    """All methods, on one full scan."""
    truth = root_sum_of_squares(ifft(full.samples)) if full.target is None else full.target.abs()
    truth = truth.reshape(-1, *truth.shape[-2:])
    places = calm_places(truth, NUMBER, SIGMA)
    pair = [undersample(k, spec) for k in (full, with_spots(full, places))] if places else []
    shown: dict[str, Score] = {}
    for method in methods if pair else ():
        plain, spotted = (spinecho.recon(k, method).values.abs().reshape(truth.shape) for k in pair)
        shown[method] = score(truth, plain, spotted, places)
    return shown


def lines(rows: Mapping[tuple[int, str], Sequence[Score]]) -> list[list[str]]:
    """Means over the scans; of false alarms, the difference from `varnet`, where it is among the methods."""
    made = []
    for (rate, method), each in rows.items():
        if not each:
            continue
        alarms, base = (_alarms(v) for v in (each, rows.get((rate, "varnet"), ())))
        cells = [f"{fmean(s.psnr for s in each):.2f}", f"{fmean(s.hfen for s in each):.3f}"]
        cells += [f"{fmean(s.detail for s in each):.2f}", f"{100 * fmean(s.sensitivity for s in each):.1f}"]
        cells += [f"{alarms:.1f}" + (f" ({alarms - base:+.1f})" if math.isfinite(base) else "")]
        cells += [f"{fmean(s.invented for s in each):.1f}"]
        made.append([str(rate), f"`{method}`", str(len(each)), *cells])
    return made


def _alarms(scores: Sequence[Score]) -> float:
    """Percent; nan without scores."""
    return 100 * fmean(s.false_alarms for s in scores) if scores else math.nan


def main() -> None:
    """Run, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.invention", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/")
    parser.add_argument("--masks", nargs="+", type=int, default=[0, 1, 2], help="seeds of the masks of real slices")
    parser.add_argument("--simulated", type=int, default=0, help="simulated slices in place of the real ones")
    ready = [m for m in METHODS if registry.offer("recon", m).is_ready]
    parser.add_argument("--methods", nargs="+", default=ready)
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    torch.set_num_threads(1)
    rows: dict[tuple[int, str], list[Score]] = {(r, m): [] for r, _ in RATES for m in args.methods}
    with torch.inference_mode():
        for name, rate, full, spec in scans(args):
            for method, each in scored(full, spec, args.methods).items():
                rows[rate, method].append(each)
                print(name, rate, method, each, file=sys.stderr, flush=True)
    head = ["R", "method", "scans", "psnr inside, dB", "hfen", "detail / truth's", "seen, %", "false alarms, %"]
    head.append("invented a slice")
    same = "" if args.simulated else "Two of the slices are echoes of one abdomen. "
    told = f"""Up to {NUMBER} spots a slice, {100 * CONTRAST:g} % brighter than what lies below, {2.355 * SIGMA[2]:.1f}
pixels wide at half their height, at calm places in tissue; random lines, R = 4 with 8 % of the centre and R = 8 with
4 %. Seen: at least half of a spot's amplitude where one was planted; false alarms: the same at these places of the scan
without them (in brackets less those of `varnet`); invented: spots anywhere that the truth does not show. Detail: what
lies above half of the highest frequency. {same}{circumstances("benchmarks.invention", 1, before)}"""
    text = f"{told}\n\n{table(head, lines(rows))}"
    title = TITLE.format(kind="simulated" if args.simulated else "real")
    print(f"## {title}\n\n{text}")
    if args.out != "-":
        write_section(Path(args.out), title, text)


if __name__ == "__main__":
    main()
