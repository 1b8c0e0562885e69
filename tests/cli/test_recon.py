"""recon, convert and info from file to file."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import torch

from spinecho.cli import main
from spinecho.io.read import read
from spinecho.methods import registry

AXES = ["--axes", "coil k1 k0"]


@pytest.fixture
def scan(tmp_path):
    """A disc seen by four coils, fully sampled."""
    y, x = np.mgrid[-24:24, -32:32]
    disc = (np.hypot(y + 4, x - 6) < 16) * 1.0 + 0.5 * (np.hypot(y, x - 10) < 5)
    coils = np.stack(
        [np.exp(-((y - 20 * a) ** 2 + (x - 25 * b) ** 2) / 1500) for a, b in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
    )
    rng = np.random.default_rng(0)
    images = disc * coils + 0.01 * (rng.standard_normal((4, 48, 64)) + 1j * rng.standard_normal((4, 48, 64)))
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, (-2, -1)), norm="ortho"), (-2, -1))
    np.save(tmp_path / "scan.npy", kspace.astype(np.complex64))
    np.save(tmp_path / "truth.npy", np.sqrt((np.abs(images) ** 2).sum(0)).astype(np.float32))
    return tmp_path / "scan.npy"


def run(*arguments, code=0):
    assert main([str(a) for a in arguments]) == code


def test_one_scan_to_many_formats(scan, tmp_path, capsys):
    names = ("out.npy", "out.nii.gz", "out.png", "out.h5", "out.cfl", "out.mrd")
    outputs = [part for name in names for part in ("-o", tmp_path / name)]
    run("recon", scan, *AXES, "--method", "zero_filled", *outputs)
    shown = capsys.readouterr().out
    assert shown.startswith("read array: 4 coils, matrix 1 x 48 x 64 (z, y, x), fully sampled [orientation=unknown]")
    assert all(f"wrote {tmp_path / name}" in shown for name in names)
    assert " s for the reconstruction, " in shown
    truth = np.load(tmp_path / "truth.npy")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), truth, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        nibabel.load(tmp_path / "out.nii.gz").get_fdata().squeeze().T, truth, rtol=1e-4, atol=1e-5
    )
    for name in ("out.h5", "out.mrd"):
        torch.testing.assert_close(
            read(tmp_path / name).values.abs().squeeze(), torch.from_numpy(truth), rtol=1e-4, atol=1e-5
        )


def test_settings_reach_the_method(scan, tmp_path):
    run("recon", scan, *AXES, "--method", "zero_filled", "-o", tmp_path / "rss.npy")
    run(
        "recon",
        scan,
        *AXES,
        "--method",
        "zero_filled",
        "--combine",
        "csm",
        "--keep-complex",
        "-o",
        tmp_path / "csm.npy",
    )
    assert np.load(tmp_path / "rss.npy").dtype == np.float32
    assert np.load(tmp_path / "csm.npy").dtype == np.complex64


def test_undersampled_after_the_fact_and_scored(scan, tmp_path, capsys):
    page = tmp_path / "out.html"
    arguments = ("recon", scan, *AXES, "--method", "zero_filled", "-o", tmp_path / "out.nii.gz", "--report", page)
    run(*arguments, "--simulate-mask", "random:2:8:3")
    shown = capsys.readouterr().out
    assert "2-fold undersampled" in shown
    assert "undersampled after the fact with the mask random:2:8:3" in shown
    line = next(line for line in shown.splitlines() if line.startswith("against the full scan: "))
    scores = dict(part.split() for part in line.partition(": ")[2].split(", "))
    assert scores.keys() == {"psnr_inside", "ssim_inside", "nmse", "nrmse", "psnr", "ssim", "hfen"}
    assert next(iter(scores)) == "psnr_inside"
    assert 0.01 < float(scores["nrmse"]) < 0.8
    assert "retrospectively undersampled" in page.read_text()
    run(*arguments, "--simulate-mask", "random:2:8:3")
    assert line in capsys.readouterr().out, "the same seed gives the same mask"
    run(*arguments, "--simulate-mask", "equispaced:1:0:0")
    assert "nmse 0, nrmse 0" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["random:2:8:0", "equispaced:3:8:0", "gaussian:2:8:0", "poisson:3:8:0", "partial:0.7"])
def test_kinds_of_masks(kind, scan, tmp_path, capsys):
    run("recon", scan, *AXES, "--method", "zero_filled", "-o", tmp_path / "out.npy", "--simulate-mask", kind)
    assert "against the full scan: psnr_inside " in capsys.readouterr().out


def test_the_scale_of_the_data_does_not_matter(scan, tmp_path):
    images = []
    for factor in (1e-9, 1, 1e9):
        np.save(tmp_path / "scaled.npy", np.load(scan) * np.complex64(factor))
        run("recon", tmp_path / "scaled.npy", *AXES, "--method", "zero_filled", "-o", tmp_path / "out.npy")
        images.append(np.load(tmp_path / "out.npy") / factor)
    np.testing.assert_allclose(images[0], images[1], rtol=1e-4)
    np.testing.assert_allclose(images[2], images[1], rtol=1e-4)


@pytest.mark.skipif("auto" not in registry.names("recon"), reason="auto is not there")
def test_auto_says_what_it_took(scan, tmp_path, capsys):
    run("recon", scan, *AXES, "-o", tmp_path / "out.npy", "--threads", "2", "--device", "cpu")
    shown = capsys.readouterr().out
    assert any(name in shown for name in registry.names("recon")), shown


def test_an_image_is_no_scan(scan, tmp_path, capsys):
    run("recon", scan, *AXES, "--method", "zero_filled", "-o", tmp_path / "out.nii.gz")
    run("recon", tmp_path / "out.nii.gz", "-o", tmp_path / "again.nii.gz", code=2)
    assert "spinecho convert" in capsys.readouterr().err


def test_convert_and_info(scan, tmp_path, capsys):
    run("convert", scan, tmp_path / "scan.mrd", *AXES)
    run("convert", tmp_path / "scan.mrd", tmp_path / "back.npy")
    np.testing.assert_allclose(np.load(tmp_path / "back.npy").squeeze(), np.load(scan), rtol=1e-6)
    capsys.readouterr()
    run("info", tmp_path / "scan.mrd")
    shown = capsys.readouterr().out
    assert "k-space" in shown
    assert "4 coils, matrix 1 x 48 x 64 (z, y, x), fully sampled" in shown
    assert "orientation" in shown
    run("convert", scan, tmp_path / "scan.png", *AXES, code=2)
    assert f"spinecho recon '{scan}' -o" in capsys.readouterr().err
    run("convert", scan, scan, *AXES, code=2)
    assert "it is the input itself" in capsys.readouterr().err
    run("info", tmp_path / "absent", code=2)


def test_a_terminal_shows_progress(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "many.npy", (rng.standard_normal((30, 2, 32, 32)) + 1).astype(np.complex64))
    command = [sys.executable, "-m", "spinecho", "recon", str(tmp_path / "many.npy"), "--axes", "slice coil k1 k0"]
    command += ["--method", "zero_filled", "-o", str(tmp_path / "out.npy"), "--at-once", "2"]
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stderr=slave, stdout=subprocess.DEVNULL, env=os.environ | {"TERM": "xterm"})
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait() == 0
    assert b"30/30" in shown or b"28/30" in shown
    assert b"left" in shown


def test_dicom_needs_an_orientation_and_says_so_before_the_work(scan, tmp_path, capsys, monkeypatch):
    arguments = ("recon", scan, *AXES, "--method", "zero_filled", "-o", tmp_path / "out_dicom")
    with monkeypatch.context() as patched:
        patched.setattr("spinecho.tasks.recon.run.recon", lambda *_, **__: pytest.fail("the work has begun"))
        run(*arguments, code=2)
    error = capsys.readouterr().err
    assert "--affine" in error
    assert "--like" in error
    np.savetxt(tmp_path / "affine.txt", np.diag([1, 1, 5, 1]))
    run(*arguments, "--affine", tmp_path / "affine.txt")
    assert len(list((tmp_path / "out_dicom").iterdir())) == 1
