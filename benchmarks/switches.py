"""`python -m benchmarks.switches`: what two switches gain on people who trained nothing and test nothing.

`denoise --every-way`: Rician noise on the middle of held-out heads, slices in three directions or in one.
`segment --greys`: held-out rendered and real heads, with the mixture of the image's greys or by the network alone.
A section of docs/results.md; some minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

import spinecho
from benchmarks.sections import circumstances, load_average, table
from benchmarks.task_score import known, loaded, noisy_image
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate.markdown import write_section
from spinecho.io.read import read_image
from spinecho.metrics.head import psnr_head
from spinecho.tasks.segment import judge as segmenting
from spinecho.tasks.segment.judge import overlaps

ROOT = Path(__file__).parents[1]
TITLE = "Switches of denoise and segment"
LEVELS = (0.03, 0.09, 0.15)
SLICES = 48


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.switches", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--heads", type=int, default=4, help="of IXI, at most")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    return parser.parse_args()


def middle(image: Image) -> Image:
    """The middle slices of a volume, on a grid of their own size."""
    n = image.values.shape[1]
    first = max(0, n // 2 - SLICES // 2)
    values = image.values[:, first : first + SLICES].float()
    grid = image.geometry
    cut = Geometry((values.shape[1], *grid.shape[1:]), grid.affine, grid.oriented)
    return replace(image, values=values, geometries=(cut,), extras={})


def quieter(name: str, image: Image) -> Iterator[list[str]]:
    """Decibels of each network with one direction and with three."""
    for level in LEVELS:
        given = noisy_image(image, level)
        for method in ("unet25d", "autoencoder"):
            one, three = (
                psnr_head(image.values, spinecho.denoise(given, method, every_way=every).values)
                for every in (False, True)
            )
            print(name, level, method, f"{one:.2f} {three:.2f}", flush=True)
            yield [name, f"noise {100 * level:g} %", f"`{method}`", f"{one:.2f}", f"{three:.2f}", f"{three - one:+.2f}"]


def named(kind: str, options: segmenting.Options) -> list[str]:
    """Mean Dice of the network alone and with the image's greys, over all heads of the options."""
    pairs: list[list[float]] = []
    for name, inputs in loaded(options):
        labels = (spinecho.segment(inputs.image, sides=False, greys=greys).values for greys in (False, True))
        pairs.append([overlaps.scores(inputs, one)["dice"] for one in labels])
        print(name, *(f"{v:.3f}" for v in pairs[-1]), flush=True)
    alone, greys = (fmean(column) for column in zip(*pairs, strict=True))
    return [kind, str(len(pairs)), f"{alone:.3f}", f"{greys:.3f}", f"{greys - alone:+.3f}"]


def main() -> None:
    """Run, and write the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    folder = args.shared / "data"
    thick, thin = (known(folder, "validate", args.heads, ("t1", "random"), (mm,)) for mm in (4.0, 1.0))
    real = thin["real"]
    heads = {"chris, T1, 0.88 mm": folder / "anatomy_hd" / "chris_t1.nii.gz"}
    heads |= {f"{file.name.partition('.')[0]}, T1, 2 mm": file for file in real.images}
    quiet = [row for name, file in heads.items() for row in quieter(name, middle(read_image(file).volume()))]
    kinds = {
        "rendered, slices of 1 mm": thin["rendered"],
        "rendered, slices of 4 mm": thick["rendered"],
        "IXI, T1, 2 mm": real,
    }
    regions = [named(kind, options) for kind, options in kinds.items()]
    columns = ["heads", "cases", "network alone", "with greys", "gain"]
    text = "\n\n".join(
        [
            circumstances("benchmarks.switches", 1, before),
            "psnr in the head, dB; the level is found by the method:",
            table(["head", "noise", "method", "one direction", "three", "gain"], quiet),
            "Mean Dice over regions of 1 ml and more, simulated (rendered heads):",
            table(columns, regions[:2]),
            "The same, real:",
            table(columns, regions[2:]),
        ]
    )
    print(text)
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
