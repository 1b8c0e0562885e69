"""cg_sense, l1_wavelet and tv: quality on real data, any scan shape, any scale, differentiable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import spinecho
from spinecho.calib.csm import estimate_csm
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.mask_spec import parse
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods import cg_sense, l1_wavelet, tv

METHODS = {"cg_sense": cg_sense, "l1_wavelet": l1_wavelet, "tv": tv}
every = pytest.mark.parametrize("name", METHODS)


def scan(
    sampling: str = "random:3:12:0", matrix: tuple[int, int, int] = (1, 63, 50), n_coils: int = 4, seed: int = 0
) -> KSpace:
    drawn = Scan(matrix=matrix, n_coils=n_coils, sampling=sampling, snr=40, seed=seed, fineness=1)
    return replace(simulate_phantom(drawn).kspace, noise_cov=None)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def undersampled(coil_images: torch.Tensor, spec: str) -> tuple[KSpace, torch.Tensor]:
    shape = (1, *coil_images.shape[-2:])
    mask = parse(spec).draw(shape)
    kspace = KSpace(
        samples=fft(coil_images) * mask,
        mask=mask,
        encoding=Encoding.cartesian(shape),
        geometries=(Geometry.unknown(shape),),
    )
    return kspace, root_sum_of_squares(coil_images)


def psnr(x: torch.Tensor, truth: torch.Tensor) -> float:
    return float(10 * torch.log10(truth.max() ** 2 / (x.abs() - truth).square().mean()))


@pytest.mark.parametrize(
    ("name", "R4", "R8"), [("cg_sense", 28.3, 24.7), ("l1_wavelet", 30.7, 27.0), ("tv", 30.4, 26.5)]
)
def test_real_brain(name, R4, R8, shared_data):
    """Floors a little below what was measured, with the automatic weight."""
    images = np.load(shared_data / "kspace/brain_t1_7coil_images.npz")["arr_0"].transpose(2, 1, 0)
    images = torch.from_numpy(np.ascontiguousarray(images))[:, None]
    for spec, floor in (("random:4:24:7", R4), ("random:8:12:7", R8)):
        kspace, truth = undersampled(images, spec)
        assert psnr(spinecho.recon(kspace, name).values, truth) > floor


@every
def test_better_than_zero_filled(name):
    kspace = scan()
    assert kspace.target is not None
    filled = spinecho.recon(kspace, "zero_filled").values
    assert psnr(spinecho.recon(kspace, name).values, kspace.target) > psnr(filled, kspace.target) + 3


@every
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scale_of_the_samples_does_not_matter(name, scale):
    kspace = scan()
    scaled = replace(kspace, samples=kspace.samples * scale)
    x = spinecho.recon(kspace, name).values
    # Rounding is all that differs; the non-convex penalty of l1_wavelet lets it grow to one or two per cent.
    assert relative(spinecho.recon(scaled, name).values / scale, x) < (0.03 if name == "l1_wavelet" else 1e-4)


@every
def test_batch_is_a_loop(name):
    """With a weight given: slices and frames do not see each other."""
    first, second = scan(seed=1), scan(seed=2)
    both = replace(
        first,
        samples=torch.stack([first.samples, 3 * second.samples]),
        geometries=first.geometries,
        axes=("time",),
        target=None,
    )
    settings = {} if name == "cg_sense" else {"weight": 0.005, "n_iters": 8}
    if name == "cg_sense":
        settings = {"tolerance": 0.0, "n_iters": 8}
    csm = estimate_csm(first)
    config = METHODS[name].Config(**settings)
    together = METHODS[name].reconstruct(both, csm, config)
    for i, kspace in enumerate((first, replace(second, samples=3 * second.samples))):
        assert relative(together[i], METHODS[name].reconstruct(kspace, csm, config)) < 1e-4


@every
@pytest.mark.parametrize(
    ("matrix", "sampling", "n_coils"),
    [
        ((1, 31, 47), "random:2:9:0", 3),
        ((1, 40, 40), "random:3:12:0", 1),
        ((16, 30, 33), "poisson:3:8:0", 3),
        ((1, 48, 40), "full", 3),
    ],
)
def test_any_shape(name, matrix, sampling, n_coils):
    kspace = scan(sampling, matrix, n_coils)
    image = spinecho.recon(kspace, name)
    assert image.values.shape == (1, *matrix)
    assert torch.isfinite(torch.view_as_real(image.values)).all()


@every
def test_two_sets_of_maps(name):
    image = spinecho.recon(scan(), name, maps=2)
    assert image.values.shape == (1, 1, 63, 50)
    assert image.extras["csm"].shape[-5] == 2
    assert relative(image.values.abs(), spinecho.recon(scan(), name).values.abs()) < 0.2


@every
def test_a_mask_along_the_readout_too(name):
    """Where the readout is undersampled as well, the plain 2-D model is used."""
    kspace = scan("full")
    mask = torch.rand((1, 1, 63, 50), generator=torch.Generator().manual_seed(0)) > 0.4
    mask[..., 24:40, 18:32] = True
    cut = replace(kspace, samples=kspace.samples * mask, mask=mask)
    full = ifft(kspace.samples)
    assert psnr(spinecho.recon(cut, name).values, root_sum_of_squares(full)) > 22


@every
def test_refuses_a_trajectory(name):
    kspace = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=3, sampling="radial:20", fineness=1)).kspace
    with pytest.raises(spinecho.DataError, match="trajectory"):
        spinecho.recon(kspace, name)


@every
def test_gradient_reaches_the_samples(name, rng):
    shape = (1, 6, 18)
    mask = torch.tensor([1, 0, 1, 1, 1, 0], dtype=torch.bool)[None, None, :, None]
    kspace = scan("full", (1, 20, 20))
    csm = torch.randn((1, 2, *shape), dtype=torch.complex128, generator=rng)
    csm = csm / csm.abs().square().sum(-4, keepdim=True).sqrt()
    y = (torch.randn((2, *shape), dtype=torch.complex128, generator=rng) * mask).requires_grad_()
    few = {"n_iters": 2} if name == "cg_sense" else {"n_iters": 2, "weight": 0.05}

    def run(samples: torch.Tensor) -> torch.Tensor:
        part = replace(kspace, samples=samples, mask=mask, encoding=Encoding.cartesian(shape), target=None,
                       geometries=(Geometry.unknown(shape),), noise_cov=None)  # fmt: skip
        return METHODS[name].reconstruct(part, csm, METHODS[name].Config(**few))

    assert torch.autograd.gradcheck(run, (y,), fast_mode=True, atol=1e-4)


def test_more_weight_is_smoother():
    kspace = scan()
    roughness = []
    for weight in (1e-4, 1e-2, 1e-1):
        x = spinecho.recon(kspace, "tv", weight=weight).values
        roughness.append(float((x.diff(dim=-1).abs().sum() + x.diff(dim=-2).abs().sum()) / x.abs().sum()))
    assert roughness[0] > roughness[1] > roughness[2]


def test_every_setting_is_explained():
    for name in METHODS:
        source = (registry.TASKS / "recon" / "methods" / f"{name}.py").read_text()
        for field in METHODS[name].Config.__dataclass_fields__:
            assert f"    {field}: " in source
