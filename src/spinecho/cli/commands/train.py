"""Train a learned method, or train it further, on your own scans and images."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from spinecho.cli.parse import parse, with_settings
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.core.option import INLINE, POSITIONAL, Option
from spinecho.io.atomic import check_place
from spinecho.methods import registry
from spinecho.train.order import Order
from spinecho.train.settings import Settings
from spinecho.train.supply import examples_of, trainable

LESS_MEMORY = "give fewer --workers, --checkpointing where the method has it, or a smaller network"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of every training; options of the task and settings of the method are added to them."""

    method: Annotated[str, POSITIONAL]
    """what to train, as TASK/NAME (spinecho list); more options, of its task and its own: spinecho train TASK/NAME
    --help"""
    paths: Annotated[tuple[Path, ...], Option(name="data")]
    """training data: files and folders in any mix (docs/training.md)"""
    out: Path | None = None
    """folder of the run; an interrupted run there is resumed"""
    bundle: Path | None = None
    """instead of training, write a folder that trains by itself on another machine (its README.txt says how)"""
    budget: str | None = None
    """time for the whole training, as 90s, 9m or 1h30m, instead of --steps: the number that fits is measured once"""
    init: str | None = None
    """weights to start from (fine-tuning), instead of random ones: a file, or a name of weights in the package"""
    on_broken: Literal["stop", "skip"] = "stop"
    """what to do about a file that cannot be used; either way it is named"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads of each process (default: all if nothing else runs, otherwise one, which is faster then)"""
    debug: bool = False
    """show where an error comes from"""
    loop: Annotated[Settings, INLINE] = field(default_factory=Settings)


def run(arguments: Sequence[str]) -> int:
    """Parse, check the output, then train, or write a bundle that trains elsewhere."""
    task, name = _named(arguments)
    args: Any = parse(_kind(task, name) if task else Arguments, "train", __doc__ or "", arguments)
    if args.method != f"{task}/{name}":
        raise _unknown(args.method)
    order = _ordered(args, arguments)
    place = args.bundle or order.out
    if place.exists() and not place.is_dir():
        raise DataError("it is a file, but a folder is needed", do="choose another name", file=place)
    check_place(next(p for p in (place, *place.absolute().parents) if p.exists()) / "metrics.jsonl")
    if args.bundle is not None:
        from spinecho.train.bundle import write

        write(order, args.bundle, print)
        return 0

    from spinecho.core import device
    from spinecho.train.team import together
    from spinecho.train.work import work

    with together(device.choose(order.device).type) as (team, own):
        try:
            work(order, team, own, print, progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command continues from the last checkpoint") from None
    return 0


def _ordered(args: Any, arguments: Sequence[str]) -> Order:
    """What the person wants.

    Raises
    ------
    DataError
        If it is not said where to, or the length of the training is said in two ways.
    """
    if (args.out is None) == (args.bundle is None):
        told = "neither --out nor --bundle is given" if args.out is None else "--out and --bundle are both given"
        raise DataError(told, do="give --out to train here, or --bundle to train elsewhere (where --out is said then)")
    if args.budget is not None:
        from spinecho.train.duration import seconds

        seconds(args.budget)
        if any(a.partition("=")[0] == "--steps" for a in arguments):
            do = "give one of them: a time, from which the steps follow, or the steps"
            raise DataError(f"--budget {args.budget} and --steps {args.loop.steps} are both given", do=do)
    task, _, name = args.method.partition("/")
    options, config = examples_of(task).Options, registry.load(task, name).Config
    return Order(
        task=task,
        name=name,
        config=config(**{f.name: getattr(args.settings, f.name) for f in fields(config)}),
        options=options(**{f.name: getattr(args.options, f.name) for f in fields(options)}),
        settings=Settings(**{f.name: getattr(args.loop, f.name) for f in fields(Settings)}),
        paths=args.paths,
        out=args.out or Path("run"),
        init=args.init,
        budget=args.budget or "",
        on_broken=args.on_broken,
        device=args.device,
        threads=args.threads,
        command=shlex.join(["spinecho", "train", *arguments]),
    )


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
    theirs = {task: _options(examples_of(task).Options) - own for task in sorted({task for task, _ in known.values()})}
    for option in (a.partition("=")[0].replace("_", "-") for a in arguments):
        if tasks := [task for task, options in theirs.items() if option in options]:
            raise DataError(f"{option} is for {' and '.join(tasks)} methods", do=f"leave it out for {'/'.join(named)}")
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
