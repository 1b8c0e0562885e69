"""`python -m benchmarks`: tune where not tuned yet, then time everything and write RESULTS.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.cases import CASES, build
from benchmarks.results import Circumstances, page
from benchmarks.rows import Row, fixed_weight, measure, suits
from benchmarks.sides import METHODS, Bench
from benchmarks.tuning import LADDER
from spinecho.methods import registry

ROOT = Path(__file__).parents[1]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--work", type=Path, default=ROOT / "runs/benchmarks", help="cases and tuning are kept here")
    parser.add_argument("--peers-python", type=Path, default=ROOT / ".venv-peers/bin/python", help="made by make peers")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--sides", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS["spinecho"]), choices=list(METHODS["spinecho"]))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tune-only", action="store_true", help="find weights and iterations, time nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/RESULTS.md")
    return parser.parse_args()


def available(side: str, wanted: list[str], peers_python: Path) -> list[str]:
    """Methods that can be run here: ours that exist, peers that are installed."""
    if side == "spinecho":
        return [m for m in wanted if m == "espirit" or m in registry.names("recon")]
    if side == "bart" and shutil.which("bart") is None:
        print("bart is not installed (apt install bart): left out", file=sys.stderr)
        return []
    if side in ("sigpy", "pygrappa") and not peers_python.exists():
        print(f"{side} is not installed (make peers): left out", file=sys.stderr)
        return []
    return wanted


def versions(peers_python: Path) -> str:
    """Of everybody who takes part."""
    told = [f"torch {torch.__version__}"]
    if shutil.which("bart"):
        told.append("bart " + subprocess.run(["bart", "version"], capture_output=True, text=True).stdout.strip())
    if peers_python.exists():
        code = 'from importlib.metadata import version as v; print(f\'sigpy {v("sigpy")}, pygrappa {v("pygrappa")}\')'
        told.append(subprocess.run([peers_python, "-c", code], capture_output=True, text=True).stdout.strip())
    return ", ".join(told)


def load_average() -> str:
    """Over 1, 5 and 15 minutes."""
    return " ".join(f"{v:.2f}" for v in os.getloadavg())


def main() -> None:
    """Run it."""
    args = arguments()
    torch.set_num_threads(args.threads)
    before = load_average()
    print(f"load average {before}")
    args.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=args.work) as scratch:
        for rows, failures in table(args, Path(scratch)):
            if not args.tune_only:
                save(args, rows, failures, before)


def save(args: argparse.Namespace, rows: list[Row], failures: list[str], before: str) -> None:
    """Write the table as far as it is."""
    how = Circumstances(
        command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        threads=args.threads,
        repeats=args.repeats,
        ladder=LADDER,
        load_before=before,
        load_after=load_average(),
        versions=versions(args.peers_python),
    )
    args.out.write_text(page(rows, failures, how))
    (args.work / "rows.json").write_text(json.dumps([asdict(r) for r in rows], indent=1))
    print(f"load average {how.load_after}; {len(rows)} rows written to {args.out}", flush=True)


def table(args: argparse.Namespace, scratch: Path) -> Iterator[tuple[list[Row], list[str]]]:
    """All rows so far, after each case, and what failed: one side's failure does not stop the others."""
    bench = Bench(
        work=args.work, scratch=scratch, peers_python=args.peers_python, threads=args.threads, repeats=args.repeats
    )
    methods = {side: available(side, args.methods, args.peers_python) for side in args.sides}
    cases = {
        name: (build(name, args.shared, args.work / "cases"), args.work / f"cases/{name}.npz") for name in args.cases
    }
    fixed = {m: fixed_weight(bench, cases, "bart", m) for m in ("l1_wavelet", "tv") if m in methods.get("bart", [])}
    rows: list[Row] = []
    failures: list[str] = []
    for name, (case, path) in cases.items():
        for method in args.methods:
            for side in [s for s, allowed in methods.items() if method in allowed and suits(name, s, method)]:
                if method not in METHODS[side]:
                    continue
                try:
                    rows += measure(bench, case, path, side, method, fixed.get(method), tune_only=args.tune_only)
                except RuntimeError as error:
                    failures.append(str(error))
                    print(error, file=sys.stderr)
                print(f"{datetime.now(UTC):%H:%M:%S} {name} {method} {side} done", flush=True)
        yield rows, failures


if __name__ == "__main__":
    main()
