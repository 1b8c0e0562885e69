"""What the GAN, its augmentation and both diffusions do to numbers that are known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_heads import slices
from torch.nn import functional as F

from spinecho.tasks.generate.methods import diffusion2d, gan, latent
from spinecho.tasks.generate.parts.augment import BLANK, augmented, drawn
from spinecho.tasks.generate.parts.diffusion import Diffusion
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import check_size, resized


def game(r1: float = 0.5) -> gan.Method:
    torch.manual_seed(0)
    return gan.Method(gan.Config(size=32, noise=6, width=4, most=8, r1=r1))


def losses(method, example: Pictures, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return method.loss(example)


def test_a_critic_that_sees_nothing_says_one_half():
    method = game()
    with torch.no_grad():
        for p in method.critic.parameters():
            p.zero_()
    assert float(losses(method, Pictures(slices(4, 32))).detach()) == pytest.approx(math.log(2), rel=1e-5)


def test_the_penalty_grows_as_its_weight_and_with_the_square_of_the_critic():
    one, two = game(0.5), game(1.0)
    x = (2 * slices(8, 32) - 1)[:, None]

    def penalty(method: gan.Method) -> float:
        torch.manual_seed(0)
        return float(method._penalty(x).detach())

    assert penalty(two) == pytest.approx(2 * penalty(one), rel=1e-5)
    with torch.no_grad():
        one.critic.leave.weight.mul_(3)
    assert penalty(one) == pytest.approx(4.5 * penalty(two), rel=1e-4)


def test_the_penalty_is_that_of_finite_differences():
    method = game()
    x = (2 * slices(2, 32) - 1)[:, None].double()
    critic = method.critic.double()
    x.requires_grad_(True)
    slope = torch.autograd.grad(critic(x).sum(), x)[0]
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        h = 1e-5
        told = float((critic(x + h * way).sum() - critic(x - h * way).sum()) / (2 * h))
    assert told == pytest.approx(float((slope * way).sum()), rel=1e-3)


def test_the_penalty_is_of_both_sides():
    """Of a critic that is a plain sum, |dC/dx|^2 is the number of pixels, wherever it is taken."""
    method, example = game(r1=0.5), Pictures(slices(4, 32))
    method.critic.forward = lambda x: x.sum((1, 2, 3))  # pyright: ignore[reportAttributeAccessIssue]
    free = game(r1=0.0)
    free.critic.forward = method.critic.forward
    held = float((losses(method, example) - losses(free, example)).detach())
    assert held == pytest.approx(2 * 0.25 * 32 * 32, rel=1e-3)


def test_the_loss_is_drawn_from_the_state_that_training_sets():
    method, example = game(), Pictures(slices(4, 32))
    one, again, other = (float(losses(method, example, seed).detach()) for seed in (1, 1, 2))
    assert one == again != other


def test_a_step_of_the_critic_raises_real_and_lowers_made():
    method, example = game(r1=0.0), Pictures(slices(8, 32))
    real = 2 * example.values[:, None] - 1
    made = method.maker(torch.randn(8, 6, generator=torch.Generator().manual_seed(0))).detach()
    before = float((method.critic(real).mean() - method.critic(made).mean()).detach())
    optimiser = torch.optim.Adam(method.critic.parameters(), 1e-3)
    for k in range(12):
        optimiser.zero_grad()
        losses(method, example, k).backward()
        optimiser.step()
    assert float((method.critic(real).mean() - method.critic(made).mean()).detach()) > before


def test_nothing_drawn_leaves_pictures_inside_their_range():
    torch.manual_seed(0)
    x = (2 * slices(50, 32) - 1)[:, None]
    seen = augmented(x, drawn(50, x.device))
    assert float(seen.min()) >= -2.5 and float(seen.max()) <= 2.5
    differences = (seen - x).abs().mean((1, 2, 3))
    assert float(differences.min()) > 0.01 and float(differences.max()) < 1.2


def test_pictures_are_changed_each_in_its_own_way_or_all_alike():
    torch.manual_seed(0)
    x = (2 * slices(1, 32) - 1)[:, None].expand(6, -1, -1, -1)
    seen = augmented(x, drawn(6, x.device)).flatten(1)
    assert bool((torch.cdist(seen, seen) + torch.eye(6) > 0.1).all())
    alike = augmented(x, drawn(1, x.device))
    assert all(torch.equal(one, alike[0]) for one in alike) and not torch.equal(alike, x)


def test_a_change_for_all_is_that_of_each():
    torch.manual_seed(0)
    x = (2 * slices(4, 32) - 1)[:, None]
    change = drawn(1, x.device)
    apart = torch.cat([augmented(one[None], change) for one in x])
    torch.testing.assert_close(augmented(x, change), apart, rtol=0, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_shifts_are_no_larger_than_an_eighth(seed):
    torch.manual_seed(seed)
    x = torch.full((1, 1, 32, 32), BLANK)
    x[:, :, 16, 16] = 20.0
    seen = augmented(x, drawn(1, x.device))
    peak = seen.flatten().argmax()
    row, column = int(peak) // 32, int(peak) % 32
    if float(seen.max()) > 5:  # else the square lies on it
        assert abs(row - 16) <= 4 and abs(column - 16) <= 4


def test_without_noise_nothing_is_taken_away():
    process, x = Diffusion(), torch.randn(3, 1, 4, 4)
    network = lambda seen, number: torch.ones_like(seen)  # noqa: E731
    torch.testing.assert_close(process.denoised(network, x, torch.full([3], 1e-7)), x, atol=1e-5, rtol=1e-5)
    loud = process.denoised(network, 1e4 * x, torch.full([3], 1e4))
    torch.testing.assert_close(loud, torch.full_like(x, process.spread), atol=1e-3, rtol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 40))
def test_what_the_network_sees_has_a_spread_of_one(level):
    process = Diffusion()
    kept: list[torch.Tensor] = []

    def network(seen, number):
        kept.append(seen)
        return torch.zeros_like(seen)

    rng = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 1, 100, 100, generator=rng)
    process.denoised(network, process.spread * clean + level * noise, torch.tensor([level]))
    assert float(kept[0].std()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("n", [1, 2, 5, 18])
def test_the_network_is_asked_twice_for_each_level_but_the_last(n):
    asked: list[float] = []

    def network(seen, number):
        asked.append(float(number[0]))
        return torch.zeros_like(seen)

    Diffusion().way(network, torch.randn(1, 1, 2, 2), n)
    assert len(asked) == 2 * n - 1
    assert 4 * max(asked) == pytest.approx(math.log(40), rel=1e-5)


def test_codes_are_held_at_mean_zero_and_variance_one():
    torch.manual_seed(0)
    method = latent.Method(latent.Config(size=32, levels=(8, 8), channels=(8, 8)))
    example = Pictures(slices(16, 32))
    optimiser = torch.optim.Adam(method.parameters(), 3e-3)
    code = lambda: method.codec.encode(2 * example.values[:, None] - 1).detach()  # noqa: E731
    before = (code().var((0, 2, 3)) - 1).abs().mean()
    for k in range(25):
        optimiser.zero_grad()
        losses(method, example, k).backward()
        optimiser.step()
    assert float((code().var((0, 2, 3)) - 1).abs().mean()) < 0.5 * float(before)


def test_blocks_of_pixels_come_back_where_they_were():
    method = diffusion2d.Method(diffusion2d.Config(size=64, channels=(8, 8)))
    x = torch.randn(2, 1, 64, 64)
    assert method.block == 2 and diffusion2d.Method(diffusion2d.Config(size=128, channels=(8, 8))).block == 4
    torch.testing.assert_close(F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2), x)
    with torch.inference_mode():
        assert not method._seen(x, torch.zeros(2)).any(), "untrained it adds nothing"


def test_an_untrained_diffusion_makes_noise_of_the_spread_it_assumes():
    """D(x; s) = x d^2 / (s^2 + d^2) leads to noise of standard deviation d."""
    method = diffusion2d.Method(diffusion2d.Config(size=64, channels=(8, 8), times=40))
    with torch.inference_mode():
        made = 2 * method.pictures(torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))) - 1
    assert float(made.std()) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("size", [0, 16, 63, 256])
def test_other_sizes_are_refused_everywhere(size):
    with pytest.raises(Exception, match=f"size is {size}"):
        check_size(size)
    with pytest.raises(Exception, match=f"size is {size}"):
        resized(torch.zeros(1, 128, 128), size)


def test_examples_go_to_another_device_whole():
    example = Pictures(slices(3, 32))
    assert torch.equal(example.to(torch.device("cpu")).values, example.values)
    assert example.bucket == (3, 32, 32) and example.to(torch.device("meta")).values.is_meta
