"""The loss of `regions` against its definition, written out voxel by voxel; its gradient; examples of several heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spinecho.tasks.segment.methods.regions import Config, Method, _right
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.names import REGIONS, also_right

SIZE = (8, 16, 8)


@pytest.fixture
def method(rng):
    torch.manual_seed(3)
    return Method(Config(channels=(4, 8)))


def example(rng, n, regions=3):
    classes = torch.randint(regions, (n, *SIZE), generator=rng).byte()
    also = torch.stack([also_right("muse" if i % 2 else "freesurfer") for i in range(n)])
    return Example(torch.rand(n, 1, *SIZE, generator=rng), classes, torch.tensor([0.5, 0.0, 0.25][:n]), also)


def written_out(scores, example):
    """The mean over heads of cross-entropy, and one minus the mean over regions that are there of 2 |both| / sum.

    A voxel of a region of n voxels, or of fewer than ten, weighs n^-e, or 10^-e. Where another region is as right its
    probability counts too, and the region has no overlap.
    """
    probability, each_loss = scores.double().softmax(1), []
    for p, truth, even, also in zip(probability, example.classes, example.evenness, example.also, strict=True):
        entropy, weights, overlaps = [], [], []
        for k in truth.unique().tolist():
            wanted, other = truth == k, int(also[k])
            weight = max(10, int(wanted.sum())) ** -float(even)
            right = p[k] if other == k else p[k] + p[other]
            entropy.append(-weight * right[wanted].log())
            weights.append(weight * int(wanted.sum()))
            if other == k:
                overlaps.append(2 * (p[k] * wanted).sum() / (p[k].sum() + wanted.sum()))
        each_loss.append(torch.cat(entropy).sum() / sum(weights) + 1 - torch.stack(overlaps).mean())
    return torch.stack(each_loss).mean()


@pytest.mark.parametrize(("n", "regions"), [(1, len(REGIONS)), (1, 3), (2, 7), (3, len(REGIONS))])
def test_loss_is_its_definition(method, rng, n, regions):
    given = example(rng, n, regions)
    with torch.no_grad():
        expected = written_out(method.estimate(given.image), given)
        assert float(method.loss(given)) == pytest.approx(float(expected), rel=1e-5)


def test_loss_of_one_region_alone(method):
    """Air alone: the other regions are not there and say nothing; of a head by MUSE not even air has an overlap."""
    for atlas in ("freesurfer", "muse"):
        also = also_right(atlas)[None]
        given = Example(torch.zeros(1, 1, *SIZE), torch.zeros(1, *SIZE).byte(), torch.zeros(1), also)
        assert torch.isfinite(method.loss(given))


def test_what_muse_says_of_fluid_is_not_held_against_it(method, rng):
    """Cortex called fluid, fluid called cortex, air called fluid: no difference; cortex called white matter: one."""
    number = {r.name: i for i, r in enumerate(REGIONS)}
    cortex, fluid, white = (number[n] for n in ("cerebral cortex", "fluid around the brain", "cerebral white matter"))
    logs = torch.full((1, 4, len(REGIONS)), -30.0)
    for voxel, k in enumerate((fluid, cortex, fluid, white)):
        logs[0, voxel, k] = 0.0
    truth = torch.tensor([[cortex, fluid, 0, cortex]])
    for atlas, right in (("muse", [True, True, True, False]), ("freesurfer", [False] * 4)):
        got = _right(logs, truth, also_right(atlas)[None].long())[0] > -1
        assert got.tolist() == right


def test_gradient_is_that_of_the_definition(method, rng):
    given = example(rng, 1, len(REGIONS))
    method.loss(given).backward()
    got = method.scores.weight.grad.clone()
    method.zero_grad()
    written_out(method.estimate(given.image), given).backward()
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
