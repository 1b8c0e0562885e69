"""A training run in a process of its own (`forked`), to be killed or to be one of a team."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import toy

from spinecho.train import budget
from spinecho.train.loop import train
from spinecho.train.supply import Supply
from spinecho.train.team import together


def main(out: str, settings: str) -> None:
    """Train the toy there; its steps are printed. The settings are JSON."""
    torch.set_num_threads(1)
    with together("cpu") as (team, _):
        said = json.loads(settings)
        allowed = said.pop("budget", "")
        budget._MEASURE_S = said.pop("measure_s", budget._MEASURE_S)
        run = toy.run(Path(out), team, **said)
        if allowed:
            supply = Supply(train=toy.draw(run.settings.seed), held_out=None, told=str)
            steps = budget.within(allowed, run, supply, team.rank * 100.0, lambda text: None).steps
            (run.out / f"chosen_{team.rank}").write_text(str(steps))
            return
        for step in train(run, toy.draw(run.settings.seed)):
            if team.leads:
                print(step.step, flush=True)
        gradients = torch.cat([p.grad.flatten() for p in run.method.parameters()])
        held = team.gather([gradients])
        assert all(torch.equal(held[0], g) for g in held), "the processes hold different gradients"
