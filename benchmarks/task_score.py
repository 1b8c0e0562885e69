"""`python -m benchmarks.task_score`: what a person does with the image afterwards: how well its regions are found.

Test heads lose something, methods give it back, and the frozen `regions` names the voxels of what comes out. Real IXI
test heads get noise; rendered test heads, 1 mm wide, lose detail in the plane or thin slices. Dice is the mean over
regions above 1 ml against labels that are known (of the real heads by another program). A section of docs/results.md;
a rendered head takes minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

import spinecho
from benchmarks.sections import circumstances, load_average, table
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate.judge import LeftOut
from spinecho.evaluate.markdown import write_section
from spinecho.methods import registry
from spinecho.metrics.head import brightness
from spinecho.sim.splits import Part, split
from spinecho.tasks.segment import judge as segmenting
from spinecho.tasks.segment.judge import overlaps
from spinecho.tasks.segment.judge.known import Inputs
from spinecho.tasks.superres.parts.degrade import Degradation, along

ROOT = Path(__file__).parents[1]
TITLE = "Task score: regions after denoising and super-resolution"
LEVELS = (0.09, 0.15)
FACTORS = (2, 3)
THICK_MM, GAP_MM = 4.0, 1.0

Made = Mapping[str, Callable[[], Image]]
"""Images by the name of what made them; the first is what is left without any method"""


@dataclass(frozen=True)
class Scored:
    """Dice of a head, as it was and as it came back."""

    case: str
    whole: float
    by_method: dict[str, float]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.task_score", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--heads", type=int, default=4, help="rendered, and real, at most")
    parser.add_argument("--contrasts", nargs="+", default=["t1", "t2"], help="of rendered heads")
    parser.add_argument("--methods", nargs="+", default=["nlmeans", "unet25d", "bspline", "zero_filled", "multiscale"])
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    return parser.parse_args()


def known(
    folder: Path, part: Part, n: int, contrasts: tuple[str, ...], thickness: tuple[float, ...] = (1.0,)
) -> dict[str, segmenting.Options]:
    """Heads of a part of the splits whose regions are known: rendered ones, and real ones of IXI; n of each at most."""
    maps = tuple(folder / "label_maps" / f"labels_{name}.nii.gz" for name in split("label_maps", part)[:n])
    ixi = tuple(folder / "ixi_2mm" / "t1" / f"{name}.nii.gz" for name in split("ixi_2mm", part)[:n])
    return {
        "rendered": segmenting.Options(maps=maps, contrasts=contrasts, thickness=thickness),
        "real": segmenting.Options(images=ixi, labels=folder / "ixi_2mm" / "labels", atlas="muse"),
    }


def loaded(options: segmenting.Options) -> Iterator[tuple[str, Inputs]]:
    """Each head by its name."""
    for case in segmenting.cases(options, torch.device("cpu")).each:
        if isinstance(case, LeftOut):
            raise SystemExit(f"{case.scan}: {case.why}")
        yield case.name, case.load()


def noisy_image(image: Image, level: float) -> Image:
    """Rician noise in units of the head's brightness."""
    rng = torch.Generator().manual_seed(round(1000 * level))
    values = image.values.float()
    sigma = level * float(brightness(values[0]))
    real, imaginary = (sigma * torch.randn(values.shape, generator=rng) for _ in range(2))
    return replace(image, values=torch.hypot(values + real, imaginary))


def noisy(image: Image, level: float, methods: list[str]) -> Made:
    """With noise, and by each method that takes noise away."""
    given = noisy_image(image, level)
    ours = [m for m in methods if m in registry.names("denoise")]
    return {"noisy": lambda: given} | {m: lambda m=m: spinecho.denoise(given, m) for m in ours}


def coarse(image: Image, factor: int, methods: list[str]) -> Made:
    """Two axes by truncation of k-space: pixels of slices."""
    y, x = image.values.shape[-2:]
    lost = Degradation("kspace")
    maps = [None, lost.matrix(y // factor, y // factor * factor), lost.matrix(x // factor, x // factor * factor)]
    cut = image.values[..., : y // factor * factor, : x // factor * factor].float()
    return enlarged(image, along(cut, maps), (factor, factor, 1), methods, "kspace")


def sliced(image: Image, methods: list[str]) -> Made:
    """Slices of 4 mm with a gap of 1 mm along the head."""
    axis = int(abs(image.geometry.directions[2]).argmax())
    dim, n = 2 - axis, image.values.shape[-1 - axis]
    factor = round((THICK_MM + GAP_MM) / image.geometry.voxel_mm[axis])
    maps: list[Tensor | None] = [None, None, None]
    maps[dim] = Degradation("slices", THICK_MM / (THICK_MM + GAP_MM)).matrix(n // factor, n // factor * factor)
    cut = image.values.float().narrow(1 + dim, 0, n // factor * factor)
    factors = tuple(factor if i == axis else 1 for i in range(3))
    return enlarged(image, along(cut, maps), (factors[0], factors[1], factors[2]), methods, "slices")


def enlarged(image: Image, low: Tensor, factors: tuple[int, int, int], methods: list[str], name: str) -> Made:
    """By each method, and back on the image's own grid."""
    affine = image.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [(f - 1) / 2 for f in factors]
    affine[:3, :3] *= factors
    grid = Geometry((low.shape[1], low.shape[2], low.shape[3]), affine, image.geometry.oriented)
    given = replace(image, values=low, geometries=(grid,), extras={})
    ours = [m for m in methods if m in registry.names("superres")]
    first = sorted(ours, key=lambda m: m != "bspline")
    return {m: lambda m=m: on_own(image, spinecho.superres(given, m, factor=factors, degradation=name)) for m in first}


def on_own(image: Image, result: Image) -> Image:
    """With the voxels that were cut off, dark."""
    values = torch.zeros_like(image.values, dtype=torch.float32)
    z, y, x = result.values.shape[-3:]
    values[..., :z, :y, :x] = result.values
    return replace(image, values=values, extras={})


def dice(inputs: Inputs, image: Image) -> float:
    """Of the frozen regions, against the labels."""
    return overlaps.scores(inputs, spinecho.segment(image, sides=False).values)["dice"]


def scored(kind: str, inputs: Inputs, methods: list[str]) -> Iterator[Scored]:
    """All losses of a head."""
    image = inputs.image
    whole = dice(inputs, image)
    losses: dict[str, Made] = {}
    if kind == "real":
        losses |= {f"noise {100 * level:g} %": noisy(image, level, methods) for level in LEVELS}
    else:
        losses |= {f"pixels x{factor}": coarse(image, factor, methods) for factor in FACTORS}
        losses["slices of 4 mm, gap 1 mm"] = sliced(image, methods)
    for loss, made in losses.items():
        by_method = {name: dice(inputs, make()) for name, make in made.items()}
        print(f"{kind}, {loss}: whole {whole:.3f}", {n: round(v, 3) for n, v in by_method.items()}, flush=True)
        yield Scored(f"{kind}: {loss}", whole, by_method)


def page(rows: list[Scored], how: str) -> str:
    """Means over heads; how much of what was lost came back, relative to what is left without a method."""
    lines: list[list[str]] = []
    for case in dict.fromkeys(r.case for r in rows):
        here = [r for r in rows if r.case == case]
        whole = fmean(r.whole for r in here)
        base = fmean(next(iter(r.by_method.values())) for r in here)
        for name in here[0].by_method:
            mean = fmean(r.by_method[name] for r in here)
            back = f"{100 * (mean - base) / (whole - base):.0f} %" if whole - base > 0.005 else "–"
            lines.append([case, str(len(here)), f"`{name}`", f"{whole:.3f}", f"{mean:.3f}", back])
    columns = ["what was lost", "heads", "method", "Dice, whole", "Dice", "of the loss came back"]
    return "\n\n".join([how, table(columns, lines)])


def main() -> None:
    """Run, and write the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    heads = known(args.shared / "data", "test", args.heads, tuple(args.contrasts))
    rows = [
        row
        for kind, options in heads.items()
        for _, inputs in loaded(options)
        for row in scored(kind, inputs, args.methods)
    ]
    weights = registry.offer("segment", "regions").trained().read_bytes()
    told = f"`regions`, sha256 of its weights {sha256(weights).hexdigest()[:16]}. "
    text = page(rows, told + circumstances("benchmarks.task_score", 1, before))
    print(text)
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
