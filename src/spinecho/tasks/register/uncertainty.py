"""How far a deformable registration may be off at each voxel: the spread of restarts that began elsewhere.

Each restart starts from another affine and another flow, some millimetres from what was found, with other noise on
both images, other weights of the terms and another stiffness, and ends on a coarser level. Where the images hold the
transform in place the restarts come together; where they do not (flat tissue, background, structures of one image only)
they stay apart. What all restarts get wrong alike does not show.

Source: of the idea, Kybic 2010, doi:10.1109/TIP.2009.2030955 (resampled registrations). How we differ: the start and
the objective are perturbed, and a factor fitted to warps that are known makes the spread an error in mm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import expm
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.field import in_mm, in_voxels
from spinecho.core.geometry import Array, Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Displacement, Transform, Velocity, identity
from spinecho.ops.windows import block_mean, enlarged, gaussian
from spinecho.tasks.register.parts.compare import Similarity, comparison
from spinecho.tasks.register.parts.cover import seen
from spinecho.tasks.register.parts.flow import Steps, descend, tapered
from spinecho.tasks.register.parts.mean_shape import Split, sampled, split
from spinecho.tasks.register.parts.pair import Pair, matched, scaled, working_grid
from spinecho.tasks.register.parts.volumes import comparable

ALIKE, UNLIKE = 0.57, 1.56
"""Root mean square error over raw spread, for contrasts that agree and that differ: one number each for all voxels.

Source: `python -m benchmarks.register_uncertainty --fit`: T1 on T1, T1 on FLAIR of patient07, warps of at most 15 mm.
Across contrasts the restarts share most of their error, so that the spread alone is too small."""

_LEVELS = ((4, 1, 40, 2.0), (2, 2, 40, 1.4), (1, 2, 10, 1.0))
"""Working voxels along an image's, the velocity's in those, steps, smoothing of each: the coarser levels of `hybrid`.
The working voxels must be as small as its own: MIND of 3 mm voxels does not hold T1 on FLAIR (6 mm astray)"""
_ENOUGH = 2


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """How the registration is repeated.

    Parameters
    ----------
    n
        Restarts; time follows.
    seed
        Of all that is drawn.
    voxels
        Working voxels of each at most.
    similarity, smoothness
        As of `hybrid`, whose result is judged.
    shift_mm, turn_deg
        Standard deviation of each axis' shift and turn of the affine at the start; the scale's is a hundredth.
    start_mm
        Root mean square of the smooth flow at the start.
    noise
        Standard deviation of what is added to both images, of their range.
    """

    n: int = 6
    seed: int = 0
    voxels: int = 1_500_000
    similarity: Similarity = "auto"
    smoothness: float = 1.0
    shift_mm: float = 1.5
    turn_deg: float = 1.0
    start_mm: float = 3.0
    noise: float = 0.03


def spread(
    fixed: Image,
    moving: Image,
    transform: Transform,
    *,
    mask: Image | None = None,
    restarts: Restarts | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Image:
    """Standard deviation in mm of where each fixed voxel goes, as an image (1, z, y, x) on the fixed grid.

    It is the root mean square distance of the restarts from the transform, calibrated: the length of the error
    vector, all three components together, sqrt(3) times that of one. It is NaN outside the box in which the images are
    compared: the fixed foreground, within the mask if there is one, and a margin of 12 mm.

    Parameters
    ----------
    fixed, moving
        As given to `register`.
    transform
        What was found for them, by whichever method.
    mask
        As given to `register`.
    tell
        Hears how many of how many restarts are done.

    Raises
    ------
    DataError
        If an image cannot be used, or there are fewer than two restarts.
    """
    how = restarts or Restarts()
    if how.n < _ENOUGH or how.voxels < 1000 or how.smoothness <= 0:
        problem = f"{how.n} restarts of {how.voxels} voxels with a smoothness of {how.smoothness:g}"
        raise DataError(problem, do="give at least 2 restarts, 1000 voxels and a smoothness over 0")
    one, other = comparable(fixed, "fixed", mask), comparable(moving, "moving")
    generator = torch.Generator().manual_seed(how.seed)
    grid = working_grid(one, how.voxels)
    coarse = scaled(grid, 2)
    estimate = split(transform, grid)
    given = transform.displacement(coarse)
    total = torch.zeros(coarse.shape)
    with torch.inference_mode():
        similarity = comparison(matched(one, other, Affine(estimate.matrix), grid), how.similarity).similarity
        how = replace(how, similarity=similarity)
        factor = ALIKE if similarity == "lncc" else UNLIKE
        for i in range(how.n):
            again = _restart(one, other, estimate, grid, how, generator)
            total += (factor * (again.displacement(coarse) - given)).square().sum(0)
            if tell is not None:
                tell(i + 1, how.n)
    sd = gaussian(total[None] / how.n, 1.0).clamp_min(0).sqrt()
    field = Displacement(sd.expand(3, *coarse.shape), coarse)
    volume = fixed.volume()
    unknown = ~seen(identity(), volume.geometry, coarse)
    values = field.displacement(volume.geometry)[:1].masked_fill(unknown, torch.nan)
    return replace(volume, values=values, axes=(), extras={})


def _restart(
    fixed: Image, moving: Image, estimate: Split, grid: Geometry, how: Restarts, generator: torch.Generator
) -> Transform:
    """One registration from a start of its own."""
    start = Affine(estimate.matrix @ _nudge(grid, how, generator))
    pair = matched(fixed, moving, start, grid)
    compare = comparison(pair, how.similarity)
    noisy = [v + how.noise * torch.randn(v.shape, generator=generator).to(v) for v in (pair.fixed, pair.moving)]
    pair = Pair(noisy[0], noisy[1], pair.weight, grid)
    stiffness = how.smoothness * _between(0.8, 1.25, generator)
    shares = [_between(0.7, 1.4, generator) for _ in range(2)]
    cell = float(_LEVELS[0][0] * _LEVELS[0][1])
    velocity = _first_flow(scaled(grid, cell), how.start_mm, generator).to(pair.fixed) + _flow_of(
        estimate, scaled(grid, cell)
    )
    for size, coarseness, n, fluid in _LEVELS:
        ratio = round(cell / (size * coarseness))
        velocity, cell = enlarged(velocity, ratio) * ratio, float(size * coarseness)
        terms = compare.terms(pair, size, velocity, cell)
        terms = [replace(t, weight=t.weight * shares[i % 2]) for i, t in enumerate(terms)]
        weight = None if pair.weight is None else block_mean(pair.weight[None], size)[0]
        steps = Steps(n_iters=n, fluid=fluid * stiffness, elastic=stiffness, coarseness=coarseness)
        for reached in descend(terms, velocity, steps, weight):
            velocity = reached.velocity
    geometry = scaled(grid, cell)
    return start @ Velocity(in_mm(tapered(velocity), geometry.affine), geometry)


def _flow_of(estimate: Split, grid: Geometry) -> Float[Tensor, "3 z y x"]:
    """What was found, as a velocity in voxels of a grid; a field of displacements is taken for one: it only begins."""
    if estimate.bend is None:
        return torch.zeros(3, *grid.shape)
    return in_voxels(sampled(estimate.bend.field.cpu(), estimate.bend.geometry, grid), grid.affine)


def _nudge(grid: Geometry, how: Restarts, generator: torch.Generator) -> Array:
    """A small turn, stretch and shift about the middle of the grid."""
    drawn = torch.randn(3, 3, generator=generator, dtype=torch.float64).numpy()
    x, y, z = np.deg2rad(how.turn_deg) * drawn[0]
    small = np.zeros((4, 4))
    small[:3, :3] = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) + np.diag(0.01 * drawn[1])
    small[:3, 3] = how.shift_mm * drawn[2]
    middle = np.eye(4)
    middle[:3, 3] = grid.to_world([(n - 1) / 2 for n in grid.shape[::-1]])
    back = np.eye(4)
    back[:3, 3] = -middle[:3, 3]
    return middle @ np.asarray(expm(small), dtype=np.float64) @ back


def _first_flow(grid: Geometry, size_mm: float, generator: torch.Generator) -> Float[Tensor, "3 z y x"]:
    """A smooth random velocity in voxels, over scales of about two voxels, zero at the rim."""
    drawn = gaussian(torch.randn(3, *grid.shape, generator=generator), 2.0)
    typical = drawn.square().sum(0).mean().sqrt()
    return tapered(drawn * (size_mm / grid.voxel_mm[0] / typical))


def _between(low: float, high: float, generator: torch.Generator) -> float:
    """A factor, evenly on a logarithmic scale."""
    share = float(torch.rand((), generator=generator, dtype=torch.float64))
    return low * math.exp(share * math.log(high / low))
