"""The command of translation: contrasts told and given, report, figures, maps, labels, refusals."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from two_contrasts import saved

from spinecho.cli import main
from spinecho.core.header import Header
from spinecho.io.read import read_image
from spinecho.io.write import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path / "head", {"t1": "t1", "t2": "t2", "scan": "t1", "lesions": "lesions"})


def run(folder: Path, *words: object, code: int = 0, image: str = "t1.nii.gz") -> Path:
    out = folder / "made.nii.gz"
    command = ["translate", str(folder / image), "-o", str(out), "--threads", "1", *map(str, words)]
    assert main(command) == code
    return out


def test_the_files_name_is_enough(folder, capsys):
    out = run(folder, "--to", "T2")
    told = capsys.readouterr()
    assert "taken as t1, as the file's name (t1.nii.gz) says" in told.out
    assert "auto took supervised" in told.out and "guessed from T1, never measured" in told.err
    one, other = nib.load(folder / "t1.nii.gz"), nib.load(out)
    np.testing.assert_array_equal(one.affine, other.affine)
    assert one.shape == other.shape and b"synthetic" in other.header["descrip"].tobytes(), "the file says it as well"


def test_other_names_want_the_contrast_said(folder, capsys):
    run(folder, "--to", "t2", image="scan.nii.gz", code=2)
    assert "says which contrast the image has -> give --contrast one of t1, t2, flair, pd" in capsys.readouterr().err
    out = run(folder, "--to", "t2", "--contrast", "t1", image="scan.nii.gz")
    assert out.exists()
    run(folder, "--to", "flair", "--contrast", "t2", "--method", "lookup")
    assert "taken as t2, though the file's name (t1.nii.gz) says t1" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no contrast was asked for -> give --to one of t1, t2, flair, pd"),
        (("--to", "t1"), "nothing is to be done -> give --to another contrast"),
        (("--to", "t5"), "--to is 't5'"),
        (("--to", "pd"), "no method has trained weights for pd of t1"),
        (("--to", "t2", "--passes", "0"), "--passes is 0"),
        (("--to", "t2", "--method", "pix2pix3d"), "spinecho train translate/pix2pix3d"),
    ],
)
def test_refusals_are_one_sentence_and_leave_nothing(folder, words, said, capsys):
    out = run(folder, *words, code=2)
    told = capsys.readouterr().err
    assert said in told and len(told.strip().splitlines()) == 1 and not out.exists()


def test_one_image_is_not_two_contrasts(folder, capsys):
    out = run(folder, "--t2", folder / "t1.nii.gz", "--to", "flair", code=2)
    assert "--t2 has the same content as the image -> give each contrast its own" in capsys.readouterr().err
    (folder / "copy.nii.gz").write_bytes((folder / "t2.nii.gz").read_bytes())
    run(folder, "--t2", folder / "t2.nii.gz", "--pd", folder / "copy.nii.gz", "--to", "flair", code=2)
    assert "--t2 and --pd have the same content" in capsys.readouterr().err and not out.exists()


def test_report_truth_maps_and_labels(folder, capsys):
    page = folder / "page.html"
    words = ("--truth", folder / "t2.nii.gz", "--labels", folder / "lesions.nii.gz", "--report", page, "--maps")
    run(folder, "--to", "t2", *words)
    told = capsys.readouterr().out
    assert "psnr inside the head, dB:" in told
    text = page.read_text()
    assert "how far the result may be off" in text and "difference between the input and its translation" in text
    assert "never measured" in text and "[synthetic]" in text and "<h3>auto (supervised)" in text
    assert "a window of its own" in text and "after less before" not in text
    for name in ("made_spread", "made_cycle", "made_lesions"):
        assert nib.load(folder / f"{name}.nii.gz").shape == (36, 40, 12)


def test_a_translated_image_goes_up_and_down_with_the_truth(folder):
    out = run(folder, "--to", "t2", "--method", "lookup")
    made, given, true = (np.asarray(nib.load(f).dataobj) for f in (out, folder / "t1.nii.gz", folder / "t2.nii.gz"))
    inside = true > 0
    assert np.corrcoef(made[inside], true[inside])[0, 1] > 0.6
    assert np.corrcoef(given[inside], true[inside])[0, 1] < -0.6


def test_images_know_their_files(folder):
    one = read_image(folder / "t1.nii.gz")
    assert one.header.source == str(folder / "t1.nii.gz")
    path = folder / "t1.mgz"
    write(one, path)
    assert read_image(path).header.source == str(path)
    assert Header().source == "", "what was not read has none"


def test_it_is_listed_and_explains_itself(capsys):
    assert main(["list", "translate"]) == 0 or main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("cyclegan", "lookup", "pix2pix3d", "supervised"))
    assert main(["translate", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--to TEXT" in said or "--to STR" in said
    assert "t1, t2, flair or pd" in said
