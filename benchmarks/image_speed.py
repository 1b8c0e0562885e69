"""`python -m benchmarks.image_speed`: time and memory of the image commands on a head of 256 x 256 x 256 voxels.

Each command runs as a person runs it, in a process of its own, with two threads: start-up, reading and writing are in
the time. The head is a label map that judges, rendered as T1 with 3 % Rician noise; for super-resolution every second
slice of it, so that 256 come out. Writes a section of docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import torch

from benchmarks.sections import circumstances, load_average, table
from spinecho.evaluate.markdown import write_section
from spinecho.sim.anatomy import of_sequence
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.splits import split
from spinecho.train.label_maps import read_head

ROOT = Path(__file__).parents[1]
TITLE = "Image commands on a head of 256 x 256 x 256"
LIMIT_GB = 4.0
NOISE = 0.03


@dataclass(frozen=True)
class Work:
    """A command on one of the two heads, the seconds that it may take, and further words of it."""

    task: str
    method: str
    thick: bool
    limit_s: float
    also: tuple[str, ...] = ()


WORKS = (
    Work("denoise", "unet25d", False, 60),
    Work("denoise", "nlmeans", False, 60),
    Work("superres", "multiscale", True, 120),
    Work("superres", "bspline", True, 120),
    Work("segment", "regions", False, 90),
    Work("translate", "supervised", False, 60, ("--contrast", "t1", "--to", "flair")),
    Work("translate", "lookup", False, 60, ("--contrast", "t1", "--to", "flair")),
)


@dataclass(frozen=True)
class Spent:
    """What a run took: wall and CPU seconds, the largest memory in GB, and its exit code."""

    wall_s: float
    cpu_s: float
    peak_gb: float
    code: int


def heads(folder: Path, labels: Path) -> dict[bool, Path]:
    """The head, and every second slice of it, as NIfTI."""
    whole, geometry = read_head(labels)
    clean = of_sequence(SEQUENCES["t1"]).render(whole)
    rng = torch.Generator().manual_seed(0)
    real, imaginary = NOISE * torch.randn(2, *clean.shape, generator=rng)
    values = torch.hypot(clean + real, imaginary).mul(1000).to(torch.int16).numpy().T
    affine = np.diag([-1.0, -1, 1, 1]) @ geometry.affine
    paths: dict[bool, Path] = {}
    for is_thick in (False, True):
        step = 1 + is_thick
        paths[is_thick] = folder / f"head{step}.nii.gz"
        nib.save(nib.Nifti1Image(values[:, :, ::step], affine @ np.diag([1, 1, step, 1])), paths[is_thick])
    return paths


def measured(work: Work, image: Path, out: Path, threads: int) -> Spent:
    """One run in a fresh process."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, work, str(image), str(out), threads))
    process.start()
    spent = ours.recv() if ours.poll(1800) else Spent(1800.0, 1800.0, float("nan"), 124)
    process.join(5)
    process.kill()
    return spent


def _run(pipe: object, work: Work, image: str, out: str, threads: int) -> None:
    from spinecho.cli import main as command

    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    before = time.perf_counter()
    code = command([work.task, image, "-o", out, "--method", work.method, *work.also])
    wall = time.perf_counter() - before
    used = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send(Spent(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, code))  # type: ignore[attr-defined]


def page(rows: list[tuple[Work, Spent]], how: str) -> str:
    """The table; what is over its limit is told."""
    cells = [
        [
            w.task,
            f"`{w.method}`",
            f"{s.wall_s:.0f}" if s.code == 0 else f"failed ({s.code})",
            f"{s.cpu_s:.0f}",
            f"{w.limit_s:g}",
            f"{s.peak_gb:.1f}",
            "yes" if s.code == 0 and s.wall_s <= w.limit_s and s.peak_gb < LIMIT_GB else "no",
        ]
        for w, s in rows
    ]
    head = ["task", "method", "wall s", "CPU s", "target, s", "memory, GB", f"met, below {LIMIT_GB:g} GB"]
    return f"{how}\n\n{table(head, cells)}"


def main() -> None:
    """Run all, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image_speed", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="methods")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    name = split("label_maps", "test")[0]
    labels = args.shared / "data" / "label_maps" / f"labels_{name}.nii.gz"
    rows: list[tuple[Work, Spent]] = []
    with TemporaryDirectory() as folder:
        images = heads(Path(folder), labels)
        for work in WORKS:
            if args.only and work.method not in args.only:
                continue
            out = Path(folder) / f"{work.task}-{work.method}.nii.gz"
            rows.append((work, measured(work, images[work.thick], out, args.threads)))
            print(*rows[-1], file=sys.stderr, flush=True)
    text = page(rows, circumstances("benchmarks.image_speed", args.threads, before))
    print(text)
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
