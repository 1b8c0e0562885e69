"""Bad input of every kind: exit code 2, one line that says what was found and what to do, nothing lost."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from spinecho.cli import main
from spinecho.methods import registry

GOOD = (3, 24, 32)
AXES = "coil k1 k0"


def good(shape=GOOD, dtype=np.complex64):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def saved(path: Path, array, **changes) -> list[str]:
    np.save(path, array)
    return [str(path), "--axes", changes.get("axes", AXES)]


def with_value(value):
    def make(folder):
        array = good()
        array[1, 2, 3] = value
        return saved(folder / "scan.npy", array)

    return make


def empty(folder):
    (folder / "scan.npy").write_bytes(b"")
    return [str(folder / "scan.npy")]


def truncated(name):
    def make(folder):
        path = folder / name
        if name.endswith(".npy"):
            np.save(path, good())
        elif name.endswith(".npz"):
            np.savez_compressed(path, kspace=good())
        elif name.endswith(".mat"):
            from scipy.io import savemat

            savemat(path, {"kspace": good()})
        else:
            with h5py.File(path, "w") as file:
                file["kspace"] = good()
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return [str(path), "--axes", AXES]

    return make


def text(folder):
    (folder / "scan.txt").write_text("not a scan\n" * 50)
    return [str(folder / "scan.txt")]


def mask_of_another_shape(folder):
    np.save(folder / "mask.npy", np.ones((25, 32), bool))
    return [*saved(folder / "scan.npy", good()), "--mask", str(folder / "mask.npy")]


def mask_is_absent(folder):
    return [*saved(folder / "scan.npy", good()), "--mask", str(folder / "mask.npy")]


def mask_without_samples(folder):
    np.save(folder / "mask.npy", np.zeros((24, 32), bool))
    return [*saved(folder / "scan.npy", good()), "--mask", str(folder / "mask.npy")]


def fastmri_without_header(folder):
    with h5py.File(folder / "scan.h5", "w") as file:
        file["kspace"] = good((2, 3, 32, 24))
        file["ismrmrd_header"] = "<ismrmrdHeader>"
    return [str(folder / "scan.h5")]


def mrd_without_data(folder):
    with h5py.File(folder / "scan.h5", "w") as file:
        file["dataset/xml"] = np.array([b"<ismrmrdHeader/>"], dtype=object).astype(h5py.string_dtype())
    return [str(folder / "scan.h5")]


def an_image(folder):
    np.save(folder / "image.npy", np.abs(good((24, 32))).astype(np.float32))
    return [str(folder / "image.npy"), "--axes", "y x"]


def an_undersampled_scan(folder):
    array = good()
    array[:, 1::2] = 0
    return [*saved(folder / "scan.npy", array), "--simulate-mask", "random:2:0.1:0"]


def plain(*extra, **changes):
    return lambda folder: [*saved(folder / "scan.npy", changes.pop("array", good()), **changes), *extra]


CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "NaN": (with_value(np.nan), "1 of 2304 samples are NaN or infinite"),
    "infinite": (with_value(np.inf), "1 of 2304 samples are NaN or infinite"),
    "all zero": (plain(array=np.zeros(GOOD, np.complex64)), "all samples are zero"),
    "empty file": (empty, "the file is empty"),
    "empty array": (plain(array=np.zeros((3, 0, 32), np.complex64)), ""),
    "truncated npy": (truncated("scan.npy"), ""),
    "truncated npz": (truncated("scan.npz"), ""),
    "truncated mat": (truncated("scan.mat"), ""),
    "truncated h5": (truncated("scan.h5"), ""),
    "text file": (text, "no file of a known format"),
    "strings": (plain(array=np.full(GOOD, "x")), "<U1"),
    "Python objects": (lambda f: saved(f / "scan.npy", np.array([{}, 1], dtype=object), axes="k1"), "could run code"),
    "too few axes": (plain(axes="k1 k0"), "names 2 axes, the array has 3"),
    "unknown axis": (plain(axes="coil ky kx"), "unknown name 'ky'"),
    "another mask": (mask_of_another_shape, "(25, 32)"),
    "absent mask": (mask_is_absent, "mask.npy"),
    "empty mask": (mask_without_samples, ""),
    "fastMRI without header": (fastmri_without_header, ""),
    "MRD without data": (mrd_without_data, ""),
    "an image": (an_image, ""),
    "undersampled already": (an_undersampled_scan, "needs a full scan"),
    "no such mask kind": (plain("--simulate-mask", "spokes:4"), "KIND:R:CENTRE:SEED"),
    "slices out of range": (plain("--slices", "3", "9"), ""),
    "no CUDA": (plain("--device", "cuda"), "no CUDA device"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case, tmp_path, capsys):
    make, told = CASES[case]
    if case == "no CUDA":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device")
    out = tmp_path / "out.npy"
    out.write_bytes(b"the last good one")
    assert main(["recon", *make(tmp_path), "--method", "zero_filled", "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert_one_clear_line(error)
    assert out.read_bytes() == b"the last good one"


def assert_one_clear_line(error):
    assert error.startswith("error: ")
    assert error.count("\n") == 1, "one line"
    assert " -> " in error, "says what to do"
    assert "Traceback" not in error
    assert "Error:" not in error, "no name of an exception"
    assert "defect" not in error


@pytest.mark.parametrize(
    "method", sorted({"cg_sense", "grappa", "l1_wavelet", "tv", "llr"} & set(registry.names("recon")))
)
def test_no_calibration_lines(method, tmp_path, capsys):
    array = good((4, 48, 32))
    array[:, np.arange(48) % 4 != 1] = 0
    array[:, 20:29] = 0
    out = tmp_path / "out.npy"
    assert main(["recon", *saved(tmp_path / "scan.npy", array), "--method", method, "-o", str(out)]) == 2
    assert_one_clear_line(capsys.readouterr().err)
    assert not out.exists()


def blocked(folder):
    (folder / "file").write_text("x")
    return folder / "file" / "out.npy"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (lambda f: f / "absent" / "out.npy", "does not exist"),
        (blocked, "does not exist"),
        (lambda f: f, "no writer"),
        (lambda f: f / "out.xyz", "no writer for image files called '.xyz'"),
        (lambda f: f / "scan.npy", "it is the input itself"),
        (lambda f: f / ("x" * 300 + ".npy"), ""),
    ],
    ids=["no folder", "file as folder", "folder", "unknown suffix", "input", "long name"],
)
def test_output_that_cannot_be_written_is_told_before_the_work(place, told, tmp_path, capsys, monkeypatch):
    import spinecho.tasks.recon.stream as stream

    arguments = saved(tmp_path / "scan.npy", good())
    before = (tmp_path / "scan.npy").read_bytes()
    monkeypatch.setattr(stream, "read", lambda *_: pytest.fail("the work has begun"))
    assert main(["recon", *arguments, "--method", "zero_filled", "-o", str(place(tmp_path))]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert_one_clear_line(error)
    assert (tmp_path / "scan.npy").read_bytes() == before


@contextmanager
def file_size_limit(n_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "name", ["out.npy", "out.npz", "out.mat", "out.h5", "out.nii", "out.nii.gz", "out.png", "out.cfl"]
)
def test_full_disk_keeps_the_last_good_file(name, tmp_path, capsys):
    arguments = ["recon", *saved(tmp_path / "scan.npy", good((3, 96, 128))), "--method", "zero_filled"]
    out = tmp_path / "results" / name
    out.parent.mkdir()
    assert main([*arguments, "-o", str(out)]) == 0
    before = {p.name: p.read_bytes() for p in out.parent.iterdir()}
    capsys.readouterr()
    with file_size_limit(4096):
        assert main([*arguments, "-o", str(out)]) == 2
    assert_one_clear_line(capsys.readouterr().err)
    assert {p.name: p.read_bytes() for p in out.parent.iterdir()} == before


def test_full_disk_while_slices_wait(tmp_path, capsys):
    arguments = ["recon", *saved(tmp_path / "scan.npy", good((12, 3, 48, 64)), axes="slice coil k1 k0")]
    arguments += ["--method", "zero_filled", "--at-once", "4", "-o", str(tmp_path / "out.npy")]
    with file_size_limit(8192):
        assert main(arguments) == 2
    assert_one_clear_line(capsys.readouterr().err)
    assert main(arguments) == 0
    assert np.load(tmp_path / "out.npy").shape == (12, 48, 64)
    assert not (tmp_path / "out.npy.partial").exists()


def test_full_disk_for_the_report(tmp_path, capsys):
    arguments = ["recon", *saved(tmp_path / "scan.npy", good()), "--method", "zero_filled"]
    with file_size_limit(4096):
        assert main([*arguments, "--report", str(tmp_path / "out.html")]) == 2
    assert_one_clear_line(capsys.readouterr().err)
    assert not (tmp_path / "out.html").exists()
