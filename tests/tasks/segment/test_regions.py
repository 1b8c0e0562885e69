"""The loss of `regions` against its definition, written out voxel by voxel; its gradient; examples of several heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spinecho.tasks.segment.methods.regions import Config, Method
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.names import REGIONS

SIZE = (8, 16, 8)


@pytest.fixture
def method(rng):
    torch.manual_seed(3)
    return Method(Config(channels=(4, 8)))


def example(rng, n, regions=3):
    return Example(torch.rand(n, 1, *SIZE, generator=rng), torch.randint(regions, (n, *SIZE), generator=rng).byte())


def written_out(scores, classes):
    """Cross-entropy, and one minus the mean over heads of the mean over regions that are there of 2 |both| / sum.

    A voxel of a region of n voxels, or of fewer than ten, weighs n^-1/2, or 10^-1/2.
    """
    probability = scores.double().softmax(1)
    entropy, weights, overlaps = [], [], []
    for p, truth in zip(probability, classes, strict=True):
        for k in truth.unique():
            weight = max(10, int((truth == k).sum())) ** -0.5
            entropy.append(-weight * p[int(k)][truth == k].log())
            weights.append(weight * int((truth == k).sum()))
        each = []
        for k in truth.unique():
            wanted = (truth == k).double()
            each.append(2 * (p[int(k)] * wanted).sum() / (p[int(k)].sum() + wanted.sum()))
        overlaps.append(torch.stack(each).mean())
    return torch.cat(entropy).sum() / sum(weights) + 1 - torch.stack(overlaps).mean()


@pytest.mark.parametrize(("n", "regions"), [(1, len(REGIONS)), (1, 3), (2, 7)])
def test_loss_is_its_definition(method, rng, n, regions):
    given = example(rng, n, regions)
    with torch.no_grad():
        expected = written_out(method.estimate(given.image), given.classes)
        assert float(method.loss(given)) == pytest.approx(float(expected), rel=1e-5)


def test_loss_of_one_region_alone(method):
    """Air alone: the other regions are not there and say nothing."""
    given = Example(torch.zeros(1, 1, *SIZE), torch.zeros(1, *SIZE).byte())
    assert torch.isfinite(method.loss(given))


def test_gradient_is_that_of_the_definition(method, rng):
    given = example(rng, 1, len(REGIONS))
    method.loss(given).backward()
    got = method.scores.weight.grad.clone()
    method.zero_grad()
    written_out(method.estimate(given.image), given.classes).backward()
    torch.testing.assert_close(got, method.scores.weight.grad, rtol=1e-4, atol=1e-7)


def test_normalises_each_head_and_channel_alone(rng):
    """What InstanceNorm3d computes, in either layout."""
    from spinecho.nets.unet3d import norm

    ours, theirs = norm(6), nn.InstanceNorm3d(6, affine=True)
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2, generator=rng)
        ours.bias.normal_(generator=rng)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, *SIZE, generator=rng) * 5 + 3
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        y = ours(x.contiguous(memory_format=layout))
        torch.testing.assert_close(y, theirs(x), rtol=1e-5, atol=1e-5)
        assert y.is_contiguous(memory_format=layout)
