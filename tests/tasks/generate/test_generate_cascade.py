"""Pictures made finer: what they are means of, who learns, where they come from, what is refused."""

from __future__ import annotations

import pytest
import torch
from phantom_heads import slices
from torch.nn import functional as F

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.methods.pretrained import weights_used
from spinecho.tasks.generate.methods import cascade, pca
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.run import walks


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """Weights of a method that makes 64 pixels along a side."""
    method = pca.Method(pca.Config(size=64, components=4))
    method.prepare(slices(20, 64))
    path = tmp_path_factory.mktemp("w") / "mine.safetensors"
    config = {"size": 64, "components": 4, "spread": 1.0}
    entries = {"task": "generate", "method": "pca", "config": config, "card": {}, "trained": {}}
    save_state(path, method.state_dict(), entries)
    return path


def small(critic: float = 0.0) -> cascade.Method:
    torch.manual_seed(0)
    return cascade.Method(cascade.Config(channels=8, blocks=1, critic=critic, critic_channels=8))


def test_the_mean_of_four_pixels_is_the_one_they_came_from():
    method, x = small(), slices(3, 64)[:, None]
    fine = method.finer(x)
    assert fine.shape == (3, 1, 128, 128)
    torch.testing.assert_close(F.avg_pool2d(fine, 2), x, atol=1e-5, rtol=0)
    assert not torch.allclose(fine, F.interpolate(x, scale_factor=2), atol=0.05), "it adds something"


def test_it_learns_what_means_do_not_hold():
    method, x = small(), slices(8, 128, seed=3)
    x = (x + 0.05 * torch.sin(torch.arange(128) * 2.5)).clamp(0, 1)
    method = method.train()
    steps = torch.optim.Adam(method.parameters(), 5e-3)
    losses: list[float] = []
    for _ in range(40):
        steps.zero_grad()
        loss = method.loss(Pictures(x))
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_its_critic_teaches_it_and_learns_itself():
    method = small(critic=1.0)
    method.loss(Pictures(slices(4, 128))).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in method.parameters())
    assert method.critic is not None and any(
        bool(p.grad.any()) for p in method.critic.parameters() if p.grad is not None
    )


def test_pictures_of_64_become_128_with_the_same_means(coarse):
    few, many = (spinecho.generate("pca", n=3, seed=2, pixels=n, weights=coarse) for n in (64, 128))
    assert many.values.shape == (1, 3, 128, 128)
    means = F.avg_pool2d(many.values, 2)
    assert float((means - few.values).abs().max()) < 0.03, "but for air, which is made 0 in both"
    assert many.geometry.voxel_mm[0] == few.geometry.voxel_mm[0] / 2
    assert any("those of mine made finer by cascade" in step for step in many.header.history)
    assert not any("finer" in step for step in few.header.history)
    assert walks("pca", n=1, steps=3, pixels=128, weights=coarse).shape == (1, 3, 128, 128)


def test_other_pictures_are_made_by_the_same_weights_without_a_trace(coarse):
    usual = spinecho.generate("cascade", n=1)
    spinecho.generate("pca", n=1, pixels=128, weights=coarse)
    assert torch.equal(spinecho.generate("cascade", n=1).values, usual.values)
    assert torch.equal(spinecho.generate("diffusion2d", n=1, pixels=128).values, usual.values)
    other = spinecho.generate("cascade", n=1, first="pca")
    assert torch.equal(spinecho.generate("pca", n=1, pixels=128).values, other.values)


def test_results_of_own_weights_depend_on_it_too(coarse):
    used = [path.name for path in weights_used("generate", "pca", {"weights": str(coarse)})]
    assert used == ["mine.safetensors", "cascade.safetensors"]


def test_what_cannot_become_finer_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"first='cascade'.*name a method"):
        cascade.Config(first="cascade")
    with pytest.raises(DataError, match=r"makes 32 pixels along a side.*name a method that makes 64"):
        small().begin(pca.Method(pca.Config(size=32, components=3)))
    with pytest.raises(DataError, match="no generate method 'nobody'"):
        spinecho.generate("cascade", n=1, first="nobody")
