"""What methods made of many cases, one JSON line each, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.scoring import against
from benchmarks.specs import parse_method, weights_digest
from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.judge.case import shows_floor
from spinecho.tasks.recon.run import recon

OUTSIDE = "outside the card of"
"""How a learned method says in the history that a scan is unlike those its weights were trained on."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One method on one case.

    Parameters
    ----------
    psnr, ssim
        Inside the object, dB and 1, NaN where there is no image.
    outside
        In which ways the method called the scan outside its card; empty: in none.
    failed
        Why there is no image.
    weights
        Digest of the weights used; empty: none.
    """

    psnr: float = float("nan")
    ssim: float = float("nan")
    seconds: float = 0.0
    outside: str = ""
    failed: str = ""
    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A case, as it was drawn, with its outcomes by method."""

    case: dict[str, Any]
    outcomes: dict[str, Outcome]


def outcome(kspace: KSpace, spec: str) -> Outcome:
    """Reconstruct and score; whatever goes wrong becomes part of the result."""
    name, settings = parse_method(spec)
    weights = weights_digest(spec)
    if shows_floor(name):  # these truths are free of noise
        settings = {"noise_floor": False, **settings}
    begin = time.perf_counter()
    try:
        image = recon(kspace, name, **settings)
    except Exception as error:  # the other cases shall go on
        return Outcome(failed=f"{type(error).__name__}: {error}", weights=weights)
    seconds = time.perf_counter() - begin
    assert kspace.target is not None
    values = image.magnitude().values.double()
    if not bool(torch.isfinite(values).all()):
        return Outcome(failed="the image has values that are not finite", seconds=seconds, weights=weights)
    scores = against(kspace.target.abs().flatten(0, -3), values.flatten(0, -3))
    said = [step.partition(OUTSIDE)[2].partition(": ")[2] for step in image.header.history if OUTSIDE in step]
    return Outcome(psnr=scores.psnr, ssim=scores.ssim, seconds=seconds, outside="; ".join(said), weights=weights)


def read(path: Path) -> dict[str, Entry]:
    """Entries by their case; later lines add to and replace earlier ones, a line cut off by a crash is left out."""
    found: dict[str, Entry] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            told = json.loads(line)
            new = {m: Outcome(**o) for m, o in told["outcomes"].items()}
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
        key = _key(told["case"])
        old = found[key].outcomes if key in found else {}
        found[key] = Entry(case=told["case"], outcomes=old | new)
    return found


def fill(
    path: Path, cases: list[dict[str, Any]], methods: list[str], make: Callable[[dict[str, Any]], KSpace]
) -> Iterator[Entry]:
    """Every case with the outcomes of these methods, from the file where they stand there, else run and added to it.

    Outcomes of other weights than those there are now are run again.
    """
    known = read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    digests = {m: weights_digest(m) for m in methods}
    for case in cases:
        entry = known.get(_key(case), Entry(case=case, outcomes={}))
        have = {m: o for m, o in entry.outcomes.items() if o.weights == digests.get(m)}
        if missing := [m for m in methods if m not in have]:
            kspace = make(case)
            new = {m: outcome(kspace, m) for m in missing}
            _append(path, case, new)
            have |= new
        yield Entry(case=case, outcomes={m: have[m] for m in methods})


def _append(path: Path, case: Mapping[str, Any], outcomes: dict[str, Outcome]) -> None:
    line = json.dumps({"case": case, "outcomes": {m: asdict(o) for m, o in outcomes.items()}})
    cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a") as file:
        file.write("\n" * cut_off + line + "\n")


def _key(case: Mapping[str, Any]) -> str:
    return json.dumps(case, sort_keys=True)
