"""`python -m benchmarks.register_pairs`: write the pairs whose truth is made, for us and for the peers alike.

runs/register/SET/pairs/NAME/ with fixed.nii.gz and moving.nii.gz and what is known about them:

- `labels` (test) and `labels_dev` (validation): heads rendered from label maps at 1 mm, 160 x 192 x 224, with random
  contrasts that agree or differ; fixed_labels.nii.gz and moving_labels.nii.gz have the brain's regions.
- `warps` (patient19) and `warps_dev` (patient07): the fixed image is the patient's scan seen through a smooth warp of
  at most 15 mm, the moving image is the scan of the same or of another contrast, each with a bias field and noise of
  its own; truth.npy is the displacement (3, z, y, x), LPS mm, NaN outside the fixed brain.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.head_pairs import Head, pairs, place, render_pair
from benchmarks.register_peers.pairs import Pair, listed
from spinecho.core.image import Image
from spinecho.io.read import read_image
from spinecho.io.write import write
from spinecho.sim.splits import Part, split
from spinecho.sim.warps import degrade, sample_warp

ROOT = Path(__file__).parents[1]
LABELS: dict[str, Part] = {"labels": "test", "labels_dev": "validate"}
WARPS: dict[str, Part] = {"warps": "test", "warps_dev": "train"}
"""No patient validates"""
CONTRASTS = (("t1", "t1"), ("t2", "t2"), ("flair", "flair"), ("t1", "t2"), ("t1", "flair"), ("t2", "flair"))
MAX_MM = 15.0
_SNR = 30.0
_BRAIN = 0.1


def main() -> None:
    """Write the sets asked for; pairs that are there already stay."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/register")
    parser.add_argument("--sets", nargs="+", choices=[*LABELS, *WARPS], default=[*LABELS, *WARPS])
    args = parser.parse_args()
    for name in args.sets:
        folder = args.out / name / "pairs"
        if name in LABELS:
            write_labels(args.shared / "data/label_maps", LABELS[name], folder)
        else:
            (patient,) = split("ms_1mm", WARPS[name])
            write_warps(args.shared / "data/ms_1mm" / patient, folder)
        write_lists(folder)


def write_lists(folder: Path) -> None:
    """Beside the folder, the pairs whose contrasts agree and those whose differ, for tables of their own."""
    present = listed(folder)
    for word, alike in (("alike", True), ("unlike", False)):
        chosen = [pair for pair in present if pair.alike == alike]
        entries = [
            {name: pair.name if name == "name" else os.path.relpath(path, folder.parent) for name, path in files(pair)}
            for pair in chosen
        ]
        target = folder.parent / f"{folder.parent.name}_{word}.json"
        target.write_text(json.dumps(entries, indent=1), encoding="utf-8")


def files(pair: Pair) -> list[tuple[str, Path]]:
    """A pair's name and the files that it has, as a list of pairs wants them."""
    names = ("name", "fixed", "moving", "fixed_labels", "moving_labels", "truth")
    return [(name, getattr(pair, name)) for name in names if getattr(pair, name)]


def write_labels(source: Path, part: Part, folder: Path) -> None:
    """Rendered heads with their regions."""

    @cache
    def placed(number: str) -> Tensor:
        image = read_image(source / f"labels_{number}.nii.gz")
        return place(image.values[0].int(), image.geometry)

    for pair in pairs(part):
        target = folder / pair.name
        if (target / "moving_labels.nii.gz").exists():
            continue
        heads = render_pair(pair, placed(pair.fixed), placed(pair.moving))
        for name, head in zip(("fixed", "moving"), heads, strict=True):
            write_head(head, target, name)
        print(f"wrote {target}", flush=True)


def write_head(head: Head, target: Path, name: str) -> None:
    """An image and its regions, side by side."""
    target.mkdir(parents=True, exist_ok=True)
    for values, suffix in ((head.image, ""), (head.labels.float(), "_labels")):
        image = Image(values=values[None], geometries=(head.geometry,))
        write(image, target / f"{name}{suffix}.nii.gz")


def write_warps(patient: Path, folder: Path) -> None:
    """Scans of one patient and their warped counterparts."""
    scans = {name: read_image(patient / f"{name}.nii.gz") for name in ("t1", "t2", "flair")}
    brain = replace(scans["t1"], values=brain_of(scans["t1"].values))
    for seed, (first, second) in enumerate(CONTRASTS, start=1):
        target = folder / f"{first}-{second}"
        if (target / "truth.npy").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        geometry = scans[first].geometry
        warp = sample_warp(geometry, MAX_MM, generator)
        seen = {"fixed": warp.warp(scans[first]), "moving": scans[second]}
        for name, image in seen.items():
            values = degrade(image.values[0], geometry, generator, snr=_SNR)
            write(replace(image, values=values[None]), target / f"{name}.nii.gz")
        truth = warp.displacement(geometry)
        truth[:, warp.warp(brain, mode="nearest").values[0] == 0] = torch.nan
        np.save(target / "truth.npy", truth.numpy())
        print(f"wrote {target}", flush=True)


def brain_of(values: Tensor) -> Tensor:
    """Voxels of a skull-stripped T1 over a tenth of its 99th percentile."""
    return (values > _BRAIN * torch.quantile(values[values > 0][::8], 0.99)).to(torch.uint8)


if __name__ == "__main__":
    main()
