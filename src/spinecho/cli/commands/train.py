"""Train a learned method, or train it further, on scans and images of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from spinecho.cli.parse import parse, with_settings
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.core.option import INLINE, POSITIONAL, Option
from spinecho.io.atomic import check_place
from spinecho.methods import registry
from spinecho.train.settings import Settings
from spinecho.train.supply import Context, Supply, examples_of, trainable

if TYPE_CHECKING:
    import torch

    from spinecho.train.run import Run
    from spinecho.train.team import Team

LESS_MEMORY = "give fewer --workers, --checkpointing where the method has it, or a smaller network"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says, whatever is trained; options of the task and settings of the method stand beside it."""

    method: Annotated[str, POSITIONAL]
    """what to train, as TASK/NAME (spinecho list); more options, of its task and its own: spinecho train TASK/NAME
    --help"""
    paths: Annotated[tuple[Path, ...], Option(name="data")]
    """files and folders, mixed: what the task learns from (docs/training.md)"""
    out: Path
    """folder of the run; a run that was stopped there goes on"""
    init: str | None = None
    """weights to start from (fine-tuning), instead of random ones: a file, or a name of weights in the package"""
    on_broken: Literal["stop", "skip"] = "stop"
    """what to do about a file that cannot be used; either way it is named"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads of each process (default: all where nothing else runs, else one: waiting threads burn time)"""
    debug: bool = False
    """show where an error comes from"""
    loop: Annotated[Settings, INLINE] = field(default_factory=Settings)


def run(arguments: Sequence[str]) -> int:
    """Parse, check the output, gather the examples, train, and say where the weights are."""
    task, name = _named(arguments)
    args: Any = parse(_kind(task, name) if task else Arguments, "train", __doc__ or "", arguments)
    if args.method != f"{task}/{name}":
        raise _unknown(args.method)
    if args.out.exists() and not args.out.is_dir():
        raise DataError("it is a file, a folder is wanted", do="choose another name", file=args.out)
    check_place(next(p for p in (args.out, *args.out.absolute().parents) if p.exists()) / "metrics.jsonl")

    from spinecho.core import device
    from spinecho.train.team import together

    with together(device.choose(args.device).type) as (team, own):
        try:
            work(args, team, own, shlex.join(["spinecho", "train", *arguments]))
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on from the last checkpoint") from None
    return 0


def work(args: Any, team: Team, device: torch.device, command: str) -> None:
    """The training itself, on one process of a team."""
    import torch

    from spinecho.train.first import first
    from spinecho.train.run import Run
    from spinecho.train.threads import choose

    task, _, name = args.method.partition("/")
    threads = choose(args.threads, args.out / "checkpoints", args.loop.workers)
    torch.set_num_threads(threads)
    method = first(task, name, args.settings, args.init, args.loop.seed).to(device)
    context = Context(
        method=method,
        name=name,
        settings=args.loop,
        device=device,
        team=team,
        on_broken=args.on_broken,
        say=print if team.leads else _silent,
    )
    package = examples_of(task)
    options = package.Options(**{f.name: getattr(args.options, f.name) for f in fields(package.Options)})
    supply = package.gather(args.paths, options, context)
    args.out.mkdir(parents=True, exist_ok=True)
    job = Run(
        method=method,
        task=task,
        name=name,
        settings=args.loop,
        out=args.out,
        facts={"data": [str(p) for p in args.paths], "init": args.init or "", **supply.facts},
        notes={"command": command, "processes": team.size, "threads": threads, "device": device.type},
        team=team,
    )
    follow(job, supply, context)
    context.say(f"wrote {job.weights}; to use it: {package.USE} --weights {job.weights}")


def follow(job: Run, supply: Supply, context: Context) -> None:
    """All steps, with a bar, and what a person wants to know of them."""
    from spinecho.train.loop import train

    begun = None
    with progress(f"training {job.name}") as tell:
        for step in train(job, supply.train, supply.held_out):
            if begun is None and step.step > 1:
                context.say(f"goes on after step {step.step - 1}, from the checkpoint in {job.out}")
            begun = step.step
            tell(step.step, job.settings.steps)
            if step.scores:
                context.say(f"step {step.step}: loss {step.loss:.4g}, held-out {supply.told(step.scores)}")
    if begun is None:
        context.say(f"nothing to do: all {job.settings.steps} steps were done before")


def _named(arguments: Sequence[str]) -> tuple[str, str]:
    """Task and name of what shall be trained; empty where nothing is named, for help.

    Raises
    ------
    DataError
        If it cannot be trained, or an option is one of another task.
    """
    known = {f"{task}/{name}": (task, name) for task, name in trainable()}
    named = next((known[a] for a in arguments if a in known), None)
    if named is None:
        if arguments and not arguments[0].startswith("-"):
            raise _unknown(arguments[0])
        return "", ""
    own = _options(examples_of(named[0]).Options) | _options(registry.load(*named).Config)
    others = {o: task for task, _ in known.values() for o in _options(examples_of(task).Options) - own}
    for option in (a.partition("=")[0].replace("_", "-") for a in arguments):
        if option in others:
            raise DataError(f"{option} is for {others[option]} methods", do=f"leave it out for {'/'.join(named)}")
    return named


def _kind(task: str, name: str) -> type[Arguments]:
    """The arguments, with the task's options and the method's settings."""
    options = examples_of(task).Options
    part = ("options", Annotated[options, INLINE], field(default_factory=options))
    kind = make_dataclass("Arguments", [part], bases=(Arguments,), frozen=True, kw_only=True)
    return with_settings(kind, registry.load(task, name).Config)


def _options(kind: type) -> set[str]:
    return {f"--{f.name.replace('_', '-')}" for f in fields(kind)}


def _unknown(text: str) -> DataError:
    known = [f"{task}/{name}" for task, name in trainable()]
    if meant := [one for one in known if one.endswith(f"/{text}")]:
        return DataError(f"{text!r} names no task", do=f"give TASK/NAME, here {' or '.join(meant)}")
    return DataError(f"{text!r} is no learned method", do=f"what can be trained is {', '.join(known)}")


def _silent(text: str) -> None:
    """What processes that do not lead say."""
