"""The image command's own work: DICOM in and out, truths, labels on another grid, maps, planes of one voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from tests.io import dicom_files

from spinecho.cli import frame, image_command, main
from spinecho.cli.image_results import brought_along, maps_of
from spinecho.cli.image_work import permuted, thin_first, worked
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.read import read_image
from spinecho.io.write import write

GEOMETRY = Geometry.from_frame((3, -5, 20), np.eye(3), (2, 2, 4), (6, 20, 18))


def ball(noise: float = 0.0) -> Image:
    """A ball of two halves, 100 and 200."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in GEOMETRY.shape], indexing="ij")
    values = ((x * x + y * y + z * z) < 0.8).float() * (100 + 100 * (x > 0).float())
    values += noise * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    return Image(values=values[None], geometries=(GEOMETRY,))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(ball(10.0), "noisy.nii.gz")
    write(ball(), "true.nii.gz")
    return tmp_path


def run(*words: object, code: int = 0) -> None:
    assert main([*map(str, words)]) == code


def series(path: Path) -> Path:
    """Slices of a smooth object with noise, of a patient with a name."""
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = (800 + 200 * i + rng.normal(0, 30, dicom_files.SHAPE)).astype("<u2")
        facts = {"PatientName": "Doe^Jane", "PatientID": "J1", "FrameOfReferenceUID": "1.2.9", "ProtocolName": "t1_se"}
        facts |= {"PixelData": pixels.tobytes(), "EchoTime": 12.0, "StudyDate": "20200102"}
        dicom_files.save(path / f"{i}.dcm", i + 1, 4.0 * i, **facts)
    return path


def test_a_dicom_series_comes_back_as_one(folder, capsys):
    source = series(folder / "in")
    before = {p: p.read_bytes() for p in source.iterdir()}
    run("denoise", source, "-o", "out_dicom", "--method", "wavelet")
    files = sorted(Path("out_dicom").iterdir())
    one, other = pydicom.dcmread(source / "0.dcm"), pydicom.dcmread(files[0])
    for word in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate", "EchoTime"):
        assert one[word].value == other[word].value, word
    assert len(files) == 4 and other.SeriesInstanceUID != one.SeriesInstanceUID
    assert other.SeriesDescription == "spinecho; denoising by wavelet; t1_se" and other.ProtocolName == "t1_se"
    assert "denoised by wavelet, noise found" in other.DerivationDescription
    assert other.ContributingEquipmentSequence[0].ContributionDescription == "denoising by wavelet"
    read, written = read_image(source), read_image("out_dicom")
    assert read.geometry.matches(written.geometry) and before == {p: p.read_bytes() for p in source.iterdir()}
    assert float((written.values - read.values).abs().mean() / read.values.mean()) < 0.05, "the same numbers"
    run("denoise", files[0], "-o", "out_dicom", code=2)
    assert "an input lies in this folder" in capsys.readouterr().err
    run("denoise", source, "-o", source, code=2)


def test_nifti_becomes_dicom_of_a_patient_with_like(folder):
    run("denoise", "noisy.nii.gz", "-o", "out_dicom", "--like", series(folder / "in"))
    made = pydicom.dcmread(sorted(Path("out_dicom").iterdir())[0])
    assert made.PatientName == "Doe^Jane" and made.StudyInstanceUID == "1.2.3"
    assert read_image("out_dicom").geometry.matches(GEOMETRY)


def test_figures_are_told_before_and_after(folder, capsys):
    run("denoise", "noisy.nii.gz", "-o", "out.nii.gz", "--truth", "true.nii.gz", "--report", "r.html")
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if " before, " in line]
    assert [line.split(":")[0].strip() for line in lines][:2] == ["psnr inside the head, dB", "ssim inside the head"]
    before, after = (float(w.split()[0]) for w in lines[0].partition(": ")[2].split(" before, "))
    assert after > before
    page = Path("r.html").read_text()
    assert f"{after:.2f}" in page and "truth" in page and "spinecho denoise noisy.nii.gz" in page
    write(replace(ball(), values=(ball().values / 100).to(torch.uint8)), "seg.nii.gz")
    run("denoise", "noisy.nii.gz", "-o", "out.nii.gz", "--truth", "seg.nii.gz")
    assert "seg.nii.gz looks like a label map, and the result is an image" in capsys.readouterr().err


def test_a_truth_of_other_volumes_is_refused_before_the_work(folder, capsys):
    write(replace(ball(), values=ball().values.repeat(3, 1, 1, 1, 1), axes=("time",)), "series.nii.gz")
    run("denoise", "noisy.nii.gz", "-o", "out.nii.gz", "--truth", "series.nii.gz", "--report", "r.html", code=2)
    told = capsys.readouterr()
    assert "series.nii.gz: the truth has 3 volumes, the image 1" in told.err
    assert "denoised" not in told.out and not Path("out.nii.gz").exists()
    run("denoise", "series.nii.gz", "-o", "out.nii.gz", "--truth", "true.nii.gz", "--report", "r.html")
    assert Path("r.html").exists()


def test_labels_follow_to_another_grid_and_stay_on_their_own():
    labels = replace(ball(), values=(ball().values / 100).to(torch.int16))
    assert brought_along(labels, GEOMETRY) is labels
    fine = GEOMETRY.resized((12, 40, 36))
    there = brought_along(labels, fine)
    assert there.values.dtype == torch.int16 and set(torch.unique(there.values).tolist()) == {0, 1, 2}
    volume = [float((i.values == 2).sum()) * np.prod(i.geometry.voxel_mm) for i in (labels, there)]
    assert volume[1] == pytest.approx(volume[0], rel=0.05)
    assert "heaviest label" in there.header.history[-1]
    frames = replace(labels, values=torch.stack([labels.values, 0 * labels.values]), axes=("time",))
    both = brought_along(frames, fine)
    assert torch.equal(both.values[0], there.values) and not both.values[1].any()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    factor: int = 2
    """by how much finer"""


def finer() -> ModuleType:
    """A task that halves the voxels, gives labels as a map, and tells how far it is."""

    def work(image, inputs, method, settings, tell=None):
        shape = tuple(inputs.factor * n for n in image.geometry.shape)
        values = image.values.repeat_interleave(2, -1).repeat_interleave(2, -2).repeat_interleave(2, -3)
        if tell is not None:
            tell(1, 1)
        header = image.header.noted("made finer").regridded()
        geometry = image.geometry.resized(shape)
        extras = {"doubt": values[:1].abs(), "coils": torch.zeros(3, 2, 2, 2)}
        return replace(image, values=values, geometries=(geometry,), header=header, extras=extras)

    task = ModuleType("finer")
    task.WHAT, task.DEFAULT, task.Inputs, task.run = "super-resolution", "wavelet", Inputs, work
    task.MAPS = {"doubt": "where it is not sure"}
    return task


def test_a_new_grid_goes_out_with_its_own_place_and_the_report_shows_both(folder, capsys):
    write(replace(ball(), values=(ball().values / 100).to(torch.uint8)), "seg.nii.gz")
    words = ["noisy.nii.gz", "-o", "out.nii.gz", "--labels", "seg.nii.gz", "--report", "r.html", "--maps"]
    words += ["--truth", "true.nii.gz"]
    assert frame.run(image_command.command(finer()), "denoise", "finer", words) == 0
    made, labels, doubt = (read_image(n) for n in ("out.nii.gz", "out_seg.nii.gz", "out_doubt.nii.gz"))
    assert made.geometry.matches(GEOMETRY.resized((12, 40, 36))) and labels.geometry.matches(made.geometry)
    assert torch.equal(doubt.values, made.values.abs())
    assert not Path("out_coils.nii.gz").exists()
    page = Path("r.html").read_text()
    assert "where it is not sure" in page and "2 x 2 x 4 mm" in page and "1 x 1 x 2 mm" in page
    assert "wrote out_doubt.nii.gz" in capsys.readouterr().out


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_is_a_plane_however_its_file_has_it(axis):
    start, shape = [0, 0, 0], list(GEOMETRY.shape)
    start[axis], shape[axis] = 2, 1
    grid = GEOMETRY.cropped(start, tuple(shape))
    image = Image(values=ball().values.narrow(1 + axis, 2, 1), geometries=(grid,), extras={})
    flat = permuted(image, thin_first(image))
    assert flat.geometry.shape[0] == 1 and sorted(flat.geometry.shape) == sorted(shape)
    seen = []
    task = finer()
    task.run = lambda image, inputs, method, settings: seen.append(image) or image
    back = worked(task, image, Inputs(), "", {})
    assert seen[0].geometry.shape[0] == 1 and torch.equal(back.values, image.values)
    np.testing.assert_allclose(back.geometry.affine, grid.affine)
    at = tuple(n // 2 for n in shape)
    place = {a: image.values[0][a] for a in [at]}
    index = [at[i] for i in thin_first(image)]
    assert flat.values[0][tuple(index)] == place[at]
    world = [g.to_world(i[::-1]) for g, i in ((grid, at), (flat.geometry, index))]
    np.testing.assert_allclose(*world)


def test_maps_are_those_on_the_grid_frames_with_frames():
    values = torch.zeros(2, 1, *GEOMETRY.shape)
    extras = {"one": values[0] + 1, "each": values + 2, "coils": torch.zeros(1, 4, 1, 5, 5)}
    image = Image(values=values, geometries=(GEOMETRY,), axes=("time",), extras=extras)
    maps = maps_of(image)
    assert list(maps) == ["one", "each"]
    assert maps["one"].axes == () and maps["each"].axes == ("time",)
    assert all(m.values.shape[-3:] == GEOMETRY.shape and not m.extras for m in maps.values())


def test_a_phase_is_no_ct_and_a_series_is_shown_in_its_middle(folder, capsys):
    phase = replace(ball(), values=4096 * (2 * torch.rand(ball().values.shape) - 1))
    write(phase, "phase.nii.gz")
    run("denoise", "phase.nii.gz", "-o", "out.nii.gz", "--report", "r.html")
    assert "looks like CT" not in capsys.readouterr().err
    frames = torch.stack([k * ball(10.0).values for k in (1, 2, 3)])
    write(Image(values=frames, geometries=(GEOMETRY,), axes=("time",)), "series.nii.gz")
    run("denoise", "series.nii.gz", "-o", "out.nii.gz", "--report", "r.html")
    assert "volume 1 (from 0) of 3 is shown" in Path("r.html").read_text()
    assert nibabel.load("out.nii.gz").shape == (*GEOMETRY.shape[::-1], 3)
