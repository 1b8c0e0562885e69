"""The benchmark of losses without a truth: the arms see the same scans, and the page tells gains."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import without_truth as bench
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.methods import hqs_net, l1_wavelet
from spinecho.tasks.recon.parts import losses

SCANS = [
    ready(simulate_phantom(Scan(matrix=(1, 40, 36), n_coils=4, sampling=f"random:2.5:10:{i}", fineness=1)).kspace)
    for i in range(3)
]
ARGS = Namespace(steps=1, scans=3, side=40, accel=2.5, coils=4, judged=2, rate=1e-3)


def test_every_arm_is_a_loss_and_all_go_through_the_same_scans(monkeypatch):
    monkeypatch.setattr(bench, "NETWORK", hqs_net.Config(n_steps=1, early=1, cg_iters=2, start_iters=0))
    same = bench.Same(SCANS)
    seen = {id(same(step, index)) for step in range(1, 4) for index in range(2)}
    assert seen == {id(scan) for scan in SCANS}
    weights = []
    for name, (loss, _) in bench.ARMS.items():
        assert loss in losses.names()
        method = bench.arm(name, same, ARGS)
        weights.append(torch.cat([p.flatten() for p in method.parameters()]))
    assert all(torch.isfinite(w).all() for w in weights)
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_the_page_tells_gains():
    first = bench.scores(l1_wavelet.Method(l1_wavelet.Config(n_iters=5)), SCANS[:2])
    assert len(first) == 2 and all(10 < value < 60 for value in first)
    rows = {"network before training": [20.0, 22.0], "ssdu, plain": [21.5, 22.5]}
    text = bench.page(ARGS, rows, "Made by a test.")
    assert "| ssdu, plain | 22.00 | +1.00 | +0.00 (0.00) |" in text and text.endswith("Made by a test.")
    assert "| network before training | 21.00 | +0.00 | -1.00 (0.50) |" in text
    del rows["ssdu, plain"]
    assert "| network before training | 21.00 | +0.00 |  |" in bench.page(ARGS, rows, "")
