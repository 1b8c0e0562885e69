"""The judge of findings: the truth scores 1, pieces are counted, files are found by their names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from marked import LESIONS, flair, patient, truth
from rendered import balls, write_map

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.evaluate.judge import Outcome
from spinecho.io.write import write
from spinecho.tasks.segment.judge import Options, cases, judge, picture
from spinecho.tasks.segment.judge.finding import Marked, scores

CPU = torch.device("cpu")


def head(finds: str = "lesions", labels: torch.Tensor | None = None) -> Marked:
    return Marked(image=flair(), truth=(truth() if labels is None else labels).int(), finds=finds)


def ball(i: int) -> torch.Tensor:
    """One lesion alone."""
    z, y, x, r = LESIONS[i]
    at = torch.meshgrid(*[torch.arange(n) for n in truth().shape], indexing="ij")
    return sum((a - b).square() for a, b in zip(at, (z, y, x), strict=True)) < r**2


def test_the_truth_scores_one():
    figures = scores(head(), truth()[None])
    assert figures == {"found": 1, "sensitivity": 1, "precision": 1, "pieces": 1, "false": 0}


def test_nothing_scores_nothing_and_none_of_none_is_unknown():
    figures = scores(head(), torch.zeros_like(truth()))
    assert figures["found"] == figures["sensitivity"] == figures["pieces"] == 0
    assert figures["precision"] != figures["precision"], "of nothing no share is right"
    empty = scores(head(labels=torch.zeros_like(truth())), truth())
    assert empty["false"] == 3 and empty["sensitivity"] != empty["sensitivity"]


def test_pieces_and_voxels_are_counted_by_hand():
    own = ball(1) | torch.roll(ball(2), 8, 0)
    figures = scores(head(), own.to(torch.uint8))
    n, n_true, both = int(own.sum()), int(truth().sum()), int(ball(1).sum())
    assert figures["found"] == pytest.approx(2 * both / (n + n_true))
    assert figures["sensitivity"] == pytest.approx(both / n_true)
    assert figures["precision"] == pytest.approx(both / n)
    assert figures["pieces"] == pytest.approx(1 / 3) and figures["false"] == 1


def test_a_piece_over_two_lesions_hits_both_and_is_none_too_many():
    whole = torch.ones_like(truth())
    figures = scores(head(), whole)
    assert figures["pieces"] == 1 and figures["false"] == 0 and figures["sensitivity"] == 1


def test_a_tumour_is_judged_whole_and_where_it_enhances():
    labels = torch.zeros_like(truth())
    labels[ball(0)], labels[ball(1)] = 2, 4
    one = scores(head("tumour", labels), labels)
    assert one["found"] == one["enhancing"] == 1
    other = scores(head("tumour", labels), (labels > 0).to(torch.uint8))
    assert other["found"] == 1 and other["enhancing"] == 0
    with pytest.raises(DataError, match="its labels have shape"):
        scores(head(), truth()[1:])


def test_cases_are_heads_with_a_truth(tmp_path):
    patient(tmp_path / "heads" / "one")
    patient(tmp_path / "heads" / "two", "labels")
    made = list(cases(Options(findings=(tmp_path / "heads",)), CPU).each)
    assert [c.name for c in made] == ["one", "two"] and all(c.kind == "real" for c in made)
    assert [c.group for c in made] == ["lesions that an expert marked", "tumour that an expert marked"]
    inputs = made[0].load()
    assert isinstance(inputs, Marked) and set(inputs.beside) == {"t1"} and inputs.finds == "lesions"
    assert judge(inputs, Outcome(result=inputs.truth[None]))["found"] == 1
    shown = picture(inputs, {"threshold": Outcome(result=inputs.truth[None])})
    assert [c.name for c in shown] == ["truth", "threshold"] and len({c.image for c in shown}) >= 1


def test_findings_and_regions_go_together(tmp_path):
    patient(tmp_path / "one")
    write_map(tmp_path / "map.nii.gz", balls())
    asked = Options(findings=(tmp_path / "one",), maps=(tmp_path / "map.nii.gz",), contrasts=("t1",), thickness=(1.0,))
    both = cases(asked, CPU)
    assert both.total == 2 and len(list(both.each)) == 2


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        cases(Options(findings=(tmp_path / "absent",)), CPU)
    write(flair(), tmp_path / "t1.nii.gz")
    with pytest.raises(DataError, match="no FLAIR images"):
        cases(Options(findings=(tmp_path,)), CPU)
    write(flair(), tmp_path / "flair.nii.gz")
    with pytest.raises(DataError, match="it has no truth -> put lesions or labels"):
        list(cases(Options(findings=(tmp_path,)), CPU).each)
    write(
        replace(flair(), values=flair().values[:, 1:], geometries=(flair().geometry.cropped((1, 0, 0), (43, 56, 48)),)),
        tmp_path / "lesions.nii.gz",
    )
    with pytest.raises(DataError, match="truth has the grid"):
        next(iter(cases(Options(findings=(tmp_path,)), CPU).each)).load()


def test_the_whole_evaluation(tmp_path):
    patient(tmp_path / "one")
    command = ["evaluate", "segment", "--findings", str(tmp_path / "one"), "--methods", "threshold", "grown"]
    assert (
        main([*command, "--out", str(tmp_path / "r.csv"), "--report", str(tmp_path / "r.html"), "--threads", "1"]) == 0
    )
    page = (tmp_path / "r.html").read_text()
    assert "lesions that an expert marked" in page and "false pieces" in page and "worst region" not in page


def test_patients_whose_folders_have_one_name_are_several(tmp_path):
    """As in BIDS: sub-01/anat/flair.nii.gz."""
    for who in ("sub-01", "sub-02", "sub-03"):
        patient(tmp_path / who / "anat")
    made = list(cases(Options(findings=(tmp_path,)), CPU).each)
    assert [c.scan for c in made] == ["sub-01/anat", "sub-02/anat", "sub-03/anat"]
    assert [c.name for c in made] == [c.scan for c in made]
