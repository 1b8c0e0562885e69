"""The ladder from real to simulated: what each rung keeps and what it replaces; how its table is made."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.rungs import REAL, RUNGS, SMALL, rung, simulated_maps, simulated_phase, taken_apart
from benchmarks.transfer import lines, text

from benchmarks import transfer
from spinecho.calib.noise import noise_sigma
from spinecho.core.kspace import KSpace
from spinecho.evaluate.rows import Row
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge.truth import Source


@pytest.fixture(scope="module")
def full() -> KSpace:
    """A full scan with noise that its file says nothing of."""
    drawn = simulate_phantom(Scan(matrix=(1, 192, 176), sampling="full", n_coils=4, snr=30, seed=5)).kspace
    return replace(drawn, noise_cov=None, target=None)


def truth(kspace: KSpace) -> torch.Tensor:
    assert kspace.target is not None
    return kspace.target[0, 0]


def test_the_parts_make_the_slice_again(full):
    parts = taken_apart(full)
    coils = ifft(full.samples)
    inside = parts.csm.abs().sum(0)[0] > 0
    error = (parts.csm * parts.image - coils).abs().square().sum((0, 1))[inside].mean()
    assert float(error) == pytest.approx(4 * noise_sigma(full) ** 2, rel=0.5), "noise is all that is lost"
    assert float(parts.cov.diagonal().real.mean()) == pytest.approx(noise_sigma(full) ** 2, rel=1e-4)


def test_rungs_replace_one_thing_after_the_other(full):
    parts = taken_apart(full)
    made = {name: rung(full, name) for name in [REAL, *RUNGS]}
    assert made[REAL] is full
    combined, magnitude, maps, phase, small = (made[name] for name in RUNGS)
    torch.testing.assert_close(truth(combined), truth(magnitude))
    assert float((combined.samples - magnitude.samples).abs().mean()) > noise_sigma(full), "the phase is gone"
    csm = simulated_maps(4, (1, 192, 176), 0)
    torch.testing.assert_close(truth(maps), root_sum_of_squares(csm * parts.image.abs())[0, 0])
    torch.testing.assert_close(truth(phase), truth(maps), atol=1e-5, rtol=1e-4)
    assert small.encoding.matrix == (1, SMALL, SMALL) and truth(small).shape == (SMALL, SMALL)
    assert all("simulated" in k.header.flags for name, k in made.items() if name != REAL)
    for scan in (combined, maps):
        again = ifft(scan.samples)
        noise = (root_sum_of_squares(again)[0, 0].square() - truth(scan).square()).mean() / 4
        assert float(noise) == pytest.approx(noise_sigma(full) ** 2, rel=0.25)


def test_the_same_numbers_make_the_same_rung(full):
    name = list(RUNGS)[3]
    assert torch.equal(rung(full, name).samples, rung(full, name).samples)
    assert not torch.equal(rung(full, name).samples, rung(full, name, seed=1).samples)
    assert float((simulated_phase((1, 8, 8), 0).abs() - 1).abs().max()) < 1e-6


def test_slices_and_rungs_are_chosen_by_words(full, monkeypatch):
    slices = [Source(name=n, n_slices=1, load=lambda _: full) for n in ("brain", "abdomen")]
    monkeypatch.setattr(transfer, "listed", lambda _: slices)
    chosen = list(transfer.sources("Brain", ["real", "own maps, fresh"]))
    assert [s.name for s in chosen] == ["brain; 0 real", "brain; 1 combined image, own maps, fresh noise"]
    assert [s.kind for s in chosen] == ["real", "simulated"]
    assert chosen[0].load(0) is full and len(list(transfer.sources("", [""]))) == 2 * (len(RUNGS) + 1)


def row(scan: str, kind, method: str, mask: int, psnr: float) -> Row:
    case = f"{scan}: mask {mask}"
    figures = {"psnr_inside": psnr}
    return Row(key="", task="recon", case=case, scan=scan, group="", kind=kind, method=method, figures=figures)


def test_gains_are_paired_and_real_and_simulated_stand_apart():
    rows = [row("a; 0 real", "real", "l1", m, 30 + m) for m in (0, 1)]
    rows += [row("a; 0 real", "real", "net", m, 31 + 3 * m) for m in (0, 1)]
    rows += [row("a; 1 magnitude", "simulated", m, 0, 40.0) for m in ("l1", "net")]
    assert lines(rows, ["l1", "net"], "real") == [["a", "real", "30.50", "32.50 (+2.00, +1.00)"]]
    told = text(rows, ["l1", "net"], (0, 1), "made")
    real, simulated = told.split("**Simulated")
    assert "magnitude |" not in real and "| real |" not in simulated and "masks 0, 1" in real
    refused = replace(rows[0], method="net", refused="too small", figures={})
    assert "not run: `net` on a; 0 real: too small" in text([rows[0], refused], ["l1", "net"], (0,), "")
