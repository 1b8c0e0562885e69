"""GAN, diffusion and latent diffusion: closed forms of the process, who gets which gradient, the same again."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_heads import folder_of_heads, slices

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.tasks.generate.methods import diffusion2d, gan, latent
from spinecho.tasks.generate.parts.augment import BLANK, augmented, drawn
from spinecho.tasks.generate.parts.diffusion import Diffusion
from spinecho.tasks.generate.parts.pictures import Pictures


def normal(process: Diffusion, mean: float, spread: float):
    """The network that is right for pixels that are normal: E[x | noisy] = (m s^2 + d^2 y) / (s^2 + d^2)."""

    def network(scaled, number):
        s = (4 * number).exp()[:, None, None, None]
        size = (s.square() + process.spread**2).sqrt()
        noisy = scaled * size
        right = (mean * s.square() + spread**2 * noisy) / (s.square() + spread**2)
        return (right - noisy * (process.spread / size).square()) * size / (s * process.spread)

    return network


def test_the_way_leads_to_the_distribution_that_is_known():
    """Of normal pixels the way is m + d (y - m) / (s^2 + d^2)^1/2 at each noise, exactly."""
    process, mean, spread = Diffusion(), 0.3, 0.2
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = process.way(normal(process, mean, spread), noise, 40)
    exact = mean + spread * (process.most * noise - mean) / math.hypot(process.most, spread)
    assert float((made - exact).square().mean().sqrt()) < 0.002
    errors = [float((process.way(normal(process, mean, spread), noise, n) - exact).abs().max()) for n in (10, 20, 40)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("share", [0.95, 1.05])
def test_the_less_noise_is_taken_away_the_wider_is_what_comes(share):
    """Of normal pixels, whose way is known: ((s^2 + d^2) / (most^2 + d^2))^(share / 2) of the distance to the mean."""
    process, mean, spread = Diffusion(), 0.3, 0.2
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = process.way(normal(process, mean, spread), noise, 80, share)
    left = (spread / math.hypot(process.most, spread)) ** share
    torch.testing.assert_close(made, mean + left * (process.most * noise - mean), atol=2e-3, rtol=0)
    usual = process.way(normal(process, mean, spread), noise, 80)
    assert (float(made.std()) > float(usual.std())) == (share < 1)


@pytest.mark.parametrize("share", [0.0, 0.49, 2.1])
def test_a_share_of_the_noise_that_leads_nowhere_is_refused(share):
    for config in (diffusion2d.Config, latent.Config):
        with pytest.raises(DataError, match=f"share is {share} -> give a number near 1"):
            config(share=share)


def test_times_fall_to_nothing():
    times = Diffusion().times(18)
    assert len(times) == 19 and float(times[0]) == pytest.approx(40) and float(times[-2]) == pytest.approx(0.01)
    assert float(times[-1]) == 0 and bool((times.diff() < 0).all())


def test_the_loss_of_a_network_that_adds_nothing_is_one():
    torch.manual_seed(0)
    process = Diffusion()
    clean = process.spread * torch.randn(4000, 1, 4, 4)
    assert float(process.loss(lambda x, number: torch.zeros_like(x), clean)) == pytest.approx(1, abs=0.02)


def test_the_right_network_has_the_least_loss():
    process = Diffusion()
    clean = 0.3 + 0.2 * torch.randn(2000, 1, 4, 4, generator=torch.Generator().manual_seed(1))

    def loss(mean, spread):
        torch.manual_seed(2)
        return float(process.loss(normal(process, mean, spread), clean))

    right = loss(0.3, 0.2)
    assert all(right < loss(m, d) for m, d in ((0.2, 0.2), (0.4, 0.2), (0.3, 0.3), (0.3, 0.1)))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_augmented_pictures_differ_and_gradients_pass(seed):
    torch.manual_seed(seed)
    x = (2 * slices(6, 32) - 1)[:, None].requires_grad_(True)
    seen = augmented(x, drawn(6, x.device))
    assert seen.shape == x.shape and not torch.allclose(seen, x)
    seen.sum().backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all()) and bool(x.grad.any())


def test_a_blank_square_is_where_it_can_be():
    torch.manual_seed(0)
    seen = augmented(torch.ones(200, 1, 32, 32), drawn(200, torch.device("cpu")))
    blank = (seen[:, 0] == BLANK).float().mean((1, 2))
    assert 0.05 < float(blank.mean()) < 0.4 and float(blank.max()) < 0.45


def small(name: str):
    torch.manual_seed(0)
    if name == "gan":
        return gan.Method(gan.Config(size=32, noise=8, width=4, most=16))
    if name == "latent":
        return latent.Method(latent.Config(size=32, levels=(8, 8), channels=(8, 16), times=3))
    return diffusion2d.Method(diffusion2d.Config(size=32, channels=(8, 16), times=3))


def test_neither_side_of_the_game_moves_the_other():
    method, example = small("gan"), Pictures(slices(8, 32))
    torch.manual_seed(1)
    method.loss(example).backward()
    whole = {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
    assert any("maker" in n for n in whole) and any("critic" in n for n in whole)
    method.zero_grad()
    for p in method.maker.parameters():
        p.requires_grad_(False)
    torch.manual_seed(1)
    method.loss(example).backward()
    for name, p in method.critic.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(
                p.grad, whole[f"critic.{name}"], msg="the maker's word does not reach the critic"
            )


def test_the_penalty_is_that_of_the_slope():
    method = small("gan")
    with torch.no_grad():
        for p in method.critic.parameters():
            p.zero_()
    assert float(method._penalty(torch.zeros(8, 1, 32, 32)).detach()) == 0


def test_the_autoencoder_learns_nothing_from_the_diffusion():
    method, example = small("latent"), Pictures(slices(4, 32))
    torch.manual_seed(0)
    method.loss(example).backward()
    with_it = [p.grad.clone() for p in method.codec.parameters() if p.grad is not None]
    method.zero_grad()
    torch.nn.init.normal_(method.network.leave.weight)
    torch.manual_seed(0)
    method.loss(example).backward()
    for before, p in zip(with_it, method.codec.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, before)


def test_a_critic_of_what_comes_back_teaches_the_autoencoder_alone():
    with_, without = (
        latent.Method(latent.Config(size=32, levels=(8, 8), channels=(8, 16), critic=w, critic_channels=8))
        for w in (0.5, 0.0)
    )
    assert with_.critic is not None and without.critic is None
    with_.load_state_dict(without.state_dict(), strict=False)
    example, gradients = Pictures(slices(4, 32)), list[dict[str, torch.Tensor]]()
    for method in (with_, without):
        torch.manual_seed(0)
        method.loss(example).backward()
        gradients.append({name: p.grad for name, p in method.named_parameters() if p.grad is not None})
    assert any(name.startswith("critic.") and bool(g.any()) for name, g in gradients[0].items())
    for name, before in gradients[1].items():
        if bool(before.any()):  # nothing reaches what lies before weights that are 0 at first
            alike = torch.allclose(gradients[0][name], before, rtol=1e-4, atol=1e-7)
            assert alike == name.startswith("network."), f"{name}: the codec hears the critic, the diffusion does not"
    assert any(name.startswith("network.") and bool(g.any()) for name, g in gradients[1].items())


@pytest.mark.parametrize("name", ["gan", "diffusion2d", "latent"])
def test_a_picture_is_that_of_its_number(name):
    method = small(name).eval()
    draws = torch.tensor([[3, k] for k in range(20)])
    with torch.inference_mode():
        many, few = method(draws), method(draws[18:])
    assert many.shape == (20, 32, 32)
    torch.testing.assert_close(many[18:], few, atol=1e-5, rtol=1e-5)
    assert method.size == 32 and method.noise(draws).shape == (20, *method.shape)


@pytest.mark.parametrize("name", ["gan", "diffusion2d", "latent"])
def test_sizes_are_checked_and_both_are_made(name):
    module = registry.load("generate", name)
    with pytest.raises(DataError, match="size is 100"):
        module.Config(size=100)
    if name != "gan":
        with pytest.raises(DataError, match="times is 0"):
            module.Config(times=0)
    assert module.Method(module.Config(size=128)).size == 128


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gan", ["--noise", "8", "--width", "4", "--most", "8"]),
        ("diffusion2d", ["--channels", "8", "16", "--times", "2"]),
        ("latent", ["--levels", "8", "8", "--channels", "8", "16"]),
    ],
)
def test_each_trains_and_generates(name, options, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", f"generate/{name}", "--data", str(folder_of_heads(tmp_path / "heads", 2)), "--out", str(out)]
    command += ["--size", "32", "--pictures", "2", "--batch", "1", "--validate-every", "0", "--threads", "1"]
    assert main([*command, "--steps", "1", *options]) == 0
    assert (
        main(["generate", "--weights", str(out / "weights.safetensors"), "--n", "2", "-o", str(tmp_path / "a.npy")])
        == 0
    )
    assert f"generated by {name}" in capsys.readouterr().out
