"""Losses without a truth: what is divided, what a gradient may see, the weights, turns; for each unrolled method."""

from __future__ import annotations

import math
from dataclasses import replace

import drawn
import pytest
import torch
from torch import Tensor, nn

from spinecho.calib.csm import estimate_csm
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils, root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import cascade, hqs_net, transformer, varnet_kt
from spinecho.tasks.recon.parts import division, losses
from spinecho.tasks.recon.parts.losses import How, dropout, equivariant, ssdu
from spinecho.tasks.recon.slices import settled

RNG = torch.Generator
WITHOUT_TRUTH = ("ssdu", "equivariant", "noise2inverse", "noise2noise", "dropout")
METHODS = {
    "varnet": lambda: drawn.trained("varnet", 0.1),
    "modl": lambda: drawn.trained("modl", 0.1),
    "unet": lambda: drawn.trained("unet", 0.1),
    "cascade": lambda: cascade.Method(cascade.Config(n_cascades=2, n_convs=2, channels=4)),
    "transformer": lambda: shaken(
        transformer.Method(transformer.Config(n_cascades=1, channels=6, groups=1, side=4, line_blocks=1, start_iters=0))
    ),
    "hqs_net": lambda: hqs_net.Method(
        hqs_net.Config(channels=(4, 6), blocks=(1, 1), n_steps=2, early=1, start_iters=3)
    ),
    "varnet_kt": lambda: shaken(varnet_kt.Method(varnet_kt.Config(channels=(4, 6), blocks=(1, 1), n_steps=2, reach=1))),
}


def shaken(method: Recon) -> Recon:
    """With no weights that are zero: those behind them have a gradient, too."""
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=rng()))
    return method


def scan(kind: str = "random", n_coils: int = 4, shape: tuple[int, int] = (64, 40)) -> KSpace:
    return settled(replace(drawn.drawn(n_coils, shape, kind), target=None))


def rng(seed: int = 0) -> RNG:
    return RNG().manual_seed(seed)


class AsSampled(Recon):
    """x = A^H y, times one weight: equivariant where all was measured."""

    def __init__(self) -> None:
        super().__init__(None)
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, kspace: KSpace) -> Image:
        raise NotImplementedError

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        return [self.factor * Coils(csm).adjoint(ifft(kspace.samples))]


@pytest.mark.parametrize("kind", ["random", "equispaced", "points"])
def test_sets_are_disjoint_and_cover_the_samples(kind):
    kspace = scan(kind)
    divided = division.divide(kspace, 0.4, 3, rng())
    assert kspace.mask is not None
    for i in range(3):
        seen, left = divided.seen(i), divided.left[i] & kspace.mask
        assert seen.mask is not None and left.any() and seen.mask.any()
        assert torch.equal(seen.mask | left, kspace.mask) and not (seen.mask & left).any()
        torch.testing.assert_close(seen.samples + kspace.samples * left, kspace.samples)
        assert not seen.samples[left.expand(kspace.samples.shape)].any()
        torch.testing.assert_close(estimate_csm(seen), estimate_csm(kspace))  # all calibration lines are seen
    assert not torch.equal(divided.left[0], divided.left[1])
    again = division.divide(kspace, 0.4, 3, rng())
    assert torch.equal(divided.left, again.left)
    outer = division.outer_of(kspace)
    assert int(divided.left[0].sum()) == round(0.4 * int(outer.sum()))


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_each_set_holds_a_line_at_least(share):
    divided = division.divide(scan(), share, 1, rng())
    n, outer = int(divided.left.sum()), int(division.outer_of(divided.kspace).sum())
    assert n == (1 if share < 0.5 else outer - 1)


def test_the_weight_is_the_inverse_of_the_chance_to_be_compared():
    """By counting: of all draws in which a position is not seen, it is compared in the share c."""
    generator, n, q = rng(), 200_000, 0.6
    for p in (0.15, 0.5, 1.0):
        measured = torch.rand(n, generator=generator) < p
        seen = measured & (torch.rand(n, generator=generator) < q)
        compared = (measured & ~seen).sum() / (~seen).sum()
        weight = division.loss_weight(torch.tensor(p), 1 - q)
        assert float(weight * compared) == pytest.approx(1, rel=0.02)
    assert float(division.loss_weight(torch.tensor(1.0), 0.4)) == pytest.approx(1)
    k = (1 - 0.25) / (1 - 0.25 * 0.6)  # the published form: K = (1 - P) / (1 - P Q), weight 1 / (1 - K)
    assert float(division.loss_weight(torch.tensor(0.25), 0.4)) == pytest.approx(1 / (1 - k))


def full(shape: tuple[int, int] = (40, 40), n_coils: int = 1) -> KSpace:
    matrix = (1, *shape)
    image = (drawn.disc(shape, 0.7) * 1j**0.3).to(torch.complex64).expand(n_coils, 1, *shape)
    return KSpace(
        samples=fft(image),
        mask=torch.ones(1, 1, shape[0], 1, dtype=torch.bool),
        encoding=Encoding(matrix=matrix, recon_matrix=matrix, centre=(0, shape[0] // 2, shape[1] // 2)),
        geometries=(Geometry.unknown(matrix),),
        noise_cov=torch.zeros(n_coils, n_coils, dtype=torch.complex64),
    )


def test_density_of_random_lines_is_that_they_were_drawn_with():
    n, block = 4096, slice(2048 - 12, 2048 + 12)
    chance = 0.1 + 0.5 * torch.exp(-(torch.linspace(-3, 3, n).square()))
    lines = torch.rand(n, generator=rng()) < chance
    lines[block] = True
    kspace = replace(full((n, 4)), mask=lines.reshape(1, 1, n, 1))
    outer = division.outer_of(kspace)
    assert not outer[..., block, :].any()
    measured = division.density(kspace)
    where = outer.flatten()
    error = (measured.flatten() - chance)[where] / chance[where]
    assert float(error.abs().mean()) < 0.12 and abs(float(error.mean())) < 0.05
    assert bool((measured[~outer] == 1).all())
    regular = torch.arange(240) % 4 == 0
    regular[112:128] = True
    kspace = replace(full((240, 4)), mask=regular.reshape(1, 1, 240, 1))
    inside = division.density(kspace)[division.outer_of(kspace)]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.25), atol=0.03, rtol=0)


def test_the_loss_looks_at_left_out_samples_alone():
    """Its gradient with respect to an image is A'^H of the errors there; what was seen does not matter."""
    kspace = scan()
    divided, csm = division.divide(kspace, 0.4, 1, rng(), weighted=True), estimate_csm(kspace)
    assert kspace.mask is not None
    left = divided.left[0] & kspace.mask
    x = torch.randn(1, 1, 64, 40, dtype=torch.complex64, generator=rng(), requires_grad=True)
    (gradient,) = torch.autograd.grad(ssdu.distance(x, csm, divided, 0).sum(), x)
    error = (fft(Coils(csm)(x.detach())) - kspace.samples) * left
    expected = Coils(csm).adjoint(ifft(error * divided.weight))
    cosine = torch.linalg.vecdot(gradient.flatten(), expected.flatten()).real / gradient.norm() / expected.norm()
    assert float(cosine) == pytest.approx(1, abs=1e-5)
    noisy = replace(divided, kspace=replace(kspace, samples=kspace.samples + 3 * ~left * kspace.mask))
    same = ssdu.distance(x, csm, noisy, 0)
    torch.testing.assert_close(same, ssdu.distance(x, csm, divided, 0))


def test_distances_by_their_closed_forms():
    kspace = scan(n_coils=1)
    csm, zero = estimate_csm(kspace), torch.zeros(1, 1, 64, 40, dtype=torch.complex64)
    for weighted, of_nothing in ((True, 1.0), (False, 2.0)):
        divided = division.divide(kspace, 0.4, 1, rng(), weighted=weighted)
        assert float(ssdu.distance(zero, csm, divided, 0)) == pytest.approx(of_nothing, rel=1e-5)
        assert kspace.mask is not None
        left = divided.left[0] & kspace.mask
        exact = ifft(kspace.samples * left)  # the image that says all that was left out
        assert float(ssdu.distance(exact, csm, divided, 0)) < 1e-5
        double = ssdu.distance(3 * exact, csm, divided, 0)
        assert float(double) == pytest.approx(2 * of_nothing, rel=1e-4)
    weighted = division.divide(kspace, 0.4, 1, rng())
    lines, error = weighted.left[0].flatten().nonzero()[:2, 0], torch.zeros_like(kspace.samples)
    error[..., lines[0], :] = 1.0
    size = (weighted.weight * kspace.samples.abs().square() * weighted.left[0]).sum().sqrt()
    x = ifft(kspace.samples * weighted.left[0] + error)
    one = float(weighted.weight.flatten()[lines[0]])
    assert float(ssdu.distance(x, csm, weighted, 0)) == pytest.approx(math.sqrt(one * 40) / float(size), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_no_loss_depends_on_the_scale(scale):
    divided = division.divide(scan(), 0.4, 1, rng())
    csm, x = estimate_csm(divided.kspace), torch.randn(1, 1, 64, 40, dtype=torch.complex64, generator=rng())
    larger = replace(divided, kspace=replace(divided.kspace, samples=divided.kspace.samples * scale))
    for one in (divided, replace(divided, weighted=False)):
        other = replace(larger, weighted=one.weighted)
        torch.testing.assert_close(ssdu.distance(x * scale, csm, other, 0), ssdu.distance(x, csm, one, 0))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("loss", list(WITHOUT_TRUTH))
def test_each_method_learns_without_a_truth(name, loss):
    torch.manual_seed(0)
    method, rule = METHODS[name](), losses.rule(loss)
    assert method.no_stages() is None
    example = rule.drawn(scan(shape=(40, 36)), rng(), How())
    method.train()
    before = rule.loss(method, example)
    assert before.shape == () and before.dtype == torch.float32
    before.backward()
    sizes = {k: p.grad.abs().max() for k, p in method.named_parameters() if p.grad is not None}
    assert all(torch.isfinite(v) for v in sizes.values()) and sum(v > 0 for v in sizes.values()) > 0.3 * len(sizes)
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    after = []
    for _ in range(4):
        optimiser.step()
        optimiser.zero_grad()
        after.append(rule.loss(method, example))
        after[-1].backward()
    assert min(after) < before


def test_a_batch_is_the_mean_of_its_scans(monkeypatch):
    monkeypatch.setattr(dropout, "FEATURES", 0.0)  # else each pass drops others
    method = METHODS["modl"]()
    for loss in WITHOUT_TRUTH:
        rule = losses.rule(loss)
        kspaces = [settled(replace(drawn.drawn(4, (40, 36), seed=seed), target=None)) for seed in (0, 1)]
        examples = [rule.drawn(k, rng(i), How(masks=2)) for i, k in enumerate(kspaces)]
        few = [e.left if isinstance(e, division.Divided) else e.divided.left for e in examples]
        assert few[0].shape == few[1].shape == (2, 1, 1, 40, 36 if loss == "dropout" else 1)
        assert examples[0].bucket == examples[1].bucket
        with torch.no_grad():
            apart = torch.stack([rule.loss(method, e) for e in examples]).mean()
            together = rule.loss(method, type(examples[0]).joined(examples).to("cpu"))
        torch.testing.assert_close(together, apart, rtol=1e-3, atol=0)


def test_several_divisions_count_alike():
    method, kspace = METHODS["modl"](), scan(shape=(40, 36))
    divided = ssdu.drawn(kspace, rng(), How(masks=3))
    with torch.no_grad():
        whole = ssdu.loss(method, divided)
        parts = [ssdu.loss(method, replace(divided, left=divided.left[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_the_term_is_zero_for_an_equivariant_network():
    """Quarter turns and mirrors of a square grid are exact, and A^H of all samples of one coil commutes with them."""
    kspace = full()
    left = torch.zeros(1, 1, 1, 40, 1, dtype=torch.bool)
    divided = division.Divided(kspace, left, torch.ones(1, 1, 40, 1))
    csm, x = estimate_csm(kspace), ifft(kspace.samples) + 0.1 * torch.randn(1, 1, 40, 40, generator=rng())
    for angle in (0.0, 0.5 * math.pi, math.pi, 1.5 * math.pi):
        for mirrored in (False, True):
            turn = equivariant.rotation(angle, mirrored, kspace)
            example = equivariant.Turned(divided, turn, torch.zeros_like(kspace.samples), 1.0)
            assert equivariant.term(AsSampled(), example, csm, x).item() < 1e-5
            moved = equivariant.turned(x, turn)
            ways = [torch.rot90(v, k, (-2, -1)) for v in (x, x.flip(-1)) for k in range(4)]
            assert min(float((moved - way).abs().max()) for way in ways) < 1e-5
    part = replace(kspace, mask=(torch.arange(40) % 2 == 0).reshape(1, 1, 40, 1))
    example = equivariant.Turned(replace(divided, kspace=part), turn, torch.zeros_like(kspace.samples), 1.0)
    assert equivariant.term(AsSampled(), example, csm, x).item() > 0.1


def test_a_turn_keeps_millimetres():
    kspace = full((40, 20))
    wide = replace(kspace, geometries=(Geometry.unknown((1, 40, 20), (2.0, 1.0, 1.0)),))
    turn = equivariant.rotation(0.7, False, wide).double()
    side = torch.diag(torch.tensor([2.0, 1.0], dtype=torch.float64))
    turned_mm = side @ turn @ torch.linalg.inv(side)
    torch.testing.assert_close(turned_mm @ turned_mm.T, torch.eye(2, dtype=torch.float64), atol=1e-6, rtol=0)
    y, x = torch.meshgrid(torch.arange(40.0) - 19.5, 2 * (torch.arange(20.0) - 9.5), indexing="ij")
    ball = torch.exp(-(x.square() + y.square()) / 60)[None, None].to(torch.complex64)
    torch.testing.assert_close(equivariant.turned(ball, turn.float()), ball, atol=0.02, rtol=0)


def test_the_noise_of_a_turned_scan_is_that_of_the_scan():
    kspace = scan()
    assert kspace.noise_cov is not None
    example = equivariant.drawn(kspace, rng(), How())
    level = kspace.noise_cov.diagonal().real.mean()
    assert float(example.noise.abs().square().mean() / level) == pytest.approx(1, rel=0.1)


def test_supervised_is_the_methods_own():
    method, kspace, rule = METHODS["modl"](), drawn.drawn(4, (40, 36)), losses.rule("supervised")
    assert rule.refusal(kspace) is None and "no truth" in (rule.refusal(replace(kspace, target=None)) or "")
    with torch.no_grad():
        assert rule.loss(method, rule.drawn(kspace, rng(), How())) == method.loss(kspace)


def test_what_cannot_be_divided_is_said():
    spokes = replace(drawn.drawn_spokes(), target=None)
    assert "trajectory" in (losses.rule("ssdu").refusal(spokes) or "")
    few = scan()
    assert few.mask is not None
    lines = torch.zeros(64, dtype=torch.bool)
    lines[26:38] = True
    lines[5] = True
    few = replace(few, mask=lines.reshape(1, 1, 64, 1), samples=few.samples * lines.reshape(1, 1, 64, 1))
    for name in WITHOUT_TRUTH:
        assert "1 lines outside its calibration block" in (losses.rule(name).refusal(few) or "")


def test_settings_that_mean_nothing_and_unknown_losses():
    for settings, told in (
        ({"share": 1.0}, "loss_share"),
        ({"masks": 0}, "loss_masks"),
        ({"equivariance": -1.0}, "equ"),
    ):
        with pytest.raises(DataError, match=told):
            How(**settings)
    with pytest.raises(DataError, match="known are dropout, equivariant, noise2inverse, noise2noise, ssdu, supervised"):
        losses.rule("nonsense")
    assert "17/075,411" in (losses.__doc__ or "") and "17/075,411" in (ssdu.__doc__ or "")


def test_methods_without_complex_images_say_so():
    assert "no complex image" in (drawn.trained("e2e").no_stages() or "")

    class Silent(AsSampled):
        stages = Recon.stages

    assert "nothing of its complex images" in (Silent().no_stages() or "")


def test_stages_end_with_the_method_s_own_image():
    """What training sees is what `forward` gives (but for starts that are drawn in training)."""
    for name in ("modl", "unet"):
        method, kspace = drawn.trained(name, 0.1).eval(), scan(shape=(40, 36))
        with torch.no_grad():
            image = method(kspace)
            last = method.stages(kspace, image.extras["csm"])[-1]
        where = root_sum_of_squares(image.extras["csm"][0]) > 0
        torch.testing.assert_close(last * where, image.values * where, atol=1e-4, rtol=1e-3)


def test_examples_whose_mask_has_no_batch_axis_join():
    """Two series of one coil, divided by lines that all frames share."""
    shape = (2, 1, 1, 8, 6)
    left = torch.zeros(2, 1, 1, 1, 8, 1, dtype=torch.bool)

    def one(line: int) -> division.Divided:
        samples = torch.ones(shape, dtype=torch.complex64)
        series = KSpace(
            samples=samples,
            mask=torch.ones(1, 1, 8, 1, dtype=torch.bool),
            encoding=Encoding.cartesian((1, 8, 6)),
            geometries=(Geometry.unknown((1, 8, 6)),),
            axes=("time",),
        )
        own = left[:, 0].clone()
        own[..., line, :] = True
        return division.Divided(series, own, torch.ones(1, 1, 8, 1))

    seen = division.Divided.joined([one(0), one(3)]).seen(0)
    assert seen.samples.shape == (2, *shape) and seen.axes == ("example", "time")
    gone = [(seen.samples[i, ..., 0] == 0).all((0, 1, 2)).nonzero().flatten().tolist() for i in range(2)]
    assert gone == [[0], [3]]


class Shown(Recon):
    """One image, whatever it sees."""

    def __init__(self, image: Tensor) -> None:
        super().__init__(None)
        self.image = image

    def forward(self, kspace: KSpace) -> Image:
        raise NotImplementedError

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        return [self.image]


def halved(kspace: KSpace) -> KSpace:
    """Every second line, and the middle."""
    line = torch.arange(kspace.samples.shape[-2])
    mask = ((line % 2 == 0) | ((line - len(line) // 2).abs() < 5))[None, None, :, None]
    return replace(kspace, samples=kspace.samples * mask, mask=mask)


@pytest.mark.parametrize("weighted", [True, False])
def test_an_image_that_leaves_the_calibration_lines_is_penalised(weighted):
    whole, kspace = full().samples, settled(halved(full()))
    example = ssdu.drawn(kspace, rng(), How(weighted=weighted))
    csm = torch.ones(1, 1, 1, *kspace.samples.shape[-2:], dtype=torch.complex64)
    assert kspace.mask is not None
    centre = kspace.mask & ~division.outer_of(kspace)
    assert 0 < int(centre.sum()) < int(kspace.mask.sum())
    wrong = ifft(torch.where(centre, 0.8 * whole, whole))  # no line that is ever left out changes
    true, other = (float(ssdu.prediction(Shown(v), example, csm, 0)[0]) for v in (ifft(whole), wrong))
    assert other > true + 0.1
    assert float(ssdu.Centre.of(example).astray(ifft(whole), csm)) < 1e-4


def test_within_the_noise_nothing_is_penalised():
    kspace = full()
    noise = 0.05 * torch.view_as_complex(torch.randn(*kspace.samples.shape, 2, generator=rng())) / math.sqrt(2)
    eye = torch.eye(1, dtype=torch.complex64)
    noisy = settled(halved(replace(kspace, samples=kspace.samples + noise, noise_cov=0.055**2 * eye)))
    example = ssdu.drawn(noisy, rng(), How())
    csm = torch.ones(1, 1, 1, *kspace.samples.shape[-2:], dtype=torch.complex64)
    assert float(ssdu.Centre.of(example).astray(ifft(kspace.samples), csm)) == 0
    assert float(ssdu.Centre.of(example).astray(0.5 * ifft(kspace.samples), csm)) > 0.3
