"""Slice by slice gives what one go gives, in bounded memory, and a killed run continues to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.core.device import choose
from spinecho.core.errors import DataError
from spinecho.io.cfl_file import save
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.methods import registry
from spinecho.methods.unfinished import partial_folder
from spinecho.tasks.recon.partial import Finished
from spinecho.tasks.recon.run import recon, refusal
from spinecho.tasks.recon.stream import SlicePlan, collect, plan, stream

AXES = "slice coil k1 k0"
OPTIONS = ReadOptions(axes=AXES)
CPU = torch.device("cpu")


def scan(path, n_slices=20, seed=0):
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((n_slices, 3, 24, 32)) + 1j * rng.standard_normal((n_slices, 3, 24, 32))
    samples[:, :, 1::2] = 0
    samples[:, :, 8:16] += 5
    np.save(path, samples.astype(np.complex64))
    return path


def run(path, folder, options=OPTIONS, at_once=4, method="zero_filled", stop_after=None, **settings):
    """Drive the generator, perhaps not to its end; the states it yielded."""
    how = plan(path, options, at_once)
    states = []
    for state in stream(path, options, method, settings, folder, how, CPU):
        states.append(state)
        if stop_after is not None and state.done >= stop_after:
            break
    return how, states


def test_steps_give_what_one_go_gives(tmp_path):
    path = scan(tmp_path / "scan.npy")
    how, states = run(path, tmp_path / "p")
    assert [s.done for s in states] == [0, 4, 8, 12, 16, 20]
    image, target = collect(tmp_path / "p", how)
    whole = recon(read(path, OPTIONS), "zero_filled")
    assert target is None
    torch.testing.assert_close(image.values, whole.values, rtol=1e-5, atol=1e-6 * float(whole.values.max()))
    assert image.axes == whole.axes
    assert image.header == whole.header
    assert len(image.geometries) == 20
    assert all(a.matches(b) for a, b in zip(image.geometries, whole.geometries, strict=True))
    Finished(tmp_path / "p", 20).remove()
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("method", [o.name for o in registry.offers("recon") if o.is_ready and o.name != "auto"])
def test_the_size_of_a_step_does_not_matter(method, tmp_path):
    """But for the noise level, which is estimated from the slices that are there."""
    y, x = np.mgrid[-24:24, -24:24]
    soft = 1 / (1 + np.exp(np.hypot(y, x) - 14))
    corners = ((-1, -1), (-1, 1), (1, -1), (1, 1))
    coils = [np.exp(-((y - 16 * a) ** 2 + (x - 16 * b) ** 2) / 900) for a, b in corners]
    images = np.stack([[soft * c * (1 + 0.1 * i) for c in coils] for i in range(4)])
    rng = np.random.default_rng(0)
    images = images + 0.02 * (rng.standard_normal(images.shape) + 1j * rng.standard_normal(images.shape))
    samples = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, (-2, -1)), norm="ortho"), (-2, -1))
    lines = np.abs(np.arange(48) - 24)
    samples[:, :, (lines > 9) & (lines % 2 == 1)] = 0
    np.save(tmp_path / "scan.npy", samples.astype(np.complex64))
    whole = read(tmp_path / "scan.npy", OPTIONS)
    if refusal(method, whole):
        pytest.skip("the method does not take this scan")
    offer = registry.offer("recon", method)
    fields = registry.load("recon", offer.method).Config.__dataclass_fields__
    settings = {"n_iters": 5} if "n_iters" in fields and not offer.learned else {}
    how, _ = run(tmp_path / "scan.npy", tmp_path / "p", at_once=2, method=method, **settings)
    expected = recon(whole, method, **settings).values
    found = collect(tmp_path / "p", how)[0].values
    assert torch.linalg.vector_norm(found - expected) < 2e-3 * torch.linalg.vector_norm(expected)


def test_an_interrupted_run_continues(tmp_path):
    path = scan(tmp_path / "scan.npy")
    how, _ = run(path, tmp_path / "whole")
    run(path, tmp_path / "p", stop_after=8)
    _, states = run(path, tmp_path / "p", at_once=7)  # the first run's step is kept
    assert [(s.done, s.resumed) for s in states] == [(8, 8), (12, 8), (16, 8), (20, 8)]
    assert torch.equal(collect(tmp_path / "p", how)[0].values, collect(tmp_path / "whole", how)[0].values)


def test_a_slice_lost_from_the_folder_is_made_again(tmp_path):
    path = scan(tmp_path / "scan.npy")
    how, _ = run(path, tmp_path / "p")
    before = collect(tmp_path / "p", how)[0].values
    (tmp_path / "p" / "00006.values.npy").unlink()
    _, states = run(path, tmp_path / "p")
    assert states[0].resumed == 16
    assert torch.equal(collect(tmp_path / "p", how)[0].values, before)


@pytest.mark.parametrize("change", ["file", "method", "setting", "option", "slices"])
def test_another_run_is_refused(tmp_path, change):
    path = scan(tmp_path / "scan.npy")
    run(path, tmp_path / "p", stop_after=8, combine="rss")
    options, settings = OPTIONS, {"combine": "rss"}
    if change == "file":
        scan(path, seed=1)
    elif change == "setting":
        settings = {"combine": "csm"}
    elif change == "option":
        options = replace(OPTIONS, voxel_mm=(2.0, 2.0, 2.0))
    elif change == "slices":
        options = replace(OPTIONS, slices=(0, 12))
    method = "other" if change == "method" else "zero_filled"
    with pytest.raises(DataError, match=r"interrupted run with another .* rm -r"):
        run(path, tmp_path / "p", options, method=method, **settings)


def test_foreign_and_damaged_folders_are_refused(tmp_path):
    path = scan(tmp_path / "scan.npy")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="not from an interrupted run"):
        run(path, tmp_path / "p")
    (tmp_path / "p" / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json in it is damaged"):
        run(path, tmp_path / "p")
    assert (tmp_path / "p" / "thesis.tex").exists()


def test_a_part_of_the_slices(tmp_path):
    path = scan(tmp_path / "scan.npy")
    options = replace(OPTIONS, slices=(5, 15))
    how, states = run(path, tmp_path / "p", options)
    assert states[-1].total == 10
    image, _ = collect(tmp_path / "p", how)
    expected = recon(read(path, options), "zero_filled").values
    torch.testing.assert_close(image.values, expected, rtol=1e-5, atol=1e-6 * float(expected.max()))
    with pytest.raises(DataError, match=r"5:40 were asked for, the scan has 20"):
        plan(path, replace(OPTIONS, slices=(5, 40)))


def test_the_plan_bounds_memory(tmp_path, monkeypatch):
    path = scan(tmp_path / "scan.npy")
    samples = 3 * 24 * 32 * 8
    import spinecho.tasks.recon.stream as module

    monkeypatch.setattr(module, "free_memory", lambda: 2**40)
    assert plan(path, OPTIONS).per_step == module.AT_ONCE
    monkeypatch.setattr(module, "free_memory", lambda: 4 * 3 * module.WORKING_SET * samples)
    assert plan(path, OPTIONS).per_step == 3
    monkeypatch.setattr(module, "free_memory", lambda: 0)
    assert plan(path, OPTIONS).per_step == 1
    assert not plan(path, replace(OPTIONS, slices=(0, 1))).is_streamed
    with pytest.raises(DataError, match="0 slices at once"):
        plan(path, OPTIONS, 0)


def test_a_device_that_is_absent():
    if not torch.cuda.is_available():
        assert choose("auto") == CPU
        with pytest.raises(DataError, match="no CUDA device"):
            choose("cuda")
    assert choose("cpu") == CPU


def test_partial_folder_keeps_the_whole_name(tmp_path):
    assert partial_folder(tmp_path / "brain.nii.gz") == tmp_path / "brain.nii.gz.partial"


def test_command_scores_what_it_undersampled_in_steps(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "full.npy", (rng.standard_normal((10, 3, 24, 32)) + 3).astype(np.complex64))
    arguments = ["recon", str(tmp_path / "full.npy"), "--axes", AXES, "--method", "zero_filled"]
    arguments += ["--simulate-mask", "random:2:4:0", "-o", str(tmp_path / "out.npy")]
    scores = []
    for at_once in ("10", "3"):
        assert main([*arguments, "--at-once", at_once]) == 0
        shown = capsys.readouterr().out
        scores.append(next(line for line in shown.splitlines() if line.startswith("against the full scan: ")))
        assert not (tmp_path / "out.npy.partial").exists()
    assert scores[0] == scores[1]
    assert "3 slices at once: at most about" in shown
    assert "read array: 10 slices, 3 coils" in shown
    assert "memory used at most" in shown


def test_kill_minus_nine_then_the_same_command(tmp_path, capsys):
    path = scan(tmp_path / "scan.npy", n_slices=40)
    arguments = ["recon", str(path), "--axes", AXES, "--method", "zero_filled", "--at-once", "1"]
    assert main([*arguments, "-o", str(tmp_path / "whole.npy")]) == 0
    killed = [*arguments, "-o", str(tmp_path / "killed.npy")]
    process = subprocess.Popen([sys.executable, "-m", "spinecho", *killed], stdout=subprocess.DEVNULL)
    folder = tmp_path / "killed.npy.partial"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("[0-9]*.values.npy"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.npy").exists()
    n_finished = len(list(folder.glob("[0-9]*.values.npy")))
    assert 3 <= n_finished < 40
    assert json.loads((folder / "state.json").read_text())["marks"]["number of slices"] == 40
    capsys.readouterr()
    assert main(killed) == 0
    assert f"continued: {n_finished} of 40 slices were finished before" in capsys.readouterr().out
    assert (tmp_path / "killed.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not folder.exists()


def test_ctrl_c_keeps_what_is_finished(tmp_path, monkeypatch, capsys):
    import spinecho.tasks.recon.stream as module

    path = scan(tmp_path / "scan.npy")
    calls = []

    def interrupted(*args, **settings):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return recon(*args, **settings)

    arguments = ["recon", str(path), "--axes", AXES, "--method", "zero_filled", "--at-once", "4"]
    arguments += ["-o", str(tmp_path / "out.npy")]
    with monkeypatch.context() as patched:
        patched.setattr(module, "recon", interrupted)
        assert main(arguments) == 130
    assert "stopped: 8 of 20 slices are finished, the same command continues" in capsys.readouterr().err
    assert main(arguments) == 0
    assert np.load(tmp_path / "out.npy").shape == (20, 24, 32)


def test_one_step_for_few_slices():
    assert not SlicePlan(0, 8, 8, 0).is_streamed
    assert SlicePlan(0, 9, 8, 0).is_streamed


def pair(base, factor=1.0):
    """BART's two files of a scan of ten slices."""
    values = np.load(scan(base.with_suffix(".npy"), 10)) * factor  # slice, coil, k1, k0
    save(base, np.ascontiguousarray(values.transpose(3, 2, 1, 0)).reshape(32, 24, 1, 3, *[1] * 9, 10))
    return base


@pytest.mark.parametrize("ending", ["", ".cfl", ".hdr"])
def test_a_pair_by_any_of_its_names_is_one_scan(tmp_path, ending):
    pair(tmp_path / "scan")
    named = tmp_path / f"scan{ending}"
    how, _ = run(named, tmp_path / "p", ReadOptions())
    torch.testing.assert_close(
        collect(tmp_path / "p", how)[0].values, recon(read(tmp_path / "scan.cfl"), "zero_filled").values
    )
    run(named, tmp_path / "half", ReadOptions(), stop_after=4)
    header = (tmp_path / "scan.hdr").stat()
    pair(tmp_path / "scan", 3.0)
    os.utime(tmp_path / "scan.hdr", ns=(header.st_atime_ns, header.st_mtime_ns))
    with pytest.raises(DataError, match="another files"):
        run(named, tmp_path / "half", ReadOptions())
