"""Examples of one shape go through a loss together, and nothing but rounding tells it from one after another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import toy

from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import with_noise_level
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.methods.registry import load
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.sim.draws_radial import acquire_radial
from spinecho.tasks.denoise.parts.patches import Patches
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.methods import l1_wavelet
from spinecho.tasks.register.parts.example import Example
from spinecho.tasks.segment.parts.example import Example as Head
from spinecho.tasks.segment.parts.names import also_right
from spinecho.tasks.superres.parts.degrade import Degradation
from spinecho.tasks.superres.parts.known import N_KNOWN
from spinecho.tasks.superres.parts.lesson import Known, Lesson, lesson_of
from spinecho.tasks.translate.parts.lesson import Lesson as Contrasts
from spinecho.train.buckets import Group, grouped, parts
from spinecho.train.gradient import Recomputes, wrapped
from spinecho.train.prefetch import batches
from spinecho.train.settings import Settings
from spinecho.train.team import Team

SMALL = {"channels": (6, 8), "blocks": (1, 1)}
LEARNED = {
    ("recon", "varnet"): {"n_cascades": 2, "start_iters": 6, **SMALL},
    ("recon", "modl"): {"n_unrolls": 2, **SMALL},
    ("recon", "unet"): SMALL,
    ("denoise", "unet"): SMALL,
    ("register", "voxelmorph"): {"channels": (4, 6), "goal_steps": 2},
}
"""Small forms of learned methods; others are tried as they are."""


def scans(
    n: int, n_coils: int = 4, shape: tuple[int, int] = (40, 36), kind: str = "random", known: bool = True
) -> list[KSpace]:
    """Scans of one bucket; each object, noise level (known or not), mask and support is its own."""
    draws = Draws(coils=(n_coils,), masks=(kind,), accel=(2.2, 2.8), snr=(10, 80), odd=0.0)
    rng = torch.Generator().manual_seed(8)
    out: list[KSpace] = []
    for i in range(n):
        fine = toy.disc(fine_shape(shape)) * (1 if i % 2 else torch.linspace(0, 1, fine_shape(shape)[1]))
        fine[:, : 12 * (i % 3)] = 0
        scan = ready(acquire_random(fine, shape, rng, draws))
        out.append(with_noise_level(scan) if known else replace(scan, noise_cov=None))
    return out


def patches(n: int) -> list[Patches]:
    rng = torch.Generator().manual_seed(1)
    clean = torch.randn(n, 3, 16, 16, dtype=torch.complex64, generator=rng)
    noise = torch.randn(n, 3, 16, 16, dtype=torch.complex64, generator=rng)
    return [Patches(c, c + 0.1 * m, torch.full((3,), 0.07)) for c, m in zip(clean, noise, strict=True)]


def pairs(n: int) -> list[Example]:
    rng = torch.Generator().manual_seed(2)
    images = torch.rand(n, 2, 1, 16, 16, 16, generator=rng)
    return [Example(a, b, (a, b), None, 0.6) for a, b in images]


def heads(n: int) -> list[Head]:
    rng = torch.Generator().manual_seed(4)
    images = torch.rand(n, 1, 1, 16, 16, 16, generator=rng)
    also = [also_right("muse" if i % 2 else "freesurfer")[None] for i in range(n)]
    return [
        Head(image, (6 * image[:, 0]).to(torch.uint8), torch.tensor([0.25 * i]), other)
        for i, (image, other) in enumerate(zip(images, also, strict=True))
    ]


def blocks(n: int) -> list[Lesson]:
    rng = torch.Generator().manual_seed(5)
    lost = (Degradation("kspace"),) * 3
    plain = [lesson_of(torch.rand(1, 16, 16, 16, generator=rng), (8, 8, 8), lost) for _ in range(n)]
    known = [torch.rand(1, generator=rng).expand(1, N_KNOWN, 16, 16, 16) for _ in plain]
    return [Known(p.low, p.interpolated, p.high, p.conditions, k) for p, k in zip(plain, known, strict=True)]


def contrasts(n: int) -> list[Contrasts]:
    rng = torch.Generator().manual_seed(6)
    both = 0.1 + torch.rand(n, 2, 1, 5, 16, 16, generator=rng)
    return [Contrasts(a, b, torch.tensor([i % 2])) for i, (a, b) in enumerate(both)]


def pictures(n: int) -> list[Pictures]:
    rng = torch.Generator().manual_seed(8)
    return [Pictures(torch.rand(2, 64, 64, generator=rng)) for _ in range(n)]


DRAWN = {
    "recon": scans,
    "denoise": patches,
    "register": pairs,
    "segment": heads,
    "superres": blocks,
    "translate": contrasts,
    "generate": pictures,
}
OF_A_GROUP = {("segment", "pix2pix3d"), *(("generate", name) for name in ("gan", "diffusion2d", "latent"))}
"""Their losses are of a group: of pictures with noise drawn for it, or the overlap in all blocks together, of which
many hold no lesion. Another group is another loss, not a part of it"""


def gradients(method: torch.nn.Module, groups: list[Group], batch: int) -> tuple[float, list[torch.Tensor]]:
    method.zero_grad()
    loss = wrapped(method, Settings(batch=batch), Team())(1, groups)
    return loss, [p.grad.clone() for p in method.parameters()]


def alike(method: torch.nn.Module, examples: list) -> None:
    """The gradient of the batch is that of one after another, to 1e-5 of its largest value."""
    n = len(examples)
    together = list(grouped(range(n), examples))
    apart = list(grouped(range(n), examples, at_once=1))
    assert [len(g) for g in (together, apart)] == [1, n]
    (a, ours), (b, wanted) = gradients(method, together, n), gradients(method, apart, n)
    assert a == pytest.approx(b, rel=1e-5)
    scale = max(float(w.abs().max()) for w in wanted)
    assert scale > 0
    for mine, theirs in zip(ours, wanted, strict=True):
        assert float((mine - theirs).abs().max()) <= 1e-5 * scale


@pytest.mark.parametrize(("task", "name"), [m for m in registry.learned() if m not in OF_A_GROUP])
def test_the_gradient_of_a_batch_is_that_of_one_after_another(task, name):
    torch.manual_seed(3)
    module = load(task, name)
    method = module.Method(module.Config(**LEARNED.get((task, name), {})))
    rng = torch.Generator().manual_seed(5)  # with others rounding carries an activation across zero
    with torch.no_grad():
        for p in method.parameters():
            if p.ndim >= 4:
                p.copy_(torch.randn(p.shape, generator=rng) / p[0].numel() ** 0.5)
    alike(method, DRAWN[task](4))


def kept(method: torch.nn.Module, group: Group, **settings: bool) -> int:
    """Numbers that the forward pass keeps for the backward pass."""
    sizes: list[int] = []

    def keep(x: torch.Tensor) -> torch.Tensor:
        sizes.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        wrapped(method, Settings(batch=1, **settings), Team())(1, [group])
    return sum(sizes)


@pytest.mark.parametrize(("task", "name"), registry.learned())
def test_activations_computed_again_are_not_kept(task, name):
    torch.manual_seed(3)
    module = load(task, name)
    method = module.Method(module.Config(**LEARNED.get((task, name), {})))
    if not any(isinstance(m, Recomputes) for m in method.modules()):
        pytest.skip("it refuses --checkpointing")
    (group,) = grouped(range(1), DRAWN[task](1))
    whole = kept(method, group)
    assert kept(method, group, checkpointing=True) < whole


@pytest.mark.parametrize("kind", ["equispaced", "points"])
@pytest.mark.parametrize(("n_coils", "known"), [(1, True), (5, False)])
def test_whatever_the_mask_the_coils_and_whether_the_noise_is_known(kind, n_coils, known):
    torch.manual_seed(3)
    module = load("recon", "varnet")
    method = module.Method(module.Config(**LEARNED["recon", "varnet"]))
    torch.nn.init.normal_(method.cascades[0].unet.leave.weight, std=0.1)
    alike(method, scans(3, n_coils, kind=kind, known=known))


def test_a_start_of_many_iterations_is_the_same_in_any_batch():
    """Sparse starts magnify rounding a thousandfold in sixty iterations."""
    torch.manual_seed(3)
    module = load("recon", "varnet")
    method = module.Method(module.Config(n_cascades=1, start_iters=60, **SMALL))
    torch.nn.init.normal_(method.cascades[0].unet.leave.weight, std=0.1)
    alike(method, scans(4))


def test_examples_leave_one_run_of_sparse_iterations_one_by_one():
    """As on a GPU; a few iterations magnify little."""
    whole, counts = KSpace.joined(scans(4)), [3, 7, 0, 3]
    csm = estimate_csm(whole)
    together = l1_wavelet.reconstruct_each(whole, csm, l1_wavelet.Config(), counts, cut=False)
    for i, n_iters in enumerate(counts):
        part, config = whole.take("example", [i]), l1_wavelet.Config(n_iters=n_iters)
        alone = l1_wavelet.reconstruct(part, csm[[i]], config, cut=False)
        torch.testing.assert_close(together[[i]], alone, rtol=1e-4, atol=1e-5)


def test_spokes_are_joined_too():
    draws, rng = Draws(coils=(4,), snr=(20, 40), spokes=(20, 20)), torch.Generator().manual_seed(0)
    examples = [ready(acquire_radial(toy.disc(fine_shape((40, 40))), 40, rng, draws)) for _ in range(6)]
    examples = [with_noise_level(e) for e in examples]
    examples = [e for e in examples if e.bucket == examples[0].bucket]
    assert len(examples) > 1
    torch.manual_seed(3)
    module = load("recon", "modl")
    method = module.Method(module.Config(**LEARNED["recon", "modl"]))
    torch.nn.init.normal_(method.refinement.unet.leave.weight, std=0.1)
    alike(method, examples)


def test_unlike_shapes_stand_in_groups_of_their_own_in_order():
    wide, tall = scans(2, shape=(40, 36)), scans(2, shape=(36, 40))
    groups = list(grouped((4, 5, 6, 7), [wide[0], tall[0], wide[1], tall[1]]))
    assert [g.places for g in groups] == [(4, 6), (5, 7)]
    assert torch.equal(groups[1].example.samples[1], tall[1].samples)
    assert [g.places for g in grouped(range(4), wide + tall, at_once=1)] == [(0,), (1,), (2,), (3,)]


def test_what_cannot_be_joined_stands_alone():
    class Alone:
        def to(self, device):
            return self

    assert [g.places for g in grouped(range(3), [Alone(), Alone(), Alone()])] == [(0,), (1,), (2,)]
    assert parts(range(5), 2) == [range(2), range(2, 4), range(4, 5)] and parts((), 0) == []


def test_joined_scans_keep_what_is_their_own():
    few = scans(3)
    whole = KSpace.joined(few)
    assert whole.axes == ("example",) and whole.samples.shape[0] == 3 and whole.noise_cov.shape == (3, 4, 4)
    for i, scan in enumerate(few):
        again = whole.take("example", [i])
        for name in ("samples", "mask", "target", "noise_cov"):
            assert torch.equal(getattr(again, name)[0], getattr(scan, name)), name
    backwards = whole.take("example", [2, 0])
    assert torch.equal(backwards.samples, whole.samples[[2, 0]])
    with pytest.raises(DataError, match="different shapes"):
        KSpace.joined([few[0], replace(few[1], noise_cov=None)])


class Many:
    """Draws that come in batches; a batch is the examples one by one, joined."""

    in_batches = True

    def __call__(self, step, index):
        return toy.draw()(step, index)

    def batch(self, step, indices, device):
        values = torch.tensor([[float(step), float(i)] for i in indices], device=device)
        return Patches(values[:, :, None].to(torch.complex64), values[:, :, None].to(torch.complex64), values[:, 0])


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("at_once", [0, 2])
def test_batches_are_drawn_as_a_whole_by_any_number_of_workers(workers, at_once):
    drawn = list(batches(Many(), range(3, 6), (0, 1, 2), workers, at_once))
    assert [[g.places for g in groups] for groups in drawn] == [[(0, 1, 2)] if not at_once else [(0, 1), (2,)]] * 3
    assert [groups[0].example.level.tolist() for groups in drawn] == [
        [float(s)] * len(groups[0].places) for s, groups in zip(range(3, 6), drawn, strict=True)
    ]
