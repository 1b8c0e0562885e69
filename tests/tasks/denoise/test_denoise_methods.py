"""The methods one by one: what each takes, what it gains, what it says."""

from __future__ import annotations

import sys

import pytest
import torch
from noisy_heads import gaussian, head, image, magnitude, psnr

import spinecho
from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.methods.pretrained import built
from spinecho.nets.tiles import reach
from spinecho.tasks.denoise.methods import auto, autoencoder, mppca, noise2noise, unet25d
from spinecho.tasks.denoise.parts import slabs
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.pairs import Pairs

TRUTH = head((6, 56, 48))
RICIAN = Noise(torch.tensor(0.1), "rician")
SMALL = (
    (unet25d.Method, unet25d.Config(channels=(6, 8), blocks=(1, 1))),
    (
        autoencoder.Method,
        autoencoder.Config(channels=6, depth=4),
    ),
)


def bent(kind, config):
    torch.manual_seed(0)
    method = kind(config)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return method.eval()


@pytest.mark.parametrize("name", ["wavelet", "nlmeans", "unet", "auto", "noise2noise"])
def test_rician_noise_goes_and_its_bias_too(name):
    before = magnitude(TRUTH, 0.1)
    after = spinecho.denoise(image(before), name)
    assert psnr(after.values, TRUTH) > psnr(before, TRUTH) + 2.5
    dark = TRUTH == 0
    assert float(after.values[dark].mean()) < 0.7 * float(before[dark].mean())


@pytest.mark.parametrize("name", ["nlmeans", "noise2noise"])
def test_complex_images_keep_their_phase(name):
    phase = torch.polar(torch.ones(()), 2 * TRUTH)
    before = gaussian(TRUTH * phase, 0.1)
    after = spinecho.denoise(image(before), name).values
    assert after.is_complex() and float((after - TRUTH * phase).abs().square().mean()) < 0.5 * 0.01


@pytest.mark.parametrize("shape", [(1, 40, 36), (3, 40, 36), (40, 36, 1)])
def test_nlmeans_of_thin_volumes_reads_nothing_but_them(shape):
    values = magnitude(head(shape), 0.1)
    one, two = (built("denoise", "nlmeans", {})(values, RICIAN) for _ in range(2))
    assert torch.equal(one, two) and one.shape == values.shape and float(one.max()) <= float(values.max())


def test_nlmeans_refuses_radii_of_nothing():
    with pytest.raises(DataError, match="below 1"):
        built("denoise", "nlmeans", {"patch_radius": 0})


def test_without_dipy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dipy.denoise.nlmeans", None)
    with pytest.raises(DataError, match=r"needs the package dipy.*spinecho\[dipy\]"):
        spinecho.denoise(image(magnitude(TRUTH, 0.1)), "nlmeans")


def test_mppca_takes_series_alone_and_leaves_their_differences():
    decay = torch.exp(-torch.arange(8.0) / 6)[:, None, None, None]
    truth = TRUTH[:, :4, :32, :32] * decay
    before = gaussian(truth, 0.05)
    after = spinecho.denoise(image(before[:, None], ("time",)), "mppca")
    assert psnr(after.values[:, 0], truth) > psnr(before, truth) + 3
    assert mppca.Method.refusal(before, RICIAN) is None
    for values, words in [
        (before[:3], "3 of at least 6"),
        (before.to(torch.complex64), "complex"),
        (before[..., :2], "less than 3"),
    ]:
        assert words in (mppca.Method.refusal(values, RICIAN) or "")
    with pytest.raises(DataError, match="mppca cannot take this image: it takes series"):
        spinecho.denoise(image(magnitude(TRUTH, 0.1)), "mppca")
    with pytest.raises(DataError, match="radius is 0"):
        mppca.Config(radius=0)


def test_noise2noise_is_the_same_for_a_seed_and_learns_from_repeats():
    truth = TRUTH[:, 2:3].expand(4, 1, 56, 48)
    before = gaussian(truth, 0.15)
    one, two, other = (
        spinecho.denoise(image(before[:, None], ("repetition",)), "noise2noise", steps=40, seed=s).values
        for s in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert psnr(one[:, 0], truth) > psnr(before, truth) + 4


def test_noise2noise_tells_how_far_it_is_and_refuses_a_single_slice():
    told = []
    values = image(magnitude(TRUTH, 0.1))
    spinecho.denoise(values, "noise2noise", steps=3, tell=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(DataError, match="one slice alone"):
        spinecho.denoise(image(magnitude(TRUTH, 0.1)[:, :1]), "noise2noise")
    assert noise2noise.Method.refusal(torch.zeros(1, 3, 5, 9), RICIAN)
    with pytest.raises(DataError, match="steps"):
        noise2noise.Config(steps=0)


def test_other_anatomy_is_not_learned_from():
    looks = torch.zeros(1, 2, 1, 24, 24)
    looks[:, :, :, :, 12:] = 1
    looks[:, 1, :, 6:14, 2:10] = 1
    one, two, weight = Pairs(looks, torch.tensor(0.05)).drawn(4, 24, torch.Generator().manual_seed(0))
    unlike = (one - two).abs() > 0.5
    assert float(weight[unlike].max()) < 1e-3 and float(weight.max()) > 0.99
    assert "slices" in Pairs(looks, torch.tensor(0.1)).words
    assert "3 volumes" in Pairs(looks.expand(3, -1, -1, -1, -1), torch.tensor(0.1)).words


@pytest.mark.parametrize(("kind", "config"), SMALL)
def test_networks_of_slabs_know_no_scale_and_take_any_size(kind, config):
    method = bent(kind, config)
    values = magnitude(TRUTH, 0.1)
    with torch.inference_mode():
        one, other = method(values, RICIAN), method(7 * values, RICIAN.scaled(7))
        torch.testing.assert_close(7 * one, other, rtol=1e-4, atol=1e-5)
        gauss = method(values, Noise(torch.tensor(0.1)))
        assert not torch.allclose(one, gauss), "they are told the kind"
        assert method(values[..., :37, :41], RICIAN).shape == (1, 6, 37, 41)
        assert method(values[:, :1], RICIAN).shape == (1, 1, 56, 48)
    assert "complex" in (kind.refusal(values.to(torch.complex64), RICIAN) or "")


@pytest.mark.parametrize(("kind", "config"), SMALL)
def test_tiles_give_what_the_whole_gives(kind, config, monkeypatch):
    method = bent(kind, config)
    values = magnitude(head((3, 90, 84)), 0.1)
    network = method.network
    seen = reach(network, 2 * config.neighbours + 1 + slabs.N_TOLD, 2, 256, step=network.coarsest)
    assert seen <= (method if hasattr(method, "radius") else network).radius
    with torch.inference_mode():
        whole = method(values, RICIAN)
        monkeypatch.setattr(slabs, "_AT_ONCE", 32**2)
        torch.testing.assert_close(method(values, RICIAN), whole, rtol=1e-4, atol=1e-5)


def test_the_default_networks_are_small():
    sizes = {k: sum(p.numel() for p in k.Method(k.Config()).parameters()) for k in (autoencoder, unet25d)}
    assert sizes[autoencoder] < 300_000 and sizes[unet25d] < 900_000
    with pytest.raises(DataError, match="depth is 3"):
        autoencoder.Config(depth=3)


@pytest.mark.parametrize(("level", "taken"), [(0.02, "unet25d"), (0.1, "autoencoder")])
def test_auto_takes_the_better_of_two_networks(level, taken):
    noise = Noise(torch.tensor(level), "rician")
    assert auto.Method.choice(TRUTH / TRUTH.max(), noise)[0] == taken


def test_auto_says_what_it_took_and_never_takes_what_is_untrained(monkeypatch, tmp_path):
    values = magnitude(TRUTH, 0.1)
    ready = {n for n in ("unet25d", "autoencoder", "unet") if registry.offer("denoise", n).is_ready}
    name, why = auto.Method.choice(values, RICIAN)
    assert name in ready and "Rician noise on a real volume of 6 slices" in why
    assert auto.Method.choice(values[:, :1].to(torch.complex64), RICIAN)[0] == "unet"
    told = spinecho.denoise(image(values)).header.history
    assert any(f"auto took {name}" in step for step in told)
    assert auto.Method.choice(values, Noise(torch.tensor(0.9)))[0] == "wavelet"
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    name, why = auto.Method.choice(values, RICIAN)
    assert name == "wavelet" and "not unet, which is not trained" in why
