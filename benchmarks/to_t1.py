"""`python -m benchmarks.to_t1`: a T1 made of other contrasts and of thick slices, beside the scan's own T1.

Real: one patient whose contrasts lie on one grid. Rendered: test heads. The copy is the input itself, on 1 mm by
B-splines where it is coarser. Each image is brought to the truth's median in the head, and nothing else is fitted. Dice
is that of `regions` on the result, against its regions on the real T1, or against the label map that was rendered:
`to_t1` begins with `regions` of its input, so that its Dice is no word of another judge. Two sections of
docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import process_time

import torch

import spinecho
from benchmarks.sections import circumstances, load_average, table
from benchmarks.task_score import sliced
from spinecho.core.image import Image
from spinecho.evaluate.markdown import write_section
from spinecho.io.read import read_image
from spinecho.metrics.head import psnr_head, ssim_head
from spinecho.metrics.overlap import dice_per_label, mean_over
from spinecho.sim.anatomy import of_sequence
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.splits import split
from spinecho.tasks.segment.parts.names import classes_of, labels_of
from spinecho.train.label_maps import read_head

ROOT = Path(__file__).parents[1]
TITLE = "A T1 of other contrasts"
CONTRASTS = ("t2", "flair")
_LEAST = 1000
"""Voxels of 1 mm: smaller regions are not judged"""


def copied_and_made(image: Image, thick: bool) -> Mapping[str, Callable[[], Image]]:
    """The input, on the grid of 1 mm, and the T1 made of it."""
    if thick:
        both = sliced(image, ["bspline", "to_t1"])
        return {"copied": both["bspline"], "to_t1": both["to_t1"]}
    return {"copied": lambda: image, "to_t1": lambda: spinecho.superres(image, "to_t1")}


def scored(result: Image, truth: Image, labels: torch.Tensor) -> list[str]:
    """ssim and psnr in the head, and Dice of its regions."""
    t, x = truth.values[0].float(), result.values[0].float()
    head = t > 0
    x = x * (t[head].median() / x[head].median().clamp_min(1e-9))
    found = dice_per_label(labels, regions(result), min_voxels=_LEAST)
    return [f"{ssim_head(t, x):.3f}", f"{psnr_head(t, x):.2f}", f"{mean_over(found):.3f}"]


def regions(image: Image) -> torch.Tensor:
    """Of both sides together."""
    return spinecho.segment(image, sides=False).values[0].int()


def rows(name: str, images: Mapping[str, Image], truth: Image, labels: torch.Tensor) -> list[list[str]]:
    """Each contrast, thin and thick, copied and made."""
    cells = [[name, "t1", "1 mm", "the truth itself", *scored(truth, truth, labels), ""]]
    for contrast, image in images.items():
        for thick in (False, True):
            for method, make in copied_and_made(image, thick).items():
                start = process_time()
                result = make()
                spent = f"{process_time() - start:.0f}"
                told = "4 mm, gap 1 mm" if thick else "1 mm"
                cells.append([name, contrast, told, f"`{method}`", *scored(result, truth, labels), spent])
                print(cells[-1], flush=True)
    return cells


def patient(folder: Path) -> list[list[str]]:
    """Real scans of one head on one grid."""
    images = {name: read_image(folder / f"{name}.nii.gz").volume() for name in ("t1", *CONTRASTS)}
    images = {name: replace(image, values=image.values.float()) for name, image in images.items()}
    truth = images.pop("t1")
    return rows(folder.name, images, truth, regions(truth))


def rendered(path: Path) -> list[list[str]]:
    """A label map in each contrast, by the signal equations."""
    labels, geometry = read_head(path)
    shown = {name: of_sequence(SEQUENCES[name]).render(labels)[None] for name in ("t1", *CONTRASTS)}
    images = {name: Image(values=values, geometries=(geometry,)) for name, values in shown.items()}
    truth = images.pop("t1")
    return rows(path.name.partition(".")[0], images, truth, labels_of(classes_of(labels)).int())


def main() -> None:
    """Run, and write the sections."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.to_t1", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--patient", default="patient19", help="a folder of ms_1mm; empty: none")
    parser.add_argument("--heads", type=int, default=2, help="rendered ones, at most")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    torch.set_num_threads(1)
    folder = args.shared / "data"
    maps = [folder / "label_maps" / f"labels_{n}.nii.gz" for n in split("label_maps", "test")[: args.heads]]
    sections = {f"{TITLE}, one patient": patient(folder / "ms_1mm" / args.patient)} if args.patient else {}
    sections[f"{TITLE}, rendered heads"] = [row for path in maps for row in rendered(path)]
    columns = ["head", "of", "slices", "method", "ssim head", "psnr head, dB", "Dice of `regions`", "CPU s"]
    for title, cells in sections.items():
        if not cells:
            continue
        text = f"{circumstances('benchmarks.to_t1', 1, before)}\n\n{table(columns, cells)}\n{NOTE}"
        print(text)
        if args.out != "-":
            write_section(Path(args.out), title, text)


NOTE = (
    "Each image is brought to the truth's median in the head and nothing else is fitted; ssim and psnr in the head, in "
    "units of the truth's 99.9th percentile. Dice: mean over regions above 1 ml, sides merged, of `regions` on the "
    "result against its regions on the T1 itself, or against the label map that was rendered. `to_t1` begins with "
    "`regions` of its input, which this Dice therefore favours; ssim and psnr do not know them.\n"
)


if __name__ == "__main__":
    main()
