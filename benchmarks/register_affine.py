"""`python -m benchmarks.register_affine`: linear registration of heads stored and lying in any way, against the truth.

Every case is one of the 48 storage orders with a correct header, a turn of up to 30 degrees about a random axis and a
shift of up to 40 mm; the moving image is sampled on a tilted grid of its own, with noise, a bias field and another
intensity curve. Three kinds of pairs:

- `head`: an IXI head against itself (rigid, truth known);
- `contrast`: T1 against FLAIR of a patient with multiple sclerosis, skull-stripped (rigid, truth known);
- `two heads`: two IXI heads (affine); there is no truth, so the transform is compared with the one that is found
  without the turn, the shift and the storage order.

A case is right where the mean error over the fixed image's object is under 2 mm.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import torch

from spinecho.core.geometry import Array
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform
from spinecho.io.read import read_image
from spinecho.metrics.warp_error import mask_points
from spinecho.sim.splits import Part, split
from spinecho.tasks.register.parts.volumes import comparable, foreground
from spinecho.tasks.register.run import run

ROOT = Path(__file__).parents[1]
RIGHT_MM = 2.0
LARGEST_TURN_DEG, LARGEST_SHIFT_MM, LARGEST_TILT_DEG = 30.0, 40.0, 10.0
NOISE, BIAS = 0.03, 0.3
ORDERS = [(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]
KINDS = ("head", "contrast", "two heads")


@dataclass(frozen=True)
class Pose:
    """How the moving image lies: true fixed-to-moving map of the world, the tilt of its grid, its storage order."""

    world: Array
    tilt: Array
    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One number."""
    return float(torch.rand(1, generator=generator)) * (high - low) + low


def direction(generator: torch.Generator) -> Array:
    """A unit vector, every direction alike."""
    vector = torch.randn(3, generator=generator, dtype=torch.float64).numpy()
    return vector / np.linalg.norm(vector)


def turn_about(centre: Array, axis: Array, degrees: float) -> Array:
    """4x4, by Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def draw_pose(image: Image, generator: torch.Generator) -> Pose:
    """At random, about the middle of the image's grid."""
    geometry = image.geometry
    centre = geometry.to_world((np.array(geometry.shape[::-1]) - 1) / 2)
    world = turn_about(centre, direction(generator), uniform(generator, 0, LARGEST_TURN_DEG))
    world[:3, 3] += direction(generator) * uniform(generator, 0, LARGEST_SHIFT_MM)
    tilt = turn_about(centre, direction(generator), uniform(generator, 0, LARGEST_TILT_DEG))
    (a, b, c), (d, e, f) = ORDERS[int(torch.randint(len(ORDERS), (1,), generator=generator))]
    return Pose(world, tilt, (a, b, c), (d, e, f))


def posed(image: Image, pose: Pose) -> Image:
    """The image in that pose: every point p of it now lies at `pose.world @ p`."""
    affine = pose.world @ pose.tilt @ image.geometry.affine
    grid = replace(image.geometry, affine=affine)
    there = Affine(pose.world).inverse().warp(image, onto=grid)
    values, geometry = there.values.permute(0, *(1 + i for i in pose.order)), grid.permuted(pose.order)
    for axis in (i for i in range(3) if pose.flips[i]):
        values, geometry = values.flip(1 + axis), geometry.flipped(axis)
    return replace(there, values=values, geometries=(geometry,))


def spoiled(image: Image, generator: torch.Generator) -> Image:
    """Another intensity curve, a bias field that changes by up to 30 %, and Rician noise of 3 % of the maximum."""
    values = (image.values / image.values.max()).clamp_min(0) ** uniform(generator, 0.6, 1.6)
    axes = [torch.linspace(-1, 1, n) for n in values.shape[-3:]]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    a, b, c = (BIAS * uniform(generator, -1, 1) for _ in range(3))
    values = values * (a * x + b * y * y + c * z).exp()
    noise = NOISE * torch.randn(2, *values.shape, generator=generator)
    return replace(image, values=((values + noise[0]).square() + noise[1].square()).sqrt())


def pairs(kind: str, data: Path, part: Part) -> list[tuple[Path, Path]]:
    """Fixed and moving files of a kind."""
    if kind == "contrast":
        patient = data / "ms_1mm" / split("ms_1mm", "test" if part == "test" else "train")[0]
        return [(patient / "t1.nii.gz", patient / "flair.nii.gz"), (patient / "flair.nii.gz", patient / "t1.nii.gz")]
    folder = data / "ixi_2mm" / "t1"
    files = [folder / f"{i}.nii.gz" for i in split("ixi_2mm", part)]
    return [(f, f if kind == "head" else m) for f, m in zip(files, files[1:] + files[:1], strict=True)]


def object_points(image: Image) -> torch.Tensor:
    """LPS mm of every 64th voxel of the object."""
    ready = comparable(image, "fixed")
    return mask_points(ready.geometry, foreground(ready.values)[0])[::64]


def error_mm(found: Transform, true: Transform, points: torch.Tensor) -> float:
    """Mean distance between where the two bring the points."""
    return float(torch.linalg.vector_norm(found(points) - true(points), dim=-1).mean())


def cases(kind: str, data: Path, part: Part, n: int, seed: int) -> Iterator[tuple[float, float, tuple[str, ...]]]:
    """Error in mm, CPU seconds and warnings of each case."""
    files = pairs(kind, data, part)
    method = "affine" if kind == "two heads" else "rigid"
    for i in range(n):
        generator = torch.Generator().manual_seed(1000 * seed + i)
        fixed, moving = (read_image(p) for p in files[i % len(files)])
        moving = replace(moving, values=moving.values.float())
        pose = draw_pose(moving, generator)
        true: Transform = Affine(pose.world)
        if kind == "two heads":
            true = true @ run(fixed, moving, method).transform
        moved = spoiled(posed(moving, pose), generator)
        begin = time.process_time()
        found = run(fixed, moved, method)
        yield error_mm(found.transform, true, object_points(fixed)), time.process_time() - begin, found.warnings


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.register_affine", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--part", choices=("validate", "test"), default="test")
    parser.add_argument("--cases", nargs=3, type=int, default=(40, 30, 30), metavar=("HEAD", "CONTRAST", "TWO"))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| pairs | right | median error mm | 95 % | largest | median CPU s | warned |\n|---|---|---|---|---|---|---|")
    for kind, n in zip(KINDS, given.cases, strict=True):
        if not n:
            continue
        rows = list(cases(kind, given.shared / "data", given.part, n, given.seed))
        errors, seconds = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        print(
            f"| {kind} | {int((errors < RIGHT_MM).sum())} of {n} | {np.median(errors):.2f} | "
            f"{np.quantile(errors, 0.95):.2f} | {errors.max():.2f} | {np.median(seconds):.1f} | "
            f"{sum(bool(r[2]) for r in rows)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
