"""Noise2Inverse and Noise2Noise: subsets, two independent noises, what the losses are of images that one knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn import disc
from torch import Tensor, nn

from spinecho.calib.csm import estimate_csm
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts import division
from spinecho.tasks.recon.parts.losses import How, noise2inverse, noise2noise

SHAPE = (64, 40)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth() -> Tensor:
    return (disc(SHAPE, 0.7) * 1j**0.3).to(torch.complex64)[None, None]


def scan(sigma: float = 0.0, seed: int = 0, every: int = 2, n_coils: int = 1) -> KSpace:
    """Every second line and 12 in the middle; coils alike."""
    lines = torch.arange(SHAPE[0]) % every == 0
    lines[26:38] = True
    mask = lines.reshape(1, 1, SHAPE[0], 1)
    clean = fft(truth().expand(n_coils, 1, *SHAPE))
    noise = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=rng(seed))) * sigma / 2**0.5
    matrix = (1, *SHAPE)
    return KSpace(
        samples=(clean + noise) * mask,
        mask=mask,
        encoding=Encoding(matrix=matrix, recon_matrix=matrix, centre=(0, SHAPE[0] // 2, SHAPE[1] // 2)),
        geometries=(Geometry.unknown(matrix),),
        noise_cov=sigma**2 * torch.eye(n_coils, dtype=torch.complex64),
    )


class Shrinks(Recon):
    """A known image, or the zero-filled one, times a weight."""

    def __init__(self, x: Tensor | None = None) -> None:
        super().__init__(None)
        self.factor, self.x = nn.Parameter(torch.tensor(1.0)), x

    def forward(self, kspace: KSpace) -> Image:
        raise NotImplementedError

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        return [self.factor * (Coils(csm).adjoint(ifft(kspace.samples)) if self.x is None else self.x)]


@pytest.mark.parametrize(("share", "n"), [(0.9, 2), (0.4, 2), (0.33, 3), (0.2, 5)])
def test_lines_are_dealt_out_to_subsets_that_cover_them(share, n):
    kspace = scan(0.01)
    divided = noise2inverse.drawn(kspace, rng(), How(share=share))
    outer = division.outer_of(kspace)
    assert divided.left.shape == (n, *outer.shape)
    assert torch.equal(divided.left.sum(0), outer.long()), "each outer line in one subset, no other line in any"
    sizes = divided.left.flatten(1).sum(1)
    assert int(sizes.max() - sizes.min()) <= 1
    again, other = (noise2inverse.drawn(kspace, rng(seed), How(share=share)).left for seed in (0, 1))
    assert torch.equal(again, divided.left) and not torch.equal(other, divided.left)


def test_there_are_no_more_subsets_than_lines():
    kspace = scan(every=16)
    n = int(division.outer_of(kspace).sum())
    assert len(noise2inverse.drawn(kspace, rng(), How(share=0.01)).left) == n


def test_weights_make_an_even_image():
    """Of all subsets together P_J / P has the mean 1 over the outer lines, measured or not."""
    divided = division.deal(scan(), 2, rng())
    outer = division.outer_of(divided.kspace)
    total = (divided.left * divided.weight).sum()
    room = SHAPE[0] - int((~outer & divided.kspace.mask).sum())
    assert float(total) == pytest.approx(room, rel=0.15)


def test_noise2inverse_by_its_closed_forms():
    kspace = scan()
    csm = estimate_csm(kspace)
    where = (csm != 0).any(-4).any(-4, keepdim=True)
    assert bool(where[..., 20:44, 12:28].all())
    divided = noise2inverse.drawn(kspace, rng(), How())
    ones = torch.ones_like(csm)
    for i in range(2):
        assert float(noise2inverse.distance(truth(), ones, divided, i)) < 1e-5
        assert float(noise2inverse.distance(0 * truth(), ones, divided, i)) == pytest.approx(1, rel=1e-5)
        assert float(noise2inverse.distance(3 * truth(), ones, divided, i)) == pytest.approx(2, rel=1e-4)
        seen = ifft(fft(truth()) * divided.seen(i).mask)  # says nothing of the lines left out
        assert float(noise2inverse.distance(seen, ones, divided, i)) == pytest.approx(1, rel=1e-4)
    plain = replace(divided, weighted=False)
    left = divided.left[0] & kspace.mask
    error = fft(0.1 * disc(SHAPE, 0.3)[None, None].to(torch.complex64))
    told = noise2inverse.distance(truth() + ifft(error), ones, plain, 0)
    assert float(told) == pytest.approx(float((error * left).norm() / (kspace.samples * left).norm()), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_neither_depends_on_the_scale(scale):
    kspace = scan(0.02)
    larger = replace(kspace, samples=scale * kspace.samples, noise_cov=scale**2 * kspace.noise_cov)
    for rule in (noise2inverse, noise2noise):
        one, other = (rule.loss(Shrinks(), rule.drawn(k, rng(), How())) for k in (kspace, larger))
        torch.testing.assert_close(other, one, rtol=1e-4, atol=0)


def test_the_two_scans_have_independent_noise():
    """Their noises' product has the mean 0: sigma^2 of the scan's own against -a sigma^2 / a of what was added."""
    sigma = 0.3
    kspace, clean = scan(sigma), scan(0.0)
    products, sizes = [], []
    for seed in range(40):
        noisy = scan(sigma, seed=100 + seed)
        example = noise2noise.drawn(noisy, rng(seed), How())
        seen = example.seen(0)
        assert seen.mask is not None and seen.noise_cov is not None
        one, two = ((v - clean.samples)[(seen.mask).expand(v.shape)] for v in (seen.samples, example.wanted(0)))
        products.append((one * two.conj()).mean())
        sizes.append((one.abs().square().mean(), two.abs().square().mean()))
    mean, size = torch.stack(products).mean(), torch.tensor(sizes).mean(0)
    assert abs(mean) < 0.02 * sigma**2
    assert size[0].item() == pytest.approx(1.25 * sigma**2, rel=0.05)
    assert size[1].item() == pytest.approx(5 * sigma**2, rel=0.05)
    told = noise2noise.drawn(kspace, rng(), How()).seen(0).noise_cov
    assert told is not None and float(told.real[0, 0]) == pytest.approx(1.25 * sigma**2, rel=1e-5)


def test_lines_left_out_are_compared_as_measured_and_not_seen():
    kspace = scan(0.3)
    example = noise2noise.drawn(kspace, rng(), How())
    left, seen = example.divided.left[0] & kspace.mask, example.seen(0)
    assert not (seen.samples * left).any() and not (seen.mask & left).any()
    torch.testing.assert_close(example.wanted(0) * left, kspace.samples * left)
    assert not torch.equal(seen.samples * seen.mask, kspace.samples * seen.mask)
    assert not (example.wanted(0) * ~kspace.mask).any()


def test_of_all_shrunk_images_it_likes_that_of_least_error_best():
    """Zero-filled times s: the loss's best s is that which comes nearest the clean samples, not 1."""
    sigma, factors = 1.0, torch.linspace(0.3, 1.2, 10)
    total, errors = torch.zeros(10), torch.zeros(10)
    clean, method = scan(0.0), Shrinks()
    for seed in range(30):
        kspace = scan(sigma, seed=seed)
        example = noise2noise.drawn(kspace, rng(seed), How(weighted=False, share=0.01))
        ones = torch.ones_like(kspace.samples).unsqueeze(-5)
        x, seen = method.stages(example.seen(0), ones)[0].detach(), example.seen(0)
        for j, s in enumerate(factors):
            total[j] += noise2noise.distance(s * x, ones, example, 0).square()
            errors[j] += ((fft(s * x) - clean.samples) * seen.mask).abs().square().sum()
    best, least = factors[total.argmin()], factors[errors.argmin()]
    assert abs(float(best - least)) < 0.11 and float(best) < 0.9


def test_noise2noise_by_its_closed_forms():
    kspace = scan()
    example = noise2noise.drawn(kspace, rng(), How())
    csm = torch.ones_like(kspace.samples).unsqueeze(-5)
    assert float(noise2noise.distance(truth(), csm, example, 0)) < 1e-5
    assert float(noise2noise.distance(0 * truth(), csm, example, 0)) == pytest.approx(1, rel=1e-5)
    plain = noise2noise.Noisier(replace(example.divided, weighted=False), example.noise)
    assert float(noise2noise.distance(3 * truth(), csm, plain, 0)) == pytest.approx(2, rel=1e-4)
    assert float(noise2noise.loss(Shrinks(truth()), example).detach()) < 1e-3


def test_examples_of_a_bucket_are_joined():
    examples = [noise2noise.drawn(scan(0.1, seed=s), rng(s), How()) for s in (0, 1)]
    assert examples[0].bucket == examples[1].bucket
    joined = noise2noise.Noisier.joined(examples).to("cpu")
    assert joined.noise.shape == (2, 1, 1, *SHAPE)
    for i in (0, 1):
        torch.testing.assert_close(joined.seen(0).samples[i], examples[i].seen(0).samples)
        torch.testing.assert_close(joined.wanted(0)[i], examples[i].wanted(0))


def test_a_scan_whose_noise_nobody_wrote_down_is_measured():
    kspace = replace(scan(0.3), noise_cov=None)
    example = noise2noise.drawn(kspace, rng(), How())
    assert example.divided.kspace.noise_cov is not None
    level = float(example.divided.kspace.noise_cov.real.diagonal().mean().sqrt())
    assert 0.15 < level < 0.45


def test_what_they_say_of_the_patent():
    for rule in (noise2inverse, noise2noise):
        assert "patent" in (rule.__doc__ or "")
