"""`spinecho groupwise` and `spinecho register --uncertainty`, from files to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from spinecho.cli import main
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.read import read
from spinecho.io.transform.files import read_transform
from spinecho.io.write import write
from spinecho.tasks.register.commands.groupwise import names_of


@pytest.fixture
def cohort(tmp_path: Path) -> list[Path]:
    """The same lopsided body in three places."""
    paths = []
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 20)] * 3, indexing="ij")
    body = torch.sigmoid(12 * (0.7 - (x.square() / 0.6 + y.square() + z.square() / 0.8).sqrt()))
    values = 100 * body * (1 + 0.5 * torch.sin(4 * x + 1) * torch.cos(3 * y) + 0.3 * torch.sin(5 * z + 2 * x))
    for i, shift in enumerate((-9.0, 0.0, 9.0)):
        geometry = Geometry.from_frame((shift, 2.0 * i, 0), np.eye(3), (8, 8, 8), (20, 20, 20))
        paths.append(tmp_path / f"s{i}.nii.gz")
        write(Image(values=values[None], geometries=(geometry,)), paths[-1])
    return paths


def test_a_template_lies_between_its_subjects(cohort: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, folder = tmp_path / "template.nii.gz", tmp_path / "transforms"
    words = ["groupwise", *map(str, cohort), "-o", str(out), "--transforms", str(folder), "--method", "affine"]
    assert main([*words, "--rounds", "1"]) == 0
    told = capsys.readouterr().out
    assert "3 images" in told
    assert "round 1 of 1" in told
    template = read(out)
    assert isinstance(template, Image)
    assert float(template.values.max()) <= 1.0
    shifts = [read_transform(folder / f"s{i}.h5")(torch.zeros(1, 3, dtype=torch.float64))[0, 0] for i in range(3)]
    assert [float(s) for s in shifts] == pytest.approx([-9, 0, 9], abs=0.5)
    there, back = (read_transform(folder / f"s0{end}.h5") for end in ("", "_inverse"))
    points = 20 * torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(back(there(points)), points, atol=1e-6, rtol=0)
    assert not (tmp_path / "template.nii.gz.partial").exists()


def test_one_series_of_each_folder(cohort, tmp_path, capsys):
    folders = []
    for i, path in enumerate(cohort):
        folders.append(tmp_path / f"s{i}_dicom")
        write(read(path), folders[-1])
        other = pydicom.dcmread(folders[-1] / "IM_00001.dcm")
        other.SeriesInstanceUID, other.SeriesNumber, other.SOPInstanceUID = "1.2.3", 7, "1.2.3.4"
        other.save_as(folders[-1] / "other.dcm")
    words = ["groupwise", *map(str, folders), "-o", str(tmp_path / "t.nii.gz"), "--method", "rigid", "--rounds", "1"]
    assert main(words) == 2
    assert "the folder holds 2 series" in capsys.readouterr().err
    transforms = tmp_path / "transforms"
    assert main([*words, "--series", "9000", "--transforms", str(transforms)]) == 0
    assert len(list(transforms.iterdir())) == 6


@pytest.mark.parametrize(
    ("extra", "told"),
    [(["-o", "{0}"], "it is an input"), ([], "no output"), (["{0}", "-o", "{1}/t.nii.gz"], "given twice")],
)
def test_what_cannot_be_is_refused(cohort, tmp_path, capsys, extra, told):
    extra = [word.format(cohort[0], tmp_path) for word in extra]
    assert main(["groupwise", *map(str, cohort), *extra]) == 2
    assert told in capsys.readouterr().err


def test_a_bad_image_does_not_stand_in_the_way_of_the_corrected_command(cohort, tmp_path, capsys):
    """What was measured is quickly measured again; the folder would refuse other images."""
    bad, partial = tmp_path / "bad.nii.gz", tmp_path / "t.nii.gz.partial"
    write(Image(values=torch.zeros(1, 20, 20, 20), geometries=(read(cohort[0]).geometry,)), bad)
    words = ["-o", str(tmp_path / "t.nii.gz"), "--method", "rigid", "--rounds", "1"]
    assert main(["groupwise", *map(str, [*cohort, bad]), *words]) == 2
    assert "the moving image is empty" in capsys.readouterr().err
    assert not partial.exists()
    assert main(["groupwise", *map(str, cohort), *words]) == 0


def test_finished_registrations_are_kept_when_something_is_wrong(cohort, tmp_path, capsys):
    words = ["-o", str(tmp_path / "t.nii.gz"), "--method", "rigid", "--rounds", "1", "--spacing-mm", "0.01"]
    assert main(["groupwise", *map(str, cohort), *words]) == 2
    assert "the template would have" in capsys.readouterr().err
    assert len(list((tmp_path / "t.nii.gz.partial" / "round_00").glob("[0-9]*.npz"))) == 3


def test_subjects_have_names_of_their_own(tmp_path: Path):
    places = [tmp_path / f"sub-{i}/anat/T1.nii.gz" for i in (1, 2)]
    assert names_of(places) == ["sub-1_anat_T1", "sub-2_anat_T1"]
    assert names_of([tmp_path / "a.nii.gz", tmp_path / "b.mgz"]) == ["a", "b"]
    assert names_of([tmp_path / "a.nii.gz", tmp_path / "a.mgz"]) == ["a.nii.gz", "a.mgz"]


def test_uncertainty_is_an_image_on_the_fixed_grid(cohort, tmp_path, capsys):
    out, quick = tmp_path / "sd.nii.gz", ["--voxels", "20000", "--iters", "5", "5", "0", "0", "0"]
    pair = ["register", str(cohort[0]), str(cohort[1]), "--uncertainty", str(out)]
    assert main([*pair, "--transform", str(tmp_path / "t.h5"), *quick]) == 0
    found, fixed = read(out), read(cohort[0])
    assert isinstance(found, Image)
    assert isinstance(fixed, Image)
    assert found.geometry.matches(fixed.geometry)
    known = found.values[found.values > 0]  # and no NaN: what was not compared
    assert 0 < len(known) < found.values.numel() and float(known.max()) < 30
    assert main([*pair, "--transform", str(tmp_path / "t.h5"), "--affine"]) == 2
    assert "does not apply to a rigid or affine transform" in capsys.readouterr().err
