"""Early stopping: the best weights by held-out scores, also after a kill; one of few scans is held out for it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import small
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import load_state, save_state
from spinecho.io.write import write
from spinecho.methods.pretrained import open_learned
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples import validation, without_truth
from spinecho.tasks.recon.methods import varnet
from spinecho.train.cases import cases
from spinecho.train.first import first
from spinecho.train.journal import read as read_journal
from spinecho.train.loop import train
from spinecho.train.patience import BEST, Watch, watching

SCORES = [1.0, 2.0, 1.5, 3.0, 2.9, 2.8, 2.7, 9.0, 9.5]
"""Of the validations at steps 0, 2, 4, ...: the best before patience ends is that of step 6."""


def aim(scores) -> float:
    return scores["good"]


class Scripted:
    """Validations that say what was written down for them."""

    def __init__(self, scores=SCORES) -> None:
        self.script, self.weights = dict(enumerate(scores)), {}
        self.asked = 0

    def scores(self, method) -> dict[str, float]:
        self.weights[self.asked] = {k: v.clone() for k, v in method.state_dict().items()}
        self.asked += 1
        return {"good": self.script[self.asked - 1]}

    def picture(self, method, path: Path) -> None:
        path.touch()


def run(out: Path, **settings):
    chosen = {"steps": 16, "validate_every": 2, "patience": 3, "save_every": 5, **settings}
    return replace(toy.run(out, **chosen), aim=aim)


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.integers(1, 4))
def test_a_watch_is_over_after_so_many_validations_without_a_better_one(values, patience):
    watch = Watch(patience, aim)
    for i, value in enumerate(values):
        is_best = watch.takes(i, {"good": float(value)})
        before = values[:i]
        assert is_best is (not before or value > max(before)), "one that is as good is no better"
        assert watch.step == values.index(max(values[: i + 1])) and watch.idle == i - watch.step
        assert watch.over is (watch.idle >= patience)


def test_without_patience_nothing_is_kept_and_nothing_ends(tmp_path):
    held_out = Scripted()
    steps = list(train(run(tmp_path, patience=0), toy.draw(), held_out))
    assert len(steps) == 16 and not (tmp_path / BEST).exists() and all(not step.ended for step in steps)
    assert same(load_state(tmp_path / "weights.safetensors")[0], held_out.weights[8])
    assert not Watch(0, aim).over and Watch(0, aim).told() == ""


def test_it_ends_early_with_the_best_weights(tmp_path):
    held_out = Scripted()
    steps = list(train(run(tmp_path), toy.draw(), held_out))
    assert [step.step for step in steps] == list(range(1, 13)), "three validations after that of step 6"
    tensors, facts = load_state(tmp_path / "weights.safetensors")
    assert same(tensors, held_out.weights[3]) and facts["trained"]["steps"] == 6
    assert steps[-1].ended == "the weights are those of step 6, the best on held-out examples, and it ended early"
    assert not any(step.ended for step in steps[:-1])
    assert list(train(run(tmp_path), toy.draw(), Scripted())) == [], "and it stays ended"
    assert [line["step"] for line in read_journal(tmp_path / "metrics.jsonl")] == list(range(13))


def test_a_run_that_ends_by_its_steps_has_the_best_weights_too(tmp_path):
    held_out = Scripted()
    steps = list(train(run(tmp_path, steps=9), toy.draw(), held_out))
    assert len(steps) == 9 and steps[-1].ended == "the weights are those of step 6, the best on held-out examples"
    assert same(load_state(tmp_path / "weights.safetensors")[0], held_out.weights[3])


def test_where_no_step_helps_the_weights_are_the_first(tmp_path):
    held_out = Scripted([5.0, 4.0, 3.0, 2.0])
    steps = list(train(run(tmp_path), toy.draw(), held_out))
    assert len(steps) == 6 and "those it began with" in steps[-1].ended
    assert same(load_state(tmp_path / "weights.safetensors")[0], held_out.weights[0])


@pytest.mark.parametrize("killed_after", [1, 5, 7, 11])
def test_killed_and_resumed_it_ends_at_the_same_step_with_the_same_weights(tmp_path, killed_after):
    list(train(run(tmp_path / "whole"), toy.draw(), Scripted()))
    for step in train(run(tmp_path / "killed"), toy.draw(), Scripted()):
        if step.step == killed_after:
            break
    begun = killed_after - killed_after % 5
    rest = Scripted(SCORES[0 if begun == 0 else begun // 2 + 1 :])
    steps = list(train(run(tmp_path / "killed"), toy.draw(), rest))
    assert steps[0].step == begun + 1 and steps[-1].step == 12
    tensors = [load_state(tmp_path / name / "weights.safetensors")[0] for name in ("whole", "killed")]
    assert same(*tensors)


def test_patience_without_anything_to_look_at_is_refused(tmp_path):
    for job, held_out, why in (
        (run(tmp_path), None, "there is no validation"),
        (replace(run(tmp_path), aim=None), Scripted(), "validations of recon do not say what is better"),
    ):
        with pytest.raises(DataError, match=why):
            watching(job, held_out, 0)
    with pytest.raises(DataError, match="patience"):
        toy.run(tmp_path, patience=-1)


def test_another_patience_is_another_run(tmp_path):
    list(train(run(tmp_path, steps=2), toy.draw(), Scripted()))
    with pytest.raises(DataError, match=r"begun with patience 3 \(now 4\)"):
        list(train(run(tmp_path, steps=4, patience=4), toy.draw(), Scripted()))


@pytest.mark.parametrize(("n", "held"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (14, 1), (15, 2)])
def test_of_few_subjects_one_is_held_out(tmp_path, n, held):
    for i in range(n):
        (tmp_path / f"{i:02d}.npy").touch()
    parts = {part: [c.path.name for c in cases(tmp_path, part, few=True)] for part in ("train", "validate")}
    assert len(parts["validate"]) == held and len(parts["train"]) == n - held
    assert not set(parts["train"]) & set(parts["validate"])
    usual = [c.path.name for c in cases(tmp_path, "validate")]
    assert usual == (parts["validate"] if n >= 5 else [])
    if 2 <= n <= 4:
        assert parts["validate"] == [f"{n // 2:02d}.npy"]


def test_what_is_better_of_reconstructions():
    assert validation.aim({"psnr_inside": 30.0}) > validation.aim({"psnr_inside": 29.0})
    assert without_truth.aim({"unpredicted": 0.1}) > without_truth.aim({"unpredicted": 0.2})


def test_four_scans_from_trained_weights_to_weights_of_ones_own(tmp_path, capsys):
    """Freeze the first cascade, hold one scan out, end early; the command says whose weights they are."""
    folder, init, out = tmp_path / "mine", tmp_path / "first.safetensors", tmp_path / "run"
    folder.mkdir()
    for seed in range(4):
        made = simulate_phantom(Scan(matrix=(1, 56, 40), n_coils=4, sampling="full", fineness=1, snr=40.0, seed=seed))
        write(replace(made.kspace, target=None), folder / f"{seed}.cfl")
    config = varnet.Config(n_cascades=2, channels=(4, 6), blocks=(1, 1), start_iters=0, cg_iters=2)
    facts = {"task": "recon", "method": "varnet", "config": asdict(config), "card": {}, "trained": {}}
    save_state(init, first("recon", "varnet", config, None, 1).state_dict(), facts)
    given = ["train", "recon/varnet", "--data", str(folder), "--init", str(init), "--freeze", "cascades.0"]
    given += [*small.QUICK, "--validate-every", "1", "--patience", "1", "--rate", "1e-9", "--steps", "30"]
    assert main([*given, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "3 raw scans to train" in shown and "1 raw scans to validate" in shown
    assert "too few subjects" not in shown and "the best on held-out examples" in shown
    kept, begun = open_learned("recon", out / "weights.safetensors").state_dict(), load_state(init)[0]
    assert all(torch.equal(v, begun[k]) for k, v in kept.items() if k.startswith("cascades.0"))
    assert main([*given, "--out", str(out)]) == 0
    assert "nothing to do: the run there has ended" in capsys.readouterr().out
