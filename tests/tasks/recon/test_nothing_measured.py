"""A slice or frame of which nothing was measured is black; the others are what they are without it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.limits import outside
from spinecho.tasks.recon.run import recon


def series(n_coils: int, sampling: str, axis: str, *, masked: bool) -> KSpace:
    """Three entries, the middle one of zeros; `masked`: told by the mask, else only by the samples."""
    one = simulate_phantom(Scan(matrix=(1, 48, 48), n_coils=n_coils, sampling=sampling, fineness=1)).kspace
    samples, mask = (torch.stack([v] * 3).clone() for v in (one.samples, one.mask))
    samples[1] = 0
    if masked:
        mask[1] = False
    geometries = one.geometries * (3 if axis == "slice" else 1)
    return KSpace(samples=samples, mask=mask, encoding=one.encoding, geometries=geometries, axes=(axis,))


@pytest.mark.parametrize(
    "method", ["auto", "zero_filled", "cg_sense", "l1_wavelet", "tv", "varnet_fast", "llr", "checked"]
)
@pytest.mark.parametrize("axis", ["slice", "time"])
@pytest.mark.parametrize("n_coils", [1, 4])
@pytest.mark.parametrize("masked", [True, False])
def test_an_empty_entry_is_black(masked, n_coils, axis, method):
    if method == "llr" and axis == "slice":
        pytest.skip("it is for series")
    scan = series(n_coils, "random:2:0.2:0", axis, masked=masked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = recon(scan, method).values.abs()
    assert bool(image.isfinite().all())
    assert float(image[1].max()) <= 0.05 * float(image[0].max())
    assert float(image[0].max()) > 0 and float(image[2].max()) > 0


@pytest.mark.filterwarnings("ignore:repetition 2 of 3")
def test_one_coil_fully_sampled_but_for_one_repetition():
    scan = series(1, "full", "repetition", masked=True)
    assert bool(recon(scan, "auto").values.abs().isfinite().all())


@pytest.mark.parametrize("method", ["pocs", "homodyne"])
@pytest.mark.filterwarnings("ignore:time 2 of 3")
def test_half_scans_with_an_empty_frame(method):
    image = recon(series(4, "partial:0.7", "time", masked=True), method).values.abs()
    assert bool(image.isfinite().all()) and not image[1].any() and float(image[0].max()) > 0


def test_what_was_not_measured_is_not_undersampled():
    card = {"acceleration": [1, 12]}
    scan = series(4, "random:2:0.2:0", "time", masked=True)
    assert not outside(card, scan)
    assert any("undersampled" in way for way in outside({"acceleration": [1, 1.2]}, scan))


def test_where_every_entry_is_empty_it_is_refused():
    scan = series(4, "random:2:0.2:0", "slice", masked=True)
    with pytest.raises(DataError, match="all samples are zero"):
        recon(replace(scan, samples=torch.zeros_like(scan.samples)), "zero_filled")
