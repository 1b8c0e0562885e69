"""ESPIRiT finds planted maps, crops them to the object, and agrees with BART and sigpy."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import torch
from planted import agreement, head, planted_maps, scan_of

from spinecho.calib.espirit import espirit
from spinecho.core.errors import DataError
from spinecho.ops.fourier import fft, ifft

FLAT = (1, 96, 80)


def centre(y: torch.Tensor, *widths: int) -> torch.Tensor:
    for axis, w in zip((-3, -2, -1), widths, strict=True):
        y = y.narrow(axis, y.shape[axis] // 2 - w // 2, w)
    return y


@pytest.mark.parametrize("n_coils", [2, 4, 8])
def test_planted_maps_are_found(rng, n_coils):
    maps, image = planted_maps(n_coils, FLAT), head(FLAT)
    csm = espirit(centre(scan_of(maps, image, 1e-3, rng), 1, 24, 24), FLAT)
    assert csm.shape == (1, n_coils, *FLAT)
    match = agreement(csm[0], maps, image.abs() > 0)
    assert match.min() > 0.97
    assert match.mean() > 0.9995


def test_planted_maps_are_found_in_3d(rng):
    shape = (20, 40, 36)
    maps, image = planted_maps(4, shape), head(shape)
    csm = espirit(centre(scan_of(maps, image, 1e-3, rng), 12, 16, 16), shape, kernel=4)
    assert agreement(csm[0], maps, image.abs() > 0).mean() > 0.998


def test_norm_is_one_inside_and_zero_outside(rng):
    maps, image = planted_maps(6, FLAT), head(FLAT, 0.5)
    csm = espirit(centre(scan_of(maps, image, 1e-3, rng), 1, 24, 24), FLAT)
    norm = csm[0].abs().square().sum(0).sqrt()
    inside = norm > 0
    torch.testing.assert_close(norm[inside], torch.ones_like(norm[inside]))
    assert inside[image.abs() > 0].all(), "the object itself is never cut"
    assert inside.float().mean() < 0.5, "the corners are"


def test_combined_magnitude_is_the_root_sum_of_squares(rng):
    maps, image = planted_maps(8, FLAT), head(FLAT)
    y = scan_of(maps, image, 1e-3, rng)
    csm = espirit(centre(y, 1, 24, 24), FLAT)
    combined = (csm[0].conj() * ifft(y)).sum(0).abs()
    truth = image.abs()
    assert (combined - truth)[truth > 0].abs().max() < 0.05 * truth.max()


def test_interpolated_maps_are_those_found_pixel_by_pixel(rng):
    y = centre(scan_of(planted_maps(8, FLAT), head(FLAT), 1e-3, rng), 1, 24, 24)
    coarse, fine = espirit(y, FLAT, spacing=4)[0], espirit(y, FLAT, spacing=1)[0]
    both = (coarse.abs().sum(0) > 0) & (fine.abs().sum(0) > 0)
    assert (coarse - fine).abs()[:, both].max() < 0.02
    assert (coarse - fine).abs()[:, both].square().mean().sqrt() < 1e-3
    assert ((coarse.abs().sum(0) > 0) != (fine.abs().sum(0) > 0)).float().mean() < 2e-3


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scale_does_not_matter(rng, scale):
    y = centre(scan_of(planted_maps(4, FLAT), head(FLAT), 1e-3, rng), 1, 24, 24)
    torch.testing.assert_close(espirit(y * scale, FLAT), espirit(y, FLAT), atol=2e-3, rtol=0)


def test_slices_are_batched(rng):
    y = torch.stack([centre(scan_of(planted_maps(4, FLAT), head(FLAT, s), 1e-3, rng), 1, 20, 24) for s in (0.5, 0.7)])
    both = espirit(y, FLAT)
    assert both.shape == (2, 1, 4, *FLAT)
    torch.testing.assert_close(both[1], espirit(y[1], FLAT))


def test_noise_is_not_taken_for_signal(rng):
    maps, image = planted_maps(8, FLAT), head(FLAT)
    y = centre(scan_of(maps, image, 0.3 * float(image.abs().max()), rng), 1, 24, 24)
    csm = espirit(y, FLAT)
    assert agreement(csm[0], maps, (image.abs() > 0) & (csm[0].abs().sum(0) > 0)).mean() > 0.99


def test_two_maps_unfold_an_object_larger_than_the_field_of_view(rng):
    wide, half = (1, 128, 64), (1, 64, 64)
    maps, image = planted_maps(8, wide), head(wide, 0.8)
    y = scan_of(maps, image, 1e-4, rng)[:, :, ::2]
    csm = espirit(centre(y, 1, 24, 24), half, n_maps=2)
    assert csm.shape == (2, 8, *half)
    # what the folded coil images hold and one or two maps cannot explain
    folded = ifft(y)
    left = []
    for n in (1, 2):
        S = csm[:n]
        x = (S.conj() * folded).sum(1)
        left.append(float((folded - (S * x[:, None]).sum(0)).norm() / folded.norm()))
    assert left[1] < 0.03
    assert left[0] > 3 * left[1]
    gram = torch.einsum("iczyx,jczyx->ijzyx", csm.conj(), csm)
    assert gram[0, 1].abs().max() < 1e-4, "the two maps are orthogonal in every pixel"


def test_two_maps_of_a_small_object_are_one(rng):
    y = centre(scan_of(planted_maps(8, FLAT), head(FLAT, 0.5), 1e-3, rng), 1, 24, 24)
    csm = espirit(y, FLAT, n_maps=2)
    assert (csm[1].abs().sum(0) > 0).float().mean() < 0.01


def test_short_calibration_takes_a_smaller_kernel(rng):
    maps, image = planted_maps(4, FLAT), head(FLAT)
    csm = espirit(centre(scan_of(maps, image, 1e-3, rng), 1, 6, 32), FLAT)
    assert agreement(csm[0], maps, (image.abs() > 0) & (csm[0].abs().sum(0) > 0)).mean() > 0.99


def test_number_of_maps_is_checked(rng):
    with pytest.raises(DataError, match="3 sets of maps"):
        espirit(torch.ones(2, 1, 8, 8, dtype=torch.complex64), (1, 8, 8), n_maps=3)


def test_double_precision_stays_double(rng):
    y = centre(scan_of(planted_maps(3, FLAT), head(FLAT), 1e-3, rng), 1, 20, 20).to(torch.complex128)
    assert espirit(y, FLAT).dtype == torch.complex128


def _real_brain(shared_data) -> torch.Tensor:
    coils = np.load(shared_data / "kspace" / "brain_t1_7coil_images.npz")["arr_0"].transpose(2, 0, 1)
    return fft(torch.from_numpy(np.ascontiguousarray(coils))[:, None])


def test_maps_of_the_real_brain_explain_its_coil_images(shared_data):
    y = _real_brain(shared_data)
    csm = espirit(centre(y, 1, 24, 24), y.shape[1:])[0]
    images = ifft(y)
    left = images - csm * (csm.conj() * images).sum(0)
    bright = images.abs().square().sum(0).sqrt()
    head_ = bright > 0.15 * bright.max()
    assert (csm.abs().sum(0) > 0)[head_].float().mean() > 0.999
    noise = images[..., :24, :24].abs().square().mean().sqrt()
    assert left[:, head_].abs().square().mean().sqrt() < 1.6 * noise, "what is left is hardly more than noise"


@pytest.mark.peer
def test_maps_are_those_of_bart(shared_data, tmp_path):
    if shutil.which("bart") is None:
        pytest.skip("bart is not installed")
    y = centre(_real_brain(shared_data), 1, 24, 24)
    full = torch.zeros(7, 1, 96, 96, dtype=torch.complex64)
    full[:, :, 36:60, 36:60] = y
    (tmp_path / "y.hdr").write_text("# Dimensions\n96 96 1 7\n")
    full.numpy().tofile(tmp_path / "y.cfl")
    subprocess.run(["bart", "ecalib", "-m1", "-c0.8", "y", "maps"], cwd=tmp_path, check=True, capture_output=True)
    theirs = torch.from_numpy(np.fromfile(tmp_path / "maps.cfl", np.complex64).reshape(7, 1, 96, 96))
    ours = espirit(y, (1, 96, 96), crop=0.8)[0]
    both = (ours.abs().sum(0) > 0) & (theirs.abs().sum(0) > 0)
    assert ((ours.abs().sum(0) > 0) != (theirs.abs().sum(0) > 0)).float().mean() < 0.03
    assert agreement(ours, theirs, both).mean() > 0.9995


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_maps_are_those_of_sigpy(rng):
    app = pytest.importorskip("sigpy.mri").app
    maps, image = planted_maps(4, FLAT), head(FLAT)
    y = scan_of(maps, image, 1e-3, rng)
    theirs = app.EspiritCalib(y[:, 0].numpy(), crop=0.8, max_iter=30, show_pbar=False).run()
    ours = espirit(centre(y, 1, 24, 24), FLAT)[0]
    theirs = torch.from_numpy(theirs)[:, None]
    both = (ours.abs().sum(0) > 0) & (theirs.abs().sum(0) > 0) & (image.abs() > 0)
    assert agreement(ours, theirs, both).mean() > 0.999
