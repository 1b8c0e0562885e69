"""What a training run is told of people it is not trained on, and the picture that it leaves."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from two_contrasts import head

from spinecho.tasks.translate.examples.drawn import Drawn
from spinecho.tasks.translate.examples.heads import Gathered
from spinecho.tasks.translate.examples.validation import Validation, told
from spinecho.tasks.translate.methods import cyclegan, lookup, supervised
from spinecho.tasks.translate.parts.lesson import Lesson
from spinecho.train.team import Team

CPU = torch.device("cpu")


def examples(shape: tuple[int, int, int] = (3, 24, 24)) -> list[Lesson]:
    heads = ({c: head(c).numpy().astype(np.float16) for c in ("t1", "t2")},)
    draw = Drawn(Gathered(heads, ()), ("t1-t2",), shape, 4, 0)
    return [draw(0, i) for i in range(2)]


def curve(*values: float) -> lookup.Method:
    method = lookup.Method(lookup.Config(pairs=("t1-t2",), knots=len(values), top=1.0))
    with torch.no_grad():
        method.curves.copy_(torch.tensor([values]))
    return method


def test_the_identity_errs_as_the_input_does():
    scores = Validation(examples(), CPU, Team()).scores(curve(0.0, 1.0))
    assert scores["error"] == pytest.approx(scores["as_it_is"], rel=0.02) and scores["error"] > 0.05
    assert told(scores).startswith(f"error {scores['error']:.4f} of twice the median (the input as it is:")


def test_a_better_curve_scores_better():
    """White 0.45 to 0.4, grey 0.3 to 0.55, fluid 0.1 to 1.2."""
    better = curve(1.2, 1.2, 0.9, 0.55, 0.45, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4)
    scores = Validation(examples(), CPU, Team()).scores(better)
    assert scores["error"] < 0.6 * scores["as_it_is"]


def test_slices_are_judged_by_their_middle():
    one = supervised.Method(supervised.Config(pairs=("t1-t2",), channels=(4,), blocks=(1,), neighbours=1))
    scores = Validation(examples(), CPU, Team()).scores(one)
    middle = torch.cat([e.thinned(1).wanted for e in examples()])
    seen = torch.cat([e.thinned(1).seen for e in examples()])
    lit = (middle > 0) | (seen > 0)
    assert scores["error"] == pytest.approx(float(middle[lit].mean()), rel=0.1), "untrained it makes zeros"


def test_modes_and_weights_stay():
    method = cyclegan.Method(cyclegan.Config(channels=(4,), blocks=(1,), critic_channels=2)).train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    Validation(examples((1, 24, 24)), CPU, Team()).scores(method)
    assert method.training and all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_dark_examples_have_no_scores():
    dark = Lesson(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), torch.tensor([0]))
    assert Validation([dark], CPU, Team()).scores(curve(0.0, 1.0)) == {}


def test_the_picture_has_a_column_for_each(tmp_path):
    path = tmp_path / "step.png"
    Validation(examples(), CPU, Team()).picture(curve(0.0, 1.0), path)
    picture = np.asarray(Picture.open(io.BytesIO(path.read_bytes())).convert("L"))
    quarters = np.array_split(picture[60:], 4, 1)
    assert all(q.max() > 30 for q in quarters), "seen, estimate, truth, error: none is black"
    assert np.abs(quarters[0].astype(int).mean() - quarters[1].mean()) < 4, "the identity shows what is seen"
