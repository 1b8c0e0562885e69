"""A training from beginning to end: the method, its examples, the number of steps, all steps, what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from spinecho.core.errors import setting, typed
from spinecho.core.job import Bar
from spinecho.core.log import logger
from spinecho.core.precision import multiplies_bfloat16
from spinecho.train.budget import within
from spinecho.train.first import first, frozen
from spinecho.train.loop import train
from spinecho.train.memory import enough, told
from spinecho.train.order import Order
from spinecho.train.pack import named
from spinecho.train.run import Run
from spinecho.train.supply import Context, Supply, examples_of
from spinecho.train.threads import choose

if TYPE_CHECKING:
    from spinecho.train.team import Team

_SLOW = typed(
    f"this processor has no units for bfloat16, in which a step takes several times as long: leave out "
    f"{setting('precision')}"
)
Progress = Callable[[str], AbstractContextManager[Bar]]
"""What is done to a bar that shows it."""


def work(order: Order, team: Team, device: torch.device, say: Callable[[str], None], progress: Progress) -> Path:
    """Train as ordered, on one process of a team; where the weights are.

    Parameters
    ----------
    say
        Takes a sentence for the person who trains; other processes than the leading one are silent.

    Raises
    ------
    DataError
        If something ordered cannot be used, or memory does not suffice.
    """
    began = perf_counter()
    say = _logged(say) if team.leads else _silent
    threads = choose(order.threads, order.out / "checkpoints", order.settings.workers)
    torch.set_num_threads(threads)
    context = context_of(order, team, device, say)
    if order.settings.precision == "bfloat16" and device.type == "cpu" and not multiplies_bfloat16():
        say(_SLOW)
    package = examples_of(order.task)
    supply = package.gather(order.paths, order.options, context)
    order.out.mkdir(parents=True, exist_ok=True)
    sources = [name for path in order.paths for name in named(path, order.task)]
    job = Run(
        method=context.method,
        task=order.task,
        name=order.name,
        settings=order.settings,
        out=order.out,
        facts={"data": sources, "init": order.init or "", **supply.facts},
        notes={"command": order.command, "processes": team.size, "threads": threads, "device": device.type},
        team=team,
        rule=supply.rule,
        aim=supply.aim,
    )
    with enough(job):
        if order.budget:
            job = replace(job, settings=within(order.budget, job, supply, perf_counter() - began, say))
        follow(job, supply, say, progress)
    say(f"wrote {job.weights}; to use it: {package.USE} --weights {job.weights}")
    return job.weights


def context_of(order: Order, team: Team, device: torch.device, say: Callable[[str], None]) -> Context:
    """What the task's `gather` is told."""
    method = first(order.task, order.name, order.config, order.init, order.settings.seed)
    return Context(
        method=frozen(method, order.settings.freeze).to(device),
        task=order.task,
        name=order.name,
        settings=order.settings,
        device=device,
        team=team,
        on_broken=order.on_broken,
        say=say,
    )


def follow(job: Run, supply: Supply, say: Callable[[str], None], progress: Progress) -> None:
    """All steps, with a bar, and what a person wants to know of them."""
    begun = None
    with progress(f"training {job.name}") as tell:
        for step in train(job, supply.train, supply.held_out):
            if begun is None and step.step > 1:
                say(f"goes on after step {step.step - 1}, from the checkpoint in {job.out}")
            if begun is None and (sentence := told(job)):
                say(sentence)
            begun = step.step
            tell(step.step, job.settings.steps)
            if step.scores:
                say(f"step {step.step}: loss {step.loss:.4g}, held-out {supply.told(step.scores)}")
            if step.ended:
                say(f"after step {step.step}: {step.ended}")
    if begun is None:
        done = (
            "the run there has ended" if job.settings.patience else f"all {job.settings.steps} steps were done before"
        )
        say(f"nothing to do: {done}")


def no_bar(what: str) -> AbstractContextManager[Bar]:
    """For where nobody looks on."""
    return nullcontext(_no_step)


def _no_step(done: int, total: int) -> None:
    pass


def _logged(say: Callable[[str], None]) -> Callable[[str], None]:
    """What says a sentence to the log, too."""
    log = logger("train")

    def both(text: str) -> None:
        log.info(text)
        say(text)

    return both


def _silent(text: str) -> None:
    """What processes that do not lead say."""
