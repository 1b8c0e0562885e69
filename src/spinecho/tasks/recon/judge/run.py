"""Methods against scans: every slice, mask and method in turn; rows that an earlier run finished are taken from it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spinecho.calib.noise import rss_noise, with_noise_power
from spinecho.calib.prepare import prewhiten
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.judge import oracle
from spinecho.tasks.recon.judge.case import shows_floor
from spinecho.tasks.recon.judge.protocol import judge
from spinecho.tasks.recon.judge.rows import Row, Rows
from spinecho.tasks.recon.judge.truth import Source, Truth, load_truth
from spinecho.tasks.recon.judge.versions import version_of
from spinecho.tasks.recon.run import build, recon


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an evaluation goes through: scans x masks x methods.

    A method is a name of `methods/recon`, of packaged weights, of an oracle, `varnet=FILE` (other weights), or
    `l1_wavelet+floor` (see `named`).
    """

    sources: tuple[Source, ...]
    specs: tuple[MaskSpec, ...]
    methods: tuple[str, ...]
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class State:
    """How far it is: rows done of all, and what was just found.

    Parameters
    ----------
    row
        The row just finished, or taken from an earlier run (`resumed`).
    truth
        The slice just read, before its rows.
    skipped
        A scan that could not be used, and why.
    """

    done: int
    total: int
    row: Row | None = None
    resumed: bool = False
    truth: Truth | None = None
    skipped: str = ""


def check_methods(names: tuple[str, ...]) -> None:
    """Refuse unknown methods, missing weights and a missing bart before hours of work.

    Raises
    ------
    DataError
        As the registry, or naming bart.
    """
    for name in names:
        if name in oracle.NAMES:
            version_of(name)
        else:
            build(*named(name)[:2])


def evaluate(plan: Plan, rows: Rows) -> Iterator[State]:
    """Reconstruct and judge; each row is kept in `rows` as it comes.

    Yields
    ------
    A state for each slice read, for each row, and for each scan that cannot be used (which is left out).
    """
    check_methods(plan.methods)
    per_slice = len(plan.specs) * len(plan.methods)
    total = per_slice * sum(s.n_slices for s in plan.sources)
    done = 0
    for source in plan.sources:
        for index in range(source.n_slices):
            try:
                truth = load_truth(source, index)
            except DataError as error:
                left = source.n_slices - index
                total -= left * per_slice
                yield State(done=done, total=total, skipped=str(error.within(source.name)))
                break
            yield State(done=done, total=total, truth=truth)
            specs = plan.specs if truth.is_full else plan.specs[:1]
            total -= per_slice - len(specs) * len(plan.methods)
            for spec in specs:
                for row, resumed in _case(truth, spec, plan, rows):
                    done += 1
                    yield State(done=done, total=total, row=row, resumed=resumed)


def _case(truth: Truth, spec: MaskSpec, plan: Plan, rows: Rows) -> Iterator[tuple[Row, bool]]:
    """The rows of one undersampled slice, and whether each was there already."""
    mask, accel, centre, seed = (spec.kind, spec.accel, spec.centre, spec.seed) if truth.is_full else truth.own_spec()
    case = f"{truth.digest}:{mask}:{accel:g}:{centre:g}:{seed}"
    kspace: KSpace | None = None
    for method in plan.methods:
        key = f"{case}:{method}:{version_of(method)}"
        if (known := rows.get(key)) is not None:
            yield replace(known, **_facts(truth)), True
            continue
        way = {"mask": mask, "accel": accel, "centre": centre, "seed": seed}
        try:
            kspace = truth.undersampled(spec).to(plan.device) if kspace is None else kspace
        except DataError as error:  # a mask that this matrix is too small for
            yield Row(key=key, case=case, method=method, **_facts(truth), **way, refused=error.found), False
            continue
        row = Row(key=key, case=case, method=method, **_facts(truth), **way, **measure(truth, kspace, method))
        rows.add(row)
        yield row, False


def _facts(truth: Truth) -> dict[str, Any]:
    """What a row tells of its slice; taken anew for rows of an earlier run, since its owner may have said more."""
    return {
        "scan": truth.scan,
        "slice": truth.slice,
        "kind": truth.kind,
        "contrast": truth.contrast,
        "anatomy": truth.anatomy,
        "n_coils": truth.kspace.n_coils,
        "matrix": " x ".join(map(str, truth.kspace.encoding.recon_matrix)),
        "snr": truth.snr,
        "ceiling": truth.ceiling and truth.ceiling.noise_free,
        "ceiling_floor": truth.ceiling and truth.ceiling.with_floor,
    }


def measure(truth: Truth, kspace: KSpace, method: str) -> dict[str, Any]:
    """Scores and seconds of a method, as the fields of a Row; `refused` where it does not apply."""
    wall, cpu = time.perf_counter(), _cpu()
    try:
        values, note = reconstruct(kspace, method, truth)
        values = values.cpu()  # waits for the GPU, too
    except DataError as error:
        return {"refused": error.found}
    n_slices = max(1, values.shape[:-4].numel())
    times = {"wall_s": (time.perf_counter() - wall) / n_slices, "cpu_s": (_cpu() - cpu) / n_slices}
    if not bool(torch.isfinite(values).all()):
        return {"refused": "its image holds NaN or infinite values"}
    scores, inside = judge(truth.values, values)
    figures = {name: getattr(scores, name) for name in ("nmse", "psnr", "ssim", "hfen")}
    return {"note": note, **figures, "psnr_inside": inside, **times}


def reconstruct(kspace: KSpace, method: str, truth: Truth) -> tuple[Tensor, str]:
    """Image values by a method or an oracle, and what the oracle chose.

    A simulated truth is free of noise: there, methods that show the noise power of all coils leave it out.
    """
    if method in oracle.NAMES:
        chosen = oracle.choose(method, kspace, truth.values)
        return chosen.values, chosen.note
    name, settings, floor = named(method)
    if truth.kind == "simulated" and shows_floor(name):
        settings["noise_floor"] = False
    values = recon(kspace, name, **settings).values
    if floor and truth.kind == "real":
        values = with_noise_power(values, rss_noise(prewhiten(kspace)))
    return values, ""


def named(method: str) -> tuple[str, dict[str, Any], bool]:
    """`varnet=FILE` as the method and its setting `weights`, other names as they are; and whether `+floor` follows.

    `l1_wavelet+floor` is l1_wavelet's image with the noise power of all coils, as learned methods show it: the truth of
    a real scan has it, so that a comparison without it says more of air than of anatomy.
    """
    method, plus, rest = method.partition("+")
    name, _, file = method.partition("=")
    if plus and (rest != "floor" or shows_floor(name)):
        do = "write METHOD+floor for a classical method; learned ones have the noise floor already"
        raise DataError(f"{method}+{rest} is no method", do=do)
    return name, {"weights": Path(file)} if file else {}, bool(plus)


def _cpu() -> float:
    """Processor seconds of this process and of the programs it has run."""
    return sum(os.times()[:4])
