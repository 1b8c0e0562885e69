"""Pieces: what touches is one, small ones and those without seeds go, scores elsewhere stay as they are."""

from __future__ import annotations

import pytest
import torch

from spinecho.tasks.segment.parts.pieces import pieces, with_seeds, without_small


def scores() -> torch.Tensor:
    """Pieces of 64, 8 and 1 voxels, of two classes."""
    made = torch.zeros(3, 14, 14, 14)
    made[0] = 1
    made[1, 1:5, 1:5, 1:5] = 5
    made[2, 8:10, 8:10, 8:10] = 5
    made[1, 12, 12, 12] = 5
    return made


def test_corners_join_and_sizes_are_counted():
    where = torch.zeros(6, 6, 6, dtype=torch.bool)
    where[0, 0, 0] = where[1, 1, 1] = where[4, 4, 4] = True
    marked, sizes = pieces(where)
    assert marked[0, 0, 0] == marked[1, 1, 1] != marked[4, 4, 4]
    assert sorted(sizes[1:].tolist()) == [1, 2] and int(sizes.sum()) == 6**3
    assert len(pieces(torch.zeros(3, 3, 3, dtype=torch.bool))[1]) == 1


@pytest.mark.parametrize(
    ("least", "share", "left"), [(0, 0, 73), (2, 0, 72), (9, 0, 64), (0, 0.1, 72), (0, 0.2, 64), (65, 0, 0)]
)
def test_small_ones_go(least, share, left):
    assert int((without_small(scores(), least, share).argmax(0) > 0).sum()) == left


def test_nothing_small_means_nothing_is_touched():
    given = scores()
    assert without_small(given, 1) is given
    empty = torch.zeros(2, 4, 4, 4)
    assert without_small(empty, 5, 0.5) is empty


def test_other_scores_stay():
    given = scores()
    tidy = without_small(given, 9)
    assert torch.equal(tidy[1:], given[1:]) and torch.equal(tidy[0, 1:5, 1:5, 1:5], given[0, 1:5, 1:5, 1:5])
    assert given[0, 12, 12, 12] == 1, "the input stays"


def test_pieces_need_seeds():
    seeds = torch.zeros(14, 14, 14, dtype=torch.bool)
    seeds[1, 1, 1:4] = True
    seeds[8, 8, 8] = True
    counted = lambda least: int((with_seeds(scores(), seeds, least).argmax(0) > 0).sum())  # noqa: E731
    assert (counted(0), counted(1), counted(2), counted(4)) == (72, 72, 64, 0)
