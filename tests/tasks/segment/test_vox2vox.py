"""The network for findings: what it sees, tiles, its loss by hand, the critic's part of the game."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from marked import flair, t1
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.methods.pretrained import built
from spinecho.nets.critic import judged, word
from spinecho.tasks.segment.methods import pix2pix3d
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.several import several


def method(**settings: object) -> pix2pix3d.Method:
    torch.manual_seed(0)
    config = dataclasses.replace(pix2pix3d.Config(channels=(4, 6), critic_channels=3), **settings)
    return pix2pix3d.Method(config)


def example(n: int = 2, channels: int = 3, classes: int = 2) -> Example:
    rng = torch.Generator().manual_seed(1)
    image = torch.randn(n, channels, 16, 16, 16, generator=rng)
    truth = torch.randint(classes, (n, 16, 16, 16), generator=rng).to(torch.uint8)
    return Example(image, truth, torch.zeros(n), torch.zeros(n, 1, dtype=torch.uint8))


def test_the_loss_is_cross_entropy_and_overlap():
    own, lesson = method(adversarial=0.0), example()
    share = own.estimate(lesson.image).softmax(1)
    truth = lesson.classes.long()
    entropy = -share.gather(1, truth[:, None]).log().mean()
    both = (share[:, 1] * truth).sum()
    overlap = (2 * both + 1) / (truth.sum() + share[:, 1].sum() + 1)
    torch.testing.assert_close(own.loss(lesson), entropy + 1 - overlap)


def test_a_critic_adds_its_word_and_its_own_loss():
    plain, lesson = method(adversarial=0.0), example()
    own = method(adversarial=0.3)
    own.network.load_state_dict(plain.network.state_dict())
    assert plain.critic is None and own.critic is not None
    share, known = own.estimate(lesson.image).softmax(1), F.one_hot(lesson.classes.long(), 2).movedim(-1, 1).float()
    made, true = (torch.cat([lesson.image, x], 1) for x in (share, known))
    game = 0.3 * word(own.critic, made) + judged(own.critic, true, made) / 2
    torch.testing.assert_close(own.loss(lesson), plain.loss(lesson) + game)


def test_the_critic_learns_from_the_game_alone():
    own, lesson = method(), example()
    own.loss(lesson).backward()
    assert own.critic is not None
    share, known = own.estimate(lesson.image).softmax(1), F.one_hot(lesson.classes.long(), 2).movedim(-1, 1).float()
    made, true = (torch.cat([lesson.image, x], 1) for x in (share, known))
    names, parameters = zip(*own.critic.named_parameters(), strict=True)
    expected = torch.autograd.grad(judged(own.critic, true, made) / 2, parameters)
    for name, p, g in zip(names, parameters, expected, strict=True):
        torch.testing.assert_close(p.grad, g, msg=name)


def test_without_any_finding_nothing_breaks():
    own, lesson = method(adversarial=0.0), example()
    empty = dataclasses.replace(lesson, classes=torch.zeros_like(lesson.classes))
    loss = own.loss(empty)
    loss.backward()
    assert bool(torch.isfinite(loss)) and all(bool(torch.isfinite(p.grad).all()) for p in own.network.parameters())


def test_labels_beyond_its_own_count_as_the_last():
    own, lesson = method(adversarial=0.0), example(classes=5)
    capped = dataclasses.replace(lesson, classes=lesson.classes.clamp_max(1))
    torch.testing.assert_close(own.loss(lesson), own.loss(capped))


def test_absent_channels_are_zeros():
    own, lesson = method(adversarial=0.0), example(channels=1)
    filled = torch.cat([lesson.image, torch.zeros(2, 2, 16, 16, 16)], 1)
    assert torch.equal(own.estimate(lesson.image), own.estimate(filled))


def test_tiles_change_nothing(monkeypatch):
    own = method(adversarial=0.0, least_mm3=0.0).eval()
    work = several({"flair": flair(), "t1": t1()}, flair().values[0] > 0, ("flair", "t1"), 1.0)
    with torch.inference_mode():
        whole = own(work.values)
        monkeypatch.setattr(pix2pix3d, "_CORE", 16)
        tiled = own(work.values)
    torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=1e-4)


def test_nothing_is_found_outside_of_the_brain():
    own = method(adversarial=0.0, least_mm3=0.0).eval()
    with torch.no_grad():
        assert own.network.leave.bias is not None
        own.network.leave.bias += torch.tensor([-20.0, 20.0])
    work = several({"flair": flair()}, flair().values[0] > 0, ("flair", "t1"), 1.0)
    with torch.inference_mode():
        labels = own(work.values).argmax(0)
    assert torch.equal(labels > 0, work.values[0] != 0)


def test_a_tumour_has_five_labels():
    own = method(finding="tumour", inputs=("flair", "t1c"))
    assert own.finds == "tumour" and own.contrasts == ("flair", "t1c") and own.spacing_mm == 1.0
    assert own.estimate(example().image).shape[1] == 5
    assert float(own.loss(example(classes=5)).detach()) > 0


def test_small_pieces_are_a_setting_beside_weights():
    assert registry.offer("segment", "lesions").is_ready
    released = built("segment", "lesions", {"least_mm3": 50.0})
    assert released.config.least_mm3 == 50 and released.config.adversarial == 0
    with pytest.raises(DataError, match="channels"):
        built("segment", "lesions", {"channels": (4, 6)})
