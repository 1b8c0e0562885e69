"""Each step of the splitting sees the image in another orientation: what is undone, and what that is good for."""

from __future__ import annotations

import pytest
import torch
from drawn import drawn, nrmse
from hypothesis import given
from hypothesis import strategies as st

from spinecho.calib.csm import estimate_csm
from spinecho.tasks.recon.parts.splitting import problem, split, turned

WAYS = range(8)
ONE = torch.ones(())


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def as_it_is(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    return slices


def upward(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """A denoiser that knows directions and phases: it shifts by a row, and takes the real part alone."""
    return slices.roll(1, -2).real.to(slices.dtype)


@given(st.sampled_from(WAYS), st.integers(1, 19), st.integers(1, 19), st.integers(1, 3))
def test_a_turn_is_undone(way, y, x, n):
    slices = picture(n, y, x)
    turned_back = turned(as_it_is, way)(slices, torch.ones(n))
    assert turned_back.shape == slices.shape
    torch.testing.assert_close(turned_back, slices, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_where_direction_does_not_matter_nothing_changes(way):
    def scaled(slices, level):
        return slices * slices.abs() / level[:, None, None]

    slices, level = picture(2, 16, 24), torch.tensor([0.5, 2.0])
    torch.testing.assert_close(turned(scaled, way)(slices, level), scaled(slices, level), rtol=1e-4, atol=1e-6)


def test_the_first_way_is_the_denoiser_itself():
    assert turned(upward, 0) is upward


def test_all_eight_orientations_are_seen():
    """Of a picture of a corner: each way shows another one of its eight turned and mirrored forms."""
    corner = torch.zeros(1, 8, 8, dtype=torch.complex64)
    corner[0, 0, 1] = 1
    forms = set()

    def look(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        forms.add(int(slices.abs().flatten().argmax()))
        return slices

    for way in WAYS:
        turned(look, way)(corner, ONE[None])
    assert len(forms) == 8


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 30), (16, 7)])
def test_coarse_pixels_lie_where_they_lay(size):
    """A denoiser of blocks of 8 gives the same blocks in every orientation, whatever the size."""

    def blocks(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        rows, columns = (torch.arange(n) // 8 for n in slices.shape[-2:])
        where = rows[:, None] * (1 + int(columns.max())) + columns
        flat = slices.flatten(-2)
        n = int(where.max()) + 1
        sums = torch.zeros(len(slices), n, dtype=slices.dtype).index_add(1, where.flatten(), flat)
        return (sums / torch.bincount(where.flatten(), minlength=n))[:, where]

    slices = picture(1, *size)
    padded = turned(blocks, 3)(slices, ONE[None])
    for way in (1, 2, 5, 6, 7):
        ours = turned(blocks, way)(slices, ONE[None])
        torch.testing.assert_close(ours, padded, rtol=1e-4, atol=1e-5)


def test_steps_take_the_orientations_in_turn():
    """By what a denoiser is given of the same slice: eight steps show eight forms of it, the ninth the first again."""
    kspace = drawn(3)
    solved = problem(kspace, estimate_csm(kspace))
    seen = []

    def look(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        seen.append(slices.abs())
        return slices

    x = solved.equations.start()
    *_, last = split(solved, x, [(look, ONE, 1e6 * ONE)] * 9, 1)  # the image stays as it is
    assert nrmse(last, x) < 0.05
    assert len({s.shape for s in seen}) <= 3  # as it is, filled up, and that transposed
    for i, one in enumerate(seen[:8]):
        assert all(one.shape != two.shape or nrmse(one, two) > 0.05 for two in seen[:i])
    assert nrmse(seen[8], seen[0]) < 0.01


def test_errors_of_one_direction_do_not_add_up():
    """A denoiser that shifts by half a pixel each time: in one orientation the image walks away, in all of them not."""
    kspace = drawn(3)
    solved = problem(kspace, estimate_csm(kspace))
    x = solved.equations.start(1e-3)

    def walking(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return (slices + slices.roll(1, -2)) / 2

    def straight(slices: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return (slices.roll(-1, -2) + 2 * slices + slices.roll(1, -2)) / 4

    heavy = 1e4 * ONE  # the samples hold hardly anything
    *_, fair = split(solved, x, [(straight, ONE, heavy)] * 8, 3)
    *_, ours = split(solved, x, [(walking, ONE, heavy)] * 8, 3)
    alone = x
    for _ in range(8):
        alone = walking(alone[..., 0, :, :], ONE)[..., None, :, :]
    assert nrmse(ours, fair) < nrmse(alone, fair)
