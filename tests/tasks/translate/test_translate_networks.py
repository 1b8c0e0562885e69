"""The networks of translation: tiles, turns, maps of doubt, and what each learns from."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from two_contrasts import head, image

from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.methods.pretrained import built, open_learned
from spinecho.nets.tiles import reach
from spinecho.nets.unet import UNet
from spinecho.tasks.translate.base import Ask
from spinecho.tasks.translate.limits import outside
from spinecho.tasks.translate.methods import cyclegan, lookup, pix2pix3d, supervised
from spinecho.tasks.translate.parts import planes
from spinecho.tasks.translate.parts.lesson import Lesson, told
from spinecho.tasks.translate.parts.passes import spread
from spinecho.tasks.translate.run import translate

THERE, BACK = Ask("t1", "t2"), Ask("t2", "t1")
SMALL = {
    "supervised": (supervised, supervised.Config(pairs=("t1-t2", "t2-t1"), channels=(6, 8), blocks=(1, 1))),
    "from_curve": (
        supervised,
        supervised.Config(pairs=("t1-t2", "t2-t1"), channels=(6, 8), blocks=(1, 1), from_curve=("t1-t2",)),
    ),
    "pix2pix3d": (pix2pix3d, pix2pix3d.Config(pairs=("t1-t2", "t2-t1"), channels=(4, 6), critic_channels=2)),
    "cyclegan": (cyclegan, cyclegan.Config(channels=(6, 8), blocks=(1, 1), critic_channels=4)),
}
each = pytest.mark.parametrize("name", SMALL)


def small(name: str, strength: float = 0.05):
    module, config = SMALL[name]
    torch.manual_seed(0)
    method = module.Method(config)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(strength * torch.randn(p.shape, generator=rng))
    return method


def lesson(n: int = 2, side: int = 16) -> Lesson:
    rng = torch.Generator().manual_seed(1)
    seen, wanted = torch.rand(2, n, 5, side, side, generator=rng)
    return Lesson(seen, wanted, torch.arange(n) % 2)


@each
@pytest.mark.parametrize("shape", [(6, 41, 36), (9, 24, 50)])
def test_tiles_are_the_whole(name, shape, monkeypatch):
    method, values = small(name), head("t1", shape)[None]
    with torch.inference_mode():
        whole = method(values, THERE).values
        monkeypatch.setattr(planes, "AT_ONCE", 16**2)
        monkeypatch.setattr(pix2pix3d, "_CORE", 8)
        parts = method(values, THERE).values
    assert whole.shape == values.shape
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


@each
def test_the_pair_decides(name):
    method, values = small(name), head("t1")[None]
    with torch.inference_mode():
        assert not torch.allclose(method(values, THERE).values, method(values, BACK).values)
    assert method.lacks(THERE) is None and "not pd of t1" in (method.lacks(Ask("t1", "pd")) or "")


@pytest.mark.parametrize(
    ("shape", "voxel_mm", "axis"),
    [
        ((40, 50, 60), (1, 1, 1), 0),
        ((40, 50, 60), (1, 1, 4), 2),
        ((40, 50, 60), (1, 1.2, 1), 0),
        ((40, 1, 60), (1, 1, 5), 1),
        ((30, 40, 50), (3, 0.7, 0.7), 0),
    ],
)
def test_slices_lie_across_thick_voxels(shape, voxel_mm, axis):
    assert planes.across(shape, voxel_mm) == axis


def test_slices_across_any_axis_are_those_of_the_turned_volume():
    method, values = small("supervised"), head("t1", (20, 24, 28))
    with torch.inference_mode():
        for axis in range(3):
            mm = [1.0, 1.0, 1.0]
            mm[axis] = 4.0
            one = method(values[None], Ask("t1", "t2", (mm[0], mm[1], mm[2]))).values[0]
            other = method(values.movedim(axis, 0)[None].contiguous(), THERE).values[0]
            torch.testing.assert_close(one, other.movedim(0, axis))


def test_a_unet_sees_no_further_than_it_says():
    network = UNet(1, 1, (3, 4), (1, 2), shuffle=2)
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(generator=torch.Generator().manual_seed(2))
    seen = reach(network, 1, 2, 128, step=network.coarsest)
    assert 0 < seen <= network.radius


def test_what_a_network_is_told_of_the_pair():
    x = told(torch.rand(2, 3, 4, 5), torch.tensor([1, 0]), 2)
    assert x.shape == (2, 5, 4, 5) and x[0, 4].min() == 1 == x[1, 3].min() and not x[0, 3].any()
    assert told(torch.rand(1, 1, 2, 3, 4), torch.tensor([0]), 3).shape == (1, 4, 2, 3, 4)


def test_lessons_join_and_thin():
    one = lesson()
    both = Lesson.joined([one, one])
    assert both.seen.shape == (4, 5, 16, 16) and both.pairs.tolist() == [0, 1, 0, 1]
    assert torch.equal(one.thinned(1).wanted[:, 0], one.middle) and torch.equal(one.thinned(3).seen, one.seen[:, 1:4])
    assert one.bucket != lesson(2, 12).bucket and torch.equal(one.to(torch.device("cpu")).seen, one.seen)
    with pytest.raises(AssertionError, match="more slices"):
        one.thinned(7)


def test_untrained_cyclegan_changes_nothing():
    module, config = SMALL["cyclegan"]
    values = head("t1")[None]
    torch.testing.assert_close(module.Method(config)(values, THERE).values, values)


def test_cyclegan_may_start_from_the_curves_of_lookup(tmp_path):
    config = cyclegan.Config(channels=(6, 8), blocks=(1, 1), critic_channels=4, start="curve")
    method, values = cyclegan.Method(config), head("t1")[None]
    lit, curved = values != 0, built("translate", "lookup", {})(values, THERE).values
    torch.testing.assert_close(method(values, THERE).values * lit, curved * lit)
    assert bool((method(torch.zeros_like(values), THERE).values == 0).all()), "what was masked stays so"
    method.makers[0].get_buffer("curve").fill_(0.25)
    told = {"task": "translate", "method": "cyclegan", "config": asdict(config), "card": {}, "trained": {}}
    save_state(tmp_path / "w.safetensors", method.state_dict(), told)
    again = open_learned("translate", tmp_path / "w.safetensors")
    torch.testing.assert_close(again(values, THERE).values * lit, 0.25 * lit, msg="its own, not lookup's")


def test_what_cyclegan_adds_has_no_chequers():
    signs = (-1.0) ** (torch.arange(12)[:, None] + torch.arange(14))
    made = cyclegan.even(3 + signs[None, None])[..., 1:-1, 1:-1]
    torch.testing.assert_close(made, torch.full_like(made, 3))


class Striped(torch.nn.Module):
    """What it is given, and stripes of its own that stand still on its grid."""

    coarsest, radius = 4, 1

    def __init__(self, period: int, across: bool) -> None:
        super().__init__()
        self.period, self.across = period, across

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[-1] if self.across else x.shape[-2]
        wave = torch.cos(2 * torch.pi * torch.arange(n) / self.period)
        return x + (wave if self.across else wave[:, None])


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("period", [2, 4])
def test_what_stands_on_the_networks_own_grid_goes(period, across):
    x = torch.rand(2, 1, 18, 23, generator=torch.Generator().manual_seed(0))
    striped = Striped(period, across)
    assert float((striped(x) - x).abs().max()) == 1
    torch.testing.assert_close(planes.Shifted(striped)(x), x, atol=1e-5, rtol=0)


def test_supervised_adds_to_the_curves_of_lookup_where_it_is_told_to():
    pairs = ("t1-t2", "t2-t1", "t1+t2-flair")
    config = supervised.Config(pairs=pairs, channels=(6, 8), blocks=(1, 1), from_curve=("t1-t2", "t1+t2-flair"))
    method = supervised.Method(config)
    both = torch.stack([head(name, seed=i) for i, name in enumerate(("t1", "t2"))])
    lookup_ = built("translate", "lookup", {})
    for ask, given in ((THERE, both[:1]), (Ask("t1+t2", "flair"), both)):
        begun = lookup_(both[:1], Ask("t1", ask.wanted)).values
        lit = (given != 0).any(0, keepdim=True)
        torch.testing.assert_close(method(given, ask).values * lit, begun * lit)
    assert not method(both[1:], BACK).values.any(), "untrained, it makes nothing of the others"
    mixed = Lesson(*[torch.rand(2, 5, 16, 16)] * 2, torch.tensor([0, 1]))
    made = method.estimate(replace(mixed, beside=torch.zeros(2, 1, 5, 16, 16)))
    assert bool(made[0].any()) and not made[1].any()
    assert "curves" in method.state_dict(), "they travel with the weights"


def test_pairs_from_curves_are_kept_by_what_begins_with_the_weights():
    first = supervised.Method(SMALL["from_curve"][1])
    assert first.curves is not None
    first.curves[0] = 0.3  # of weights that began from another lookup
    usual = supervised.Config(pairs=("t1-t2", "t1-flair"))
    after = supervised.Method.begun(usual, first)
    assert after.config.from_curve == ("t1-t2",) and after.curves is not None
    assert bool((after.curves[0] == 0.3).all()) and not after.curves[1].any()
    other = replace(usual, from_curve=("t1-flair",))
    assert supervised.Method.begun(other, first).config.from_curve == ("t1-flair",)


def test_what_was_masked_stays_so_from_a_curve():
    values = head("t1", (5, 40, 36))[None]
    made = small("from_curve", 0.5)(values, THERE).values
    air = torch.nn.functional.max_pool2d((values != 0).float(), 11, 1, 5) == 0
    assert bool(air.any()) and not made[air].any() and bool(made[values != 0].any())


def test_lesions_may_count_more():
    config = SMALL["supervised"][1]
    plain, weighted = (supervised.Method(replace(config, lesion_weight=w)) for w in (0.0, 3.0))
    healthy = lesson()
    share = torch.zeros_like(healthy.wanted)
    share[:, :, :4] = 1  # a quarter of 16 rows
    sick = replace(healthy, lesions=share)
    error = healthy.middle.abs()  # an untrained network makes zeros
    assert plain.loss(sick).item() == pytest.approx(error.mean().item())
    assert weighted.loss(healthy).item() == pytest.approx(error.mean().item())
    expected = error.mean() + 3 * error[:, :4].sum() / error.numel()
    assert weighted.loss(sick).item() == pytest.approx(expected.item())


def test_a_start_from_curves_needs_them():
    with pytest.raises(DataError, match=r"lookup has no curve for t1-pd.* -> leave it out of start='?curve.*t1-t2"):
        cyclegan.Method(cyclegan.Config(pairs=("t1-pd", "pd-t1"), start="curve"))
    with pytest.raises(DataError, match=r"lookup has no curve for t1-pd.* -> leave it out"):
        supervised.Method(supervised.Config(pairs=("t1-pd", "t1-t2"), from_curve=("t1-pd",)))
    with pytest.raises(DataError, match=r"names t2-t1, which pairs does not .*-> take some of t1-t2"):
        supervised.Method(supervised.Config(pairs=("t1-t2",), from_curve=("t2-t1",)))


def test_cyclegan_wants_a_pair_and_its_way_back():
    for pairs in (("t1-t2",), ("t1-t2", "t1-flair"), ("t1-t2", "t2-t1", "t1-pd")):
        with pytest.raises(DataError, match="one pair of contrasts and the way back"):
            cyclegan.Method(cyclegan.Config(pairs=pairs))


def test_volumes_only():
    assert "not single slices" in (pix2pix3d.Method.refusal(torch.zeros(1, 1, 20, 20), THERE) or "")
    assert pix2pix3d.Method.refusal(torch.zeros(1, 20, 20, 20), THERE) is None
    assert pix2pix3d.Method(pix2pix3d.Config(weight=0)).critic is None


def test_weights_are_few():
    n = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert n(supervised.Method(supervised.Config())) < 900_000
    assert n(pix2pix3d.Method(pix2pix3d.Config())) < 800_000
    assert n(cyclegan.Method(cyclegan.Config()).makers) < 1_700_000, "3.4 MB in half precision"
    assert n(lookup.Method(lookup.Config())) < 1000


@pytest.mark.parametrize("name", ["pix2pix3d", "cyclegan"])
def test_makers_follow_their_critics(name):
    """The critic's own loss moves critics alone: without word, error and cycle the makers would get nothing."""
    method, example = small(name), lesson(side=16)
    if name == "cyclegan":
        quiet = cyclegan.Method(cyclegan.Config(channels=(6, 8), blocks=(1, 1), critic_channels=4, cycle=0, identity=0))
        quiet.load_state_dict(method.state_dict())
        method, critics, makers = quiet, quiet.critics, quiet.makers
    else:
        assert method.critic is not None
        critics, makers = method.critic, method.network
    before = method.loss(example).item()
    parameters = list(makers.parameters())
    grads = torch.autograd.grad(method.loss(example), parameters)
    with torch.no_grad():
        for p, g in zip(parameters, grads, strict=True):
            p -= 0.02 * g
    assert method.loss(example).item() < before
    method.loss(example).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in critics.parameters())


def test_cyclegan_takes_both_directions_alike():
    """A lesson of t1-t2 is one of t2-t1 with its sides exchanged."""
    method, one = small("cyclegan"), lesson()
    there = Lesson(one.seen, one.wanted, torch.zeros(2, dtype=torch.long))
    back = Lesson(one.wanted, one.seen, torch.ones(2, dtype=torch.long))
    torch.testing.assert_close(method.loss(there), method.loss(back))


def test_lookup_is_its_curves():
    method = lookup.Method(lookup.Config(pairs=("t1-t2",), knots=3, top=1.0))
    with torch.no_grad():
        method.curves.copy_(torch.tensor([[0.0, 1.0, 0.5]]))
        method.doubts.copy_(torch.tensor([[0.1, -0.2, 0.3]]))
    x = torch.tensor([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 9.0]).reshape(1, 1, 1, 7)
    made = method(x, THERE)
    assert made.values.flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 0.75, 0.5, 0.5])
    assert made.spread is not None and made.spread.flatten().tolist() == pytest.approx([0.1, 0.1, 0, 0, 0.05, 0.3, 0.3])


def test_lookup_learns_the_median_and_how_far_things_are_from_it():
    """y is 0.2 three times of four, else 0.8: the median is 0.2, the mean distance 0.15; the rest is worse."""
    method = lookup.Method(lookup.Config(pairs=("t1-t2",), knots=2, top=1.0))
    wanted = torch.tensor([0.2, 0.2, 0.2, 0.8]).repeat(1, 1, 8, 4)
    example = Lesson(torch.full_like(wanted, 0.3), wanted, torch.tensor([0]))
    losses: dict[tuple[float, float], float] = {}
    for curve, doubt in ((c, d) for c in (0.1, 0.2, 0.35, 0.8) for d in (0.05, 0.15, 0.3)):
        with torch.no_grad():
            method.curves.fill_(curve)
            method.doubts.fill_(doubt)
            losses[curve, doubt] = method.loss(example).item()
    assert min(losses, key=lambda k: losses[k]) == (0.2, 0.15)
    method.loss(example).backward()
    assert method.curves.grad is not None and bool(method.curves.grad.any())
    dark = Lesson(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.tensor([0]))
    assert method.loss(dark).item() == 0, "air teaches nothing"


def test_the_spread_of_passes_is_that_of_the_noise():
    """Of the identity it is the noise over the root of ...: 0.02 of the passes with noise, none where it is masked."""
    seen = torch.full((1, 20, 40, 40), 0.5)
    seen[..., :10] = 0
    one = spread(lambda x: x, seen, seen, 9)
    assert float(one[..., 10:].square().mean().sqrt()) == pytest.approx(0.02 * (8 / 9) ** 0.5, rel=0.1)
    assert not one[..., :10].any() and torch.equal(one, spread(lambda x: x, seen, seen, 9))
    told: list[float] = []
    spread(lambda x: x, seen, seen, 3, told.append)
    assert told == [0.5, 0.75]


@each
def test_maps_and_weights_of_a_network_through_the_whole_task(name, tmp_path):
    method, name = small(name), name.replace("from_curve", "supervised")
    config = {**vars(method.config)}
    path = tmp_path / "weights.safetensors"
    card = {"voxel_mm": [0.8, 0.9]}
    metadata = {"task": "translate", "method": name, "config": config, "card": card, "trained": {}}
    save_state(path, method.state_dict(), metadata)
    given = image(700 * head("t1"))
    made = translate(given, name, to="t2", contrast="t1", weights=path)
    assert set(made.extras) == {"spread", "cycle"} and all(bool(m.any()) for m in made.extras.values())
    assert any("voxels of 1 mm (card: 0.8 to 0.9 mm)" in w for w in made.header.warnings)
    single = translate(given, name, to="t2", contrast="t1", weights=path, passes=1)
    assert set(single.extras) == {"cycle"} and torch.equal(single.values, made.values)
    torch.testing.assert_close(translate(given, name, to="t2", contrast="t1", weights=path).values, made.values)


def test_cards_limit_voxels_and_pairs():
    assert outside({}, THERE) == []
    assert outside({"pairs": ["t1-t2"]}, BACK) == ["pair t2-t1 (card: t1-t2)"]
    assert outside({"voxel_mm": [0.5, 1.5]}, Ask("t1", "t2", (3.0, 1.0, 1.0))) == [
        "voxels of 3 mm (card: 0.5 to 1.5 mm)"
    ]
