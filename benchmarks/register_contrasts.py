"""`python -m benchmarks.register_contrasts`: across contrasts, what deformation is invented and what is found, at 2 mm.

- `same`: two contrasts of one patient with multiple sclerosis that lie on each other, every ordered pair: the truth is
  0 mm and a Jacobian of 1. Mean displacement within the brain in mm, 5 and 95 % of the Jacobian.
- `warps`: the fixed one seen through a smooth warp of at most 6 mm, with new bias and noise: mean distance from the
  truth, and the warp's own size.
- `days`: the patient lying otherwise in the second scan (turned by up to 10 degrees, shifted by 10 mm), with new bias
  and noise: mean distance from the truth, Dice of the patient's regions, and the Dice that the truth has.
- `people`: FLAIR and T2 of that patient and the T1 of IXI heads (brains), each fixed and moving. The patient's regions
  are the vote of other IXI heads brought to the patient's T1; beside it the same with the patient's T1. Dice.
- `still`: one label map in two contrasts, moved by 0 to 3 mm, the moving one on a grid of its own or on the same one:
  mean distance from the truth.
- `rendered`: label maps of two people in contrasts that differ. Dice.

Patient07, IXI's validation heads and label maps 15, 16 with `--part validate`; patient19 and the test ones else. Each
row is kept in --out and not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import permutations, product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.head_pairs import pairs, place, render, render_pair, scored, visible_contrast
from benchmarks.register_affine import direction, turn_about, uniform
from benchmarks.register_pairs import brain_of
from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform
from spinecho.io.read import read_image
from spinecho.metrics.overlap import dice_fixed100
from spinecho.sim.splits import Part, split
from spinecho.sim.warps import degrade, sample_warp
from spinecho.tasks.register.run import run

ROOT = Path(__file__).parents[1]
CONTRASTS = ("t1", "t1post", "t2", "flair")
WARPED = (("t1", "flair"), ("t2", "flair"), ("t1", "t2"))
DAYS = (("t1", "flair"), ("flair", "t1"), ("t1", "t2"), ("t2", "flair"))
MOTIONS_MM = (0.0, 0.5, 1.0, 3.0)
SPACING_MM, WARP_MM, SNR = 2.0, 6.0, 30.0
TURN_DEG, SHIFT_MM = 10.0, 10.0
N_VOTERS = 3
SETS = ("same", "warps", "days", "people", "still", "rendered")
Row = dict[str, float]


@dataclass(frozen=True)
class Material:
    """The scans of a part, read when they are asked for."""

    data: Path
    part: Part

    @property
    def patient(self) -> str:
        return "patient19" if self.part == "test" else "patient07"

    @cache  # noqa: B019
    def scan(self, contrast: str) -> Image:
        return at_2_mm(read_image(self.data / "ms_1mm" / self.patient / f"{contrast}.nii.gz"))

    @cached_property
    def brain(self) -> Tensor:
        return brain_of(self.scan("t1").values)[0] > 0

    def heads(self, part: Part) -> list[str]:
        """Subjects of IXI."""
        return split("ixi_2mm", part)

    def head(self, subject: str) -> tuple[Image, Image]:
        """The brain of an IXI head, cut out a voxel beyond its regions, and these."""
        head, labels = (read_image(self.data / f"ixi_2mm/{kind}/{subject}.nii.gz") for kind in ("t1", "labels"))
        inside = F.max_pool3d((labels.values[None] > 0).float(), 3, 1, 1)[0]
        return replace(head, values=head.values.float() * inside), labels

    @cached_property
    def regions(self) -> Image:
        """Of the patient: what most voters say, voxel by voxel."""
        onto, votes = self.scan("t1"), []
        for subject in self.heads("train")[:50][:: 50 // N_VOTERS + 1]:
            head, labels = self.head(subject)
            votes.append(carried(labels, run(onto, head).transform, onto.geometry))
        return replace(onto, values=torch.stack(votes).mode(0).values[None].float())


def at_2_mm(image: Image) -> Image:
    """Averaged."""
    return isotropic(replace(image, values=image.values.float()), SPACING_MM)


def carried(labels: Image, transform: Transform, onto: Geometry) -> Tensor:
    """Regions on another grid (z, y, x)."""
    return transform.warp(replace(labels, values=labels.values.float()), onto, "nearest").values[0].round().int()


def same(material: Material, method: str) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Pairs that lie on each other."""

    def row(fixed: str, moving: str) -> Row:
        one, other = material.scan(fixed), material.scan(moving)
        found, inside = run(one, other, method).transform, material.brain
        low, high = np.quantile(found.jacobian(one.geometry)[inside].numpy(), (0.05, 0.95))
        moved = found.displacement(one.geometry).norm(dim=0)[inside]
        return {"mean mm": float(moved.mean()), "jacobian 5 %": float(low), "jacobian 95 %": float(high)}

    for fixed, moving in permutations(CONTRASTS, 2):
        yield f"{fixed} < {moving}", lambda f=fixed, m=moving: row(f, m)


def warps(material: Material, method: str) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Known warps of the fixed image."""

    def row(fixed: str, moving: str, seed: int) -> Row:
        generator = torch.Generator().manual_seed(seed)
        image, grid = material.scan(fixed), material.scan(fixed).geometry
        warp = sample_warp(grid, WARP_MM, generator)
        bent = warp.warp(image)
        seen = degrade(bent.values[0], grid, generator, snr=SNR)[None] * (bent.values > 0)
        inside = warp.warp(replace(image, values=material.brain[None].float())).values[0] > 0.5
        found = run(replace(image, values=seen), material.scan(moving), method).transform
        off, true = ((t - warp.displacement(grid)).norm(dim=0)[inside] for t in (found.displacement(grid), 0))
        return {"off by mm": float(off.mean()), "of mm": float(true.mean())}

    for seed, (fixed, moving) in enumerate(WARPED):
        yield f"{fixed} < {moving}", lambda f=fixed, m=moving, s=seed: row(f, m, s)


def days(material: Material, method: str) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Rigid motions of the patient between two scans."""

    def row(fixed: str, moving: str, seed: int) -> Row:
        generator = torch.Generator().manual_seed(seed)
        one, other, regions = material.scan(fixed), material.scan(moving), material.regions
        true = motion(SHIFT_MM, uniform(generator, 0, TURN_DEG), one.geometry, generator)
        lying = true.inverse().warp(other)
        seen = degrade(lying.values[0], other.geometry, generator, snr=SNR)[None] * (lying.values > 0)
        there = replace(regions, values=carried(regions, true.inverse(), one.geometry)[None].float())
        known = overlap(regions, carried(there, true, one.geometry))
        found = run(one, replace(other, values=seen), method).transform
        dice = overlap(regions, carried(there, found, one.geometry))
        return {"off by mm": distance(found, true, one.geometry, material.brain), "dice": dice, "of the truth": known}

    for seed, (fixed, moving) in enumerate(DAYS):
        yield f"{fixed} < {moving}", lambda f=fixed, m=moving, s=seed: row(f, m, s)


def people(material: Material, method: str) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The patient and healthy heads."""

    def row(contrast: str, subject: str, onto_patient: bool) -> Row:
        one, other = (material.scan(contrast), material.regions), material.head(subject)
        fixed, moving = (one, other) if onto_patient else (other, one)
        found = run(fixed[0], moving[0], method).transform
        return {"dice": overlap(fixed[1], carried(moving[1], found, fixed[0].geometry))}

    for contrast, subject in zip(("flair", "t2", "flair", "t2"), material.heads(material.part), strict=False):
        for kind in (contrast, "t1"):
            yield f"{kind} < {subject}", lambda c=kind, s=subject: row(c, s, True)
        yield f"{subject} < {contrast}", lambda c=contrast, s=subject: row(c, s, False)


def still(material: Material, method: str) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The brain of one label map in two contrasts, lying otherwise by little."""

    def row(number: str, mm: float, one_grid: bool) -> Row:
        generator = torch.Generator().manual_seed(int(number))
        labels = placed(material, number)
        brain = scored(labels) > 0
        heads = [render(labels, visible_contrast(generator), generator) for _ in range(2)]
        true = motion(mm, 0.5 * mm, heads[0].geometry, generator)
        fixed, moving = (Image(values=(h.image * brain)[None], geometries=(h.geometry,)) for h in heads)
        moving = replace(moving, geometries=(replace(moving.geometry, affine=true.matrix @ moving.geometry.affine),))
        if one_grid:
            moving = Affine(np.eye(4)).warp(moving, onto=fixed.geometry)
        found = run(at_2_mm(fixed), at_2_mm(moving), method).transform
        return {"off by mm": distance(found, true, fixed.geometry, brain)}

    for number in split("label_maps", material.part)[:1]:
        for mm, one_grid in product(MOTIONS_MM, (False, True)):
            name = f"{number}, {mm:g} mm, {'one grid' if one_grid else 'two grids'}"
            yield name, lambda n=number, m=mm, g=one_grid: row(n, m, g)


def rendered(material: Material, method: str) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Label maps whose contrasts differ."""

    def row(index: int) -> Row:
        pair = [p for p in pairs(material.part) if not p.agreeing][index]
        heads = render_pair(pair, *(placed(material, n) for n in (pair.fixed, pair.moving)))
        images = [at_2_mm(Image(values=h.image[None], geometries=(h.geometry,))) for h in heads]
        regions = [Image(values=h.labels[None].float(), geometries=(h.geometry,)) for h in heads]
        found = run(images[0], images[1], method).transform
        return {"dice": overlap(regions[0], carried(regions[1], found, heads[0].geometry))}

    for index, pair in enumerate(p for p in pairs(material.part) if not p.agreeing):
        yield f"{pair.fixed} < {pair.moving}", lambda i=index: row(i)


@cache
def placed(material: Material, number: str) -> Tensor:
    """A label map on the grid of rendered heads."""
    image = read_image(material.data / f"label_maps/labels_{number}.nii.gz")
    return place(image.values[0].int(), image.geometry)


def motion(shift_mm: float, turn_deg: float, geometry: Geometry, generator: torch.Generator) -> Affine:
    """A shift and a turn about the grid's middle, both along random ways."""
    middle = geometry.to_world((np.array(geometry.shape[::-1]) - 1) / 2)
    matrix = turn_about(middle, direction(generator), turn_deg)
    matrix[:3, 3] += direction(generator) * shift_mm
    return Affine(matrix)


def distance(found: Transform, true: Transform, grid: Geometry, inside: Tensor) -> float:
    """Mean distance in mm between where the two bring voxels."""
    return float((found.displacement(grid) - true.displacement(grid)).norm(dim=0)[inside].mean())


def overlap(fixed: Image, moved: Tensor) -> float:
    """Mean Dice of the regions with at least a hundred voxels."""
    return dice_fixed100(fixed.values[0].round().int(), moved)


def main() -> None:
    """Make the rows that are missing, then print all as tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--part", choices=("validate", "test"), default="test")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=["affine", "hybrid"])
    parser.add_argument("--out", type=Path, default=ROOT / "runs/register/contrasts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    material = Material(args.shared / "data", args.part)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        kept = args.out / f"{args.part}_{name}.json"
        rows = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        for method in args.methods:
            for pair, make in globals()[name](material, method):
                key = f"{method}: {pair}"
                if key not in rows:
                    begin = time.process_time()
                    rows[key] = make()
                    rows[key]["CPU s"] = time.process_time() - begin
                    kept.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        show(name, rows)


def show(name: str, rows: dict[str, Row]) -> None:
    """One table."""
    heads = list(next(iter(rows.values())))
    print(f"\n| {name} | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for key, row in rows.items():
        print(f"| {key} | {' | '.join(f'{row[h]:.3f}' for h in heads)} |")


if __name__ == "__main__":
    main()
