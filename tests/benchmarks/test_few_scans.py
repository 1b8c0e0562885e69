"""Four scans: of slices that train, undersampled anew in each step, the same in each run."""

from __future__ import annotations

import argparse

import torch

from benchmarks import few_scans
from spinecho.sim.splits import CHEST


def test_the_four_are_undersampled_anew(shared_data):
    assert set(few_scans.FEW) <= set(CHEST["train"])
    args = argparse.Namespace(shared=shared_data.parent, side=32)
    draw = few_scans.four(args)
    a, again, other = draw(1, 0), few_scans.four(args)(1, 0), draw(2, 0)
    assert torch.equal(a.samples, again.samples)
    assert a.samples.shape == other.samples.shape and not torch.equal(a.mask, other.mask)


def test_the_share_of_the_gap():
    rows = {"nothing": [[30.0], [31.0]], "heads": [[20.0], [25.0]], "chests": [[22.0], [21.0]]}
    rows["heads, then 4 chest scans"] = [[21.5], [24.0]]
    assert "| heads, then 4 chest scans | 21.50 | 24.00 | 75 % | -1.00 |" in few_scans.page(rows, "told")
    rows["chests"] = [[19.0], [20.0]]
    assert "there is no gap" in few_scans.page(rows, "told")
