"""Words for masks: lines or points, regular or not, partial Fourier only where gaps do not explain it."""

from __future__ import annotations

import numpy as np
import pytest

from spinecho.calib.mask_kind import KINDS, mask_kinds
from spinecho.sim.mask_spec import MaskSpec

K1, K0 = np.mgrid[:64, :48]
CENTRE = (32, 24)
EVERYWHERE = np.ones((64, 48), bool)


@pytest.mark.parametrize(
    ("mask", "kinds"),
    [
        (EVERYWHERE, {"full"}),
        ((abs(K1 - 32) < 20) & (abs(K0 - 24) < 20), {"full"}),
        (K1 % 3 == 0, {"1d regular"}),
        (K0 % 3 == 0, {"1d regular"}),
        ((K1 % 3 == 0) | (abs(K1 - 32) < 6), {"1d regular"}),
        ((K1 % 3 == 0) & (abs(K0 - 24) < 20), {"1d regular"}),
        ((K1 % 2 == 0) & (K0 % 2 == 0), {"2d regular"}),
        ((K1 - 32) ** 2 + (K0 - 24) ** 2 < 400, {"2d regular"}),
        (K1 > 22, {"partial Fourier"}),
        (K0 < 34, {"partial Fourier"}),
        ((K1 % 3 == 0) & (K1 > 22), {"1d regular", "partial Fourier"}),
        ((K1 % 3 == 0) & (K0 > 14), {"1d regular", "partial Fourier"}),
        (~EVERYWHERE, set()),
    ],
)
def test_planted(mask, kinds):
    assert mask_kinds(mask, CENTRE) == kinds <= set(KINDS)
    assert mask_kinds(mask.T.copy(), CENTRE[::-1]) == kinds


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("accel", [2, 4, 8])
def test_random_lines_are_not_partial_fourier(seed, accel):
    mask = MaskSpec(kind="random", accel=accel, centre=0.08, seed=seed).draw((1, 200, 1))[0, 0].numpy()
    assert mask_kinds(mask, (100, 0)) == {"1d irregular"}


@pytest.mark.parametrize("accel", [2, 4, 8])
def test_poisson_points(accel):
    mask = MaskSpec(kind="poisson", accel=accel, centre=12).draw((1, 96, 80))[0, 0].numpy()
    assert mask_kinds(mask, (48, 40)) == {"2d irregular"}
