"""Every slice with every mask as a case: what is known of it, and what a method gets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.evaluate import versions
from spinecho.evaluate.judge import Case, Cases, LeftOut
from spinecho.evaluate.markdown import names
from spinecho.evaluate.rows import Fact, Row
from spinecho.evaluate.words import number
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.judge.options import Options, Simulation
from spinecho.tasks.recon.judge.sources import SimOptions, sources
from spinecho.tasks.recon.judge.truth import OWN_MASK, BadSlice, Source, Truth, load_truth

_DRAWS = ("sim/mask.py", "sim/mask_spec.py", "sim/poisson.py", "tasks/recon/retrospective.py")
"""What makes the mask of a case from its name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A slice with its truth, and what is left of its samples."""

    truth: Truth
    kspace: KSpace


def cases(options: Options, device: torch.device) -> Cases:
    """Scans x slices x masks.

    Raises
    ------
    DataError
        For options that contradict each other, masks that cannot be, and scans that are not there.
    """
    specs = masks(options)
    s = options.simulation
    if asdict(s) != asdict(Simulation()) and not any(d.partition(":")[0] == "sim" for d in options.scans):
        both = f"{setting('labels')} and {setting('sim_...')}"
        do = f"add sim to {setting('data')}, or leave them out"
        raise DataError(f"{both} are for simulated scans", do=do)
    sim = SimOptions(labels=s.labels, coils=s.sim_coils, matrix=s.sim_matrix, noise=s.sim_noise, seed=s.sim_seed)
    return cases_of(sources(options.scans, options.read, sim), specs, device)


def masks(options: Options) -> tuple[MaskSpec, ...]:
    """Kinds x factors x seeds."""
    if not (options.accel and options.scans and options.seeds and options.mask):
        each = " ".join(map(setting, ("data", "mask", "accel", "seeds")))
        raise DataError("an option has no values", do=f"give at least one to each of {each}")
    if options.centre and len(options.centre) != len(options.accel):
        wrong = f"{len(options.accel)} acceleration factors and {len(options.centre)} centres"
        raise DataError(wrong, do=f"give one {setting('centre')} for each {setting('accel')}, or none")
    centres = options.centre or tuple(round(0.32 / accel, 4) for accel in options.accel)
    return tuple(
        MaskSpec(kind, accel, centre, seed)
        for kind in options.mask
        for accel, centre in zip(options.accel, centres, strict=True)
        for seed in options.seeds
    )


def cases_of(scans: Sequence[Source], specs: Sequence[MaskSpec], device: torch.device) -> Cases:
    """Of scans that are not read yet; one slice is held at a time."""
    read = lru_cache(maxsize=1)(load_truth)

    def each() -> Iterator[Case | LeftOut]:
        for source in scans:
            for index in range(source.n_slices):
                try:
                    truth = read(source, index)
                except BadSlice as error:
                    why = error.within(f"{source.name}, slice {index}")
                    yield LeftOut(n=len(specs), scan=source.name, why=str(why))
                    continue
                except DataError as error:
                    n = (source.n_slices - index) * len(specs)
                    yield LeftOut(n=n, scan=source.name, why=str(error.within(source.name)))
                    break
                drawn = specs if truth.is_full else specs[:1]
                yield from (_case(source, index, truth, spec) for spec in drawn)
                if len(drawn) < len(specs):
                    yield LeftOut(n=len(specs) - len(drawn))

    def _case(source: Source, index: int, truth: Truth, spec: MaskSpec) -> Case:
        def load() -> Inputs:
            again = read(source, index)
            return Inputs(truth=again, kspace=again.undersampled(spec).to(device))

        way = (spec.kind, spec.accel, spec.centre, spec.seed) if truth.is_full else truth.own_spec()
        kind, accel, centre, seed = way
        place = f"{source.name}{f', slice {index}' if source.n_slices > 1 else ''}"
        group = _told(kind, accel, centre)
        return Case(
            name=f"{place}: {group}{'' if kind == OWN_MASK else f', mask {seed}'}",
            digest=f"{truth.digest}:{truth.kind}:{kind}:{accel:g}:{centre:g}:{seed}:{versions.of_code(*_DRAWS)}",
            scan=source.name,  # slices of one file are one scan, as they are one person
            group=group,
            kind=truth.kind,
            load=load,
            facts=_facts(truth, kind, accel) | {"accel": accel, "centre": centre, "seed": seed},
            about=_about(truth),
        )

    return Cases(total=len(specs) * sum(s.n_slices for s in scans), each=each())


def remarks(rows: Sequence[Row]) -> list[str]:
    """Which scans, and the noise ceiling of those that have one."""
    scans = dict.fromkeys(
        f"{r.facts['source']} ({r.facts['coils']} coil{'s' * (r.facts['coils'] != '1')}, {r.facts['matrix']})"
        for r in rows
    )
    told = [f"{names(list(scans))}."]
    by_case = {r.case: r.facts for r in rows}.values()
    ceiling, whole = (_mean([f[name] for f in by_case]) for name in ("ceiling", "ceiling_whole"))
    if ceiling is not None:
        told.append(
            f"Noise ceiling (estimated): a noise-free image would score {number(ceiling)} dB inside against this noisy "
            f"truth, and with the mean noise floor in air {number(whole)} dB as a whole."
        )
    return told


def _facts(truth: Truth, kind: str, accel: float) -> dict[str, Fact]:
    return {
        "source": truth.scan,
        "slice": truth.slice,
        "contrast": truth.contrast,
        "anatomy": truth.anatomy,
        "coils": str(truth.kspace.n_coils),
        "noise": _snr_bin(truth.snr),
        "acceleration": f"R = {accel:g}",
        "mask": kind,
        "matrix": " x ".join(map(str, truth.kspace.encoding.recon_matrix)),
        "snr": truth.snr,
        "ceiling": truth.ceiling and truth.ceiling.inside,
        "ceiling_whole": truth.ceiling and truth.ceiling.whole,
    }


def _told(kind: str, accel: float, centre: float) -> str:
    if kind == OWN_MASK:
        return f"as measured, R = {accel:g}"
    lines = f"{100 * centre:.3g} % centre" if centre < 1 else f"{centre:g} central lines"
    return f"R = {accel:g}, {kind}, {lines}"


def _about(t: Truth) -> str:
    coils = f"{t.kspace.n_coils} coil{'s' * (t.kspace.n_coils > 1)}"
    line = f"{t.scan}, slice {t.slice}: {t.kind}, {coils}, SNR {t.snr:.3g}"
    if t.ceiling is None:
        return line
    return f"{line}; noise ceiling {t.ceiling.inside:.2f} dB inside ({t.ceiling.whole:.2f} dB as a whole)"


def _snr_bin(snr: float) -> str:
    if not math.isfinite(snr):
        return "no noise known"
    edges = (5, 10, 20, 40)
    low = max((e for e in edges if snr >= e), default=0)
    high = min((e for e in edges if snr < e), default=None)
    return f"SNR {low} to {high}" if high else f"SNR over {low}"


def _mean(values: Sequence[Fact]) -> float | None:
    known = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    return sum(known) / len(known) if known else None
