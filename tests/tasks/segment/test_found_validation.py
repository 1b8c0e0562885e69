"""Validation and supply of findings: what is right scores 1, processes share it, options and data are checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from marked import patient, t1, truth
from rendered import balls, write_map

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.io.write import write
from spinecho.tasks.segment.examples import Options
from spinecho.tasks.segment.examples.found import Validation, held_out, supplied
from spinecho.tasks.segment.methods import pix2pix3d
from spinecho.tasks.segment.parts.example import Example
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team

CPU = torch.device("cpu")
TINY = {"channels": (4, 6), "critic_channels": 3}


class Knows(pix2pix3d.Method):
    """Finds where its first channel is over a half."""

    def estimate(self, image: torch.Tensor) -> torch.Tensor:
        where = (image[:, 0] > 0.5).float()
        return torch.stack([1 - where, where], 1)


def example(seed: int = 0, right: bool = True) -> Example:
    rng = torch.Generator().manual_seed(seed)
    classes = (torch.rand(2, 8, 8, 8, generator=rng) > 0.7).to(torch.uint8)
    shown = classes.float() if right else 1 - classes.float()
    image = torch.stack([shown, torch.zeros_like(shown), torch.ones_like(shown)], 1)
    return Example(image, classes, torch.zeros(2), torch.zeros(2, 1, dtype=torch.uint8))


def knows() -> Knows:
    return Knows(pix2pix3d.Config(**TINY))


def context(method: pix2pix3d.Method, said: list[str], **settings: object) -> Context:
    asked = replace(Settings(), validation_examples=2, **settings)
    return Context(
        method=method, task="segment", name="pix2pix3d", settings=asked, device=CPU, team=Team(), on_broken="stop",
        say=said.append,
    )  # fmt: skip


def test_what_is_right_scores_one_and_what_is_not_zero():
    assert Validation([example(0), example(1)], CPU, Team()).scores(knows()) == {"dice": 1.0}
    assert Validation([example(0, right=False)], CPU, Team()).scores(knows()) == {"dice": 0.0}


def test_blocks_count_together():
    """Dice of all voxels, not the mean over blocks: a block without any lesion has no Dice of its own."""
    one, none = example(0), example(1)
    none = replace(none, classes=torch.zeros_like(none.classes), image=torch.zeros_like(none.image))
    assert Validation([one, none], CPU, Team()).scores(knows()) == {"dice": 1.0}
    assert Validation([none], CPU, Team()).scores(knows()) == {}
    other = example(1, right=False)
    n, both = int(one.classes.sum()), int(one.classes.sum())
    wrong = int(other.classes.sum()) + int((other.image[:, 0] > 0.5).sum())
    expected = 2 * both / (2 * n + wrong)
    assert Validation([one, other], CPU, Team()).scores(knows())["dice"] == pytest.approx(expected)


def test_a_picture_is_drawn(tmp_path):
    Validation([example()], CPU, Team()).picture(knows(), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_method_is_as_before():
    method = knows().train()
    Validation([example()], CPU, Team()).scores(method)
    assert method.training


def test_patients_and_maps_make_a_supply(tmp_path):
    patient(tmp_path / "tumours" / "one", "labels")
    method = pix2pix3d.Method(pix2pix3d.Config(finding="tumour", inputs=("flair", "t1"), **TINY))
    said: list[str] = []
    supply = supplied([tmp_path / "tumours"], Options(side=16, blocks=3), context(method, said))
    lesson = supply.train(1, 0)
    assert isinstance(lesson, Example) and lesson.image.shape == (3, 3, 16, 16, 16)
    assert any("1 brains for tumour to train" in line for line in said)
    assert any("too few people" in line for line in said)
    assert supply.held_out is not None and supply.facts == {"side": 16, "blocks": 3, "rendered": 0.4}
    assert "dice" in supply.held_out.scores(method) or supply.held_out.scores(method) == {}
    assert float(method.loss(lesson).detach()) > 0


def test_no_validation_where_none_is_wanted(tmp_path):
    write_map(tmp_path / "map.nii.gz", balls((30, 32, 31)))
    method = pix2pix3d.Method(pix2pix3d.Config(**TINY))
    supply = supplied([tmp_path], Options(side=16), context(method, [], validate_every=0))
    assert supply.held_out is None
    assert held_out(supply.train, context(method, [], validate_every=0)) is None
    assert supply.told({"dice": 0.5}) == "mean Dice 0.500"


def test_lesions_are_planted_and_tumours_are_not(tmp_path):
    patient(tmp_path / "one" / "p", "labels")
    method = pix2pix3d.Method(pix2pix3d.Config(finding="tumour", inputs=("flair", "t1"), **TINY))
    supply = supplied([tmp_path / "one"], Options(side=24, blocks=1), context(method, []))
    n_true = int(truth().sum())
    assert max(int((supply.train(s, 0).classes > 0).sum()) for s in range(1, 9)) < 2.5 * n_true
    assert not getattr(supply.train, "plants")  # noqa: B009


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(side=15), "side=15 and blocks=2 -> give at least 16 voxels and 1 block"),
        (Options(blocks=0), "blocks=0"),
        (Options(rendered=-0.1), "rendered is -0.1 -> give a share"),
    ],
)
def test_options_that_cannot_be(options, told, tmp_path):
    with pytest.raises(DataError, match=told):
        supplied([tmp_path], options, context(pix2pix3d.Method(pix2pix3d.Config(**TINY)), []))


def test_images_without_flair_are_nothing_to_train_on(tmp_path):
    (tmp_path / "one").mkdir()
    write(t1(), tmp_path / "one" / "t1.nii.gz")
    with pytest.raises(DataError, match="nothing to train on -> give data folders with flair, t1"):
        supplied([tmp_path], Options(), context(pix2pix3d.Method(pix2pix3d.Config(**TINY)), []))


def test_those_who_test_never_train(tmp_path):
    patient(tmp_path / "ms_1mm" / "patient19")
    with pytest.raises(DataError, match="for judging, they never train"):
        supplied([tmp_path / "ms_1mm"], Options(), context(pix2pix3d.Method(pix2pix3d.Config(**TINY)), []))


def test_a_tumour_is_trained_with_a_critic_and_used_without(tmp_path):
    first = patient(tmp_path / "tumours" / "one", "labels")
    out = tmp_path / "run"
    command = ["train", "segment/pix2pix3d", "--finding", "tumour", "--inputs", "flair", "t1", "--data"]
    command += [str(tmp_path / "tumours"), "--out", str(out), "--channels", "4", "6", "--critic-channels", "3"]
    command += ["--side", "16", "--blocks", "1", "--steps", "3", "--batch", "1", "--validate-every", "0"]
    assert main([*command, "--threads", "1"]) == 0
    tensors, meta = load_state(out / "weights.safetensors")
    assert meta["config"]["finding"] == "tumour" and any(name.startswith("critic.") for name in tensors)
    result = tmp_path / "made.nii.gz"
    use = [
        "segment",
        str(first),
        "--t1",
        str(first.with_name("t1.nii.gz")),
        "--weights",
        str(out / "weights.safetensors"),
    ]
    assert main([*use, "-o", str(result), "--threads", "1"]) == 0 and Path(result).is_file()
