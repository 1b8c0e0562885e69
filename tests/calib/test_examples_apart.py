"""Scans joined along `example` keep noise levels, centres and coil maps of their own; the data decide a phase."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import head, planted_maps, scan_of

from spinecho.calib.centre import calibration_blocks, find_centre
from spinecho.calib.csm import estimate_csm
from spinecho.calib.eigen import principal_coil
from spinecho.calib.espirit import espirit, espirit_of_blocks
from spinecho.calib.noise import each_example, noise_sigma, noise_sigmas, with_noise_level
from spinecho.calib.object_noise import object_noise, object_noises, with_object_noise
from spinecho.core.kspace import KSpace
from spinecho.sim.scan import Scan, simulate_phantom


def phantom(snr: float, seed: int = 0, sampling: str = "random:2:12:1") -> KSpace:
    scan = Scan(matrix=(1, 48, 40), n_coils=4, snr=snr, fineness=1, sampling=sampling, seed=seed)
    return replace(simulate_phantom(scan).kspace, noise_cov=None, target=None)


def few() -> list[KSpace]:
    return [phantom(20.0), phantom(60.0, 1), phantom(10.0, 2)]


@pytest.mark.parametrize(("many", "one"), [(noise_sigmas, noise_sigma), (object_noises, object_noise)])
def test_each_example_has_the_noise_level_that_it_has_alone(many, one):
    scans = few()
    alone = [one(scan) for scan in scans]
    together = many(KSpace.joined(scans))
    assert together.shape == (3, 1, 1, 1, 1)
    torch.testing.assert_close(together.flatten(), torch.tensor(alone))
    assert many(scans[0]).shape == (1, 1, 1, 1) and float(many(scans[0])) == pytest.approx(alone[0])


def test_a_known_level_is_read_from_each_covariance():
    scans = [with_noise_level(scan) for scan in few()]
    together = noise_sigmas(KSpace.joined(scans))
    torch.testing.assert_close(together.flatten(), torch.tensor([noise_sigma(scan) for scan in scans]))
    torch.testing.assert_close(object_noises(KSpace.joined(scans)), together)


def test_a_level_written_down_is_that_of_the_whole_and_of_each_part():
    scan = phantom(20.0)
    for written, level in ((with_noise_level(scan), noise_sigma(scan)), (with_object_noise(scan), object_noise(scan))):
        assert noise_sigma(written) == pytest.approx(level, rel=1e-5)
        assert object_noise(written) == pytest.approx(level, rel=1e-5)
        assert written.noise_cov is not None and with_noise_level(written) is written
        assert with_object_noise(written) is written


def test_a_number_of_each_example_stands_on_its_axis():
    sliced = [replace(s, axes=("slice",), samples=s.samples[None]) for s in few()]
    whole = KSpace.joined(sliced)
    assert whole.axes == ("example", "slice") and each_example(whole, lambda _: 2.0).shape == (3, 1, 1, 1, 1, 1)
    assert each_example(sliced[0], lambda _: 2.0).shape == (1, 1, 1, 1)


def test_each_example_has_the_centre_and_the_calibration_lines_that_it_has_alone():
    scans = few()
    shifted = replace(scans[1], samples=scans[1].samples.roll(2, -2), mask=scans[1].mask.roll(2, -2))
    assert find_centre(shifted) != find_centre(scans[0])
    whole = KSpace.joined([scans[0], shifted])
    _, boxes = calibration_blocks(whole)
    assert boxes.shape == (2,)
    for i, scan in enumerate((scans[0], shifted)):
        assert boxes[i] == calibration_blocks(scan)[1][()]


def test_each_example_has_the_maps_that_it_has_alone():
    scans = few()
    together = estimate_csm(KSpace.joined(scans))
    for i, scan in enumerate(scans):
        assert torch.equal(together[i], estimate_csm(scan))


def test_blocks_of_unlike_sizes_are_mapped_together_as_apart():
    shape = (1, 32, 28)
    y = scan_of(planted_maps(4, shape), head(shape), 1e-4, torch.Generator().manual_seed(0))
    blocks = [y[:, :, 16 - n : 16 + n, 14 - n : 14 + n] for n in (12, 8, 5)]
    together = espirit_of_blocks(blocks, shape)
    assert together.shape == (3, 1, 4, *shape)
    for block, found in zip(blocks, together, strict=True):
        torch.testing.assert_close(found, espirit(block, shape), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n_coils", [2, 6])
def test_rounding_does_not_turn_the_phase_of_maps(n_coils):
    """Coils of equal strength: which of them is the strongest is decided by rounding, the phase is not."""
    rng = torch.Generator().manual_seed(n_coils)
    source = torch.randn(1, 1, 12, 12, dtype=torch.complex128, generator=rng)
    angles = 2 * torch.pi * torch.rand(n_coils, 1, 1, 1, generator=rng, dtype=torch.float64)
    y = torch.polar(torch.ones_like(angles), angles) * source
    first = principal_coil(y)
    for i in range(n_coils):
        nudged = y.clone()
        nudged[i] *= 1 + 1e-7
        torch.testing.assert_close(principal_coil(nudged), first, rtol=1e-5, atol=1e-5)
    z = first.conj() @ y.flatten(1)
    total = (z * z.abs().square()).sum()
    assert float(total.real) > 0 and abs(float(total.imag)) < 1e-9 * float(total.real)


def test_the_phase_turns_with_the_data():
    y = torch.randn(3, 1, 10, 10, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    turned = principal_coil(y * torch.exp(torch.tensor(0.7j)))
    z, w = (v.conj() @ k.flatten(1) for v, k in ((principal_coil(y), y), (turned, y * torch.exp(torch.tensor(0.7j)))))
    torch.testing.assert_close(z.abs(), w.abs())
    torch.testing.assert_close((w * w.abs().square()).sum().real, (z * z.abs().square()).sum().real)


def sliced() -> KSpace:
    """Three slices with noise levels of their own."""
    scans = few()
    places = []
    for i in range(len(scans)):
        affine = scans[0].geometries[0].affine.copy()
        affine[2, 3] += 10 * i
        places.append(replace(scans[0].geometries[0], affine=affine))
    whole = KSpace.joined(scans)
    return replace(whole, axes=("slice",), geometries=tuple(places))


def test_each_slice_has_its_own_noise_where_the_object_is():
    whole = sliced()
    levels = object_noises(whole)
    assert levels.shape == (3, 1, 1, 1, 1) and len(set(levels.flatten().tolist())) == 3
    for i, scan in enumerate(few()):
        assert float(levels[i]) == pytest.approx(object_noise(scan))
    part = whole.narrow("slice", 1, 3)
    torch.testing.assert_close(object_noises(part), levels[1:])


def test_levels_of_slices_are_written_down_and_cut_with_them():
    whole = with_object_noise(sliced())
    assert whole.noise_cov is not None and whole.noise_cov.shape == (3, 4, 4)
    torch.testing.assert_close(object_noises(whole), object_noises(sliced()))
    part = whole.part("slice", 2)
    torch.testing.assert_close(object_noises(part), object_noises(whole)[2:])
    assert noise_sigma(part) == pytest.approx(float(object_noises(whole)[2]))
