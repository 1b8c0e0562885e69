"""Phantom, anatomy and whole scans: right place, right scale, right noise, and kept with their parameters."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.sim import anatomy
from spinecho.sim.acquire import acquire
from spinecho.sim.coils import HEAD_MM, around
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.phantom import HEAD, Ellipsoid, frames, phantom, phantom_kspace, section
from spinecho.sim.scan import Scan, measure, sample_scan, simulate_brain, simulate_phantom
from spinecho.sim.tissue import BRAIN_LABELS, HEAD_LABELS, TISSUE_OF_LABEL, TISSUES
from spinecho.sim.trajectory import radial, spiral

SMALL = Scan(matrix=(1, 64, 48), n_coils=4, sampling="full", snr=float("inf"))


def grid_points(shape):
    axes = torch.meshgrid(*(torch.arange(n) - n // 2 for n in shape), indexing="ij")
    return torch.stack(axes[::-1], -1).double()


def unit_coil(shape):
    return torch.ones(1, 1, *shape, dtype=torch.complex64)


def test_no_flip_and_no_rotation_leaves_the_phantom_alike():
    p = phantom((1, 65, 65))[0, 0]
    others = [p.flip(0), p.flip(1), p.T, p.T.flip(0), p.T.flip(1), p.flip(0, 1), p.T.flip(0, 1)]
    assert all(float((p - q).norm() / p.norm()) > 0.2 for q in others)
    volume = phantom((33, 33, 33))
    assert float((volume - volume.flip(1)).norm() / volume.norm()) > 0.05


def test_marks_lie_where_they_are_said_to():
    p, q = phantom((1, 200, 200))[0, 0], phantom((33, 64, 64))[0]
    assert p[100 - 44, 100 - 40] > 0.5  # the disc at -x -y
    assert p[100 - 44, 100 + 40] < 0.3
    assert q[16 + 8, 32 - 14, 32 + 5] > q[16 - 8, 32 - 14, 32 + 5] + 0.3  # the ball above


@pytest.mark.parametrize("shape", [(1, 96, 96), (48, 48, 48)])
def test_exact_k_space_is_that_of_the_picture(shape):
    smooth = (Ellipsoid(1.0, (0.05, -0.1, 0.02), (0.3, 0.2, 0.25), 30),)
    shapes = section(smooth) if shape[0] == 1 else smooth
    exact = phantom_kspace(grid_points(shape), shapes, int(np.prod(shape)))
    found = fft(phantom(shape, smooth).to(torch.complex64))[0]
    low = torch.linalg.vector_norm(grid_points(shape), dim=-1) < 10
    assert float((found[low] - exact[low]).norm() / exact[low].norm()) < 0.02


def test_frames_beat_and_return():
    series = [phantom((1, 48, 48), shapes) for shapes in frames(6)]
    assert len(frames(6)[0]) == len(HEAD)
    assert all(float((a - b).norm()) > 0.05 for a, b in pairwise(series))


def test_every_label_has_a_tissue_of_the_table():
    assert set(TISSUE_OF_LABEL.values()) <= set(TISSUES)
    assert 0 not in HEAD_LABELS and BRAIN_LABELS < HEAD_LABELS


def box_labels():
    labels = torch.zeros(12, 20, 16, dtype=torch.int64)
    labels[2:10, 3:17, 4:12] = 2
    labels[4:8, 6:12, 6:10] = 10
    return labels, Geometry.from_frame([5, -3, 2], np.eye(3), (2, 2, 2), (12, 20, 16))


def test_resampled_labels_keep_volume_and_place():
    labels, geometry = box_labels()
    fine = geometry.resized((36, 60, 48))
    found = anatomy.resample_labels(labels, geometry, fine)
    for label in (2, 10):
        volume = float((found == label).sum()) / 27
        assert volume == pytest.approx(float((labels == label).sum()), rel=0.1)
        centre = fine.to_world(torch.nonzero(found == label).double().mean(0).flip(0).numpy())
        wanted = geometry.to_world(torch.nonzero(labels == label).double().mean(0).flip(0).numpy())
        np.testing.assert_allclose(centre, wanted, atol=0.4)
    assert torch.equal(anatomy.resample_labels(labels, geometry, geometry), labels)


def test_isocentre_is_the_brain():
    labels, geometry = box_labels()
    centred = anatomy.at_isocentre(labels, geometry)
    np.testing.assert_allclose(centred.to_world([7.5, 9.5, 5.5]), 0, atol=1e-9)
    with pytest.raises(DataError, match="no brain"):
        anatomy.at_isocentre(torch.zeros_like(labels), geometry)


def test_unknown_labels_are_named():
    with pytest.raises(DataError, match=r"\[99\] have no tissue"):
        anatomy.of_sequence(SEQUENCES["t1"]).render(torch.tensor([2, 99]))


def test_random_contrasts_are_seeded_and_air_is_dark():
    a, b, c = (anatomy.sample_contrast(torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert a == b and a != c and a.values[0] == 0 and a.values[2] == a.values[41]


def test_maps_and_mixtures():
    maps = anatomy.relaxation_maps(torch.tensor([[0, 2], [3, 4]]), 3.0)
    assert float(maps["t1_ms"][0, 1]) == TISSUES["white matter"].t1_ms and float(maps["pd"][0, 0]) == 0
    half = torch.full((2, 2), 0.5)
    mixed = anatomy.mix({"white matter": half, "csf": half}, SEQUENCES["t2"])
    signals = anatomy.tissue_signals(SEQUENCES["t2"])
    torch.testing.assert_close(mixed, torch.full((2, 2), 0.5 * (signals["white matter"] + signals["csf"])))
    with pytest.raises(DataError, match="no tissue cheese"):
        anatomy.mix({"cheese": half}, SEQUENCES["t2"])


def test_texture_has_mean_one_and_its_strength():
    t = anatomy.texture((1, 64, 64), torch.Generator().manual_seed(0), 0.05)
    assert float(t.mean()) == pytest.approx(1, abs=0.01) and float(t.std()) == pytest.approx(0.05, rel=1e-3)


def test_trajectories_cover_what_they_should():
    spokes = radial(10, 32, 16)
    assert spokes.shape == (1, 10, 32, 3) and float(spokes.abs().max()) <= 8
    assert torch.equal(spokes[:, :, 16], torch.zeros(1, 10, 3))
    angle = torch.rad2deg(torch.atan2(spokes[0, 1, -1, 1], spokes[0, 1, -1, 0]))
    assert float(angle) == pytest.approx(111.246, abs=1e-3)
    torch.testing.assert_close(radial(4, 32, 16, first=6)[0], spokes[0, 6:])
    arms = spiral(4, 400, 32)
    radius = torch.linalg.vector_norm(arms, dim=-1)
    assert float(radius.max()) == pytest.approx(16, rel=1e-2) and float(radius[0, :, 0].max()) == 0
    with pytest.raises(DataError):
        spiral(4, 400, 32, density_power=0.5)


def test_a_voxel_of_one_stays_one():
    image = torch.zeros(1, 1, 48, 48, dtype=torch.complex64)
    image[..., 8:40, 8:40] = 1
    for options in ({}, {"matrix": (1, 24, 24)}, {"oversampling": 2}, {"matrix": (1, 24, 24), "oversampling": 2}):
        kspace = acquire(image, unit_coil((1, 48, 48)), **options)
        n = kspace.encoding.matrix
        middle = ifft(kspace.samples).abs()[0, 0, n[1] // 2, n[2] // 2]
        assert float(middle) == pytest.approx(1, abs=0.1)
        assert kspace.target is not None and kspace.target.shape[-3:] == kspace.encoding.recon_matrix


def test_centre_and_oversampling_are_described():
    image = phantom((1, 32, 32)).to(torch.complex64)
    kspace = acquire(image, unit_coil((1, 32, 32)), centre=(0, 14, 18))
    k1, k0 = divmod(int(kspace.samples.abs().argmax()), 32)
    assert (k1, k0) == kspace.encoding.origin[1:] == (14, 18)
    torch.testing.assert_close(ifft(kspace.samples).abs()[0], image.abs()[0], rtol=1e-4, atol=1e-4)
    wide = acquire(image, unit_coil((1, 32, 32)), oversampling=2)
    assert wide.samples.shape[-1] == 64 and wide.encoding.cropped_matrix == (1, 32, 32)
    assert wide.geometries[0].voxel_mm == (1, 1, 1)
    np.testing.assert_allclose(
        wide.geometries[0].to_world([32, 16, 0]), Geometry.unknown((1, 32, 32)).to_world([16, 16, 0])
    )


def test_what_cannot_be_acquired_is_refused():
    image, csm = phantom((1, 16, 16)).to(torch.complex64), unit_coil((1, 16, 16))
    with pytest.raises(DataError, match="fewer than the matrix"):
        acquire(image, csm, matrix=(1, 32, 32))
    with pytest.raises(DataError, match="without a generator"):
        acquire(image, csm, noise_cov=torch.eye(1, dtype=torch.complex64))


def test_a_full_scan_gives_its_target_back():
    sim = simulate_phantom(SMALL)
    assert sim.kspace.header.flags == ("simulated",) and sim.kspace.target is not None
    torch.testing.assert_close(root_sum_of_squares(ifft(sim.kspace.samples)), sim.kspace.target)
    assert sim.image.shape == (1, 1, 128, 96) and sim.csm.shape == (1, 4, 1, 64, 48)


def test_the_finer_object_is_no_inverse_crime():
    """The model on the matrix's own grid must not repeat the samples exactly."""
    sim = simulate_phantom(SMALL)
    csm = sim.csm / torch.linalg.vector_norm(sim.csm, dim=1, keepdim=True)
    images = ifft(sim.kspace.samples)
    again = fft(csm[0] * (csm[0].conj() * images).sum(0, keepdim=True))
    gap = float((again - sim.kspace.samples).norm() / sim.kspace.samples.norm())
    assert 1e-4 < gap < 0.05


def test_noise_is_of_the_snr_asked_for():
    clean, noisy = simulate_phantom(SMALL), simulate_phantom(replace(SMALL, snr=20))
    error = noisy.kspace.samples - clean.kspace.samples
    assert clean.kspace.target is not None and noisy.kspace.noise_cov is not None
    sigma = float(error.abs().square().mean().sqrt())
    inside = clean.kspace.target[clean.kspace.target > 0.1 * clean.kspace.target.max()].mean()
    assert float(inside) / sigma == pytest.approx(20, rel=0.03)
    assert float(noisy.kspace.noise_cov.diagonal().real.mean().sqrt()) == pytest.approx(sigma, rel=0.03)


def test_only_measured_samples_are_there():
    sim = simulate_phantom(replace(SMALL, sampling="random:3:8:5", snr=10))
    assert sim.kspace.mask is not None
    assert not (sim.kspace.samples * ~sim.kspace.mask).any()
    assert sim.kspace.encoding.acceleration == (1.0, 3.0)


@pytest.mark.parametrize("sampling", ["radial:9", "spiral:4", "kt:4:6", "kt-random:3:0.1"])
def test_dynamic_scans(sampling):
    sim = simulate_phantom(replace(SMALL, matrix=(1, 32, 32), sampling=sampling, n_frames=3))
    assert sim.kspace.axes == ("time",) and sim.kspace.samples.shape[:2] == (3, 4)
    assert sim.kspace.target is not None and sim.kspace.target.shape == (3, 1, 1, 32, 32)


def test_volumes():
    sim = simulate_phantom(
        replace(SMALL, matrix=(16, 24, 20), fov_mm=(200, 220, 220), sampling="poisson:3:6", fineness=1)
    )
    assert sim.kspace.mask is not None and sim.kspace.mask.shape == (1, 16, 24, 1)
    assert sim.kspace.samples.shape == (4, 16, 24, 20)


def test_the_same_parameters_give_the_same_samples_and_are_kept():
    scan = replace(SMALL, snr=30, seed=4)
    a, b = simulate_phantom(scan), simulate_phantom(scan)
    assert torch.equal(a.kspace.samples, b.kspace.samples)
    kept = json.loads(a.kspace.header.history[0].partition(": ")[2])
    assert kept == json.loads(json.dumps(asdict(scan)))
    other = simulate_phantom(replace(scan, seed=5))
    assert not torch.equal(a.kspace.samples, other.kspace.samples)


def test_sampled_scans_are_seeded_and_keep_what_is_fixed():
    draw = [sample_scan(torch.Generator().manual_seed(s), Scan(matrix=(1, 64, 64))) for s in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2] and draw[2].matrix == (1, 64, 64)


@pytest.mark.parametrize("contrast", ["t1", "random"])
def test_a_brain_from_a_label_map(shared_data, contrast):
    file = nib.load(shared_data / "label_maps" / "labels_01.nii.gz")
    labels = torch.from_numpy(np.ascontiguousarray(np.asanyarray(file.dataobj).T.astype(np.int64)))
    geometry = Geometry((256, 256, 256), np.diag([-1.0, -1.0, 1.0, 1.0]) @ file.affine)
    sim = simulate_brain(
        labels, geometry, Scan(matrix=(1, 96, 96), contrast=contrast, n_coils=4, sampling="random:3:12:0")
    )
    target = sim.kspace.target
    assert target is not None
    inside = target[0, 0] > 0.1 * target.max()
    y, x = torch.nonzero(inside).double().mean(0).tolist()
    assert abs(y - 48) < 10 and abs(x - 48) < 6 and 0.2 < float(inside.double().mean()) < 0.7
    rows, columns = inside.any(1).sum(), inside.any(0).sum()
    assert rows > columns  # a head is longer from front to back than from ear to ear


def test_no_coil_stands_inside_a_large_body():
    fine = 64
    grid = Geometry.from_frame((0, 0, 0), np.eye(3), (320 / fine, 320 / fine, 8), (1, fine, fine))
    y, x = torch.meshgrid(*(torch.linspace(-160, 160, fine) for _ in range(2)), indexing="ij")
    body = (torch.hypot(y, x) < 155).float()[None, None]
    scan = replace(SMALL, matrix=(1, 32, 32), fov_mm=(8, 320, 320), n_coils=8)
    target = measure(body, grid, scan, torch.Generator().manual_seed(0), note="a body").kspace.target
    inner = target[0, 0, 6:-6, 6:-6]
    assert float(target.max() / inner.mean()) < 6, "a wire in the body makes a spot many times as bright"


def test_an_array_grows_with_what_it_surrounds_and_is_that_of_heads_for_heads():
    grid = Geometry.from_frame((0, 0, 20), np.eye(3), (4, 4, 8), (1, 80, 80))
    y, x = torch.meshgrid(*((torch.arange(80) - 39.5) * 4 for _ in range(2)), indexing="ij")
    for radius in (20, 60, 110, 150):
        reached = around((torch.hypot(y, x) < radius).float()[None], grid)
        assert reached == HEAD_MM or radius > 110
        assert all(a == pytest.approx(b * reached[0] / HEAD_MM[0]) for a, b in zip(reached, HEAD_MM, strict=True))
    assert reached[0] > 160
    series = torch.zeros(3, 1, 80, 80)
    series[2] = (torch.hypot(y, x) < 150).float()
    assert around(series, grid) == reached and around(torch.zeros(1, 80, 80), grid) == HEAD_MM
