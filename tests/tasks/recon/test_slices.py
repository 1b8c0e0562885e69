"""A 3-D scan slice by slice: the same picture as each slice alone, on every axis, in any number of parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho import KSpace, recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.ops.fourier import ifft
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon import slices
from spinecho.tasks.recon.methods import cg_sense
from spinecho.tasks.recon.slices import by_slices, no_slices, slice_matrix, split, splitting_axis

MATRIX = (12, 32, 28)
FOV = (60.0, 200.0, 175.0)


@pytest.fixture(scope="module")
def full() -> KSpace:
    scan = Scan(matrix=MATRIX, fov_mm=FOV, sampling="full", n_coils=4, snr=60.0, fineness=1)
    return prepare(simulate_phantom(scan).kspace)[0]


def sampled(scan: KSpace, mask: torch.Tensor) -> KSpace:
    return replace(scan, samples=scan.samples * mask, mask=mask, target=None)


def lines(n: int, at: int) -> torch.Tensor:
    """Every second line and the centre block, along the axis `at` of (1, k2, k1, k0)."""
    k = torch.arange(n)
    keep = (k % 2 == 0) | ((k - n // 2).abs() < 5)
    return keep.reshape([-1 if i == at else 1 for i in range(4)])


def sense(kspace: KSpace) -> torch.Tensor:
    assert kspace.samples.shape[-3] == 1
    return cg_sense.reconstruct(kspace, estimate_csm(kspace), cg_sense.Config(n_iters=20))


def with_maps(kspace: KSpace) -> tuple[torch.Tensor, torch.Tensor]:
    csm = estimate_csm(kspace)
    return cg_sense.reconstruct(kspace, csm, cg_sense.Config(n_iters=20)), csm


def nrmse(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def test_two_dimensions_are_handed_on_as_they_are(full):
    flat, _ = split(full, -3)
    seen = []
    by_slices(flat, lambda k: seen.append(k) or k.samples[..., :1, :, :, :])
    assert seen == [flat]


@pytest.mark.parametrize(
    ("undersampled", "axis", "plane"),
    [((2,), -3, (32, 28)), ((1,), -1, (12, 32)), ((1, 2), -1, (12, 32)), ((1, 3), -2, (12, 28)), ((), -3, (32, 28))],
)
def test_axis_and_picture(full, undersampled, axis, plane):
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    for at in undersampled:
        mask = mask & lines(MATRIX[at - 1], at)
    scan = sampled(full, mask)
    assert splitting_axis(scan) == axis and slice_matrix(scan) == plane and no_slices(scan) is None
    image, csm = by_slices(scan, with_maps)
    assert tuple(image.shape) == (1, *MATRIX) and tuple(csm.shape) == (1, 4, *MATRIX)
    truth = ifft(full.samples).abs().square().sum(0, keepdim=True).sqrt()
    assert nrmse(image.abs(), truth) < (0.15 if len(undersampled) < 2 else 0.25)


def test_each_slice_is_what_it_would_be_alone(full):
    scan = sampled(full, lines(MATRIX[1], 2))
    together = by_slices(scan, sense)
    samples = ifft(scan.samples, (-3,))
    for z in (3, 6):
        alone = replace(
            scan,
            samples=samples[:, z : z + 1],
            encoding=replace(scan.encoding, matrix=(1, *MATRIX[1:]), recon_matrix=(1, *MATRIX[1:]), centre=None),
            geometries=(scan.geometries[0].cropped((0, 0, 0), (1, *MATRIX[1:])),),
        )
        assert nrmse(together[:, z : z + 1], sense(alone)) < 1e-3


def test_calibration_scanned_apart_is_split_too(full):
    scan = sampled(full, lines(MATRIX[1], 2))
    calib = full.samples[:, 3:9, 4:28, :]
    image = by_slices(replace(scan, calib=calib), sense)
    truth = ifft(full.samples).abs().square().sum(0, keepdim=True).sqrt()
    assert nrmse(image.abs(), truth) < 0.2


def test_frames_stay_frames(full):
    mask = lines(MATRIX[1], 2)
    one = sampled(full, mask)
    series = replace(one, samples=torch.stack([one.samples] * 2), mask=mask[None], axes=("time",))
    image = by_slices(series, sense)
    assert tuple(image.shape) == (2, 1, *MATRIX)
    assert nrmse(image[1], by_slices(one, sense)) < 1e-4


def test_a_partly_sampled_axis_is_split_as_a_block(full):
    mask = lines(MATRIX[0], 1) & lines(MATRIX[1], 2) & (torch.arange(28) >= 6)
    scan = sampled(full, mask)
    assert splitting_axis(scan) == -1
    flat, _ = split(scan, -1)
    assert flat.noise_cov is not None and scan.noise_cov is not None
    assert by_slices(scan, sense).isfinite().all()


def test_undersampled_along_all_axes_is_refused(full):
    mask = torch.rand((1, *MATRIX), generator=torch.Generator().manual_seed(0)) > 0.5
    scan = sampled(full, mask)
    assert no_slices(scan) == "it is undersampled along all three axes, and so does not fall apart into slices"
    with pytest.raises(DataError, match=r"undersampled along all three axes.* -> use l1_wavelet or cg_sense"):
        by_slices(scan, sense)


@pytest.mark.parametrize("noise", [True, False])
def test_parts_do_not_show(full, monkeypatch, noise):
    scan = sampled(full, lines(MATRIX[1], 2))
    scan = scan if noise else replace(scan, noise_cov=None)
    whole = by_slices(scan, sense)
    monkeypatch.setattr(slices, "_fitting", lambda kspace, n: 5)
    seen = []
    parts = by_slices(scan, lambda k: seen.append(k.samples.shape[0]) or sense(k))
    assert seen == [5, 5, 2]
    assert nrmse(parts, whole) < 1e-3  # cg stops when all systems together are solved


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to"), torch.OutOfMemoryError()]
)
def test_out_of_memory_makes_the_parts_smaller(full, error):
    seen = []

    def greedy(kspace: KSpace) -> torch.Tensor:
        seen.append(kspace.samples.shape[0])
        if kspace.samples.shape[0] > 4:
            raise error
        return kspace.samples.sum(-4, keepdim=True)

    image = by_slices(full, greedy)
    assert seen == [12, 6, 3, 3, 3, 3] and nrmse(image, ifft(full.samples, (-3,)).sum(0, keepdim=True)) < 1e-5


def test_one_slice_too_large_is_told(full):
    def hungry(kspace: KSpace) -> torch.Tensor:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    with pytest.raises(DataError, match="one slice of 32 x 28 samples with 4 coils is too large for the memory -> "):
        by_slices(full, hungry)


def test_other_errors_pass(full):
    with pytest.raises(RuntimeError, match="shapes differ"):
        by_slices(full, lambda k: (_ for _ in ()).throw(RuntimeError("shapes differ")))


def test_whole_volume_agrees_with_the_method_in_three_dimensions(full):
    scan = sampled(full, lines(MATRIX[1], 2))
    image = by_slices(scan, sense)
    assert nrmse(image.abs(), recon(scan, "cg_sense").values.abs()) < 0.1
