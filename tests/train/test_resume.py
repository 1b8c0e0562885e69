"""A run that was killed goes on bit for bit; a full disk, a damaged file or other settings lose nothing."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import psutil
import pytest
import torch
import toy
from child import main

import forked
from spinecho.core import state
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.train import checkpoint, journal
from spinecho.train.loop import train
from spinecho.train.prefetch import batches
from spinecho.train.run import journal as journal_of


def losses(out: Path) -> list[tuple[int, float, float]]:
    lines = journal.read(out / "metrics.jsonl")
    return [(line["step"], line["loss"], line["grad_norm"]) for line in lines if "loss" in line]


def steps(run, until: int | None = None) -> None:
    """Train; `until`: leave the run in the middle, as a kill does."""
    for step in train(run, toy.draw(run.settings.seed)):
        if step.step == until:
            return


def trained_and_killed(out: Path, settings: str, *at: int) -> None:
    """Train in processes of their own, killed at these steps one after another; the last one ends by itself."""
    for last in (*at, None):
        child = forked.Forked(main, str(out), settings)
        for line in child.stdout:
            if last is not None and int(line) >= last:
                os.kill(child.pid, signal.SIGKILL)
                break
        child.stdout.close()
        assert child.wait() == (0 if last is None else -signal.SIGKILL)


def test_killed_and_resumed_gives_the_same_losses(tmp_path):
    steps(toy.run(tmp_path / "whole", steps=12))
    settings = '{"steps": 12}'
    out = tmp_path / "killed"
    trained_and_killed(out, settings, 2, 8)  # before the first checkpoint, and between two
    assert losses(out) == losses(tmp_path / "whole")
    assert [step for step, _, _ in losses(out)] == list(range(1, 13))
    (ours, facts), (whole, _) = (load_state(tmp_path / d / "weights.safetensors") for d in ("killed", "whole"))
    assert facts["trained"]["steps"] == 12
    assert all(torch.equal(ours[name], whole[name]) for name in whole)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_batch_of_eight_goes_on_bit_for_bit_with_any_number_of_workers(tmp_path, workers):
    """Of one bucket or of several; the run that was not killed drew without workers."""
    kept = toy.run(tmp_path / "whole", steps=6, batch=8, save_every=2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    steps(kept)
    torch.set_num_threads(threads)
    settings = f'{{"steps": 6, "batch": 8, "save_every": 2, "workers": {workers}}}'
    out = tmp_path / "killed"
    trained_and_killed(out, settings, 3)
    assert losses(out) == losses(tmp_path / "whole")


def killed_while_drawing() -> None:
    """With two workers, whose numbers it prints."""
    for _ in batches(toy.draw(), range(1, 10**6), range(8), 2):
        print(*(p.pid for p in psutil.Process().children()), flush=True)
        break
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    done = forked.run(killed_while_drawing)
    workers = [psutil.Process(int(pid)) for pid in done.stdout.split() if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert len(done.stdout.split()) == 2 and not alive


def test_only_the_last_two_checkpoints_stay_and_leftovers_go(tmp_path):
    steps(toy.run(tmp_path, steps=7))
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000006.safetensors", "step_00000007.safetensors"]
    left = tmp_path / "checkpoints" / ".partial-1-ab-step_00000009.safetensors"
    left.touch()
    steps(toy.run(tmp_path, steps=7))
    assert not left.exists()


def test_a_torn_line_and_steps_after_the_checkpoint_are_cut_off(tmp_path):
    steps(toy.run(tmp_path / "whole", steps=6))
    out = tmp_path / "left"
    steps(toy.run(out, steps=6), until=5)
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    assert [line["step"] for line in journal.read(out / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    steps(toy.run(out, steps=6))
    assert losses(out) == losses(tmp_path / "whole")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    steps(toy.run(tmp_path / "whole", steps=7))
    out = tmp_path / "damaged"
    steps(toy.run(out, steps=7), until=6)
    newest = out / "checkpoints" / "step_00000006.safetensors"
    newest.write_bytes(newest.read_bytes()[:-40])
    steps(toy.run(out, steps=7))
    assert losses(out) == losses(tmp_path / "whole")
    for path in (out / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no checkpoint is whole"):
        steps(toy.run(out, steps=7))


def test_a_full_disk_says_so_and_keeps_the_older_checkpoint(tmp_path, monkeypatch):
    steps(toy.run(tmp_path / "whole", steps=7))
    out = tmp_path / "full"
    sync = os.fsync

    def refuse(descriptor):
        if "step_00000006" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(state.os, "fsync", refuse)
        with pytest.raises(DataError, match=r"step_00000006.*No space left on device.*make room and start the same"):
            steps(toy.run(out, steps=7))
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["step_00000003.safetensors"]
    steps(toy.run(out, steps=7))
    assert losses(out) == losses(tmp_path / "whole")


def test_a_journal_that_cannot_be_written_says_so(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    lines = journal.Journal(tmp_path / "metrics.jsonl", 0)
    lines.close()
    with Path("/dev/full").open("a") as lines._file, pytest.raises(DataError, match="No space left on device"):
        try:
            lines.write({"step": 1})
        finally:
            lines.close()


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    lines = journal.Journal(tmp_path / "metrics.jsonl", 0)
    child = forked.run(main, str(tmp_path), "{}")
    assert child.returncode == 1
    assert "another process is training in this folder" in child.stderr
    lines.close()
    steps(toy.run(tmp_path, steps=1))


def test_other_settings_are_refused_by_name(tmp_path):
    steps(toy.run(tmp_path, steps=4))
    with pytest.raises(DataError, match=r"begun with batch 2 \(now 4\)"):
        steps(toy.run(tmp_path, steps=4, batch=4))
    run = toy.run(tmp_path, steps=4)
    object.__setattr__(run, "facts", {"data": ["elsewhere"]})
    with pytest.raises(DataError, match="elsewhere"):
        steps(run)


def test_a_run_may_be_made_longer_and_a_finished_one_does_nothing(tmp_path):
    steps(toy.run(tmp_path, steps=4))
    assert list(train(toy.run(tmp_path, steps=4), toy.draw())) == []
    assert [step.step for step in train(toy.run(tmp_path, steps=6), toy.draw())] == [5, 6]


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    steps(toy.run(tmp_path, steps=3))
    found = checkpoint.newest(tmp_path / "checkpoints")
    assert found is not None
    run = toy.run(tmp_path / "other")
    other = toy.Method(toy.Config(channels=5))
    with pytest.raises(DataError, match="do not fit the method"):
        checkpoint.restore(found, other, checkpoint.Average(other), torch.optim.AdamW(run.method.parameters()))


def test_what_was_validated_before_the_first_checkpoint_counts_once(tmp_path):
    """Killed before it, a run begins again, and so does its journal."""
    for _ in range(2):
        lines = journal_of(toy.run(tmp_path), 0)
        lines.write({"step": 0, "psnr": 1.0})
        lines.close()
    assert [line["step"] for line in journal.read(tmp_path / "metrics.jsonl")] == [0]
