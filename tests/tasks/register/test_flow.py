"""Descent lowers the cost and treats both images alike; what is tapered ends at zero; what is unfolded has no folds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from heads import head
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.field import flow, moved, sampling_grid
from spinecho.core.geometry import Geometry
from spinecho.core.interpolate import voxel_grid
from spinecho.core.transform import Velocity
from spinecho.metrics.folding import regularity
from spinecho.ops.windows import gaussian
from spinecho.tasks.register.parts.flow import Middle, Steps, cost_of, descend, least_corner, tapered, unfolded
from spinecho.tasks.register.parts.similarity import Term, lncc, ssd

N = 24
GRID = sampling_grid((N, N, N), torch.zeros(1))
FLOW = Steps(n_iters=30, length=0.3, fluid=1.4, elastic=1.0)


def smooth_velocity(size: float, seed: int, sigma: float = 3.0, n: int = N) -> torch.Tensor:
    """Random, zero at the edges; `size` is the root mean square in voxels."""
    generator = torch.Generator().manual_seed(seed)
    velocity = tapered(gaussian(torch.randn(3, n, n, n, generator=generator), sigma, "edge"), n // 4)
    return velocity * (size / velocity.square().sum(0).mean().sqrt())


def pair(size: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fixed, moving, and the velocity w with moving(x + exp(w)(x)) = fixed(x)."""
    moving = head(geometry=Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (N, N, N))).values / 100
    velocity = smooth_velocity(size, 3)
    return moved(moving, flow(velocity, GRID), GRID), moving, velocity


def last(terms: list[Term], steps: Steps = FLOW, weight: torch.Tensor | None = None) -> torch.Tensor:
    velocity = torch.zeros(3, *(n // steps.coarseness for n in terms[0].fixed.shape[1:]))
    for reached in descend(terms, velocity, steps, weight):
        velocity = reached.velocity
    return velocity


def error(velocity: torch.Tensor, truth: torch.Tensor, where: torch.Tensor) -> float:
    """Mean distance of the flows, voxels."""
    return float((flow(velocity, GRID) - flow(truth, GRID)).square().sum(0).sqrt()[where].mean())


@pytest.mark.parametrize("pull", [lncc(2), ssd], ids=["lncc", "ssd"])
def test_descent_lowers_the_cost_and_finds_a_known_flow(pull):
    fixed, moving, truth = pair()
    terms = [Term(fixed, moving, pull)]
    velocity = last(terms)
    before, after = (cost_of(terms, v, 1) for v in (torch.zeros_like(velocity), velocity))
    assert after < (0.6 if pull is ssd else 0.95) * before
    inside = fixed[0] > 0.3
    assert error(velocity, truth, inside) < 0.5 * error(torch.zeros_like(velocity), truth, inside)


def test_the_cost_told_is_that_before_the_step():
    fixed, moving, _ = pair()
    terms = [Term(fixed, moving, ssd, 0.7), Term(fixed, moving, lncc(1), 0.2)]
    velocity = smooth_velocity(0.3, 5)
    for reached in descend(terms, velocity, Steps(n_iters=3)):
        assert reached.cost == pytest.approx(cost_of(terms, velocity, 1))
        velocity = reached.velocity
    parts = [term.weight * cost_of([Term(term.fixed, term.moving, term.pull)], velocity, 1) for term in terms]
    assert cost_of(terms, velocity, 1) == pytest.approx(sum(parts))


def test_a_coarser_velocity_comes_near_in_its_own_voxels():
    fixed, moving, truth = pair()
    velocity = last([Term(fixed, moving, lncc(2))], Steps(n_iters=30, length=0.2, fluid=1.0, elastic=0.7, coarseness=2))
    assert velocity.shape == (3, N // 2, N // 2, N // 2)
    fine = torch.nn.functional.interpolate(velocity[None], scale_factor=2, mode="trilinear")[0] * 2
    inside = fixed[0] > 0.3
    assert error(fine, truth, inside) < 0.65 * error(torch.zeros_like(fine), truth, inside)


def test_images_exchanged_give_the_inverse():
    """Both are brought to the middle: the velocity changes its sign, to rounding."""
    fixed, moving, _ = pair()
    there, back = last([Term(fixed, moving, lncc(2))]), last([Term(moving, fixed, lncc(2))])
    torch.testing.assert_close(back, -there, atol=2e-3 * float(there.abs().max()), rtol=0)
    round_trip = flow(there, GRID) + moved(flow(back, GRID), flow(there, GRID), GRID)
    assert float(round_trip.abs().max()) < 0.05 * float(there.abs().max())


def test_images_mirrored_give_the_mirrored_velocity():
    fixed, moving, _ = pair()
    there = last([Term(fixed, moving, lncc(2))], Steps(n_iters=10))
    other = last([Term(fixed.flip(3), moving.flip(3), lncc(2))], Steps(n_iters=10)).flip(3)
    other[0].neg_()
    torch.testing.assert_close(other, there, atol=1e-3, rtol=0)


def test_the_middle_of_the_way_is_where_both_meet():
    """At the true velocity the two halves show the same; a wrong one costs more."""
    fixed, moving, truth = pair()
    middle = Middle([Term(fixed, moving, ssd)], truth, 1, None)
    wrong = (0 * truth, -truth, 2 * truth)
    assert middle.pull(truth)[0] < 0.2 * min(middle.pull(v)[0] for v in wrong)


def test_equal_images_stay_where_they_are():
    fixed, _, _ = pair()
    assert not list(descend([Term(fixed, fixed, ssd)], torch.zeros(3, N, N, N), FLOW))
    assert not list(descend([Term(fixed, fixed, lncc(2), 0.0)], smooth_velocity(0.5, 1), FLOW))


def test_what_has_no_weight_does_not_pull():
    fixed, moving, _ = pair()
    weight = torch.ones(N, N, N)
    weight[:, :, N // 2 :] = 0
    spoiled = moving.clone()
    spoiled[..., N - 3 :] = 1
    terms = [Term(fixed, m, ssd) for m in (moving, spoiled)]
    zero = torch.zeros(3, N, N, N)
    one, other = (Middle([term], zero, 1, weight).pull(zero) for term in terms)
    torch.testing.assert_close(one, other)
    assert not one[1][..., N // 2 :].any() and one[1][..., : N // 2].any()


def test_steps_have_the_length_that_was_asked_for():
    """The root mean square of a step, each voxel by the square of its own, without smoothing after it."""
    fixed, moving, _ = pair()
    for length in (0.1, 0.4):
        steps = Steps(n_iters=10, length=length, fluid=1.0, elastic=0.0)
        size = next(descend([Term(fixed, moving, ssd)], torch.zeros(3, N, N, N), steps)).velocity.square().sum(0)
        assert float((size.square().sum() / size.sum()).sqrt()) == pytest.approx(length, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(3, 9)] * 3), st.integers(1, 4))
def test_tapered_falls_to_zero_at_the_edges_and_keeps_the_inside(shape, width):
    velocity = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    found = tapered(velocity, width)
    assert (found.abs() <= velocity.abs()).all()
    for dim in (1, 2, 3):
        assert not found.narrow(dim, 0, 1).any() and not found.narrow(dim, shape[dim - 1] - 1, 1).any()
    inner = (slice(None), *[slice(width, max(width, n - width)) for n in shape])
    torch.testing.assert_close(found[inner], velocity[inner])


def test_the_least_corner_is_the_least_of_eight_determinants():
    field = 0.4 * torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    place = voxel_grid((4, 4, 4)).movedim(-1, 0) + field
    found = least_corner(field)
    for z, y, x in product((1, 2), repeat=3):
        here = place[:, z, y, x]
        wanted = min(
            float(
                torch.stack(
                    [
                        a * (place[:, z, y, x + a] - here),
                        b * (place[:, z, y + b, x] - here),
                        c * (place[:, z + c, y, x] - here),
                    ]
                ).det()
            )
            for a, b, c in product((1, -1), repeat=3)
        )
        assert float(found[z, y, x]) == pytest.approx(wanted)


def test_a_linear_map_has_one_determinant():
    matrix = torch.tensor([[0.2, 0.1, 0], [0, -0.1, 0.3], [0.1, 0, 0.05]], dtype=torch.float64)
    field = torch.einsum("ij,zyxj->izyx", matrix, voxel_grid((4, 5, 6)))
    wanted = (torch.eye(3, dtype=torch.float64) + matrix).det()
    torch.testing.assert_close(least_corner(field), torch.full((4, 5, 6), float(wanted), dtype=torch.float64))


@settings(max_examples=12, deadline=None)
@given(st.floats(1.0, 20.0), st.floats(0.3, 2.0), st.integers(0, 1000))
def test_a_folding_velocity_comes_out_without_folds_either_way(size, sigma, seed):
    velocity = smooth_velocity(size, seed, sigma, 12)
    found = unfolded(velocity)
    grid = sampling_grid((12, 12, 12), found)
    for v in (found, -found):
        assert float(least_corner(flow(v, grid)).min()) > 0.02
    assert float(found.abs().max()) > 0


def test_what_smoothing_does_not_unfold_becomes_smaller():
    velocity = smooth_velocity(20.0, 1, 2.0, 16)
    found = unfolded(velocity, n_tries=2)
    grid = sampling_grid((16, 16, 16), found)
    for v in (found, -found):
        assert float(least_corner(flow(v, grid)).min()) > 0.02
    assert float(found.abs().max()) > 0.2


def test_a_harmless_velocity_stays_as_it_is():
    velocity = smooth_velocity(0.8, 2)
    assert float(least_corner(flow(velocity, GRID)).min()) > 0.02
    assert torch.equal(unfolded(velocity), velocity)


def test_only_what_is_near_a_fold_is_smoothed():
    velocity = smooth_velocity(0.5, 2)
    velocity[:, 6, 6, 6] += 3
    found = unfolded(velocity)
    assert not torch.equal(found, velocity)
    assert torch.equal(found[..., 16:], velocity[..., 16:])


def test_unfolding_leaves_the_edges_at_zero():
    """Else the transform would jump where its grid ends."""
    velocity = tapered(8 * torch.randn(3, 12, 12, 12, generator=torch.Generator().manual_seed(4)))
    found = unfolded(velocity)
    for dim in (1, 2, 3):
        assert not found.narrow(dim, 0, 1).any() and not found.narrow(dim, 11, 1).any()


def test_the_unfolded_flow_as_a_transform_has_no_turned_tetrahedron():
    geometry = Geometry.from_frame((3, -5, 8), np.eye(3), (2.0, 2.0, 2.0), (12, 12, 12))
    folding = smooth_velocity(4.0, 7, 1.0, 12)
    before, after = (regularity(Velocity(2.0 * v, geometry), geometry) for v in (folding, unfolded(folding)))
    assert before.folded_digital > 0
    assert after.folded_digital == 0 and after.folded_volume == 0 and after.jacobian_min > 0
