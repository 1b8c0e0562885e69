"""Registration is trained by the same loop: heads from files, pairs by number, runs that go on bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from heads_of_a_test import GRID, head, regions

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.state_header import read_metadata
from spinecho.core.transform import Transform
from spinecho.io.write import write
from spinecho.tasks.register.examples import heads as heads_module
from spinecho.tasks.register.examples.heads import Gathering, gather_heads
from spinecho.tasks.register.examples.pairs import Pairs
from spinecho.tasks.register.examples.validation import PairValidation
from spinecho.tasks.register.methods.voxelmorph import Config, Method
from spinecho.tasks.register.parts.example import Example
from spinecho.train.journal import read as journal
from spinecho.train.team import Team

TINY = ["--channels", "4", "6", "--spacing-mm", "4", "--passes", "2", "--train-passes", "2", "--goal-steps", "2"]
QUICK = ["--batch", "2", "--save-every", "2", "--validate-every", "2", "--validation-examples", "2", "--threads", "1"]


def save(path: Path, values: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(Image(values=values[None].float(), geometries=(GRID,)), path)


@pytest.fixture(scope="module", autouse=True)
def aligned_once() -> Iterator[dict[tuple[bytes, ...], Transform]]:
    """Two heads are aligned the same each time (tests/contracts holds methods to it), and here a single time."""
    known: dict[tuple[bytes, ...], Transform] = {}
    align = heads_module.align_linear

    def once(fixed: Image, moving: Image, *how: Any) -> Transform:
        pair = tuple(part.tobytes() for i in (fixed, moving) for part in (i.values.numpy(), i.geometry.affine))
        if pair not in known:
            known[pair] = align(fixed, moving, *how)
        return known[pair]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads_module, "align_linear", once)
        yield known


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """images/ and labels/ of three heads, maps/ of two."""
    root = tmp_path_factory.mktemp("heads")
    for seed in (0, 1, 2):
        save(root / f"images/{seed}.nii.gz", head(seed).values[0])
        save(root / f"labels/{seed}.nii.gz", regions(seed))
    for seed in (3, 4):
        save(root / f"maps/{seed}.nii.gz", regions(seed))
    return root


@pytest.fixture(scope="module")
def heads(folder):
    said: list[str] = []
    gathering = Gathering(4.0, folder / "labels", toy.context(said.append))
    return *gather_heads([folder / "images", folder / "maps"], gathering), said


def test_heads_come_on_one_grid(heads, folder, aligned_once):
    train, held_out, said = heads
    assert aligned_once, "none was aligned by what stands in for align_linear"
    assert [(len(h.images), len(h.maps)) for h in train] == [(3, 0), (0, 2)] and held_out == []
    assert said == [
        f"{folder}/images: 3 images, 3 of them with labels to train",
        f"{folder}/maps: 2 label maps to train",
    ]
    every = [*train[0].images, *train[1].maps]
    assert len({tuple(h.labels.shape) for h in every}) == 1 and all(n % 8 == 0 for n in every[0].labels.shape)
    first = every[0].labels
    for other in every[1:]:  # aligned: the outermost region covers the same place
        both = ((first > 0) & (other.labels > 0)).sum() * 2 / ((first > 0).sum() + (other.labels > 0).sum())
        assert float(both) > 0.75


def test_pairs_depend_on_their_number_alone(heads):
    pairs = Pairs(heads[0], 0)
    one, again, other, held = pairs(1, 0), Pairs(heads[0], 0)(1, 0), pairs(1, 1), Pairs(heads[0], 0, "validate")(1, 0)
    assert torch.equal(one.fixed, again.fixed) and torch.equal(one.moving, again.moving)
    assert not torch.equal(one.fixed, other.fixed) and not torch.equal(one.fixed, held.fixed)


def test_what_pairs_hold(heads):
    images, maps = (Pairs([source], 3) for source in heads[0])
    drawn: list[Example] = []
    for step in range(1, 7):
        real, rendered = images(step, 0), maps(step, 0)
        assert real.clean is not None and real.labels is not None
        assert rendered.clean is None and rendered.labels is not None
        drawn += [real, rendered]
    for pair in drawn:
        assert pair.fixed.shape == pair.moving.shape and pair.fixed.dtype == torch.float32
        assert float(pair.fixed.min()) >= 0 and 0.5 < float(pair.fixed.max()) < 1.2001
        labels = pair.labels[0]
        assert set(torch.unique(labels).tolist()) <= {0, 2, 3, 4, 10}
        inside = labels > 0
        assert float(pair.fixed[0][~inside].mean()) < float(pair.fixed[0][inside].mean())


def test_validation_scores_what_a_better_velocity_gains(heads):
    pairs = Pairs(heads[0], 5)
    examples = [pairs(0, i) for i in range(4)]
    validation = PairValidation(examples, torch.device("cpu"), Team())

    still = Method(Config(channels=(4, 6), passes=1))
    torch.nn.init.zeros_(still.step)
    scores = validation.scores(still)
    assert scores["dice"] == pytest.approx(scores["affine_dice"]) and scores["folded"] == 0
    assert 0.3 < scores["dice"] < 1 and 0 < scores["correlation"] < 1


def spinecho(*arguments: object) -> int:
    return main(["train", *map(str, arguments)])


def losses(out: Path) -> list[tuple]:
    return [(line["step"], line.get("loss"), line.get("dice")) for line in journal(out / "metrics.jsonl")]


def test_trains_goes_on_bit_for_bit_and_registers(folder, tmp_path, capsys):
    common = ["register/voxelmorph", "--data", folder / "images", folder / "maps", "--labels", folder / "labels"]
    common += [*TINY, *QUICK, "--device", "cpu", "--decay", "0"]
    sudden = [*common, "--warmup", 0]
    assert spinecho(*sudden, "--out", tmp_path / "whole", "--steps", 4) == 0
    shown = capsys.readouterr().out
    assert "step 2: loss" in shown and "held-out dice" in shown and "spinecho register FIXED MOVING" in shown
    assert (tmp_path / "whole/pictures/step_000004.png").is_file()
    assert spinecho(*sudden, "--out", tmp_path / "parts", "--steps", 2) == 0
    assert spinecho(*common, "--out", tmp_path / "parts", "--steps", 4) == 2
    assert "begun with warmup" in capsys.readouterr().err
    assert spinecho(*sudden, "--out", tmp_path / "parts", "--steps", 4) == 0
    assert "goes on after step 2" in capsys.readouterr().out
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")

    weights = tmp_path / "parts/weights.safetensors"
    assert read_metadata(weights)["config"]["spacing_mm"] == 4.0
    moved = tmp_path / "moved.nii.gz"
    files = [str(folder / f"images/{seed}.nii.gz") for seed in (0, 1)]
    assert main(["register", *files, "-o", str(moved), "--weights", str(weights), "--passes", "1"]) == 0
    assert moved.is_file() and "passes: 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["register/affine"],
            "'register/affine' is no learned method -> what can be .* register/voxelmorph",
        ),
        (["register/voxelmorph", "--radial", "0.5"], "--radial is for recon methods"),
        (["recon/varnet", "--labels", "labels"], "--labels is for register and segment methods"),
        (["register/voxelmorph", "--labels", "elsewhere"], "there are no labels elsewhere/0.nii.gz for it"),
        (["register/voxelmorph", "--checkpointing"], "no activation checkpointing"),
    ],
)
def test_what_is_wrong_is_told(arguments, told, folder, tmp_path, capsys):
    import re

    code = spinecho(*arguments, "--data", folder / "images", "--out", tmp_path / "out", *QUICK, "--device", "cpu")
    assert code == 2 and re.search(told, capsys.readouterr().err)


def test_negative_labels_are_no_labels(folder, tmp_path):
    for seed in (0, 1):
        save(tmp_path / f"{seed}.nii.gz", regions(seed) - 5.0 * (seed == 1))
    with pytest.raises(DataError, match=r"1\.nii\.gz: labels must be whole numbers from 0"):
        gather_heads([folder / "images"], Gathering(4.0, tmp_path, toy.context()))


def test_files_that_are_no_heads(folder, tmp_path):
    np.save(tmp_path / "stack.npy", np.ones((3, 8, 8)))
    with pytest.raises(DataError, match=r"stack\.npy: pairs are made of NIfTI images.*on_broken='skip'"):
        gather_heads([tmp_path], Gathering(4.0, None, toy.context()))
    said: list[str] = []
    with pytest.raises(DataError, match="nothing to train on"):
        gather_heads([tmp_path], Gathering(4.0, None, toy.context(said.append, "skip")))
    assert said and said[0].startswith("left out: ")
