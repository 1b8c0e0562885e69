"""`python -m benchmarks.learned_speed`: our learned methods beside fastMRI's VarNet, in turns, on one slice."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.cases import simulated_brain
from benchmarks.sections import OUT, circumstances, load_average, table, write_section
from benchmarks.sides import Bench
from benchmarks.specs import LEARNED
from spinecho.sim.mask_spec import parse
from spinecho.sim.splits import split

ROOT = Path(__file__).parents[1]
PEER = "fastMRI VarNet"
MASKS = {"1-D random lines, R = 4": ("random:4:24:8", 24), "2-D Poisson disc, R = 4": ("poisson:4:24:8", 24)}
"""Mask, and central lines or side of the central block."""

TIMES_FASTER = {"hqs_net": 6.0}
SECONDS = {"checked": 8.0}
QUICK = {"varnet_fast": (0.1, 0.2)}
"""What is wanted: so many times less wall time than the peer; seconds of wall time; seconds of wall or of CPU time."""

HEAD = """## Speed beside fastMRI's VarNet

{circumstances} {n_coils} coils, 320x320, a simulated head. All sides take turns, one call each in every round; medians
of {repeats} rounds after one that warms up (`fastest`: the least of them, which other work on the machine disturbs
least). `wall`: from samples to image, coil maps included, program and weights
already loaded (`load`: what building the method with its weights takes, once). `CPU`: of all threads. `x`: fastMRI's
over ours. fastMRI: 12 cascades of 18 channels, map network 8, random weights (version {version}).
Parts of ours: `maps`, `start` (what the first cascade gets), `cascades` (the rest of the method), `rest`
(checks, scaling, residual on the measured samples).{untrained}
"""


class Side:
    """A process that answers {"case": PATH} with seconds."""

    def __init__(self, python: str, script: str, setting: dict[str, Any], environment: dict[str, str]) -> None:
        command = [python, "-W", "ignore", str(Path(__file__).parent / script), json.dumps(setting)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.communicate()

    def ask(self, case: Path) -> dict[str, Any]:
        """One run; a process that is gone, or what went wrong in it, is an answer with `error`."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps({"case": str(case)}) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            return {"error": "its process ended (the reason stands above)"}


def make_case(path: Path, shared: Path, n_coils: int, spec: str, n_centre: int) -> None:
    """A test subject's head with that mask: samples (coil, k1, k0), mask (k1, k0), centre."""
    _, full, truth = simulated_brain(shared, n_coils, split("label_maps", "test")[0], 1)
    mask = parse(spec).draw((1, *truth.shape)).expand(1, 1, *truth.shape)
    samples = (full * mask)[:, 0]
    np.savez(path, samples=(samples / samples.abs().max()).numpy(), mask=mask[0, 0].numpy(), n_centre=n_centre)


def in_turns(sides: dict[str, Side], case: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Side -> medians of all its numbers; a side that fails has its `error`."""
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            if turn and "error" in told[name][0]:
                continue
            answer = side.ask(case)
            told[name] = [answer] if turn < 2 else [*told[name], answer]
    return {name: medians(answers) for name, answers in told.items()}


def medians(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each number, and the least of `wall_s` as `fastest_s`; the first error instead, if there is one."""
    if failed := [a for a in answers if "error" in a]:
        return failed[0]
    keys = [k for k, v in answers[0].items() if isinstance(v, int | float)]
    found = {k: statistics.median(a[k] for a in answers) for k in keys}
    return found | {"fastest_s": min(a["wall_s"] for a in answers)}


COLUMNS = ["method", "weights", "wall s", "x", "fastest s", "x", "CPU s", "x", "maps s", "start s", "cascades s",
           "rest s", "load s"]  # fmt: skip


def rows(found: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Of the table, the peer's first."""
    peer, lines = found.get(PEER, {}), []
    for name, r in found.items():
        if "error" in r:
            continue
        pairs = [
            [f"{r[k]:.3f}", f"{peer[k] / r[k]:.1f}" if k in peer and name != PEER else "-"]
            for k in ("wall_s", "fastest_s", "cpu_s")
        ]
        parts = [f"{r[k]:.3f}" if k in r else "-" for k in ("maps_s", "start_s", "cascades_s", "rest_s", "load_s")]
        lines.append([name, f"{r['weights'] / 1e6:.2f} M", *(cell for pair in pairs for cell in pair), *parts])
    return lines


def verdict(found: dict[str, dict[str, Any]]) -> str:
    """Whether each method is as fast as it shall be, and what failed."""
    text, peer = "", found.get(PEER, {})
    for name in (n for n in TIMES_FASTER if "wall_s" in found.get(n, {}) and "wall_s" in peer):
        x, most = (peer[k] / found[name][k] for k in ("wall_s", "fastest_s"))
        text += (
            f"Wanted of `{name}`: {TIMES_FASTER[name]:g} times less wall time than the peer's; it takes {x:.1f} times"
        )
        text += f" less ({most:.1f} by the fastest rounds).\n"
    for name in (n for n in SECONDS if "wall_s" in found.get(n, {})):
        text += f"Wanted of `{name}`: under {SECONDS[name]:g} s; it takes {found[name]['wall_s']:.1f} s.\n"
    for name in (n for n in QUICK if "wall_s" in found.get(n, {})):
        wall, cpu = QUICK[name]
        text += f"Wanted of `{name}`: under {wall:g} s or {cpu:g} CPU s; it takes {found[name]['wall_s']:.3f} s"
        text += f" (fastest {found[name]['fastest_s']:.3f}) and {found[name]['cpu_s']:.3f} CPU s.\n"
    return text + "".join(f"- {name} failed: {r['error']}\n" for name, r in found.items() if "error" in r)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learned_speed", description=__doc__)
    parser.add_argument("--methods", nargs="*", default=list(LEARNED), help="NAME or 'NAME(FIELD=VALUE, ...)'")
    parser.add_argument("--untrained", action="store_true", help="random weights, for timing only")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--peers-python", type=Path, default=ROOT / ".venv-peers/bin/python", help="made by make peers")
    parser.add_argument("--out", type=Path, default=OUT, help="`-`: print only")
    return parser.parse_args()


def main() -> None:
    """Time all sides on both masks and write the section."""
    args = arguments()
    before = load_average()
    print(f"load average {before}", flush=True)
    text = ""
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        bench = Bench(work=Path(scratch), scratch=Path(scratch), peers_python=args.peers_python, threads=args.threads)
        sides: dict[str, Side] = {}
        setting: dict[str, Any] = {"threads": args.threads}
        if not args.no_peer:
            sides[PEER] = Side(str(args.peers_python), "fastmri_side.py", setting, bench.environment)
        for spec in args.methods:
            ours = setting | {"method": spec, "untrained": args.untrained}
            sides[spec] = Side(sys.executable, "learned_side.py", ours, bench.environment)
        for side in sides.values():
            stack.enter_context(side)
        for title, (spec, n_centre) in MASKS.items():
            path = Path(scratch) / "case.npz"
            make_case(path, args.shared, args.coils, spec, n_centre)
            found = in_turns(sides, path, args.repeats)
            text += f"\n### {title}\n\n{table(COLUMNS, rows(found))}\n{verdict(found)}"
            print(text[text.rindex("###") :], flush=True)
    head = HEAD.format(
        circumstances=circumstances("benchmarks.learned_speed", args.threads, before),
        n_coils=args.coils,
        repeats=args.repeats,
        version=_version(args.peers_python),
        untrained=" **Our weights are random: times only.**" if args.untrained else "",
    )
    if str(args.out) != "-":
        write_section(args.out, "learned_speed", head + text)
    print(f"load average {load_average()}")


def _version(python: Path) -> str:
    if not python.exists():
        return "not installed"
    code = "from importlib.metadata import version as v; print('fastmri', v('fastmri') + ', torch', v('torch'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not installed"


if __name__ == "__main__":
    main()
