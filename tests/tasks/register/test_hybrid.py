"""Hybrid registration finds known warps, keeps what is better only, holds its time, and comes again the same."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from heads import bend, correlation, grid, head, linear_once, seen_through

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform
from spinecho.metrics.folding import regularity
from spinecho.ops.windows import gaussian
from spinecho.tasks.register.base import Stage
from spinecho.tasks.register.methods import hybrid
from spinecho.tasks.register.run import Registration, build, register, run

GRID = grid(36, 5.0)
TRUE = bend(8.0, geometry=GRID)
"""moving(p) = fixed(TRUE p): what is looked for is its inverse"""
QUICK: dict[str, Any] = {"iters": (0, 20, 20, 10, 0)}
NOTHING = Affine(np.eye(4))
CONTRASTS = {
    "same": lambda v: v,
    "negative": lambda v: 1.1 - v,
    "arch": lambda v: 0.2 + 2.4 * v * (1 - v),
}
"""Of tissue from 0 to 1; arch: bright ones become dark, those between brightest"""


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(GRID.voxel_mm[0], hybrid):
        yield


@cache
def seen(contrast: str = "same") -> Image:
    """The head with sharp edges in a contrast."""
    tissue = head(geometry=GRID).values / 100
    values = CONTRASTS[contrast](tissue).clamp_min(0) * (tissue > 0.25)
    return Image(values=100 * gaussian(values, 0.6), geometries=(GRID,))


@cache
def moving(contrast: str = "same") -> Image:
    return seen_through(seen(contrast), TRUE)


INSIDE = seen().values[0] > 20


@cache
def registered(contrast: str = "same", **settings: Any) -> tuple[Registration, tuple[Stage, ...]]:
    """Shared by the tests: what was found, and all that was told on the way."""
    told: list[Stage] = []
    return run(seen(), moving(contrast), settings=settings, tell=told.append), tuple(told)


def found(contrast: str = "same", **settings: Any) -> Transform:
    return registered(contrast, **settings)[0].transform


def apart(one: Transform, other: Transform, where: torch.Tensor = INSIDE) -> float:
    """Mean distance, mm, in the head or a part of it."""
    return float((one.displacement(GRID) - other.displacement(GRID)).square().sum(0).sqrt()[where].mean())


def off(transform: Transform, where: torch.Tensor = INSIDE) -> float:
    return apart(transform, TRUE.inverse(), where)


def roughness(transform: Transform) -> float:
    """Standard deviation of the logarithm of the determinant, in the head."""
    return float(transform.jacobian(GRID)[INSIDE].log().std())


@pytest.mark.parametrize(("contrast", "share"), [("same", 0.36), ("negative", 0.55), ("arch", 0.6)])
def test_a_known_warp_is_found_within_and_across_contrasts(contrast, share):
    """Of blobs a few voxels wide: the rest is half a voxel at most."""
    result = found(contrast)
    assert off(result) < share * off(NOTHING)
    assert correlation(seen(), result.warp(moving(), onto=GRID)) > correlation(seen(), moving())
    folds = regularity(result, GRID)
    assert folds.folded_digital == 0 and folds.jacobian_min > 0
    notes = " ".join(note for told in registered(contrast)[0].told.values() for note in told)
    assert ("MIND" in notes) == (contrast != "same")


@pytest.mark.parametrize(("similarity", "share"), [("lncc", 0.35), ("mind", 0.6)])
def test_one_similarity_alone_does_too(similarity, share):
    assert off(found(similarity=similarity, **QUICK)) < share * off(NOTHING)


def test_auto_is_what_it_says_it_chose():
    assert apart(found(similarity="lncc", **QUICK), found(**QUICK)) == 0


def test_the_inverse_leads_back():
    there = found()
    assert apart(there.inverse() @ there, NOTHING) < 0.3


def test_images_exchanged_give_about_the_inverse():
    back = register(moving(), seen(), **QUICK)
    assert apart(back @ found(**QUICK), NOTHING) < 0.2 * off(NOTHING)


def test_an_image_with_itself_stays():
    result = register(seen(), seen(), **QUICK)
    assert float(result.displacement(GRID).abs().max()) < 0.05 * GRID.voxel_mm[0]


def test_an_image_with_its_own_negative_moves_little():
    """The edge of the head is where the contrasts differ most; a sixth of a voxel remains inside."""
    assert apart(register(seen(), seen("negative"), **QUICK), NOTHING) < 0.25 * GRID.voxel_mm[0]


def test_the_same_again_is_the_same_and_scale_does_not_matter():
    assert apart(register(seen(), moving(), **QUICK), found(**QUICK)) == 0
    one, other = (replace(i, values=s * i.values) for i, s in ((seen(), 1e-7), (moving(), 1e5)))
    assert apart(register(one, other, **QUICK), found(**QUICK)) < 0.1


def test_turned_and_shifted_worlds_are_brought_together_first():
    turn = np.eye(4)
    turn[:3, :3] = [[0.98, -0.199, 0], [0.199, 0.98, 0], [0, 0, 1]]
    turn[:3, 3] = [22, -15, 9]
    elsewhere = replace(moving(), geometries=(Geometry(GRID.shape, turn @ GRID.affine),))
    result = register(seen(), elsewhere, **QUICK)
    assert off(Affine(turn).inverse() @ result) < 0.4 * off(NOTHING)


# stages


def objectives(stage: Stage) -> tuple[float, float]:
    words = stage.note.partition("objective ")[2].replace(",", " ").split()
    return float(words[0]), float(words[2])


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_stage_is_kept_only_where_the_objective_fell(contrast):
    told = [s for s in registered(contrast)[1] if s.ended]
    flows = [(before, s) for before, s in pairwise(told) if s.name.startswith("flow")]
    assert len(flows) == 4  # the finest is for images finer than the working grid
    for before, stage in flows:
        first, after = objectives(stage)
        changed = apart(stage.transform, before.transform)
        assert ("not kept" in stage.note) == (after >= first)
        assert changed < 0.1 if "not kept" in stage.note else changed > 0  # a finer grid of the same velocity
    assert any("not kept" not in s.note for _, s in flows)


def test_flows_that_make_it_worse_are_not_kept(monkeypatch):
    """Steps uphill: all that remains is the start."""

    def uphill(terms, velocity, steps, weight):
        for reached in descend(terms, velocity, steps, weight):
            yield replace(reached, velocity=2 * velocity - reached.velocity)

    descend = hybrid.descend
    monkeypatch.setattr(hybrid, "descend", uphill)
    told: list[Stage] = []
    last = run(seen(), moving(), settings={"search": False, "sensitive": True, **QUICK}, tell=told.append).transform
    flows = [s for s in told if s.ended and s.name.startswith("flow")]
    assert len(flows) == 3 and all(s.note.endswith("not kept") for s in flows)
    assert apart(last, next(s for s in told if s.name == "start").transform) == 0


def test_a_search_that_makes_it_worse_is_not_kept(monkeypatch):
    searched = hybrid.searched
    monkeypatch.setattr(hybrid, "searched", lambda *args: -searched(*args))
    told: list[Stage] = []
    run(seen(), moving(), settings={"iters": (0, 0, 0, 0, 0)}, tell=told.append)
    affine, start = next(pair for pair in pairwise(s for s in told if s.ended) if pair[1].name == "start")
    first, after = objectives(start)
    assert after >= first and start.note.endswith("not kept")
    assert apart(start.transform, affine.transform) == 0 == apart(told[-1].transform, affine.transform)


def test_the_search_alone_brings_a_far_bent_head_nearer_than_the_affine():
    far = bend(14.0, seed=3, geometry=GRID)
    searched = register(seen(), seen_through(seen(), far), iters=(0, 0, 0, 0, 0))
    affine = register(seen(), seen_through(seen(), far), iters=(0, 0, 0, 0, 0), search=False)
    assert apart(searched, far.inverse()) < 0.95 * apart(affine, far.inverse())


def test_progress_rises_to_the_end_and_the_last_stage_is_the_result():
    result, told = registered(**QUICK)
    assert [s.done for s in told] == sorted(s.done for s in told) and told[-1].done == 1
    assert told[-1].ended and any(not s.ended for s in told)
    assert told[-1].transform is result.transform


# time


def test_the_time_is_kept_and_what_is_left_out_is_told(monkeypatch):
    """By a clock that goes on by a second whenever it is read."""
    reading = count()
    monkeypatch.setattr(hybrid, "time", SimpleNamespace(monotonic=lambda: float(next(reading))))
    told: list[Stage] = []
    run(seen(), moving(), settings={"time_budget": 40.0, "iters": (20, 20, 20, 20, 20)}, tell=told.append)
    flows = [s for s in told if s.ended and s.name.startswith("flow")]
    n_steps = [int(s.note.split()[0]) for s in flows if "steps" in s.note]
    assert n_steps[0] == 20 and 20 < sum(n_steps) <= 36
    left = ["left out: the time is up" in s.note for s in flows]
    assert left == [False, False, True, True]
    assert told[-1].done == 1


def test_a_budget_of_seconds_bounds_endless_steps():
    begin = time.monotonic()
    result = run(seen(), moving(), settings={"iters": (10**6,) * 5, "time_budget": 0.5})
    assert time.monotonic() - begin < 10.0  # the rest is for a busy machine
    assert "left out: the time is up" in " ".join(note for told in result.told.values() for note in told)
    assert result.transform.displacement(GRID).isfinite().all()


# settings


def test_stiffer_is_smoother():
    soft, stiff = (roughness(found(smoothness=s, **QUICK)) for s in (0.5, 2.0))
    assert soft > roughness(found(**QUICK)) > stiff


@pytest.mark.parametrize(
    "settings",
    [
        {"smoothness": 0.0},
        {"smoothness": -1.0},
        {"smoothness": float("nan")},
        {"smoothness": float("inf")},
        {"voxels": 999},
        {"voxels": -5},
        {"iters": (10, 10, -1, 10, 10)},
        {"iters": (10, 10)},
        {"time_budget": -1.0},
        {"time_budget": float("nan")},
        {"similarity": "mutual"},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(settings):
    with pytest.raises(DataError, match=f"{next(iter(settings))}.* -> "):
        if "iters" in settings:  # whose number the types would refuse first, under test
            config = hybrid.Config()
            object.__setattr__(config, "iters", settings["iters"])
            hybrid.Method(config)
        build("hybrid", settings)


# masks


def test_what_the_mask_leaves_out_does_not_pull():
    """Half of the moving head is full of something else; with the mask the other half is found as well as ever."""
    n = GRID.shape[2] // 2
    spoiled, inside, where = moving().values.clone(), torch.ones(1, *GRID.shape), INSIDE.clone()
    spoiled[..., n:] = 1.5 * head(seed=9, geometry=GRID).values.flip(1, 2)[..., n:]
    inside[..., n:] = 0
    where[..., n - 3 :] = False
    mask, bad = Image(values=inside, geometries=(GRID,)), replace(moving(), values=spoiled)
    with_mask, without = (off(register(seen(), bad, mask=m, **QUICK), where) for m in (mask, None))
    assert with_mask < 0.5 * off(NOTHING, where) and with_mask < without


def test_a_mask_of_everything_does_no_harm():
    everywhere = Image(values=torch.ones(1, *GRID.shape), geometries=(GRID,))
    assert off(register(seen(), moving(), mask=everywhere, **QUICK)) < 0.35 * off(NOTHING)
