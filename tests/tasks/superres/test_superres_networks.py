"""multiscale, srgan3d, to_t1: tiles, turns, twins, and what each adversary learns from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fine_heads import head, lost, shaken

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.nets.tiles import in_tiles
from spinecho.tasks.superres.base import Target
from spinecho.tasks.superres.methods import lowfield, multiscale, srgan3d, to_t1
from spinecho.tasks.superres.parts import planes
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation
from spinecho.tasks.superres.parts.known import channels
from spinecho.tasks.superres.parts.lesson import N_CONDITIONS, Known, Lesson, condition, conditions, lesson_of
from spinecho.tasks.superres.parts.spline import enlarged
from spinecho.tasks.superres.run import along_the_patient

KSPACE = Degradation("kspace")


def small_planes() -> multiscale.Method:
    method = multiscale.Method(multiscale.Config(channels=8, width=4, blocks=1))
    shaken(method)
    return method


def small_maker(against: str = "critic") -> srgan3d.Method:
    torch.manual_seed(0)
    return srgan3d.Method(srgan3d.Config(channels=6, blocks=1, against=against, critic_channels=4))


def small_t1() -> to_t1.Method:
    method = to_t1.Method(to_t1.Config(channels=(4, 6)))
    shaken(method)
    return method


def heads_regions(image: Image) -> tuple[torch.Tensor, torch.Tensor]:
    """What `regions` would know of `fine_heads.head`, which is none."""
    wanted = head(image.geometry.shape, 3.0)
    return wanted, (wanted > 0).float()


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(to_t1, "of_regions", heads_regions)


def small_lifter() -> lowfield.Method:
    method = lowfield.Method(lowfield.Config(channels=(4, 6), blocks=(1, 1)))
    shaken(method)
    return method


def blocks(side: int = 16) -> Lesson:
    high = torch.stack([head((side,) * 3, w) for w in (3.0, 6.0)])
    return lesson_of(high, (side // 2,) * 3, (KSPACE,) * 3)


def test_a_network_is_told_factor_and_degradation():
    assert not condition(None, 1.0).any() and len(condition(None, 1.0)) == N_CONDITIONS
    row = condition(Degradation("slices", 0.8), 4.0)
    assert row[0] == 2 and row[1 + NAMES.index("slices")] == pytest.approx(0.8) and row[1:].sum() == pytest.approx(0.8)
    assert conditions((None, KSPACE, None), (1, 3, 1)).shape == (3, N_CONDITIONS)


def test_lessons_join_and_have_buckets():
    one, other = blocks(), blocks()
    both = Lesson.joined([one, other])
    assert both.high.shape == (4, 16, 16, 16) and both.low.shape == (4, 8, 8, 8) and both.conditions.shape[0] == 4
    assert one.bucket == other.bucket != blocks(12).bucket
    assert torch.equal(one.to(torch.device("cpu")).high, one.high)


def test_an_untrained_network_is_the_spline():
    for method in (multiscale.Method(multiscale.Config(channels=8, width=4, blocks=1)), small_maker()):
        low, target = lost(head((12, 16, 20)), (6, 8, 10), KSPACE)
        torch.testing.assert_close(method(low, target).values, enlarged(low, target.shape))


@pytest.mark.parametrize("against", ["critic", "l1"])
def test_weights_are_few(against):
    n = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert n(multiscale.Method(multiscale.Config())) <= 350_000
    assert n(srgan3d.Method(srgan3d.Config(against=against))) <= 400_000
    assert n(to_t1.Method(to_t1.Config())) <= 800_000


@pytest.mark.parametrize("shape", [(1, 40, 36), (5, 41, 36), (12, 10, 11)])
def test_slices_in_tiles_are_the_whole(shape, monkeypatch):
    method = small_planes()
    volume, told = head(shape), torch.randn(3, N_CONDITIONS, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for across in range(3):
            whole = planes.refined(method.network, volume, across, told)
            tiled = planes.refined(method.network, volume, across, told, core=8)
            torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-6)
        monkeypatch.setattr(planes, "_AT_ONCE", 1)
        torch.testing.assert_close(
            planes.refined(method.network, volume, 0, told), whole.new_tensor(0) + _first(method, volume, told)
        )


def _first(method: multiscale.Method, volume: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """Slice by slice, by hand."""
    rows = torch.cat([told[1], told[2]])[None]
    return torch.stack([s + method.network(s[None, None], rows)[0, 0] for s in volume])


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((1, 20, 18), (1, 40, 36)),
        ((4, 20, 18), (4, 40, 36)),
        ((6, 24, 20), (24, 24, 20)),
        ((8, 9, 10), (16, 27, 15)),
        ((8, 9, 10), (8, 9, 30)),
        ((1, 20, 18), (1, 20, 54)),
        ((4, 6, 5), (4, 6, 5)),
    ],
)
def test_multiscale_takes_any_factor_along_any_axes(low, high):
    method = small_planes()
    values, target = lost(head(high), low, KSPACE)
    with torch.inference_mode():
        made = method(values, target).values
        twice = method(2 * values, target).values
    assert made.shape == (1, *high) and bool(torch.isfinite(made).all())
    torch.testing.assert_close(twice, 2 * made, rtol=1e-4, atol=1e-5)


def test_slices_of_a_stack_know_nothing_of_each_other():
    method = small_planes()
    values, target = lost(head((3, 40, 36)), (3, 20, 18), KSPACE)
    alone, alone_target = lost(head((3, 40, 36))[1:2], (1, 20, 18), KSPACE)
    with torch.inference_mode():
        torch.testing.assert_close(
            method(values, target).values[:, 1:2], method(alone, alone_target).values, rtol=1e-4, atol=1e-5
        )


def test_multiscale_learns_the_same_from_a_patch_as_it_applies():
    method = small_planes()
    lesson = lesson_of(head((1, 32, 32))[None], (1, 16, 16), (None, KSPACE, KSPACE))
    values, target = lost(head((1, 32, 32)), (1, 16, 16), KSPACE)
    with torch.inference_mode():
        torch.testing.assert_close(method.estimate(lesson), method(values, target).values, rtol=1e-4, atol=1e-5)
    loss = method.loss(lesson)
    loss.backward()
    assert loss.shape == () and all(p.grad is not None for p in method.network.enter.parameters())


@pytest.mark.parametrize("grid", [(7, 9, 8), (12, 5, 14)])
def test_srgan3d_in_tiles_is_the_whole(grid, monkeypatch):
    method = small_maker()
    shaken(method.network)
    values, target = lost(head((2 * grid[0], 2 * grid[1], 2 * grid[2])), grid, KSPACE)
    with torch.inference_mode():
        whole = method(values, target).values
        monkeypatch.setattr(srgan3d, "_CORE", 4)
        torch.testing.assert_close(method(values, target).values, whole, rtol=1e-5, atol=1e-6)
        lesson = Lesson(values, enlarged(values, target.shape), whole, torch.zeros(1, 3, N_CONDITIONS))
        torch.testing.assert_close(method.estimate(lesson), whole, rtol=1e-5, atol=1e-6)


def test_srgan3d_refuses_other_factors():
    values, target = lost(head((12, 16, 10)), (6, 8, 10), KSPACE)
    assert "just 2 times as fine each way, not 1 x 2 x 2" in (srgan3d.Method.refusal(values, target) or "")


def test_each_side_learns_from_its_own_words_alone():
    """The critic's weights get no gradient from the maker's word, the maker's none from the critic's loss."""
    method, lesson = small_maker(), blocks()
    shaken(method.network)
    assert method.critic is not None
    method.loss(lesson).backward()
    both = [p.grad.clone() for p in method.critic.parameters()]
    method.zero_grad()
    heavy = srgan3d.Method(srgan3d.Config(channels=6, blocks=1, critic_channels=4, weight=100.0))
    heavy.load_state_dict(method.state_dict())
    heavy.loss(lesson).backward()
    assert heavy.critic is not None
    for one, p in zip(both, heavy.critic.parameters(), strict=True):
        torch.testing.assert_close(p.grad, one)


def test_the_maker_follows_the_critics_word():
    """With a word that counts much a step along the gradient makes the critic take the made volume for truer."""
    method, lesson = small_maker(), blocks()
    shaken(method.network)
    heavy = srgan3d.Method(srgan3d.Config(channels=6, blocks=1, critic_channels=4, weight=1e4))
    heavy.load_state_dict(method.state_dict())
    assert heavy.critic is not None

    def word() -> float:
        with torch.no_grad():
            level = lesson.high.mean((1, 2, 3), keepdim=True)
            return float((heavy.critic((heavy.estimate(lesson) / level)[:, None]) - 1).square().mean())

    before = word()
    heavy.loss(lesson).backward()
    with torch.no_grad():
        norm = torch.stack([p.grad.norm() for p in heavy.network.parameters()]).norm()
        for p in heavy.network.parameters():
            p.sub_(1e-2 * p.grad / norm)
    assert word() < before


def test_the_sober_twin_has_no_critic():
    twin = small_maker("l1")
    assert twin.critic is None
    assert not any("critic" in name for name in twin.state_dict())
    lesson = blocks()
    error = ((twin.estimate(lesson) - lesson.high) / lesson.high.mean((1, 2, 3), keepdim=True)).abs().mean()
    torch.testing.assert_close(twin.loss(lesson), error)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_loss_knows_no_units(scale):
    lesson = blocks()
    other = Lesson(scale * lesson.low, scale * lesson.interpolated, scale * lesson.high, lesson.conditions)
    method = small_maker()
    assert method.loss(other).item() == pytest.approx(method.loss(lesson).item(), rel=1e-4)


def test_to_t1_in_tiles_is_the_whole(monkeypatch):
    method = small_t1()
    values, target = lost(head((20, 26, 24)), (5, 26, 24), Degradation("slices"))
    with torch.inference_mode():
        whole = method(values, target).values
        monkeypatch.setattr(to_t1, "_CORE", 8)
        torch.testing.assert_close(method(values, target).values, whole, rtol=1e-4, atol=1e-5)
    assert whole.shape == (1, 20, 26, 24)


@pytest.mark.parametrize(("order", "flips"), [((0, 1, 2), (1,)), ((2, 0, 1), ()), ((1, 2, 0), (0, 2))])
@pytest.mark.parametrize("small", [small_t1, small_planes, small_lifter])
def test_networks_see_every_head_upright(small, order, flips):
    """Axes in another order and reversed: the same head, the same result on its own grid."""
    method, finer = small(), Degradation("kspace")
    grid = Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (10, 12, 14))
    values = head((10, 12, 14))
    turned_grid = grid.permuted(order)
    turned_values = values.permute(order)
    for axis in flips:
        turned_grid = turned_grid.flipped(axis)
    turned_values = turned_values.flip(flips)
    shape = (turned_values.shape[0], turned_values.shape[1], turned_values.shape[2])
    larger, turned_larger = (2 * 10, 12, 14), tuple(n * (1 + (axis == 0)) for axis, n in zip(order, shape, strict=True))
    lost_, turned_lost = (finer, None, None), tuple(finer if axis == 0 else None for axis in order)
    with torch.inference_mode():
        one = along_the_patient(values[None], method, Target(grid, larger, lost_)).values[0]
        other = along_the_patient(turned_values[None], method, Target(turned_grid, turned_larger, turned_lost)).values[
            0
        ]
    torch.testing.assert_close(other, one.permute(order).flip(flips), rtol=1e-4, atol=1e-5)
    assert float((one - one.flip(2)).abs().max()) > 1e-3, "what is mirrored is told from what is not"


def test_to_t1_learns_the_same_as_it_applies():
    method = small_t1()
    values, target = lost(head((16, 16, 16)), (4, 16, 16), Degradation("slices"))
    plain = lesson_of(head((16, 16, 16))[None], (4, 16, 16), (Degradation("slices"), None, None))
    fine = Image(values=plain.interpolated, geometries=(Geometry.unknown((16, 16, 16)),))
    image, beside = channels(plain.interpolated[0], *heads_regions(fine))
    lesson = Known(plain.low, image[None], plain.high, plain.conditions, beside[None])
    with torch.inference_mode():
        upright = Target(
            Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 4), (4, 16, 16)), target.shape, target.degradations
        )
        lit = torch.nn.functional.max_pool3d((plain.interpolated.abs() > 1e-3).float(), 3, 1, 1)
        shown = method.estimate(lesson).clamp_min(0).pow(0.6) * lit
        torch.testing.assert_close(method(values, upright).values, shown, rtol=1e-4, atol=1e-4)
        error = (method.estimate(lesson) - lesson.high)[:, 4:-4, 4:-4, 4:-4].abs()
        weight = torch.where(lesson.known[:, -1] > 0, 1.0, 0.25)[:, 4:-4, 4:-4, 4:-4]
        torch.testing.assert_close(method.loss(lesson), (error * weight).sum() / weight.sum())


def test_to_t1_leaves_masked_air_dark():
    method, values = small_t1(), torch.full((1, 12, 12, 20), 0.01)
    values[..., 8:] = 0
    values[..., 3, 3, 3] = 1
    method.network.leave.bias.data.fill_(0.5)
    with torch.inference_mode():
        made = method(values, Target(Geometry.unknown((12, 12, 20)), (12, 12, 20), (None,) * 3)).values
    assert not made[..., 9:].any() and float((made[..., :8] > 0).float().mean()) > 0.5


def test_to_t1_makes_millimetres_of_volumes():
    values = head((8, 9, 10))[None]
    grid = Geometry.from_frame((0, 0, 0), np.eye(3), (2, 2, 2), (8, 9, 10))
    assert to_t1.Method.refusal(values, Target(grid, (16, 18, 20), (KSPACE,) * 3)) is None
    assert "voxels of 1 mm, not of 0.5 x 0.5 x 0.5 mm" in (
        to_t1.Method.refusal(values, Target(grid, (32, 36, 40), (KSPACE,) * 3)) or ""
    )
    flat = Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (1, 9, 10))
    assert "single slices" in (to_t1.Method.refusal(values[:, :1], Target(flat, (1, 9, 10), (None,) * 3)) or "")


def test_tiles_of_a_shift_are_exact():
    """What in_tiles promises, on the network of to_t1 with a halo of its own reach."""
    method = small_t1()
    x = torch.randn(1, 8, 21, 18, 26, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            in_tiles(method.network, x, 6, 12), in_tiles(method.network, x, 30, 12), rtol=1e-4, atol=1e-5
        )
