"""Critics of images, and the game against them: whose gradient goes where."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from spinecho.io.read import read_image
from spinecho.nets.critic import Critic, judged, word
from spinecho.tasks.superres.methods import srgan3d
from spinecho.tasks.superres.task import lesson


@pytest.mark.parametrize(("n_dims", "n_in"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_a_number_for_each_part(n_dims, n_in):
    critic = Critic(4, n_in, n_dims)
    assert critic(torch.rand(2, n_in, *[24] * n_dims)).shape == (2, 1, *[3] * n_dims)
    assert sum(p.numel() for p in Critic(4, n_in, n_dims).parameters()) < 20_000


@pytest.mark.parametrize("n_dims", [2, 3])
def test_the_game_keeps_each_sides_gradient_to_itself(n_dims):
    torch.manual_seed(0)
    critic = Critic(3, 1, n_dims)
    made = torch.rand(2, 1, *[16] * n_dims, requires_grad=True)
    judged(critic, torch.rand_like(made), made).backward()
    assert made.grad is None and all(p.grad is not None for p in critic.parameters())
    critic.zero_grad()
    word(critic, made).backward()
    assert made.grad is not None and all(p.grad is None for p in critic.parameters())
    assert word(critic, made).item() == pytest.approx((critic(made) - 1).square().mean().item())


def test_least_squares():
    """A critic that says 1 to everything is right of what is true, wrong of what is made, and content with makers."""
    critic = Critic(2)
    with torch.no_grad():
        critic.leave.weight.zero_()
        critic.leave.bias.fill_(1.0)
    x = torch.rand(1, 1, 8, 8, 8)
    assert judged(critic, x, x).item() == 1 and word(critic, x).item() == 0


def test_super_resolution_plays_the_game_it_always_played():
    torch.manual_seed(0)
    method, example = srgan3d.Method(srgan3d.Config(channels=4, blocks=1, critic_channels=2)), lesson()
    made = method.estimate(example)
    level = example.high.abs().mean((1, 2, 3), keepdim=True)
    critic = method.critic
    assert critic is not None
    fake, real = (made / level)[:, None], (example.high / level)[:, None]
    own = (critic(real) - 1).square().mean() + critic(fake.detach()).square().mean()
    expected = ((made - example.high) / level).abs().mean() + 0.02 * (critic(fake) - 1).square().mean() + own / 2
    assert method.loss(example).item() == pytest.approx(expected.item(), rel=1e-6)


def test_it_learns_to_tell_real_contrasts_apart(shared_data):
    """T1 and T2 patches of one patient, of other places each: without normalisation the loss stays at 0.44."""
    t1, t2 = (_brain(shared_data / f"ms_1mm/patient07/{name}.nii.gz") for name in ("t1", "t2"))
    torch.manual_seed(0)
    critic = Critic(16, n_dims=2)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.999))
    losses: list[float] = []
    for _ in range(80):
        loss = judged(critic, _patches(t1), _patches(t2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) / 20 < 0.2


def _brain(path: Path) -> Tensor:
    """The middle of a head in units of twice its median."""
    values = read_image(path).volume().values.float()[0, 60:120, 30:190, 20:160]
    return values / (2 * values[values > 0].median())


def _patches(volume: Tensor) -> Tensor:
    z, y, x = (torch.randint(n - side + 1, (6,)) for n, side in zip(volume.shape, (1, 64, 64), strict=True))
    return torch.stack([volume[k, j : j + 64, i : i + 64] for k, j, i in zip(z, y, x, strict=True)])[:, None]
