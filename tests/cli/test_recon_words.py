"""recon from file to file: what is refused before the work, parts and steps that agree, and what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from spinecho.cli import main

N, NY, NX = 5, 32, 24
AXES = ("--axes", "slice coil k1 k0")
ZERO = ("--method", "zero_filled", "--threads", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """scan.npy: five discs of their own brightness, two coils; truth.npy: their root sum of squares."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[-NY // 2 : NY // 2, -NX // 2 : NX // 2]
    disc = (np.hypot(y, x - 2) < 9) * np.arange(1.0, N + 1)[:, None, None]
    images = disc[:, None] * np.stack([np.exp(-((x - 8) ** 2) / 300), 1j * np.exp(-((x + 8) ** 2) / 300)])
    shift = lambda v, f: f(v, (-2, -1))  # noqa: E731
    kspace = shift(np.fft.fft2(shift(images, np.fft.ifftshift), norm="ortho"), np.fft.fftshift)
    np.save("scan.npy", kspace.astype(np.complex64))
    np.save("truth.npy", np.sqrt((np.abs(images) ** 2).sum(1)).astype(np.float32))
    np.save("mask.npy", np.ones(NY, bool))
    return tmp_path


def recon(*arguments: object, code: int = 0) -> None:
    assert main(["recon", "scan.npy", *AXES, *map(str, arguments)]) == code


@pytest.mark.parametrize("at_once", [1, 2, 4, 5, 9])
def test_steps_of_any_size_write_the_same_picture_and_leave_nothing_behind(at_once, folder, capsys):
    recon(*ZERO, "-o", "out.npy", "--at-once", at_once)
    np.testing.assert_allclose(np.load("out.npy"), np.load("truth.npy"), atol=1e-4)
    shown = capsys.readouterr().out
    streamed = at_once < N
    assert (f"{at_once} slices at once: at most about " in shown) == streamed
    assert ("memory used at most: " in shown) == streamed
    assert not Path("out.npy.partial").exists()
    assert re.search(r"\n\d+\.\d\d s for the reconstruction, \d+\.\d\d s in all\n", shown)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 4), (4, 5), (0, 5)])
@pytest.mark.parametrize("at_once", [1, 8])
def test_a_part_of_the_slices_is_that_part_of_the_picture(first, last, at_once, folder):
    recon(*ZERO, "-o", "out.npy", "--slices", first, last, "--at-once", at_once)
    np.testing.assert_allclose(np.load("out.npy"), np.load("truth.npy")[first:last], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "there is no output -> say where the image goes"),
        (("-o", "out.npy", "--slices", "3", "3"), "slices 3:3 were asked for, the scan has 5"),
        (("-o", "out.npy", "--slices", "0", "6"), "slices 0:6 were asked for, the scan has 5"),
        (("-o", "out.npy", "--at-once", "0"), "0 slices at once were asked for"),
        (("-o", "out.xyz"), "no writer for image files called"),
        (("-o", "scan.npy"), "it is the input itself"),
        (("-o", "link.npy"), "it is the input itself"),
        (("-o", "absent/out.npy"), "does not exist"),
        (("-o", "out.npy", "-o", "out.npy"), "two outputs have this name"),
        (("-o", "mask.npy", "--mask", "mask.npy"), "mask.npy: it is an input"),
        (("-o", "traj.npy", "--traj", "traj.npy"), "traj.npy: it is an input"),
        (("-o", "out.npy", "--report", "scan.npy"), "it is the input itself"),
        (("-o", "out.npy", "--mask", "absent.npy"), "absent.npy"),
        (("-o", "out.npy", "--simulate-mask", "nonsense:2"), "nonsense"),
        (("-o", "out.npy", "--combine", "rs"), "rs"),
    ],
)
def test_refused_with_nothing_written(arguments, told, folder, capsys):
    Path("link.npy").symlink_to("scan.npy")
    np.save("traj.npy", np.zeros((NY, NX, 2), np.float32))
    before = {p: p.read_bytes() for p in folder.iterdir()}
    recon("--method", "zero_filled", *arguments, code=2)
    assert told in capsys.readouterr().err
    assert {p: p.read_bytes() for p in folder.iterdir()} == before


def test_a_conversion_does_not_overwrite_the_mask_or_trajectory_it_reads(folder, capsys):
    before = Path("mask.npy").read_bytes()
    assert main(["convert", "scan.npy", "mask.npy", *AXES, "--mask", "mask.npy"]) == 2
    assert "mask.npy: it is an input" in capsys.readouterr().err
    assert Path("mask.npy").read_bytes() == before


@pytest.mark.parametrize("at_once", [2, 8])
def test_scores_against_the_full_scan_do_not_depend_on_the_steps(at_once, folder, capsys):
    recon(*ZERO, "-o", "out.npy", "--simulate-mask", "equispaced:2:8:0", "--at-once", at_once)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("against the full scan: "))
    told = dict(part.split() for part in line.partition(": ")[2].split(", "))
    error = np.load("out.npy") - np.load("truth.npy")
    nmse = float((error**2).sum() / (np.load("truth.npy") ** 2).sum())
    assert float(told["nmse"]) == pytest.approx(nmse, rel=0.01)
    assert float(told["nrmse"]) == pytest.approx(nmse**0.5, rel=0.01)


def test_a_report_of_a_scan_in_steps_shows_one_slice_and_names_the_file(folder):
    recon(*ZERO, "-o", "out.npy", "--report", "page.html", "--at-once", "2")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "scan.npy" in page and "zero_filled" in page and "recon scan.npy" in page


def test_a_run_that_fails_at_the_writing_keeps_the_slices_and_the_next_one_uses_them(folder, monkeypatch, capsys):
    import spinecho.io.write as writing

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(writing, "write", full_disk)
        assert main(["recon", "scan.npy", *AXES, *ZERO, "-o", "out.npy", "--at-once", "2"]) != 0
    assert Path("out.npy.partial").is_dir() and not Path("out.npy").exists()
    capsys.readouterr()
    recon(*ZERO, "-o", "out.npy", "--at-once", "2")
    assert "continued: 5 of 5 slices were finished before" in capsys.readouterr().out
    np.testing.assert_allclose(np.load("out.npy"), np.load("truth.npy"), atol=1e-4)


def test_another_method_does_not_go_on_with_the_slices_of_the_first(folder, monkeypatch, capsys):
    import spinecho.io.write as writing

    with monkeypatch.context() as patched:
        patched.setattr(writing, "write", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert main(["recon", "scan.npy", *AXES, *ZERO, "-o", "out.npy", "--at-once", "2"]) != 0
    capsys.readouterr()
    recon("--method", "cg_sense", "-o", "out.npy", "--at-once", "2", code=2)
    told = capsys.readouterr().err
    assert "an interrupted run with another method" in told and "rm -r" in told


@pytest.mark.parametrize("word", ["--method", "--axes"])
def test_an_option_without_its_value_is_told(word, folder, capsys):
    assert main(["recon", "scan.npy", "-o", "out.npy", word]) == 2
    assert word in capsys.readouterr().err
