"""Edges of stripped brains in what translation learns from: anywhere, the same in both contrasts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from two_contrasts import head

from spinecho.sim.tissue import TISSUES
from spinecho.tasks.translate.examples.drawn import Drawn
from spinecho.tasks.translate.examples.heads import Gathered
from spinecho.tasks.translate.examples.rendered import rendered
from spinecho.tasks.translate.examples.stripped import kept
from spinecho.train.label_maps import around_brain

SHAPES = [(1, 96, 96), (5, 96, 96), (40, 40, 40), (3, 17, 50)]


def ball(size: int = 40) -> np.ndarray:
    """White matter in grey matter in fluid in bone in skin."""
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")))
    names = list(TISSUES)
    shells = [names.index(n) for n in ("white matter", "grey matter", "csf", "bone", "skin")]
    return np.select([radius < r for r in (0.4, 0.55, 0.7, 0.85, 1)], shells, 0).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_piece_with_a_smooth_edge_is_cut_away(shape):
    shares = []
    for seed in range(40):
        here = kept(shape, torch.Generator().manual_seed(seed))
        assert here.shape == shape and here.dtype == torch.bool
        assert torch.equal(here, kept(shape, torch.Generator().manual_seed(seed)))
        shares.append(float(here.float().mean()))
        edges = (here[:, 1:] != here[:, :-1]).float().mean() + (here[..., 1:] != here[..., :-1]).float().mean()
        assert float(edges) < 0.15, "an edge, not salt and pepper"
    assert min(shares) >= 0.59 and max(shares) > 0.95 and 0.75 < np.mean(shares) < 0.85


def test_masks_hold_the_brain_and_more_or_less_of_the_fluid():
    places = torch.from_numpy(ball()).long()
    names = list(TISSUES)
    brain = (places == names.index("white matter")) | (places == names.index("grey matter"))
    fluid = places == names.index("csf")
    shares = []
    for seed in range(30):
        here = around_brain(places, torch.Generator().manual_seed(seed))
        assert bool(here[brain].all())
        shares.append(float(here[fluid].float().mean()))
    assert min(shares) == 0 and max(shares) > 0.6 and len(set(shares)) > 3


def test_rendered_brains_end_where_their_mask_does_in_both_contrasts():
    ends = set()
    for seed in range(12):
        (t1, t2), _ = rendered(ball(), ("t1", "t2"), (40, 40, 40), torch.Generator().manual_seed(seed))
        assert bool(((t1 > 0) == (t2 > 0)).float().mean() > 0.99)
        ends.add(int((t1 > 0).sum()))
    assert len(ends) > 4


@pytest.mark.parametrize("paired", [True, False])
def test_blocks_are_cut_in_both_contrasts_alike_where_they_are_pairs(paired):
    one = {c: head(c, (12, 44, 40), 0, 0.0).numpy().astype(np.float16) for c in ("t1", "t2")}
    shape = (3, 24, 24) if paired else (1, 24, 24)

    def drawn(share: float) -> tuple[torch.Tensor, torch.Tensor]:
        draw = Drawn(Gathered((one,), ()), ("t1-t2",), shape, 8, 0, paired=paired, cut=share)
        lessons = [draw(step, 0) for step in range(8)]
        seen, wanted = (torch.cat([getattr(lesson, side) for lesson in lessons]) for side in ("seen", "wanted"))
        return seen == 0, wanted == 0

    cut, whole = drawn(1.0), drawn(0.0)
    for dark, before in zip(cut, whole, strict=True):
        assert float(dark.float().mean()) > float(before.float().mean()) + 0.08
    same = float((cut[0] == cut[1]).float().mean())
    assert (same > 0.95) if paired else (same < 0.9)
