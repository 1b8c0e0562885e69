"""Heads rendered in pairs: within a part, the same from the same seed, where their labels lie."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.head_pairs import CSF_LABELS, SCORED, Pair, pairs, place, render, render_pair, scored, visible_contrast

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.sim.splits import split
from spinecho.sim.tissue import BRAIN_LABELS


def test_pairs_go_round_each_part_and_never_across() -> None:
    for part in ("validate", "test"):
        numbers = set(split("label_maps", part))
        found = pairs(part)
        assert {p.fixed for p in found} == {p.moving for p in found} == numbers
        assert len({p.name for p in found}) == len(found) == 2 * len(numbers)
        assert all(p.fixed != p.moving for p in found)
    assert [p.name for p in pairs("test")][:4] == [
        "agreeing_17_18",
        "agreeing_18_19",
        "agreeing_19_20",
        "agreeing_20_17",
    ]


def toy() -> torch.Tensor:
    labels = torch.zeros(24, 24, 24, dtype=torch.int32)
    labels[4:20, 4:20, 4:20], labels[7:17, 7:17, 7:17], labels[10:14, 10:14, 10:14] = 511, 3, 2
    labels[11:13, 11:13, 11:13] = 4
    return labels


def test_agreeing_pairs_share_their_contrast_and_differing_ones_do_not() -> None:
    for agreeing in (True, False):
        pair = Pair(fixed="17", moving="18", agreeing=agreeing, seed=5)
        fixed, moving = render_pair(pair, toy(), toy())
        again = render_pair(pair, toy(), toy())
        assert torch.equal(fixed.image, again[0].image)
        assert torch.equal(moving.image, again[1].image)
        assert not torch.equal(fixed.image, moving.image)  # noise and bias are each one's own
        grey = [float(h.image[toy() == 3].mean() / h.image[toy() == 511].mean()) for h in (fixed, moving)]
        assert (abs(grey[0] / grey[1] - 1) < 0.25) == agreeing
        assert sorted(torch.unique(fixed.labels).tolist()) == [0, 2, 3, 4]


def test_drawn_contrasts_show_the_brain_and_only_it_is_scored(rng: torch.Generator) -> None:
    for _ in range(20):
        values = visible_contrast(rng).values
        assert min(abs(values[3] - values[2]), abs(values[3] - values[24]), abs(values[2] - values[24])) >= 0.15
    assert SCORED == BRAIN_LABELS | CSF_LABELS
    assert {4, 43, 24} <= CSF_LABELS
    assert scored(torch.tensor([0, 3, 511, 17])).tolist() == [0, 3, 0, 17]


def test_a_rendered_head_lies_where_its_labels_do(rng: torch.Generator) -> None:
    head = render(toy(), visible_contrast(rng), rng)
    assert head.geometry.shape == head.image.shape == head.labels.shape
    image = Image(values=head.image[None], geometries=(head.geometry,))
    assert image.geometry.voxel_mm == (1.0, 1.0, 1.0)
    assert float(head.image[0, 0, 0]) < 0.3


def test_a_real_label_map_is_placed_with_its_brain_in_the_middle(shared_data) -> None:
    from spinecho.io.read import read

    image = read(shared_data / "label_maps/labels_15.nii.gz")
    coarse = Geometry.from_frame(np.zeros(3), np.eye(3), (6.0, 6.0, 6.0), (32, 37, 26))
    labels = place(image.values[0].int(), image.geometry, coarse)
    brain = torch.isin(labels, torch.tensor(sorted(BRAIN_LABELS), dtype=labels.dtype))
    middle = coarse.to_world(torch.nonzero(brain).double().mean(0).flip(0).numpy())
    assert np.abs(middle).max() < 3
    skin = torch.nonzero(labels > 500).double().mean(0)
    assert float(skin[0]) < float(torch.nonzero(brain).double().mean(0)[0])  # the face lies below the brain
