"""A training run in a process of its own, to be killed or to be one of a team: child.py FOLDER OUT SETTINGS(JSON)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

import toy

from spinecho.train.budget import within
from spinecho.train.loop import train
from spinecho.train.supply import Supply
from spinecho.train.team import together


def main(out: str, settings: str) -> None:
    torch.set_num_threads(1)
    with together("cpu") as (team, _):
        said = json.loads(settings)
        budget = said.pop("budget", "")
        run = toy.run(Path(out), team, **said)
        if budget:
            supply = Supply(train=toy.draw(run.settings.seed), held_out=None, told=str)
            steps = within(budget, run, supply, team.rank * 100.0, lambda text: None).steps
            (run.out / f"chosen_{team.rank}").write_text(str(steps))
            return
        for step in train(run, toy.draw(run.settings.seed)):
            if team.leads:
                print(step.step, flush=True)
        gradients = torch.cat([p.grad.flatten() for p in run.method.parameters()])
        held = team.gather([gradients])
        assert all(torch.equal(held[0], g) for g in held), "the processes hold different gradients"


if __name__ == "__main__":
    main(*sys.argv[1:])
