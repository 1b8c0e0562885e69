"""`python -m benchmarks.low_field`: low-field slices lifted to 1.5 T, simulated ones of test heads and real ones.

Simulated: slices of 5 mm, 1 mm wide pixels, of the test label maps in three contrasts at 1.5 T are the truth; the same
at 0.3 and 0.055 T in coarser pixels with noise are the input. The baseline is B-splines and the monotone curve that
fits the truth of that very slice best, which no user could know. Real: 0.055 T slices of one patient who trained
nothing, from raw k-space, against 3 T pictures of the same slices, which are registered to the plain reconstruction.
Sections of docs/results.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
import numpy as np
import torch
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude
from torch import Tensor

import spinecho
from benchmarks.sections import circumstances, load_average, table
from spinecho.core.geometry import Geometry
from spinecho.core.grids import towards_lps, turned
from spinecho.core.image import Image
from spinecho.evaluate.markdown import write_section
from spinecho.metrics.head import brightness, psnr_head, ssim_head
from spinecho.metrics.image import hfen
from spinecho.metrics.inside import inside
from spinecho.metrics.similarity import nmi_foreground64
from spinecho.ops.fourier import ifft
from spinecho.sim import low_field
from spinecho.sim.anatomy import texture
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.splits import split
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of
from spinecho.tasks.superres.parts.spline import enlarged
from spinecho.train.label_maps import head_box, read_head, tissues

ROOT = Path(__file__).parents[1]
CONTRASTS = ("t1", "t2", "flair")
SCANNERS = ((0.3, 1.5, 0.03), (0.055, 2.0, 0.07))
"""Field in tesla, sides of the pixels in mm, Rician noise relative to the brightest tissue of the brain"""
THICK = 5
REAL = {"gre": "t1w", "fse": "t2w", "flair": "flair"}
FIELD_MM = 252.0
"""Field of view of the real scans: their pixels are 2 mm wide where 126 cover it"""


@dataclass(frozen=True)
class Scored:
    """Figures of one case by method."""

    case: str
    by_method: dict[str, dict[str, float]]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.low_field", description=__doc__)
    parser.add_argument("--weights", help="of lowfield, a file; default: those of the package")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--patient", default="patient4", help="of the real scans (1, 2, 3 are for training)")
    parser.add_argument("--slices", type=int, default=6, help="of each head")
    parser.add_argument("--pictures", type=Path, help="folder for PNGs")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    return parser.parse_args()


def simulated(path: Path, n: int, weights: str | None) -> list[Scored]:
    """All contrasts and scanners of a test head."""
    labels, geometry = read_head(path)
    places = turned(tissues(labels)[None], geometry, *towards_lps(geometry))[0][0]
    places = places[head_box(places)]
    z, y, x = places.shape
    rng = torch.Generator().manual_seed(int("".join(filter(str.isdigit, path.stem)) or 0))
    first = [int(v) for v in np.linspace(0.45, 0.8, n) * (z - THICK)]
    uneven = 1 + 0.02 * (texture((1, y, x), rng, 1.0)[0] - 1)
    scored: list[Scored] = []
    for contrast in CONTRASTS:
        for field, side, noise in SCANNERS:
            sequence = SEQUENCES[contrast]
            soft = Degradation("blur", 1.1)
            levels = (low_field.signals(sequence, b) for b in (field, low_field.REFERENCE_T))
            low, truth = (
                along(
                    torch.stack([low_field.shown(places[i : i + THICK], v, uneven).mean(0) for i in first]),
                    [None, soft.matrix(y, y), soft.matrix(x, x)],
                )
                for v in levels
            )
            shape = (n, round(y / side), round(x / side))
            lost = [None, Degradation("kspace"), Degradation("kspace")]
            coarse = along(low, maps_of(lost, shape, low.shape))
            real, imaginary = noise * torch.randn(2, *coarse.shape, generator=rng)
            measured = torch.hypot(coarse + real, imaginary)
            sides = (x / shape[2], y / shape[1], float(THICK))
            methods = made(measured, Geometry.from_frame((0, 0, 0), np.eye(3), sides, shape), (n, y, x), weights)
            figures = {name: figures_of(truth, values) for name, values in methods.items()}
            scored.append(Scored(f"{contrast}, {field:g} T", figures))
    return scored


def made(measured: Tensor, geometry: Geometry, shape: tuple[int, int, int], weights: str | None) -> dict[str, Tensor]:
    """B-splines, the same after nlmeans, and lowfield, on the fine grid."""
    image = Image(values=measured[None], geometries=(geometry,))
    factor = (shape[2] / measured.shape[2], shape[1] / measured.shape[1], 1.0)
    settings: dict[str, Any] = {} if weights is None else {"weights": weights}
    quiet = spinecho.denoise(image, "nlmeans")
    return {
        "bspline": enlarged(measured[None], shape)[0],
        "nlmeans, bspline": enlarged(quiet.values, shape)[0],
        "lowfield": spinecho.superres(image, "lowfield", factor=factor, **settings).values[0],
    }


def figures_of(truth: Tensor, values: Tensor) -> dict[str, float]:
    """Inside the object, slice by slice: as it is at the best scale, and after the best monotone curve."""
    rows: list[dict[str, float]] = []
    for t, v in zip(truth, values, strict=True):
        object_ = inside(t)
        scaled = v * float((v * t)[object_].sum() / v[object_].square().sum())
        curved = through_curve(v, t, object_.numpy())
        best = max((scaled, curved), key=lambda x: psnr_head(t, x))
        rows.append(
            {
                "psnr": psnr_head(t, scaled),
                "psnr curve": psnr_head(t, best),
                "ssim": ssim_head(t, scaled),
                "ssim curve": ssim_head(t, best),
                "hfen": hfen(t[None], scaled[None]),
            }
        )
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def through_curve(values: Tensor, truth: Tensor, object_: np.ndarray, n_bins: int = 64) -> Tensor:
    """The values through the monotone curve that is nearest to the truth in the mean of bins of equal size."""
    v, t = values.numpy()[object_].astype(float), truth.numpy()[object_].astype(float)
    order = np.argsort(v)
    x = np.array([part.mean() for part in np.array_split(v[order], n_bins)])
    y = pooled(np.array([part.mean() for part in np.array_split(t[order], n_bins)]))
    return torch.from_numpy(np.interp(values.numpy(), x, y).astype(np.float32))


def pooled(values: np.ndarray) -> np.ndarray:
    """The nearest sequence that never falls (least squares): neighbours that fall are averaged."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return np.concatenate([np.full(n, value) for value, n in blocks])


def real(file: Path, weights: str | None, pictures: Path | None) -> list[Scored]:
    """Three contrasts of the real patient."""
    scored: list[Scored] = []
    with np.load(file) as held:
        for name, other in REAL.items():
            samples = torch.from_numpy(held[f"{name}_kspace"]).movedim(-1, 0)
            picture = torch.from_numpy(held[f"t3_{other}"].astype(np.float32)).movedim(-1, 0)
            picture = (picture - picture[:, 0].median()).clamp_min(0)  # one contrast's air was stored as grey
            measured = centred(samples).abs()
            measured = measured / brightness(measured)
            n, rows, columns = measured.shape
            sides = (FIELD_MM / columns, FIELD_MM / 126, 10.0)
            geometry = Geometry.from_frame((0, 0, 0), np.eye(3), sides, (n, rows, columns))
            shape = (n, round(rows * sides[1]), round(columns * sides[0]))
            methods = made(measured, geometry, shape, weights)
            placed = [registered(p, m) for p, m in zip(picture, methods["bspline"], strict=True)]
            figures = {m: agreement(torch.stack(placed), v) for m, v in methods.items()}
            scored.append(Scored(name, figures))
            if pictures is not None:
                drawn(pictures / f"{file.stem}_{name}.png", methods | {"3 T": torch.stack(placed)})
    return scored


def centred(samples: Tensor) -> Tensor:
    """Images of k-space whose centre may lie beside the middle: the phase ramp that this leaves does not matter."""
    return ifft(samples, (-2, -1))


def registered(picture: Tensor, onto: Tensor) -> Tensor:
    """The 3 T picture, turned by half a turn and as large as the slice's head, moved onto it by mutual information."""
    import SimpleITK as sitk

    fixed = sitk.GetImageFromArray(gaussian_filter(onto.numpy(), 1.0))
    moving = sitk.GetImageFromArray(picture.flip(0, 1).numpy())
    side = float(inside(onto).sum() / inside(picture).sum()) ** 0.5
    moving.SetSpacing((side, side))
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.AffineTransform(2), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, 200, estimateLearningRate=method.EachIteration)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([3, 2, 1])
    method.SetInitialTransform(start, inPlace=False)
    moved = sitk.Resample(moving, fixed, method.Execute(fixed, moving), sitk.sitkLinear, 0.0)
    return torch.from_numpy(sitk.GetArrayFromImage(moved).astype(np.float32))


def agreement(picture: Tensor, values: Tensor) -> dict[str, float]:
    """Mutual information (normalised, 64 bins), and correlation of edges, inside the 3 T picture's head."""
    information, edges = [], []
    for p, v in zip(picture, values, strict=True):
        object_ = inside(p)
        information.append(nmi_foreground64(p[None], v[None], object_[None]))
        one, other = (gaussian_gradient_magnitude(x.numpy(), 1.0)[object_.numpy()] for x in (p, v))
        edges.append(float(np.corrcoef(one, other)[0, 1]))
    return {"nmi": fmean(information), "edges": fmean(edges)}


def drawn(path: Path, panels: dict[str, Tensor]) -> None:
    """Slices side by side, one row for each way."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(next(iter(panels.values())))
    figure, axes = plt.subplots(len(panels), n, figsize=(3 * n, 3 * len(panels)), squeeze=False)
    for row, (name, slices) in zip(axes, panels.items(), strict=True):
        top = float(torch.quantile(slices[slices > 0], 0.99))
        for axis, values in zip(row, slices, strict=True):
            axis.imshow(values, cmap="gray", vmin=0, vmax=top)
            axis.set_axis_off()
        row[0].set_title(name, loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    plt.close(figure)


def page(scored: list[Scored], how: str, headline: str) -> str:
    """The mean over all cases of a name, one row for each case and method."""
    cases = list(dict.fromkeys(s.case for s in scored))
    names = list(scored[0].by_method)
    columns = list(scored[0].by_method[names[0]])
    rows = []
    for case in cases:
        here = [s.by_method for s in scored if s.case == case]
        base = fmean(m["bspline"][headline] for m in here)
        for name in names:
            values = [fmean(m[name][c] for m in here) for c in columns]
            gain = fmean(m[name][headline] for m in here) - base
            rows.append([case, f"`{name}`", *(f"{v:.3f}" for v in values), f"{gain:+.3f}"])
    return "\n\n".join([how, table(["case", "method", *columns, f"{headline}, over bspline"], rows)])


def main() -> None:
    """Run, and write both sections."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    with torch.inference_mode():
        heads = [args.shared / "data" / "label_maps" / f"labels_{s}.nii.gz" for s in split("label_maps", "test")]
        rows = [row for head in heads for row in simulated(head, args.slices, args.weights)]
        raw = args.shared / "data" / "lowfield_0p055T" / f"{args.patient}.npz"
        seen = real(raw, args.weights, args.pictures)
    how = circumstances("benchmarks.low_field", 1, before)
    told = (
        "psnr and ssim inside the object, in units of its 99.9th percentile, at the scale that fits best; `curve`: "
        "after the monotone curve that fits that slice best. "
    )
    sections = {
        "Low field, simulated": page(rows, told + how, "psnr curve"),
        "Low field, real": page(seen, f"0.055 T, {args.patient}, four slices each, against 3 T. " + how, "edges"),
    }
    for title, text in sections.items():
        print(f"## {title}\n\n{text}")
        if args.out != "-":
            write_section(Path(args.out), title, text)


if __name__ == "__main__":
    main()
