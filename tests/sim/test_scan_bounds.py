"""A simulated scan that cannot be is refused by name."""

from __future__ import annotations

import math

import pytest

from spinecho.core.errors import DataError
from spinecho.sim.scan import Scan, simulate_phantom

WRONG = [{"n_coils": 0}, {"n_frames": 0}, {"fineness": 0}, {"matrix": (1, 0, 32)}, {"fov_mm": (5.0, 0.0, 240.0)}]
WRONG += [{"field_t": 0.0}, {"snr": 0.0}, {"snr": -1.0}, {"snr": math.nan}, {"phase_rad": math.nan}]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_cannot_be_is_named(wrong):
    with pytest.raises(DataError, match=next(iter(wrong)).replace("_", "[_-]")):
        Scan(**wrong)


@pytest.mark.parametrize("sampling", ["radial:0", "radial:", "spiral:-1", "spiral:many"])
def test_a_number_of_readouts_is_asked_for(sampling):
    with pytest.raises(DataError, match="N of 1 or more"):
        simulate_phantom(Scan(matrix=(1, 32, 32), sampling=sampling))
