"""What networks are fed: pairs of looks, patches, slabs with what they are told; and the network's way through them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.tasks.denoise.parts import slabs
from spinecho.tasks.denoise.parts.dipy import needed
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.pairs import Pairs
from spinecho.tasks.denoise.parts.patches import Patches

CPU = torch.device("cpu")
RICIAN = Noise(torch.tensor(0.1), "rician")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, z: int, side: int = 12) -> torch.Tensor:
    """Looks whose values tell the volume and the place: 100 (volume + 1) + place, and a slope to tell pixels."""
    looks = 100.0 * torch.arange(1, n + 1)[:, None] + torch.arange(z)
    return looks[:, :, None, None, None].expand(n, z, 1, side, side).clone()


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_volumes_of_a_series_pair_with_each_other_at_one_place(n, z, seed):
    pairs = Pairs(numbered(n, z), torch.tensor(1e6))
    one, _, _ = pairs.drawn(6, 8, seeded(seed))
    assert one.shape == (6, 1, 8, 8)
    volumes = (one[:, 0, 0, 0] // 100).long() - 1
    assert bool((volumes >= 0).all() and (volumes < n).all())


@given(st.integers(2, 5), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_slices_pair_with_the_next_or_the_one_before(z, seed):
    looks = torch.eye(z)[None, :, :, None, None].expand(1, z, z, 9, 9).clone()
    seen = torch.zeros(z, z)
    pairs = Pairs(looks, torch.tensor(1e6))
    for i in range(3):
        one, two, _ = pairs.drawn(8, 9, seeded(seed + i))
        a, b = one[:, :, 0, 0].argmax(1), two[:, :, 0, 0].argmax(1)
        seen[a, b] += 1
    off = (torch.arange(z)[:, None] - torch.arange(z)).abs()
    assert not seen[off != 1].any(), "never itself, never further away"


@pytest.mark.parametrize("n", [2, 3])
def test_no_volume_pairs_with_itself(n):
    looks = torch.eye(n)[:, None, :, None, None].expand(n, 1, n, 9, 9).clone()
    one, two, _ = Pairs(looks, torch.tensor(1e6)).drawn(60, 9, seeded())
    a, b = one[:, :, 0, 0].argmax(1), two[:, :, 0, 0].argmax(1)
    assert bool((a != b).all()) and {(int(i), int(j)) for i, j in zip(a, b, strict=True)} == {
        (i, j) for i in range(n) for j in range(n) if i != j
    }


def test_a_seed_gives_the_same_patches_and_another_others():
    looks = torch.rand(2, 3, 1, 30, 30, generator=seeded(1))
    pairs = Pairs(looks, torch.tensor(0.1))
    one, again, other = (pairs.drawn(4, 12, seeded(s)) for s in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True)) and not torch.equal(one[0], other[0])


def test_patches_are_no_larger_than_the_slices():
    one, two, weight = Pairs(torch.rand(2, 1, 2, 9, 20), torch.tensor(0.1)).drawn(3, 16, seeded())
    assert one.shape == two.shape == (3, 2, 9, 16) and weight.shape == (3, 1, 9, 16)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_pairs_know_no_scale(factor):
    looks, sigma = torch.rand(2, 3, 1, 24, 24, generator=seeded(2)), torch.tensor(0.2)
    one, two, weight = Pairs(looks, sigma).drawn(4, 16, seeded())
    scaled = Pairs(looks * factor, sigma * factor).drawn(4, 16, seeded())
    torch.testing.assert_close(scaled[0] / factor, one)
    torch.testing.assert_close(scaled[1] / factor, two, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scaled[2], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gain", [0.3, 1.0, 4.0])
def test_echoes_are_brought_to_one_brightness(gain):
    picture = 1 + torch.rand(1, 1, 20, 20, generator=seeded(3))
    pairs = Pairs(torch.stack([picture, gain * picture]), torch.tensor(0.05))
    one, two, weight = pairs.drawn(6, 12, seeded())
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weight, torch.ones_like(weight))


def test_looks_that_are_opposite_or_empty_are_not_blown_up():
    picture = 1 + torch.rand(1, 1, 20, 20, generator=seeded(3))
    for other in (-picture, torch.zeros_like(picture)):
        one, two, weight = Pairs(torch.stack([picture, other]), torch.tensor(0.1)).drawn(4, 12, seeded())
        assert torch.isfinite(two).all() and float(two.abs().max()) <= 2 and float(weight.max()) < 0.1, one.shape


def test_looks_that_differ_by_noise_alone_count_nearly_fully():
    looks = 5 + 0.1 * torch.randn(2, 1, 1, 64, 64, generator=seeded(4))
    _, _, weight = Pairs(looks, torch.tensor(0.1)).drawn(4, 48, seeded())
    assert float(weight.mean()) > 0.9 and float(weight.max()) == 1
    _, _, doubted = Pairs(looks, torch.tensor(0.01)).drawn(4, 48, seeded())
    assert float(doubted.mean()) < 0.2


def lesson(n: int = 3, s: int | None = 3) -> Patches:
    clean = torch.rand(n, 8, 6, generator=seeded()).to(torch.complex64)
    slab = None if s is None else clean.real[:, None].expand(n, s, 8, 6) + 0.1
    is_rician = None if s is None else torch.arange(n) % 2 == 0
    return Patches(clean, clean + 0.1, torch.linspace(0.05, 0.2, n), slab, is_rician)


def test_patches_join_in_order_and_only_alike_ones_share_a_bucket():
    whole = Patches.joined([lesson(2), lesson(3)]).to(CPU)
    assert whole.clean.shape == (5, 8, 6) and whole.slab is not None and whole.slab.shape == (5, 3, 8, 6)
    torch.testing.assert_close(whole.level[2:], lesson(3).level)
    assert lesson(2).bucket == lesson(2).bucket != lesson(3).bucket
    assert lesson(2, None).bucket not in (lesson(2).bucket, lesson(2, 5).bucket)
    plain = Patches.joined([lesson(2, None), lesson(1, None)]).to(CPU)
    assert plain.slab is None and plain.is_rician is None and len(plain.level) == 3


def test_networks_are_told_level_and_kind():
    slab, level = torch.rand(2, 3, 4, 5), torch.tensor([0.1, 0.3])
    x = slabs.told(slab, level, torch.tensor([True, False]))
    assert x.shape == (2, 3 + slabs.N_TOLD, 4, 5) and torch.equal(x[:, :3], slab)
    for i, kinds in enumerate([(0.1, 0.1), (0.3, 0.0)]):
        assert x[i, 3:].flatten(1).unique(dim=1).flatten().tolist() == pytest.approx(list(kinds))


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (1, 5)])
def test_slabs_are_padded_to_whole_pixels_by_their_edges(size):
    slab = torch.rand(2, 3, *size)
    wide = slabs.padded(slab, 4)
    assert wide.shape[-2:] == tuple(math.ceil(n / 4) * 4 for n in size)
    assert torch.equal(wide[..., : size[0], : size[1]], slab)
    assert torch.equal(wide[..., -1, : size[1]], slab[..., -1, :]) and torch.equal(wide[..., -1, -1], slab[..., -1, -1])


def takes(what: int):
    """A network that gives one of its channels as noise."""
    return lambda x: x[:, what : what + 1]


@pytest.mark.parametrize("neighbours", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_each_slice_sees_its_neighbours_and_the_ends_repeat(neighbours, n):
    volume = (1 + torch.arange(n, dtype=torch.float32))[None, :, None, None].expand(1, n, 8, 8)
    for offset in range(-neighbours, neighbours + 1):
        out = slabs.denoised(takes(neighbours + offset), volume, RICIAN, neighbours, 2, 4)
        seen = (volume - out)[0, :, 0, 0] - 1
        assert seen.tolist() == [min(max(i + offset, 0), n - 1) for i in range(n)]


@pytest.mark.parametrize("at_once", [64, 130, 2**20])
def test_slices_go_through_in_groups_of_any_size(at_once, monkeypatch):
    monkeypatch.setattr(slabs, "_AT_ONCE", at_once)
    volumes = torch.rand(2, 5, 9, 7, generator=seeded())
    out = slabs.denoised(takes(1), volumes, RICIAN, 1, 0, 4)
    assert out.shape == volumes.shape and not out.any(), "the network took the middle slice for noise"
    level = slabs.denoised(takes(3), volumes, RICIAN, 1, 0, 4)
    torch.testing.assert_close(level, volumes - 0.1)
    torch.testing.assert_close(slabs.denoised(takes(4), volumes, Noise(torch.tensor(0.1)), 1, 0, 4), volumes)


def test_learning_sees_what_denoising_sees():
    patches = lesson(2, 5)
    assert patches.slab is not None

    def network(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x[:, :3].mean(1, keepdim=True), 3, 1, 1) + x[:, -1:]

    learned = slabs.estimate(network, patches, 1, 4)
    for i in range(2):
        noise = Noise(patches.level[i], "rician" if i % 2 == 0 else "gaussian")
        applied = slabs.denoised(network, patches.slab[i : i + 1, 1:4], noise, 1, 8, 4)
        torch.testing.assert_close(applied[0, 1], learned[i])


def test_single_slices_stand_for_their_neighbours_and_narrow_slabs_are_refused():
    patches = lesson(2, None)
    torch.testing.assert_close(slabs.estimate(takes(0), patches, 2, 4), torch.zeros(2, 8, 6))
    with pytest.raises(AssertionError, match="more slices"):
        slabs.estimate(takes(0), lesson(2, 3), 2, 4)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_loss_counts_every_level_alike(factor):
    patches = lesson()
    assert patches.slab is not None
    scaled = Patches(
        patches.clean * factor, patches.noisy * factor, patches.level * factor, patches.slab * factor, patches.is_rician
    )
    one, other = slabs.loss(takes(3), patches, 1, 4), slabs.loss(takes(3), scaled, 1, 4)
    assert float(other - one) == pytest.approx(2 * math.log(factor), rel=1e-4)


def test_the_loss_is_the_log_of_the_error_with_a_floor():
    patches = lesson(1)
    exact = slabs.loss(lambda x: x[:, 1:2] - patches.clean.real[:, None], patches, 1, 2)
    assert float(exact) == pytest.approx(2 * math.log(0.05 * 0.05), abs=1e-4)
    off = slabs.loss(lambda x: torch.zeros_like(x[:, :1]), patches, 1, 2)
    assert float(off) == pytest.approx(math.log(0.1**2 + (0.05 * 0.05) ** 2), abs=1e-4)


def test_complex_images_are_refused_in_words():
    assert slabs.complexity(torch.rand(1, 1, 4, 4)) is None
    assert "complex" in (slabs.complexity(torch.rand(1, 1, 4, 4).to(torch.complex64)) or "")


def test_what_is_absent_is_told_with_what_to_do():
    with pytest.raises(DataError, match=r"dipy, which is not installed -> install it with: pip install"):
        needed("dipy.there_is_no_such_module")
    assert needed("math") is math
