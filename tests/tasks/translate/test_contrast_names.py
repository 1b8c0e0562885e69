"""Which contrast an image has: from the file's name or the protocol where that is safe, else nobody guesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.tasks.translate.parts.contrasts import PAIRS, asked_for, checked, head_of, of_file, of_words, told


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("t1.nii.gz", "t1"),
        ("lesjak_p01_s1_T1W.nii.gz", "t1"),
        ("sub-01_ses-2_T2w.nii", "t2"),
        ("FLAIR.mgz", "flair"),
        ("sub-3_t2_flair.nii.gz", "flair"),
        ("t2_tse_flair.nii.gz", "flair"),
        ("chris_PD.nii.gz", "pd"),
        ("skyra_mprage_0p86mm.nii.gz", "t1"),
        ("brain.t1.nii.gz", "t1"),
        ("t1post.nii.gz", None),
        ("t1_gd.nii.gz", None),
        ("MR_Gd.nii.gz", None),
        ("t1_to_t2.nii.gz", None),
        ("t1_flair.nii.gz", None),
        ("t2star.nii.gz", None),
        ("t2_map.nii.gz", None),
        ("t1_seg.nii.gz", None),
        ("image.nii.gz", None),
        ("at1b.nii.gz", None),
        ("lesions.nii.gz", None),
    ],
)
def test_names_that_are_safe_and_names_that_are_not(name, contrast):
    assert of_file(Path("t2") / name) == contrast, "folders do not count"


def test_a_protocol_counts_and_a_contradiction_is_no_answer():
    assert told(Header(source="/x/IM-0001.dcm", protocol="anat-T1w")) == ("t1", "its protocol (anat-T1w)")
    assert told(Header(source="/x/t2.nii.gz")) == ("t2", "the file's name (t2.nii.gz)")
    assert told(Header(source="t2.nii", protocol="T2 TSE"))[0] == "t2"
    assert told(Header(source="t2.nii", protocol="t1_mprage")) is None
    assert told(Header(source="t1.nii", protocol="axial post")) is None, "perhaps with contrast agent"
    assert told(Header()) is None and of_words("") is None


def test_what_was_taken_for_what_is_noted():
    assert asked_for("", "t2", Header(source="a/t1.nii.gz")) == (
        "t1",
        ("taken as t1, as the file's name (t1.nii.gz) says",),
    )
    assert asked_for("t1", "t2", Header()) == ("t1", ())
    assert asked_for("t1", "t2", Header(source="t1.nii")) == ("t1", ())
    source, notes = asked_for("pd", "t2", Header(source="t1.nii"))
    assert source == "pd" and notes == ("taken as pd, though the file's name (t1.nii) says t1",)


@pytest.mark.parametrize(
    ("source", "to", "said"),
    [
        ("", "t2", "neither the file's name nor its header .* -> give contrast one of t1, t2, flair, pd"),
        ("t1", "", "no contrast was asked for -> give to one of"),
        ("t1", "t3", "to is 't3'"),
        ("ct", "t2", "contrast is 'ct'"),
        ("t2", "t2", "the image is t2, and t2 is wanted of it"),
    ],
)
def test_what_cannot_be_asked_for(source, to, said):
    with pytest.raises(DataError, match=said):
        asked_for(source, to, Header(source="scan.nii.gz"))


def test_pairs_are_of_two_contrasts():
    assert len(PAIRS) == 12 and checked(("t1-t2", "t2-t1")) == ("t1-t2", "t2-t1")
    for strange in ((), ("t1-t1",), ("t1",), ("t1-t2", "t1-t2"), ("t1-ct",)):
        with pytest.raises(DataError, match="pairs are"):
            checked(strange)


def test_files_of_one_head_share_a_word():
    folder = Path("/d/anatomy")
    heads = {head_of(folder / f"lesjak_p0{i}_{c}.nii.gz") for i in (1, 2) for c in ("T1W", "T2W", "FLAIR")}
    assert heads == {"anatomy/lesjak_p01", "anatomy/lesjak_p02"}
    assert head_of(Path("/d/patient07/t1.nii.gz")) == head_of(Path("/d/patient07/flair.nii.gz")) == "patient07/"
    assert head_of(Path("/d/patient07/t1.nii.gz")) != head_of(Path("/d/patient19/t1.nii.gz"))
