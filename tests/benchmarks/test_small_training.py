"""Small trainings of benchmarks: who trains and who judges, steps within a time, the pages."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import between_shots, families, few_scans, small_training
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.examples.simulated import Mixed
from spinecho.tasks.recon.methods import varnet

SCANS = [
    ready(simulate_phantom(Scan(matrix=(1, 40, 36), n_coils=4, sampling=f"random:2.5:10:{i}", fineness=1)).kspace)
    for i in range(3)
]
SMALL = varnet.Config(n_cascades=2, channels=(4, 6), blocks=(1, 1), start_iters=0)


def test_a_few_scans_come_again_in_turn():
    for batch in (1, 2):
        same = small_training.Same(SCANS, batch)
        turns = [id(same(step, index)) for step in range(6) for index in range(batch)]
        assert turns == [id(SCANS[i % 3]) for i in range(6 * batch)]


def test_steps_within_a_time_grow_with_it():
    same, settings = small_training.Same(SCANS, 1), replace(small_training.SETTINGS, precision="float32")
    few, many = (
        small_training.steps_within(seconds, varnet.Method(SMALL), "varnet", settings, same) for seconds in (1e-9, 600)
    )
    assert few == 1 and many > 50


def test_a_training_changes_the_weights_and_gives_scores():
    torch.manual_seed(0)
    method = varnet.Method(SMALL)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    settings = replace(few_scans.TUNING, steps=3, rate=0.1, freeze=("cascades.0",), precision="float32")
    best = small_training.trained(method, "varnet", settings, small_training.Same(SCANS, 1))
    after = dict(best.named_parameters())
    moved = {name for name, p in before.items() if not torch.allclose(p, after[name], atol=1e-3)}
    assert moved and not any(name.startswith("cascades.0") for name in moved)
    scores = small_training.scores(best, SCANS[:2])
    assert len(scores) == 2 and all(0 < v < 80 for v in scores)


def test_what_is_frozen_is_half_of_the_network():
    names = {name.split(".")[1] for name, _ in few_scans.begun().named_parameters() if name.startswith("cascades.")}
    frozen = {name.split(".")[1] for name in few_scans.FROZEN}
    assert frozen < names and len(frozen) == len(names) / 2
    one, other = (few_scans.begun().state_dict() for _ in range(2))
    assert all(torch.equal(one[k], other[k]) for k in one), "all networks begin alike"


@pytest.mark.parametrize("name", list(families.FAMILIES))
def test_families_are_as_by_default(name):
    method = families.FAMILIES[name]()
    usual = type(method.config)()
    if name in ("varnet", "hqs_net"):  # as when the table was made
        usual = replace(usual, start_iters=60)
    assert method.config == usual and type(method).__module__.endswith(f".{name}")


def test_the_page_of_families_tells_gains_and_the_least():
    rows = {"l1_wavelet": [[20.0, 22.0], [18.0, 18.0]], "unet": [[21.0, 21.5], [18.0, 19.0]]}
    text = families.page(rows, {"unet": ["10", "7"]}, "Told.")
    assert "| `unet` | 10 | 7 | 21.25 | 18.50 | +0.25 (-0.50) | +0.50 (+0.00) |" in text
    assert "| `l1_wavelet` |  |  | 21.00 | 18.00 | +0.00 (+0.00) | +0.00 (+0.00) |" in text


def test_the_page_of_few_scans_tells_the_share_of_the_gap_and_what_is_forgotten():
    rows = {"heads": [[28.0], [33.0]], "chests": [[30.0], [29.0]], "heads, then 4 chest scans": [[29.0], [32.5]]}
    assert "| heads, then 4 chest scans | 29.00 | 32.50 | 50 % | -0.50 |" in few_scans.page(rows, "Told.")
    rows["chests"] = [[27.0], [29.0]]
    assert "there is no gap" in few_scans.page(rows, "Told.")


def test_scans_that_judge_are_of_other_people(monkeypatch):
    parts = []
    nothing = Mixed((), ())
    monkeypatch.setattr(small_training, "mixed", lambda paths, part, ways, context: parts.append(part) or nothing)
    train, test = small_training.scans_of([Path()], small_training.ranges(96, 4, 8), varnet.Method(SMALL))
    assert parts == ["train", "test"] and (train.part, test.part) == ("train", "test")


def test_the_page_of_motion_tells_still_and_moving_scans():
    rows = {"l1_wavelet": [[30.0, 32.0], [20.0, 22.0]], "varnet": [[31.0, 32.0], [23.0, 21.5]]}
    assert "| `varnet` | 31.50 | 22.25 | +0.50 | +1.25 | -0.50 |" in between_shots.page(rows, "Told.")
    assert {name for name, _ in between_shots.ARMS.values()} <= set(families.FAMILIES)


def test_a_section_is_printed_or_written(tmp_path, capsys):
    page = tmp_path / "results.md"
    small_training.publish("-", "A title", "A text.")
    assert "## A title\n\nA text." in capsys.readouterr().out and not page.exists()
    small_training.publish(str(page), "A title", "A text.")
    assert "## A title\n\nA text." in page.read_text()
