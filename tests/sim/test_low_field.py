"""Low field: what the laws of relaxation say of contrast, against formulas; draws repeat and stay in their range."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from spinecho.sim import low_field
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import TISSUES

NAMES = list(TISSUES)


def of(levels, name):
    return float(levels[NAMES.index(name)])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(SEQUENCES))
@pytest.mark.parametrize("field", [0.055, 0.3, 1.5])
def test_the_brightest_of_the_brain_is_one(name, field):
    levels = low_field.signals(SEQUENCES[name], field)
    assert levels.shape == (len(TISSUES),) and levels[0] == 0 and bool((levels >= 0).all())
    assert max(of(levels, n) for n in ("white matter", "grey matter", "csf")) == pytest.approx(1)


def test_signals_follow_the_fields_law():
    """Spin echo, by hand: T1 (B / 3 T)^exponent, T2 as it is."""
    sequence, field = SEQUENCES["t2"], 0.055
    expected = {}
    for name in ("white matter", "grey matter", "csf"):
        t = TISSUES[name]
        t1 = t.t1_ms * (field / 3) ** t.t1_exponent
        recovered = 1 - 2 * math.exp(-(sequence.tr_ms - sequence.te_ms / 2) / t1) + math.exp(-sequence.tr_ms / t1)
        expected[name] = t.pd * recovered * math.exp(-sequence.te_ms / t.t2_ms)
    levels = low_field.signals(sequence, field)
    for name, value in expected.items():
        assert of(levels, name) == pytest.approx(value / max(expected.values()), rel=1e-5)


def test_the_same_t1_sequence_tells_tissues_less_apart_at_low_field():
    """White and grey matter both recover early there: why people shorten their times."""

    def apart(field, by=1.0):
        usual = SEQUENCES["gre"]
        levels = low_field.signals(replace(usual, tr_ms=usual.tr_ms * by), field)
        return of(levels, "white matter") / of(levels, "grey matter")

    assert apart(0.055) < apart(1.5)
    assert apart(0.055, 0.4) > apart(0.055)


def test_fluid_is_dark_in_flair_at_any_field():
    for field in (0.05, 0.3, 1.5):
        assert of(low_field.signals(SEQUENCES["flair"], field), "csf") < 1e-3


def test_pairs_repeat_and_stay_low():
    for seed in range(30):
        low, high, field = low_field.sample_pair(rng(seed))
        again = low_field.sample_pair(rng(seed))
        assert torch.equal(low, again[0]) and torch.equal(high, again[1]) and field == again[2]
        assert low_field.FIELDS_T[0] <= field <= low_field.FIELDS_T[1]
        assert bool(torch.isfinite(low).all()) and low[0] == high[0] == 0


def test_pairs_are_of_one_kind():
    """Where fluid is the brightest at 1.5 T it is bright at low field, where it is dark it is dark."""
    fluid = []
    for seed in range(60):
        low, high, _ = low_field.sample_pair(rng(seed))
        if of(high, "csf") > 0.95:
            fluid.append(of(low, "csf") > 0.6)
        elif of(high, "csf") < 0.05:
            fluid.append(of(low, "csf") < 0.3)
    assert len(fluid) > 20 and all(fluid)


def test_shown_is_the_signal_times_what_makes_it_uneven():
    tissues = torch.tensor([[0, 1], [2, 1]], dtype=torch.uint8)
    level = torch.arange(len(TISSUES)).float()
    uneven = torch.tensor([[5.0, 1.1], [0.5, -1.0]])
    assert torch.allclose(low_field.shown(tissues, level, uneven), torch.tensor([[0.0, 1.1], [1.0, 0.0]]))


def test_noise_is_drawn_of_both_kinds():
    drawn = [low_field.sample_noise(r) for r in [rng(1)] for _ in range(200)]
    levels, kinds = zip(*drawn, strict=True)
    assert 0.008 <= min(levels) < 0.015 and 0.1 < max(levels) <= 0.16 and 0.6 < sum(kinds) / len(kinds) < 0.9
