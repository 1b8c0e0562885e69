"""Run the peers: `python -m benchmarks.register_peers --set ixi`; what is done stays, what is missing is run.

For each peer and pair OUT/SET/PEER/FIXED-MOVING.json (scores, seconds, exact calls) and .npz (`field`, float32
(3, z, y, x), LPS mm, the affine part included). All peers do the first pair, then all the second, and so on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.register_peers import score
from benchmarks.register_peers.pairs import RUNS, SETS, Pair
from benchmarks.register_peers.peers import CROSS, PEERS, PYTHON, WORK, Peer

LONGEST_S = 3 * 3600
SEED = 1


def main() -> None:
    """All pairs of a set by all peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=list(SETS), default="ixi", dest="chosen")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--pairs", type=int, default=None, help="only the first so many")
    arguments = parser.parse_args()
    pairs = SETS[arguments.chosen]()[: arguments.pairs]
    for pair in pairs:
        for name in arguments.peers:
            if pair.alike and name in CROSS:
                continue
            target = arguments.out / arguments.chosen / name / pair.name
            if target.with_suffix(".json").exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            told = run(PEERS[name], pair, target)
            line = told.get("failed") or f"Dice {told.get('dice', float('nan')):.4f}, {told['cpu_s']:.0f} CPU s"
            print(f"{time.strftime('%H:%M:%S')} {name} {pair.name}: {line}", flush=True)


def run(peer: Peer, pair: Pair, target: Path) -> dict[str, Any]:
    """One peer on one pair; the JSON file is written last, and says why where there is no field."""
    parameters = peer.told(score.voxel_mm(pair.fixed))
    told: dict[str, Any] = {"parameters": dict(parameters), "load_before": os.getloadavg()[0]}
    if peer.after:
        first = peer.after[pair.alike]
        before = json.loads((target.parents[1] / first / f"{pair.name}.json").read_text())
        if "failed" in before:
            told |= {"failed": f"{first} failed, from whose affine it starts"}
            target.with_suffix(".json").write_text(json.dumps(told, indent=1))
            return told
        parameters["affine"] = before["matrix"]
        told["after"] = {"peer": first, **{k: before[k]["affine"] for k in ("seconds", "cpu_seconds")}}
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        job = {"engine": str(peer.engine), "fixed": str(pair.fixed), "moving": str(pair.moving), "kind": "deformable"}
        job |= {"parameters": parameters, "threads": 1, "seed": SEED, "out": place, "mask": None}
        (out / "job.json").write_text(json.dumps(job))
        told |= _timed([str(PYTHON), str(WORK), str(out / "job.json")], out / "log.txt")
        if told["exit"] == 0:
            told |= json.loads((out / "result.json").read_text())
            field = np.load(out / "field.npy")
            told |= scores(field, np.array(told["matrix"]), pair)
            np.savez_compressed(target.with_suffix(".npz"), field=field)
        else:
            told["failed"] = (out / "log.txt").read_text(errors="replace")[-2000:] or f"exit {told['exit']}"
    told["load_after"] = os.getloadavg()[0]
    target.with_suffix(".json").write_text(json.dumps(told, indent=1))
    return told


def _timed(command: list[str], log: Path) -> dict[str, Any]:
    """Exit status, wall seconds and CPU seconds (user + system) of the child and all it started."""
    start, before = time.perf_counter(), _children_cpu_s()
    with log.open("wb") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            child.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            child.kill()
        finally:
            child.wait()
    wall = time.perf_counter() - start
    return {"exit": child.returncode, "wall_s": round(wall, 2), "cpu_s": round(_children_cpu_s() - before, 2)}


def _children_cpu_s() -> float:
    """User and system seconds of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def scores(field: np.ndarray, matrix: np.ndarray, pair: Pair) -> dict[str, Any]:
    """What the pair has a truth for: Dice of regions (and of the linear stages alone), distance from the known warp."""
    found: dict[str, Any] = {}
    linear = score.affine_field(matrix, pair.fixed)
    if pair.fixed_labels and pair.moving_labels:
        fixed = score.load(pair.fixed_labels)[0]
        for name, by in (("dice", field), ("dice_affine", linear)):
            regions = score.dice(score.warp_labels(by, pair.fixed_labels, pair.moving_labels), fixed)
            found |= {name: float(np.mean(list(regions.values()))), f"{name}_regions": regions}
    if pair.truth:
        truth = np.load(pair.truth)
        found |= {"error_mm": score.errors_mm(field, truth), "error_affine_mm": score.errors_mm(linear, truth)}
    return found


if __name__ == "__main__":
    os.nice(15)
    main()
