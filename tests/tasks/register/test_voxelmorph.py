"""voxelmorph: any size, smooth and invertible results, losses with right derivatives, weights from files."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import torch
from heads import linear_once
from heads_of_a_test import GRID, head, regions

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.core.state import save_state
from spinecho.methods import registry
from spinecho.methods.pretrained import load_learned
from spinecho.ops.windows import block_mean
from spinecho.tasks.register.methods import voxelmorph
from spinecho.tasks.register.methods.voxelmorph import Config, Method, midway, share_of_pass
from spinecho.tasks.register.parts.example import Example, seen
from spinecho.tasks.register.parts.flow import cost_of
from spinecho.tasks.register.parts.similarity import Term, lncc, ssd
from spinecho.tasks.register.parts.velocity_loss import amortised, direct
from spinecho.tasks.register.parts.volumes import comparable
from spinecho.tasks.register.run import build, run

TINY = Config(channels=(4, 6), spacing_mm=3.0, passes=2)


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(4.0, voxelmorph):
        yield


def tiny(config: Config = TINY, noise: float = 0.02) -> Method:
    """A network whose last layer is random."""
    torch.manual_seed(0)
    method = Method(config)
    torch.nn.init.normal_(method.leave.weight, std=noise)
    return method.eval()


def still(method: Method) -> Method:
    """A network that predicts nothing."""
    with torch.no_grad():
        for p in (method.leave.weight, method.leave.bias, method.step):
            assert p is not None
            p.zero_()
    return method


@cache
def example(side: int = 24) -> Example:
    """Two heads on one grid, not aligned further."""
    grid = Geometry.from_frame((3, -2, 5), np.eye(3), (78 / side,) * 3, (side, side, side))
    images = [seen(comparable(head(s, grid), "x").values) for s in (0, 1)]
    return Example(images[0], images[1], (images[0], images[1]), (regions(0, grid), regions(1, grid)))


@cache
def results(weights: str):
    """The stages of a network on one pair; anisotropic and oblique."""
    method = tiny() if weights == "random" else still(tiny())
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    moving = Geometry.from_frame((3, -2, 5), turn, (2.5, 3.0, 4.0), (21, 34, 37))
    with torch.inference_mode():
        return list(method.stages(comparable(head(0), "fixed"), comparable(head(1, moving), "moving")))


@pytest.mark.parametrize("shape", [(16, 20, 24), (36, 8, 12), (20, 44, 28)])
def test_velocity_has_half_the_size_whatever_it_is(shape):
    images = torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        velocity = tiny().velocity(images[0], images[1], 2)
    assert velocity.shape == (3, *(n // 2 for n in shape)) and bool(velocity.isfinite().all())


def test_without_weights_it_is_the_affine():
    *before, last = results("zero")
    affine = [s for s in before if s.name == "affine"][-1].transform
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 60 - 30
    assert torch.allclose(last.transform(points), affine(points), atol=1e-5)


def test_result_bends_inverts_and_does_not_fold():
    last = results("random")[-1]
    assert last.done == 1 and "passes: 2" in last.note
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 40 - 20
    moved = last.transform(points)
    affine = results("random")[-2].transform
    assert float((moved - affine(points)).norm(dim=1).mean()) > 0.2
    away = (last.transform.inverse()(moved) - points).norm(dim=1)
    assert float(away.mean()) < 0.1 and float(away.max()) < 0.5
    assert float(last.transform.jacobian(GRID).min()) > 0


def test_passes_see_both_images_in_the_middle():
    pair, method = example(), tiny()
    with torch.no_grad():
        one = method.velocity(pair.fixed, pair.moving, 1)
        further = method.velocity(*midway(pair.fixed, pair.moving, one), 1)
        expected = one + share_of_pass(1, 2) * further
        assert torch.allclose(method.velocity(pair.fixed, pair.moving, 2), expected, atol=1e-6)
        assert [round(share_of_pass(k, 4), 2) for k in range(4)] == [1.0, 1.0, 0.67, 0.33]


def test_contrasts_outside_the_card_give_the_affine_and_say_so():
    method = tiny()
    fixed, moving = comparable(head(0), "fixed"), comparable(head(1), "moving")
    inverted = replace(moving, values=torch.where(moving.values > 0.05, 1.05 - moving.values, moving.values))
    with torch.inference_mode():
        bent = list(method.stages(fixed, inverted))[-1]
        method.card = {"contrast_agreement": 0.9}
        same, unlike = (list(method.stages(fixed, other)) for other in (moving, inverted))
    assert bent.name.startswith("flow at") and same[-1].name.startswith("flow at")
    assert unlike[-1].note.startswith(WARNING) and "hybrid" in unlike[-1].note and unlike[-1].done == 1
    affine = [s for s in unlike if s.name == "affine"][-1].transform
    assert np.array_equal(unlike[-1].transform.matrix, affine.matrix)


@pytest.mark.parametrize("similarity", ["lncc", "mse"])
def test_direct_losses_have_the_derivative_of_finite_differences(similarity):
    rng = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 8, 8, 8, generator=rng, dtype=torch.float64) for _ in range(2)]
    labels = [torch.randint(0, 4, (8, 8, 8), generator=rng) for _ in range(2)]
    pair = Example(images[0], images[1], (images[0], images[1]), (labels[0], labels[1]))
    velocity = (0.3 * torch.randn(3, 4, 4, 4, generator=rng, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: direct(v, pair, similarity, 0.7, 0.5), (velocity,), atol=1e-6)


@pytest.mark.parametrize("clean", [True, False])
def test_amortised_loss_points_where_the_optimisation_goes(clean):
    pair = example() if clean else replace(example(), clean=None)
    velocity = torch.zeros(3, 12, 12, 12, requires_grad=True)
    amortised(velocity, pair, 4, 0.5).backward()
    assert velocity.grad is not None
    step = -0.3 * velocity.grad / velocity.grad.abs().max()
    images = [Term(block_mean(pair.fixed, 2), block_mean(pair.moving, 2), lncc(2))] if clean else []
    codes = [block_mean((m[None] == 2).float(), 2) for m in pair.labels or ()]
    terms = [*images, Term(codes[0], codes[1], ssd, 1.0)]
    assert cost_of(terms, step, 1) < cost_of(terms, torch.zeros_like(step), 1)


@pytest.mark.parametrize("loss", ["amortised", "lncc", "mse"])
def test_ten_steps_on_one_pair_bring_it_closer(loss):
    config = replace(TINY, loss=loss, train_passes=1, gradient_weight=0.01)
    method, pair = still(tiny(config)), example()
    optimiser = torch.optim.Adam(method.parameters(), 0.02)
    costs = []
    for _ in range(11):
        with torch.no_grad():
            costs.append(float(direct(method.velocity(pair.fixed, pair.moving, 1), pair, "mse", 0.0, 1.0)))
        optimiser.zero_grad()
        method.loss(pair).backward()
        optimiser.step()
    assert costs[-1] < 0.97 * costs[0]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in method.parameters())


def test_nothing_to_compare_is_told():
    pair = replace(example(), clean=None)
    for loss in ("amortised", "mse"):
        with pytest.raises(DataError, match="can only be compared by its labels"):
            tiny(replace(TINY, loss=loss, label_weight=0.0)).loss(pair)
    with pytest.raises(DataError, match="passes 0"):
        Method(replace(TINY, passes=0))


def test_brightness_is_that_of_the_bright_voxels():
    image = torch.linspace(0, 1, 1000).reshape(1, 10, 10, 10)
    for scale in (1e-6, 1e4):
        assert torch.allclose(seen(scale * image), (image / 0.995).clamp(0, 1.2), atol=2e-3)
    assert not seen(torch.zeros(1, 4, 4, 4)).any()


def test_size_outside_the_card_and_mask():
    method = still(tiny())
    method.card = {"extent_mm": [100.0, 320.0]}
    fixed, moving = comparable(head(0), "fixed"), comparable(head(1), "moving")
    notes = [s.note for s in method.stages(fixed, moving)]
    assert any(n.startswith(f"{WARNING}the network was trained on objects of 100 to 320 mm") for n in notes)
    mask = Image(values=(regions(0) > 0)[None].float(), geometries=(GRID,))
    masked = comparable(head(0), "fixed", mask)
    assert list(method.stages(masked, moving))[-1].done == 1


def test_weights_from_a_file(tmp_path):
    method = tiny()
    metadata = {"method": "voxelmorph", "config": asdict(TINY), "card": {}, "trained": {}}
    file = tmp_path / "own.safetensors"
    save_state(file, method.state_dict(), metadata)
    loaded = build("voxelmorph", {"weights": file, "passes": 1})
    assert loaded.config == replace(TINY, passes=1) and not loaded.training
    pair = example()
    with torch.no_grad():
        expected = method.velocity(pair.fixed, pair.moving, 1)
        assert isinstance(loaded, Method)
        assert torch.equal(loaded.velocity(pair.fixed, pair.moving, 1), expected)
    with pytest.raises(DataError, match=r"trained with spacing_mm=3\.0, which cannot be changed"):
        build("voxelmorph", {"weights": file, "spacing_mm": 2.0})
    with pytest.raises(DataError, match="weights of recon/varnet, but weights are needed for register"):
        build("voxelmorph", {"weights": registry.WEIGHTS / "recon" / "varnet.safetensors"})
    with pytest.raises(DataError, match="weights of register/voxelmorph, but weights are needed for recon"):
        load_learned("recon", file)


def test_without_weights_it_says_how_to_train(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    with pytest.raises(DataError, match="spinecho train register/voxelmorph --data FOLDER"):
        build("voxelmorph", {})


def test_released_weights_align_heads_they_never_saw(shared_data):
    """A validation subject, half the passes; the floor is far below what was measured."""
    from spinecho.io.read import read
    from spinecho.metrics.overlap import dice_fixed100

    folder = shared_data / "ixi_2mm"
    names = sorted(p.name for p in (folder / "t1").iterdir())
    images, labels = ([read(folder / kind / names[k]) for k in (83, 90)] for kind in ("t1", "labels"))
    found = run(images[0], images[1], "voxelmorph", settings={"passes": 4}).transform
    affine = found.parts[0]
    scores = [
        dice_fixed100(labels[0].values[0].int(), t.warp(labels[1], labels[0].geometry, "nearest").values[0].int())
        for t in (affine, found)
    ]
    assert scores[1] > scores[0] + 0.03
