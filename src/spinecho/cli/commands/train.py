"""Train a learned method, or train it further, on scans and images of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spinecho.cli.parse import parse, with_settings
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place
from spinecho.train.settings import Settings

if TYPE_CHECKING:
    import torch

    from spinecho.core.method import Method
    from spinecho.sim.draws import Draws
    from spinecho.tasks.recon.examples.draw import Draw
    from spinecho.tasks.recon.examples.validation import HeldOut
    from spinecho.train.draw import Examples
    from spinecho.train.team import Team


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    method: Annotated[str, tyro.conf.Positional]
    """what to train, as TASK/NAME: recon/varnet, register/voxelmorph (spinecho list). Its settings: spinecho train
    TASK/NAME --help"""
    data: tuple[Path, ...]
    """files and folders, mixed: full raw scans, NIfTI images, label maps (FreeSurfer ids), .npz stacks of images; for
    registration NIfTI images and label maps of whole heads"""
    out: Path
    """folder of the run; a run that was stopped there goes on"""
    init: Path | None = None
    """weights to start from (fine-tuning), instead of random ones"""
    teacher: str | None = None
    """weights (a name or a file) whose images become part of the target: how a small network learns from a large one"""
    teacher_share: float = 0.5
    """how much of the target is the teacher's, 0 to 1"""
    labels: Path | None = None
    """registration: folder with a label map for each image, under the image's file name"""
    on_broken: Literal["stop", "skip"] = "stop"
    """what to do about a file that cannot be used; either way it is named"""
    radial: float = 0.0
    """share of the simulated scans that run along radial spokes instead of lines (for modl)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads of each process (default: all where nothing else runs, else one: waiting threads burn time)"""
    debug: bool = False
    """show where an error comes from"""
    loop: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)


_OPTIONS = {"recon": ("teacher", "teacher_share", "radial"), "register": ("labels",)}
"""Tasks that have learned methods, with the options that are for them alone."""


def run(arguments: Sequence[str]) -> int:
    """Parse, check the output, gather the data, train, and say where the weights are."""
    args = parse(_kind(arguments), "train", __doc__ or "", arguments)
    task, _, name = args.method.partition("/")
    if task not in _OPTIONS or not name:
        raise DataError(
            f"{args.method!r} names no method", do="give TASK/NAME, for example recon/varnet or register/voxelmorph"
        )
    for other in _OPTIONS.keys() - {task}:
        if given := [o for o in _OPTIONS[other] if getattr(args, o) != getattr(Arguments, o)]:
            raise DataError(f"--{given[0].replace('_', '-')} is for {other} methods", do="leave it out")
    if args.out.exists() and not args.out.is_dir():
        raise DataError("it is a file, a folder is wanted", do="choose another name", file=args.out)
    check_place(next(p for p in (args.out, *args.out.absolute().parents) if p.exists()) / "metrics.jsonl")

    from spinecho.core import device
    from spinecho.train.team import together

    with together(device.choose(args.device).type) as (team, own):
        try:
            work(args, task, name, team, own, shlex.join(["spinecho", "train", *arguments]))
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on from the last checkpoint") from None
    return 0


def work(args: Arguments, task: str, name: str, team: Team, device: torch.device, command: str) -> None:
    """The training itself, on one process of a team."""
    import torch

    from spinecho.train.loop import train
    from spinecho.train.run import Run
    from spinecho.train.threads import choose

    say = print if team.leads else _silent
    threads = choose(args.threads, args.out / "checkpoints", args.loop.workers)
    torch.set_num_threads(threads)
    method = build(args, task, name).to(device)
    supply = (_scans if task == "recon" else _pairs)(args, method, device, team, say)
    args.out.mkdir(parents=True, exist_ok=True)
    notes = {"command": command, "processes": team.size, "threads": threads, "device": device.type}
    job = Run(
        method=method,
        task=task,
        name=name,
        settings=args.loop,
        out=args.out,
        facts=_facts(args),
        notes=notes,
        team=team,
    )
    first = True
    with progress(f"training {name}") as tell:
        for step in train(job, supply.items, supply.validation):
            if first and step.step > 1:
                say(f"goes on after step {step.step - 1}, from the checkpoint in {args.out}")
            first = False
            tell(step.step, args.loop.steps)
            if step.scores:
                say(f"step {step.step}: loss {step.loss:.4g}, held-out {supply.told(step.scores)}")
    if first:
        say(f"nothing to do: all {args.loop.steps} steps were done before")
    use = "recon SCAN -o IMAGE" if task == "recon" else "register FIXED MOVING -o MOVED"
    say(f"wrote {job.weights}; to use it: spinecho {use} --weights {job.weights}")


@dataclass(frozen=True, eq=False)
class _Supply:
    """What a run is trained and judged on, and how a judgement is told."""

    items: Examples
    validation: HeldOut | None
    told: Callable[[Mapping[str, float]], str]


def _scans(args: Arguments, method: Recon, device: torch.device, team: Team, say: Callable[[str], None]) -> _Supply:
    """Undersampled scans, for reconstruction."""
    from spinecho.tasks.recon.examples.draw import Seeded
    from spinecho.tasks.recon.examples.sources import gather
    from spinecho.tasks.recon.examples.validation import held_out, told

    supply = gather(args.data, args.on_broken, say, _draws(args.radial, method, args.method))
    validation = held_out(supply.validate, args.loop, device, team)
    return _Supply(_taught(Seeded(supply.train, args.loop.seed), args), validation, told)


def _pairs(args: Arguments, method: Register, device: torch.device, team: Team, say: Callable[[str], None]) -> _Supply:
    """Pairs of heads, for registration."""
    from spinecho.tasks.register.examples.heads import Gathering, gather_heads
    from spinecho.tasks.register.examples.pairs import Pairs
    from spinecho.tasks.register.examples.validation import held_out, told

    gathering = Gathering(method.config.spacing_mm, args.labels, args.on_broken, say)
    train, validate = gather_heads(args.data, gathering)
    if not validate:
        say("too few subjects to hold any out: validation sees other pairs of the same ones")
    validation = held_out(Pairs(validate or train, args.loop.seed), args.loop, device, team)
    return _Supply(Pairs(train, args.loop.seed), validation, told)


def _facts(args: Arguments) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    facts: dict[str, Any] = {"data": [str(p) for p in args.data], "init": str(args.init or "")}
    if args.radial:
        facts["radial"] = args.radial
    if args.teacher:
        facts |= {"teacher": args.teacher, "teacher_share": args.teacher_share}
    if args.labels:
        facts["labels"] = str(args.labels)
    return facts


def _taught(draw: Draw, args: Arguments) -> Draw:
    """With the teacher's images in the targets, where there is one."""
    if args.teacher is None:
        return draw
    if not 0 <= args.teacher_share <= 1:
        raise DataError(f"--teacher-share is {args.teacher_share:g}", do="give a share from 0 to 1")
    from spinecho.methods.pretrained import load_learned
    from spinecho.tasks.recon.examples.distill import Taught

    return Taught(draw, load_learned("recon", args.teacher), args.teacher_share)


def build(args: Arguments, task: str, name: str) -> Any:
    """The method with its first weights: random ones that depend on the seed, or those of --init."""
    import torch

    from spinecho.methods import registry

    if name not in registry.names(task) or not registry.is_learned(task, name):
        learned = ", ".join(f"{t}/{n}" for t in _OPTIONS for n in registry.names(t) if registry.is_learned(t, n))
        raise DataError(f"{name!r} is no learned method", do=f"what can be trained is {learned}")
    module, given = registry.load(task, name), getattr(args, "settings", None)
    config = given if given is not None else module.Config()
    if args.init is None:
        torch.manual_seed(args.loop.seed)
        return module.Method(module.Config(**_values(config)))
    return _opened(args.init, task, name, module.Config(), config)


def _draws(radial: float, method: Recon, name: str) -> Draws:
    """From what ranges scans are drawn.

    Raises
    ------
    DataError
        If the share of radial scans is no share, or the method cannot take them.
    """
    import torch

    from spinecho.sim.draws import Draws, fine_shape
    from spinecho.sim.draws_radial import acquire_radial

    if not 0 <= radial <= 1:
        raise DataError(f"--radial is {radial:g}", do="give a share from 0 to 1")
    if radial:
        side, rng = 24, torch.Generator().manual_seed(0)
        scan = acquire_radial(torch.ones(fine_shape((side, side))), side, rng, Draws())
        if reason := method.refusal(scan):
            raise DataError(f"{name} cannot train on radial scans: {reason}", do="leave out --radial")
    return Draws(radial=radial)


def _opened(path: Path, task: str, name: str, default: Any, given: Any) -> Method:
    """A method with weights from a file, as they were trained: its settings come with them."""
    from spinecho.methods.pretrained import method_of, open_learned

    if (found := method_of(task, path)) != name:
        raise DataError(f"they are weights of {found}, not of {name}", do=f"train {task}/{found}", file=path)
    method = open_learned(task, path)
    trained, wanted, usual = (_values(c) for c in (method.config, given, default))
    if other := [k for k in wanted if wanted[k] not in (usual[k], trained[k])]:
        told = ", ".join(f"{k} {trained[k]} (asked for: {wanted[k]})" for k in other)
        raise DataError(f"the weights were trained with {told}", do="leave these options out with --init", file=path)
    method.card, method.weights = {}, ""
    return method.requires_grad_(True)


def _kind(arguments: Sequence[str]) -> type[Arguments]:
    """The arguments, with the settings of the method that is named among them."""
    from spinecho.methods import registry

    known = {f"{task}/{name}": (task, name) for task in _OPTIONS for name in registry.names(task)}
    named = next((known[a] for a in arguments if a in known), None)
    return Arguments if named is None else with_settings(Arguments, registry.load(*named).Config)


def _values(config: Any) -> dict[str, Any]:
    return {f.name: getattr(config, f.name) for f in fields(config)}


def _silent(text: str) -> None:
    """What processes that do not lead say."""
