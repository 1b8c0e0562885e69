"""Series by their principal components: what is shared is kept, noise goes, and nothing depends on the order."""

from __future__ import annotations

import pytest
import torch
from noisy_heads import gaussian, head, image, magnitude, psnr

import spinecho
from spinecho.core.errors import DataError
from spinecho.methods.pretrained import built
from spinecho.tasks.denoise.methods.components import Config, Method, shows_something
from spinecho.tasks.denoise.parts.noise import Noise

GAUSSIAN, RICIAN = Noise(torch.tensor(0.05)), Noise(torch.tensor(0.05), "rician")


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    """Echoes of a head whose brighter tissue decays faster, (8, 6, 48, 48)."""
    still = head((6, 48, 48))
    rates = 0.1 + 0.3 * still
    return still * torch.exp(-rates * torch.arange(8.0)[:, None, None, None])


@torch.inference_mode()
def test_it_is_far_better_than_volume_by_volume(truth):
    before = gaussian(truth, 0.05)
    alone = torch.cat([built("denoise", "unet25d", {})(v[None], GAUSSIAN) for v in before])
    assert psnr(Method(Config())(before, GAUSSIAN), truth) > psnr(alone, truth) + 2


def test_by_the_command_too_and_its_floor_falls(truth):
    before = magnitude(truth, 0.05)
    after = spinecho.denoise(image(before[:, None], ("time",)), "components")
    values, air = after.values[:, 0], truth == 0
    assert values.shape == truth.shape and psnr(values, truth) > psnr(before, truth) + 5
    assert float(values[air].mean()) < 0.3 * float(before[air].mean())
    assert "denoised by components" in after.header.history[-1]


@torch.inference_mode()
def test_volumes_have_no_order_and_no_sign(truth):
    before, order = gaussian(truth, 0.05), torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    one = Method(Config())(before, GAUSSIAN)
    torch.testing.assert_close(Method(Config())(before[order], GAUSSIAN), one[order], rtol=0, atol=1e-3)
    mirrored = torch.tensor([1.0, -1, 1, 1, -1, 1, -1, 1])[:, None, None, None]
    torch.testing.assert_close(Method(Config())(before * mirrored, GAUSSIAN), one * mirrored, rtol=0, atol=1e-3)


@torch.inference_mode()
def test_complex_series(truth):
    phases = torch.polar(torch.ones(8), torch.arange(8.0))[:, None, None, None]
    rng = torch.Generator().manual_seed(1)
    noise = torch.view_as_complex(torch.randn(*truth.shape, 2, generator=rng)) * (0.05 / 2**0.5)
    before = truth * phases + noise
    after = Method(Config())(before, GAUSSIAN)
    assert after.is_complex()
    assert float((after - truth * phases).abs().square().mean()) < 0.1 * float(noise.abs().square().mean())


@torch.inference_mode()
def test_the_same_volume_again_and_again(truth):
    """All components but one are nothing at all."""
    before = gaussian(truth[:1], 0.05).expand(6, -1, -1, -1).contiguous()
    after = Method(Config())(before, GAUSSIAN)
    assert torch.isfinite(after).all()
    torch.testing.assert_close(after, after[:1].expand(6, -1, -1, -1), rtol=0, atol=1e-4)


def test_what_shows_something():
    rng = torch.Generator().manual_seed(0)
    white = torch.randn(20, 6, 48, 48, generator=rng)
    assert not any(shows_something(v) for v in white)
    here_and_there = torch.ones(48)
    here_and_there[:24] = 0.4
    assert not any(shows_something(v * here_and_there) for v in white), "noise of magnitudes is weaker in air"
    spot = torch.zeros(6, 48, 48)
    spot[2:4, 20:28, 20:28] = 3.0
    assert all(shows_something(v + spot) for v in white)
    assert not shows_something(torch.zeros(1, 8, 8)) and shows_something(torch.ones(1, 8, 8))


def test_it_says_what_it_cannot_take(truth):
    with pytest.raises(DataError, match="components cannot take this image: it takes series, and this one has 2"):
        spinecho.denoise(image(truth[:2, None], ("time",)), "components", sigma=0.05)
    with pytest.raises(DataError, match="components cannot take this image"):
        spinecho.denoise(image(magnitude(truth[:1], 0.1)[0][None]), "components")


@torch.inference_mode()
def test_strength(truth):
    before = gaussian(truth, 0.05)
    assert torch.equal(Method(Config(strength=0.0))(before, GAUSSIAN), before)
    gentle, usual = (Method(Config(strength=s))(before, RICIAN) for s in (0.3, 1.0))
    assert float((gentle - before).square().mean()) < float((usual - before).square().mean())
