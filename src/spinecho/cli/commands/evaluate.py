"""Compare methods on scans with a known truth: tables, statistics, the worst cases."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from spinecho.cli.parse import parse
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place
from spinecho.io.options import ReadOptions

if TYPE_CHECKING:
    from spinecho.tasks.recon.judge.rows import Row, Rows
    from spinecho.tasks.recon.judge.run import Plan, State


@dataclass(frozen=True, kw_only=True)
class Reading(ReadOptions):
    """How full scans are read; masks are drawn here, and a case list can name those of files."""

    mask: Annotated[Path | None, tyro.conf.Suppress, tyro.conf.arg(name="file-mask")] = None
    traj: Annotated[Path | None, tyro.conf.Suppress] = None
    simulate_mask: Annotated[str | None, tyro.conf.Suppress] = None


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What the simulated test scans (--data sim) are drawn from; the rest is drawn by seed."""

    labels: Path | None = None
    """folder with label maps of heads (labels_NN.nii.gz), of which the test subjects are taken; else a phantom"""
    sim_coils: tuple[int, ...] = ()
    """coils of the simulated scans, by turns (default: drawn, 4 to 20)"""
    sim_matrix: tuple[int, int] = (320, 320)
    """matrix of the simulated scans (y x)"""
    sim_noise: float = 1.0
    """noise relative to what is drawn (SNR 10 to 60)"""
    sim_seed: int = 0
    """from which the simulated scans are drawn"""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    data: tuple[str, ...]
    """full scans: files, folders, case lists (.json), or sim or sim:N for N simulated test scans"""
    methods: tuple[str, ...]
    """methods (spinecho list), NAME=FILE for other weights, NAME+floor for a classical method with the noise of
    all coils as the truth has it, oracle (bart's best), oracle_ours, oracle_l1_wavelet"""
    report: Path
    """page to write (.html); rows are kept beside it as they come, so the same command continues"""
    accel: tuple[float, ...] = (4.0,)
    """acceleration factors"""
    centre: tuple[float, ...] = ()
    """central lines for each factor, a fraction below 1 or a count (default: 0.32 over the factor)"""
    mask: tuple[Literal["random", "equispaced", "gaussian", "poisson"], ...] = ("random",)
    """kinds of masks"""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """seeds of the masks"""
    baseline: str | None = None
    """method that others are compared with (default: l1_wavelet, or the first)"""
    markdown: Path | None = None
    """put the tables into this file, between markers that name the section"""
    section: str = "Reconstruction"
    """name of that section"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""
    read: Annotated[Reading, tyro.conf.arg(name="")] = field(default_factory=Reading)
    simulation: Annotated[Simulation, tyro.conf.arg(name="")] = field(default_factory=Simulation)


def run(arguments: Sequence[str]) -> int:
    """Check everything, then go through the cases, and write page and tables."""
    if arguments[:1] == ["register"]:
        from spinecho.cli import evaluate_register

        return evaluate_register.run(arguments[1:])
    args = parse(Arguments, "evaluate", f"{__doc__} Registration: spinecho evaluate register --help", arguments)
    baseline = check(args)
    from spinecho.evaluate.markdown import write_section
    from spinecho.tasks.recon.judge.evaluation import write_evaluation
    from spinecho.tasks.recon.judge.markdown import section_text
    from spinecho.tasks.recon.judge.rows import Rows, write_csv

    plan = planned(args)
    rows = collected(plan, Rows(args.report))
    if not any(not r.refused for r in rows):
        raise DataError("no method could reconstruct anything", do="see the lines above")
    command = shlex.join(["spinecho", "evaluate", *arguments])
    write_csv(args.report.with_suffix(".cases.csv"), rows)
    text = section_text(rows, baseline, command)
    print(f"\n{text}\n")
    if args.markdown is not None:
        write_section(args.markdown, args.section, text)
        print(f"wrote section {args.section!r} of {args.markdown}")
    print("drawing the worst cases", flush=True)
    write_evaluation(args.report, rows, plan, baseline, command)
    print(f"wrote {args.report} and {args.report.with_suffix('.cases.csv').name}")
    return 0


def check(args: Arguments) -> str:
    """Refuse what cannot be done before anything is read; the baseline's name."""
    if args.report.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"the report is called {args.report.name}", do="give a name that ends in .html")
    if not args.accel or not args.methods or not args.data or not args.seeds or not args.mask:
        raise DataError("an option has no values", do="give at least one to each of --data --methods --accel --seeds")
    if args.centre and len(args.centre) != len(args.accel):
        found = f"{len(args.accel)} acceleration factors and {len(args.centre)} centres"
        raise DataError(found, do="give one --centre for each --accel, or none")
    if args.baseline is not None and args.baseline not in args.methods:
        raise DataError(f"the baseline {args.baseline} is not among --methods", do="add it there")
    if asdict(args.simulation) != asdict(Simulation()) and not any(d.partition(":")[0] == "sim" for d in args.data):
        raise DataError("--labels and --sim-... are for simulated scans", do="add sim to --data, or leave them out")
    for path in (args.report, *([args.markdown] if args.markdown else [])):
        check_place(path)
    return args.baseline or ("l1_wavelet" if "l1_wavelet" in args.methods else args.methods[0])


def planned(args: Arguments) -> Plan:
    """Scans, masks and methods; bad masks are refused here."""
    import torch

    from spinecho.core.device import choose
    from spinecho.sim.mask_spec import MaskSpec
    from spinecho.tasks.recon.judge.run import Plan
    from spinecho.tasks.recon.judge.sources import SimOptions, sources

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    s = args.simulation
    sim = SimOptions(labels=s.labels, coils=s.sim_coils, matrix=s.sim_matrix, noise=s.sim_noise, seed=s.sim_seed)
    centres = args.centre or tuple(round(0.32 / accel, 4) for accel in args.accel)
    specs = tuple(
        MaskSpec(kind, accel, centre, seed)
        for kind in args.mask
        for accel, centre in zip(args.accel, centres, strict=True)
        for seed in args.seeds
    )
    found = sources(args.data, args.read, sim)
    return Plan(sources=found, specs=specs, methods=tuple(dict.fromkeys(args.methods)), device=choose(args.device))


def collected(plan: Plan, kept: Rows) -> list[Row]:
    """All rows of the plan, with a line for each slice as it is read."""
    from spinecho.tasks.recon.judge.run import evaluate

    rows: list[Row] = []
    refused: dict[str, None] = {}
    resumed = 0
    try:
        with progress(f"{len(plan.methods)} methods") as tell:
            for state in evaluate(plan, kept):
                if told := _told(state):
                    print(told)
                if state.row is not None:
                    if state.row.refused:
                        refused.setdefault(f"not run: {state.row.method} on {state.row.scan}: {state.row.refused}")
                    rows.append(state.row)
                    resumed += state.resumed
                tell(state.done, state.total)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(rows)} rows are kept in {kept.path}; the same command continues") from None
    for line in refused:
        print(line)
    if resumed:
        print(f"{resumed} of {len(rows)} rows were finished before")
    return rows


def _told(state: State) -> str:
    """A line on a slice that was read, or that could not be used."""
    if state.skipped:
        return f"left out: {state.skipped}"
    if state.truth is None:
        return ""
    t = state.truth
    coils = f"{t.kspace.n_coils} coil{'s' * (t.kspace.n_coils > 1)}"
    line = f"{t.scan}, slice {t.slice}: {t.kind}, {coils}, SNR {t.snr:.3g}"
    if t.ceiling is None:
        return line
    return f"{line}; noise ceiling {t.ceiling.noise_free:.2f} dB ({t.ceiling.with_floor:.2f} dB with the noise floor)"
