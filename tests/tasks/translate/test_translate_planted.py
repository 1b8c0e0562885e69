"""Lesions in what translation learns from: in white matter, at one place in all contrasts, as signal equations say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from two_contrasts import head, tissues

from spinecho.sim.tissue import TISSUES
from spinecho.tasks.translate.examples.drawn import Drawn
from spinecho.tasks.translate.examples.heads import Gathered
from spinecho.tasks.translate.examples.planted import Places, places_of_t1, places_of_tissues, planted, strength
from spinecho.tasks.translate.examples.rendered import rendered
from spinecho.tasks.translate.parts.lesion import amplitude
from spinecho.tasks.translate.parts.lesson import Lesson

CONTRASTS, SHAPE = ("t1", "t2", "flair"), (12, 40, 36)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sick(seed: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Without lesions, and with."""
    healthy = [head(c, SHAPE, i) for i, c in enumerate(CONTRASTS)]
    return healthy, planted(healthy, CONTRASTS, places_of_tissues(named(tissues(SHAPE))), rng(seed))[0]


def named(map_: torch.Tensor) -> torch.Tensor:
    """The tests' tissues as places in `TISSUES`."""
    names = list(TISSUES)
    return torch.tensor([names.index(n) for n in ("air", "white matter", "grey matter", "csf")])[map_]


@pytest.mark.parametrize("seed", range(6))
def test_lesions_are_dark_in_t1_and_bright_in_the_others_at_one_place(seed):
    healthy, ill = sick(seed)
    t1, t2, flair = (b - a for a, b in zip(healthy, ill, strict=True))
    assert float(t1.min()) < -0.03 and float(t2.max()) > 0.05 and float(flair.max()) > 0.05
    where = t2 > 0.3 * t2.max()
    assert float((flair[where] > 0).float().mean()) == 1 and float((t1[where] <= 0).float().mean()) == 1


@pytest.mark.parametrize("seed", range(6))
def test_fluid_stays_as_it_is(seed):
    healthy, ill = sick(seed)
    fluid = tissues(SHAPE) == 3
    assert all(torch.equal(a[fluid], b[fluid]) for a, b in zip(healthy, ill, strict=True))


def test_water_darkens_t1_and_brightens_t2_and_flair_has_a_share_of_its_own():
    waters = torch.linspace(0, 1, 200).tolist()
    draw = rng(5)
    shares = {c: torch.tensor([strength(c, w, draw) / amplitude(c) for w in waters]).log() for c in CONTRASTS}
    for low, high in ((shares["t1"][:60], shares["t1"][-60:]), (shares["t2"][:60], shares["t2"][-60:])):
        assert float(high.mean() - low.mean()) > 1
    together = torch.corrcoef(torch.stack([*shares.values(), torch.tensor(waters)]))
    assert float(together[0, 1]) > 0.6 and abs(float(together[2, 3])) < 0.2
    for name, (low, high) in {"t1": (0.1, 1.3), "t2": (0.15, 1.3), "flair": (0.3, 0.9)}.items():
        real = shares[name].exp()
        assert low - 1e-6 <= float(real.min()) < 1.5 * low and 0.7 * high < float(real.max()) <= high + 1e-6


def test_half_of_the_lesions_begin_beside_fluid():
    white = torch.ones(8, 60, 60, dtype=torch.bool)
    rim = torch.zeros_like(white)
    rim[:, :, :2] = True
    there = [
        planted([white.float()], ("t2",), Places(white, rim, torch.zeros_like(white)), rng(s))[1] for s in range(40)
    ]
    at_rim = sum(bool((x[:, :, :4] > 0.5).any()) for x in there)
    away = sum(bool((x[:, :, 30:] > 0.5).any()) for x in there)
    assert at_rim > 18 and away > 8


@pytest.mark.parametrize("seed", range(6))
def test_most_of_a_block_and_all_air_stay(seed):
    healthy, ill = sick(seed)
    for a, b in zip(healthy, ill, strict=True):
        assert bool((b[a == 0] == 0).all()) and float(b.min()) >= 0
        assert float(((b - a).abs() < 0.01).float().mean()) > 0.3


def test_a_number_gives_the_same_lesions_and_another_others():
    one, again, other = sick(1)[1], sick(1)[1], sick(2)[1]
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True)) and not torch.equal(one[0], other[0])


def test_without_white_matter_nothing_is_planted():
    blocks = [head("t1", SHAPE)]
    made, share = planted(blocks, ("t1",), Places(*[torch.zeros(SHAPE, dtype=torch.bool)] * 3), rng())
    assert made[0] is blocks[0] and not share.any()


def test_white_matter_is_what_is_bright_in_t1_and_wide():
    t1 = head("t1", SHAPE) * 1.35  # as heads have it: white matter at 0.6 of the level
    here = places_of_t1(t1)
    truth = tissues(SHAPE) == 1
    assert float(truth[here.white].float().mean()) > 0.99 and float(here.white[truth].float().mean()) > 0.5
    assert bool(here.rim.any()) and float(truth[here.rim].float().mean()) > 0.99
    assert bool(here.fluid[tissues(SHAPE) == 3].all()) and not here.fluid[truth].any()


def test_rendered_heads_have_lesions_in_their_share():
    maps = torch.where(tissues((40, 40, 40)) == 1, list(TISSUES).index("white matter"), 0).numpy().astype(np.uint8)
    make = lambda share, seed: rendered(maps, ("t1", "flair"), (40, 40, 40), rng(seed), share)[0][1]  # noqa: E731
    healthy, ill = ([make(share, seed) for seed in range(6)] for share in (0.0, 1.0))
    spread = [sum(float(x[x > 0].std()) for x in some) for some in (healthy, ill)]
    assert spread[1] > 2 * spread[0]


def test_heads_have_lesions_in_their_share():
    one = {c: (1.35 * head(c, SHAPE, i)).numpy().astype(np.float16) for i, c in enumerate(CONTRASTS)}
    brightest: dict[float, float] = {}
    for share in (0.0, 1.0):
        draw = Drawn(Gathered((one,), ()), ("t2-flair",), (3, 24, 24), 8, 0, lesions=share)
        lesson = draw(0, 0)
        white = (lesson.wanted > 0) & (lesson.seen < 0.65)
        brightest[share] = float(lesson.wanted[white].quantile(0.99))
        assert lesson.seen.shape == lesson.wanted.shape == (8, 3, 24, 24), "the T1 that shows white matter is not seen"
    assert brightest[1.0] > brightest[0.0] + 0.03


def test_heads_without_t1_stay_healthy():
    one = {c: head(c, SHAPE, i).numpy().astype(np.float16) for i, c in enumerate(("t2", "flair"))}
    draw = lambda share: Drawn(Gathered((one,), ()), ("t2-flair",), (3, 24, 24), 8, 0, lesions=share)(0, 0)  # noqa: E731
    assert torch.equal(draw(0.0).wanted, draw(1.0).wanted)


def test_shares_of_lesions_lie_where_lesions_are():
    one = {c: (1.35 * head(c, SHAPE, i)).numpy().astype(np.float16) for i, c in enumerate(CONTRASTS)}
    draw = Drawn(Gathered((one,), ()), ("t1-flair", "t2-flair"), (3, 24, 24), 8, 0, lesions=1.0)
    lesson = Lesson.joined([draw(0, 0), draw(0, 1)]).thinned(1)
    assert lesson.lesions is not None and lesson.lesions.shape == lesson.wanted.shape
    marked = lesson.lesions > 0.5
    assert bool(marked.any()) and float(lesson.wanted[marked].mean()) > 0.5 > float(lesson.wanted[~marked].mean())
    assert draw.__class__(draw.gathered, draw.pairs, draw.shape, 8, 0)(0, 0).lesions is None
