"""What a run leaves on the disk: fingerprints that tell runs apart, slices to the bit, and the plan's sums."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho import DataError, Image
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.version import __version__
from spinecho.io.options import ReadOptions
from spinecho.methods.unfinished import partial_folder
from spinecho.tasks.recon import stream
from spinecho.tasks.recon.partial import Finished, fingerprint
from spinecho.tasks.recon.stream import PROGRAM, WORKING_SET, SlicePlan, load, plan

AXES = "slice coil k1 k0"
PLAIN = ReadOptions()


@pytest.fixture
def file(tmp_path) -> Path:
    np.save(tmp_path / "scan.npy", (np.random.default_rng(0).standard_normal((6, 2, 8, 10)) + 1j).astype(np.complex64))
    return tmp_path / "scan.npy"


def marks(path: Path, options: ReadOptions = PLAIN, method: str = "tv", device: str = "cpu", **settings):
    return fingerprint(path, options, method, settings, device)


def test_the_same_run_has_the_same_fingerprint(file):
    assert marks(file, n_iters=3, weight=None) == marks(file, weight=None, n_iters=3)
    assert marks(file)["version"] == __version__


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("method", {"method": "llr"}),
        ("settings", {"n_iters": 4}),
        ("device", {"device": "cuda"}),
        ("options", {"options": ReadOptions(oversampling=2.0)}),
        ("options", {"options": ReadOptions(slices=(0, 2))}),
    ],
)
def test_what_differs_is_told_by_its_key(file, key, changed):
    before, after = marks(file), marks(file, **changed)
    assert [k for k in before if before[k] != after[k]] == [key]


def test_content_time_and_size_of_the_file_count(file):
    before = marks(file)["files"]
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    (old,), (new,) = before, marks(file)["files"]
    assert [k for k in old if old[k] != new[k]] == ["head_sha256"]
    os.utime(file, ns=(0, 0))
    assert marks(file)["files"][0]["mtime_ns"] == 0


def test_masks_and_trajectories_belong_to_the_fingerprint(file, tmp_path):
    mask = tmp_path / "mask.npy"
    mask.write_bytes(b"one")
    options = ReadOptions(mask=mask)
    before = marks(file, options)
    assert len(before["files"]) == 2
    mask.write_bytes(b"another")
    assert marks(file, options)["files"][1] != before["files"][1]
    assert marks(file, options)["files"][0] == before["files"][0]


def test_a_folder_is_known_by_its_time(tmp_path):
    """A DICOM series or a scanner's folder: no content is read, a change of its list of files is seen."""
    os.utime(tmp_path, ns=(0, 5))
    before = marks(tmp_path)
    assert before["files"][0]["mtime_ns"] == 5
    (tmp_path / "new").touch()
    assert marks(tmp_path)["files"] != before["files"]


def image(n: int = 3) -> Image:
    rng = torch.Generator().manual_seed(n)
    shape = (1, 4, 5)
    slices = [Geometry.from_frame((1.0, 2.0, 7.0 * i), np.eye(3), (1, 1, 7), shape) for i in range(n)]
    header = Header(vendor="x", te_ms=(1.0, 2.5), patient={"id": "7"}, flags=("simulated",), history=("a", "b"))
    return Image(
        values=torch.randn(2, n, 1, *shape, dtype=torch.complex64, generator=rng),
        geometries=tuple(slices),
        axes=("time", "slice"),
        header=header,
        extras={"gfactor": torch.rand(1, n, 1, *shape, generator=rng)},
    )


def test_slices_come_back_to_the_bit_with_all_that_is_known(tmp_path):
    """Slices lie along the second axis here; the g-factor has one entry for both frames; orientation is kept."""
    whole, finished = image(), Finished(tmp_path / "p", 5)
    assert finished.begin({"a": 1}, 3) == 3
    target = torch.rand(2, 3, 1, 1, 4, 5)
    assert not finished.has(2, 5)
    finished.put(2, whole, target)
    assert finished.has(2, 5) and not finished.has(1, 5)
    back, truth = finished.image(2, 5)
    assert torch.equal(back.values, whole.values) and torch.equal(back.extras["gfactor"], whole.extras["gfactor"])
    assert truth is not None and torch.equal(truth, target)
    assert back.header == whole.header and back.axes == whole.axes
    assert all(a.matches(b, 0) and a.oriented for a, b in zip(back.geometries, whole.geometries, strict=True))
    part, _ = finished.image(3, 4)
    assert torch.equal(part.values, whole.values[:, 1:2])


def test_maps_that_are_not_kept_and_truths_that_are_not_there(tmp_path):
    finished = Finished(tmp_path / "p", 3)
    finished.begin({}, 3)
    finished.put(0, replace(image(), extras={}), None)
    back, truth = finished.image(0, 3)
    assert truth is None and not back.extras


def test_the_first_run_decides_on_the_step(tmp_path):
    assert Finished(tmp_path / "p", 9).begin({"a": 1}, 4) == 4
    assert Finished(tmp_path / "p", 9).begin({"a": 1}, 2) == 4


def test_refusals_name_the_difference_and_the_folder(tmp_path):
    Finished(tmp_path / "p", 9).begin({"method": "tv", "device": "cpu"}, 4)
    with pytest.raises(DataError, match=r"with another method, device left .* -> .*rm -r") as told:
        Finished(tmp_path / "p", 9).begin({"method": "llr", "device": "cuda"}, 4)
    assert told.value.file == str(tmp_path / "p")
    with pytest.raises(DataError, match="with another number of slices left"):
        Finished(tmp_path / "p", 8).begin({"method": "tv", "device": "cpu"}, 4)


def test_an_empty_folder_is_taken_and_removing_twice_does_no_harm(tmp_path):
    (tmp_path / "p").mkdir()
    finished = Finished(tmp_path / "p", 2)
    assert finished.begin({}, 1) == 1
    finished.remove()
    finished.remove()
    assert not (tmp_path / "p").exists()


def test_the_folder_lies_beside_the_output(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert partial_folder(Path("a.nii.gz")) == tmp_path / "a.nii.gz.partial"


def test_the_plan_by_its_sums(file, monkeypatch):
    """Peak: the program, a step's working set, and three float64s' worth of every pixel of the result."""
    monkeypatch.setattr(stream, "free_memory", lambda: 2**40)
    samples = 2 * 8 * 10 * 8
    how = plan(file, ReadOptions(axes=AXES), 4)
    assert how == SlicePlan(0, 6, 4, PROGRAM + 4 * WORKING_SET * samples + 3 * 8 * 80 * 6)
    assert how.n_slices == 6 and how.is_streamed
    part = plan(file, ReadOptions(axes=AXES, slices=(1, 6)), 2)
    assert (part.first, part.last, part.per_step, part.n_slices) == (1, 6, 2, 5)
    assert plan(file, ReadOptions(axes=AXES), 6) == SlicePlan(0, 6, 6, 0)
    assert plan(file, ReadOptions(axes=AXES), 100).per_step == 6


@pytest.mark.parametrize("slices", [(3, 3), (4, 2), (-1, 2), (0, 7)])
def test_slices_that_are_not_there(file, slices):
    with pytest.raises(
        DataError, match=rf"slices {slices[0]}:{slices[1]} were asked for, the scan has 6 -> give START"
    ):
        plan(file, ReadOptions(axes=AXES, slices=slices))


def test_an_image_cannot_be_loaded_as_a_scan(tmp_path):
    np.save(tmp_path / "image.npy", np.ones((4, 5), np.float32))
    with pytest.raises(DataError, match=r"it holds an image, not k-space -> convert it with: spinecho convert"):
        load(tmp_path / "image.npy", ReadOptions(axes="y x"), torch.device("cpu"))


def test_loading_undersamples_where_told(file):
    options = ReadOptions(axes=AXES, simulate_mask="equispaced:2:2:0", slices=(2, 4))
    scan = load(file, options, torch.device("cpu"))
    assert scan.samples.shape[0] == 2 and scan.target is not None
    assert "retrospectively undersampled" in scan.header.flags
