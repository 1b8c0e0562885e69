"""Every method the same way: flips, turns, units, series, complex images; and what `run` does around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_heads import gaussian, head, image, magnitude, psnr
from torch.nn import functional as F

import spinecho
from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.methods.pretrained import built
from spinecho.tasks.denoise import run, task
from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.limits import outside
from spinecho.tasks.denoise.methods import auto, mppca, noise2noise, unet, unet25d, wavelet
from spinecho.tasks.denoise.parts.magnitude import signal_of
from spinecho.tasks.denoise.parts.noise import Noise

TRUTH = head((4, 40, 36))
NOISY = magnitude(TRUTH, 0.1)
PLAIN, RICIAN = Noise(torch.tensor(0.1)), Noise(torch.tensor(0.1), "rician")
DIRECT = ("wavelet", "nlmeans", "unet")


def by(name: str, values: torch.Tensor, noise: Noise, **options) -> torch.Tensor:
    with torch.inference_mode():
        return built("denoise", name, options)(values, noise)


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_change_no_method(name, factor):
    before = image(NOISY)
    one, other = (spinecho.denoise(replace(before, values=NOISY * f), name) for f in (1.0, factor))
    torch.testing.assert_close(other.values / factor, one.values, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(other.extras["noise"] / factor, one.extras["noise"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("flip", [(-1,), (-2,), (-3,)])
def test_mirrored_images_are_denoised_nearly_alike(name, flip):
    one, other = by(name, NOISY, RICIAN), by(name, NOISY.flip(flip).contiguous(), RICIAN).flip(flip)
    assert float((one - other).square().mean().sqrt()) < 0.2 * 0.1
    assert psnr(other, TRUTH) == pytest.approx(psnr(one, TRUTH), abs=0.5)


@pytest.mark.parametrize("name", ["wavelet", "unet"])
def test_methods_of_slices_do_not_look_at_others(name):
    one = by(name, NOISY, RICIAN)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(by(name, NOISY[:, order], RICIAN), one[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(by(name, NOISY[:, 1:2], RICIAN), one[:, 1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wavelet", "unet"])
def test_conjugate_images_give_conjugate_results(name):
    values = gaussian(TRUTH * torch.polar(torch.ones(()), 2 * TRUTH), 0.1)
    one, other = by(name, values, PLAIN), by(name, values.conj().resolve_conj(), PLAIN).conj()
    assert float((one - other).abs().square().mean().sqrt()) < 0.03


def test_wavelets_turn_with_the_phase_and_linear_noise_is_gone():
    values = gaussian(TRUTH * torch.polar(torch.ones(()), 2 * TRUTH), 0.1)
    phase = torch.polar(torch.ones(()), torch.tensor(0.7))
    torch.testing.assert_close(
        by("wavelet", values * phase, PLAIN), by("wavelet", values, PLAIN) * phase, rtol=1e-3, atol=1e-4
    )
    pure = gaussian(torch.zeros(1, 1, 64, 64), 1.0)
    assert float(by("wavelet", pure, Noise(torch.tensor(1.0))).square().mean()) < 0.05


@given(st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_more_strength_takes_more_away(a, b):
    weak, strong = sorted((a, b))
    values = gaussian(TRUTH[:, 1:2], 0.1)
    taken = [float((by("wavelet", values, PLAIN, strength=s, shifts=1) - values).norm()) for s in (weak, strong)]
    assert taken[0] <= taken[1] + 1e-4


@pytest.mark.parametrize("shape", [(1, 40, 36), (12, 24, 20)])
def test_wavelets_of_volumes_take_more_than_of_slices(shape):
    truth = head(shape)
    values = gaussian(truth, 0.1)
    flat, deep = (by("wavelet", values, PLAIN, dimensions=d) for d in ("2d", "3d"))
    assert deep.shape == values.shape and psnr(deep, truth) > psnr(values, truth) + 2
    assert shape[0] == 1 or psnr(deep, truth) > psnr(flat, truth)


def test_nlmeans_treats_both_signs_alike():
    before, noise = gaussian(TRUTH, 0.05), Noise(torch.tensor(0.05))
    after, other = by("nlmeans", before, noise), -by("nlmeans", -before, noise)
    assert float((after - other).square().mean().sqrt()) < 0.1 * 0.05
    assert abs(float((after - before).mean())) < 0.01 and float(before.min()) < float(after.min()) < 0
    assert psnr(after, TRUTH) > psnr(before, TRUTH) + 4


def test_nlmeans_gives_the_same_each_time():
    """dipy's other form does not, which is why nobody can ask for it."""
    before, noise = gaussian(TRUTH, 0.05), Noise(torch.tensor(0.05))
    first = by("nlmeans", before, noise)
    for n in range(12):
        rubbish = [torch.full([10_000 + 997 * n], 1e30) for _ in range(20)]
        del rubbish
        assert torch.equal(by("nlmeans", before, noise), first)
    with pytest.raises(DataError, match="has no setting form"):
        by("nlmeans", before, noise, form="blockwise")


def series(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    truth = head((3, 24, 24)) * torch.exp(-torch.arange(float(n)) / 4)[:, None, None, None]
    return truth, magnitude(truth, 0.05)


def test_mppca_knows_no_order_of_volumes_and_its_floor_falls():
    truth, before = series()
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    noise = Noise(torch.tensor(0.05), "rician")
    one = mppca.Method(mppca.Config())(before, noise)
    torch.testing.assert_close(mppca.Method(mppca.Config())(before[order], noise), one[order], rtol=1e-3, atol=1e-3)
    air = truth == 0
    assert float(one[air].mean()) < 0.2 * float(before[air].mean()) and psnr(one, truth) > psnr(before, truth) + 4
    faint = (truth > 0.05) & (truth < 0.1)
    assert abs(float((one - truth)[faint].mean())) < 0.25 * 0.05, "faint signals are not taken for air"


def test_noise2noise_takes_the_floor_of_magnitudes_away():
    truth, before = series(4)
    method = noise2noise.Method(noise2noise.Config(steps=25, channels=(8,), patch=24))
    after = method(before, Noise(torch.tensor(0.05), "rician"))
    air = truth == 0
    assert float(after[air].std()) < float(before[air].std()) and float(after[air].mean()) < 0.5 * float(
        before[air].mean()
    )


@pytest.mark.parametrize("module", [wavelet, mppca, noise2noise])
def test_less_is_left_in_air_than_by_the_inverse_of_the_mean_alone(module, monkeypatch):
    seen = {}

    def watched(mean, sigma, doubt=1.0):
        seen["mean"], seen["after"] = mean, module_restored(mean, sigma, doubt)
        return seen["after"]

    module_restored = module.restored
    monkeypatch.setattr(module, "restored", watched)
    truth, before = series(6)
    config = module.Config(steps=40, channels=(8,), patch=24) if module is noise2noise else module.Config()
    module.Method(config)(before, Noise(torch.tensor(0.05), "rician"))
    air = F.max_pool2d(truth, 5, 1, 2) == 0  # away from edges, which methods smear
    inverse = signal_of(seen["mean"], torch.tensor(0.05))
    assert float(seen["after"][air].var()) < 0.85 * float(inverse[air].var())
    assert float(seen["after"][air].var()) < 0.7 * float(before[air].var())


def test_auto_hands_complex_and_single_slices_to_what_takes_them(monkeypatch):
    ready = {"unet", "unet25d"}

    class Offer:
        def __init__(self, name: str) -> None:
            self.is_ready = name in ready

    method = unet25d.Method(unet25d.Config(channels=(4,), blocks=(1,)))
    method.card = {"noise": [0.01, 0.2]}
    monkeypatch.setattr(registry, "offer", lambda _, name: Offer(name))
    monkeypatch.setattr(auto, "built", lambda *_: method)
    choice = auto.Method.choice
    assert choice(NOISY, RICIAN)[0] == "unet25d" and choice(NOISY[:, :2], RICIAN)[0] == "unet"
    assert choice(NOISY.to(torch.complex64), PLAIN)[0] == "unet"
    name, why = choice(NOISY, RICIAN.scaled(4))
    assert (
        name == "wavelet" and why.count("outside") == 0 and "not unet25d, since noise" in why and "not trained" in why
    )
    ready.clear()
    assert choice(NOISY[:, :1], PLAIN)[1].startswith("Gaussian noise on a real slice; not unet")


def test_a_card_limits_noise_relative_to_the_brightest_voxel():
    card = {"noise": [0.05, 0.2]}
    assert outside(card, torch.ones(1, 1, 2, 2), PLAIN) == [] and outside({}, NOISY, PLAIN) == []
    assert outside(card, 10 * torch.ones(1, 1, 2, 2), PLAIN) and outside(card, torch.zeros(1, 1, 2, 2), PLAIN)
    assert outside(card, torch.full((1, 1, 2, 2), -1.0 + 0j), PLAIN.scaled(3))[0].endswith("(card: 0.05 to 0.2)")


def test_a_number_alone_is_gaussian_noise():
    class Tells(Denoise):
        config: unet.Config

        def forward(self, values, noise):
            return values if noise.kind == "gaussian" and float(noise.sigma) == 0.25 else values * 0

    method = Tells(unet.Config())
    assert torch.equal(method(NOISY, torch.tensor(0.25)), NOISY) and not method(NOISY, RICIAN).any()
    assert Tells.refusal(NOISY, PLAIN) is None and Tells.choice(NOISY, PLAIN) is None


@pytest.mark.parametrize("axes", [("time",), ("contrast", "time")])
def test_batches_keep_their_axes_channels_and_extras(axes):
    values = torch.stack([NOISY, 2 * NOISY])
    values = values if len(axes) == 1 else values[None].expand(3, -1, -1, -1, -1, -1)
    before = replace(image(values, axes), extras={"gfactor": torch.ones(1, 1, 1, 1)})
    after = spinecho.denoise(before, "wavelet")
    assert after.axes == axes and after.values.shape == values.shape and set(after.extras) == {"gfactor", "noise"}
    first, second = after.values.movedim(len(axes) - 1, 0)[:2]
    torch.testing.assert_close(second, 2 * first, rtol=1e-3, atol=1e-3)


def test_a_dark_volume_in_a_series_stays_dark():
    values = torch.stack([NOISY, 0 * NOISY])
    for name in ("wavelet", "noise2noise"):
        options = {"steps": 2} if name == "noise2noise" else {}
        after = spinecho.denoise(image(values, ("time",)), name, **options)
        assert not after.values[1].any() and torch.isfinite(after.values).all() and not after.extras["noise"][1].any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float64, torch.float16, torch.complex64])
def test_kinds_of_numbers(dtype):
    values = (NOISY * 100).to(dtype)
    after = spinecho.denoise(image(values), "wavelet").values
    assert after.dtype == (torch.complex64 if dtype.is_complex else torch.float32)
    assert torch.isfinite(torch.view_as_real(after) if dtype.is_complex else after).all()


def test_given_noise_is_taken_as_it_is():
    after = spinecho.denoise(image(NOISY), "wavelet", sigma=0.05)
    assert torch.equal(after.extras["noise"], torch.full_like(NOISY, 0.05)) and "Rician" in after.header.history[-1]
    for values, word in ((NOISY - 0.2, "Gaussian"), (NOISY.to(torch.complex64), "Gaussian")):
        assert word in spinecho.denoise(image(values), "wavelet", sigma=0.05).header.history[-1]
    none = spinecho.denoise(image(NOISY), "wavelet", sigma=0.0)
    assert torch.equal(none.values, NOISY) and none.header.history[-1].endswith("given as 0 (Rician)")


def test_a_kind_that_is_said_is_believed():
    after = spinecho.denoise(image(NOISY), "wavelet", noise="gaussian")
    assert "(Gaussian; measured in air" in after.header.history[-1]
    assert float(after.values[TRUTH == 0].mean()) > 2 * float(
        spinecho.denoise(image(NOISY), "wavelet").values[TRUTH == 0].mean()
    )
    four = spinecho.denoise(image(magnitude(TRUTH, 0.05, 4)), "wavelet", noise="rician")
    assert "(Rician;" in four.header.history[-1]


@pytest.mark.parametrize(("values", "sigma", "noise", "words"), [
    (NOISY, float("nan"), "found", "sigma is nan"),
    (NOISY, -0.5, "found", "sigma is -0.5"),
    (NOISY.to(torch.complex64), None, "rician", "complex values, so it is not a magnitude"),
    (NOISY - 1, None, "rician", "negative values, so it is not a magnitude"),
    (NOISY * torch.inf, None, "found", "NaN or infinite"),
])  # fmt: skip
def test_bad_input_is_one_sentence_with_what_to_do(values, sigma, noise, words):
    with pytest.raises(DataError, match=words) as told:
        spinecho.denoise(image(values), sigma=sigma, noise=noise)
    assert told.value.do


def test_refusals_say_the_method(monkeypatch):
    with pytest.raises(DataError, match="mppca cannot take this image: it takes series"):
        spinecho.denoise(image(NOISY), "mppca")
    method = unet25d.Method(unet25d.Config(channels=(4,), blocks=(1,)))
    monkeypatch.setattr(run, "built", lambda *_: method)
    with pytest.raises(DataError, match="unet25d cannot take this image: it takes real images"):
        spinecho.denoise(image(gaussian(TRUTH.to(torch.complex64), 0.1)), "unet25d")


def test_brightness_is_nearly_the_maximum_and_never_that_of_masks():
    values = torch.zeros(1, 1, 50, 50)
    values[..., :20, :] = torch.arange(1000.0).reshape(20, 50) + 1
    assert run._brightness(values) == 999 and run._brightness(torch.full((1, 1, 1, 1), -3.0)) == 3


def test_a_history_tells_ranges_and_every_kind_once():
    noises = [Noise(torch.tensor(x), "rician", source="air") for x in (0.1, 0.2, 0.1)]
    assert run._in_words(noises, False) == "noise found 0.1 to 0.2 (Rician; measured in air)"
    assert run._in_words([noises[0], Noise(torch.tensor(0.1))], True) == "noise given as 0.1 (Rician, Gaussian)"
    assert run._in_words([Noise(torch.tensor(0.0))], False) == "noise found 0"


def test_the_tasks_own_scenes_have_the_noise_they_say():
    for name, (values, noise) in task.scenes().items():
        assert (name == "magnitude") == noise.is_magnitude and values.shape[-2:] == (40, 36)
        ring = torch.cat([values[..., :2, :].flatten(), values[..., -2:, :].flatten()])
        level = ring.abs().square().mean().sqrt() / (2**0.5 if noise.is_magnitude else 1)
        assert float(level) == pytest.approx(float(noise.sigma), rel=0.15), name
    assert task.same(torch.ones(2), torch.tensor([1.0, 2.0])) == 0.5
    assert np.isclose(float(task.lesson().level.max()), 0.2) and task.outside({"noise": [0.5, 1]}, NOISY, PLAIN)
