"""Principal components: the likelihood is that of a normal distribution, the closed form where it is largest."""

from __future__ import annotations

import math

import numpy as np
import torch
from phantom_heads import slices
from scipy.stats import multivariate_normal

from spinecho.tasks.generate.methods.pca import Config, Method
from spinecho.tasks.generate.parts.pictures import Pictures


def fitted(components: int = 6) -> tuple[Method, torch.Tensor]:
    method, x = Method(Config(size=32, components=components)), slices(30, 32)
    method.prepare(x)
    return method, x


def test_the_loss_is_the_likelihood_of_a_normal_distribution():
    torch.manual_seed(0)
    method, x = Method(Config(size=32, components=4)), slices(5, 32)
    with torch.no_grad():
        method.mean.copy_(x.mean(0).flatten())
        method.left.fill_(math.log(0.15))
    w = method.components.detach().double().numpy()
    covariance = w.T @ w + 0.15**2 * np.eye(32 * 32)
    told = multivariate_normal(method.mean.detach().double().numpy(), covariance)
    expected = -told.logpdf(x.flatten(1).double().numpy()).mean() / 32**2
    np.testing.assert_allclose(float(method.loss(Pictures(x)).detach()), expected, rtol=1e-4)


def test_the_closed_form_is_the_maximum():
    method, x = fitted()
    both = Pictures(torch.cat([x, x.flip(-1)]))
    loss = method.double().loss(Pictures(both.values.double()))
    loss.backward()
    scale = float(method.components.detach().norm())
    assert all(p.grad is not None and float(p.grad.norm()) * scale < 1e-4 for p in method.parameters())
    with torch.no_grad():
        for p in method.parameters():
            kept = p.clone()
            for sign in (-1, 1):
                p.copy_(kept + sign * 0.02 * kept.abs().mean() * torch.ones_like(kept))
                assert float(method.loss(Pictures(both.values.double()))) > float(loss.detach())
            p.copy_(kept)


def test_pictures_have_the_mean_and_the_variance_of_what_was_learned():
    method, x = fitted(20)
    with torch.no_grad():
        made = method.pictures(torch.randn(4000, 20, generator=torch.Generator().manual_seed(0)))
    both = torch.cat([x, x.flip(-1)])
    assert float((made.mean(0) - both.mean(0)).abs().max()) < 0.03
    ratio = float(made.var(0).sum() / both.var(0, correction=0).sum())
    assert 0.9 < ratio < 1.02, "what is left out is missing"


def test_spread_is_about_the_mean():
    method, _ = fitted()
    still = Method(Config(size=32, components=6, spread=0.0))
    still.load_state_dict(method.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(still.pictures(torch.randn(2, 6))[1].flatten(), method.mean)


def test_more_components_than_slices_stay_empty():
    method, x = Method(Config(size=32, components=9)), slices(3, 32)
    method.prepare(x)
    assert bool((method.components[5:] == 0).all()) and bool((method.components[:2] != 0).any(1).all())
