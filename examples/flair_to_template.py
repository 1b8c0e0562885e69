"""A patient's FLAIR onto the ICBM 152 template, and the lesion mask carried over.

python examples/flair_to_template.py FLAIR.nii.gz LESIONS.nii.gz TEMPLATE_T1.nii.gz OUT_FOLDER

Contrasts differ (FLAIR against a T1 template), so the registration takes contrast-free features while it is coarse and
translates one contrast into the other when it is fine. The template comes with nilearn (pip install nilearn).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import spinecho
from spinecho.io.read import read_image
from spinecho.io.transform.files import write_both
from spinecho.tasks.register.judge.report import write_report
from spinecho.tasks.register.run import run


def main(flair: Path, lesions: Path, template: Path, out: Path) -> dict[str, float]:
    """Register, write what belongs to it, and return the lesions' volume in ml before and after."""
    out.mkdir(parents=True, exist_ok=True)
    fixed, moving, mask = (read_image(path) for path in (template, flair, lesions))
    found = run(fixed, moving, tell=lambda stage: print(f"{stage.done:4.0%}  {stage.name}") if stage.ended else None)
    told = [f"{stage}: {note}" for stage, notes in found.told.items() for note in notes]
    for line in (*told, *(f"warning: {w}" for w in found.warnings)):
        print("     ", line)
    moved = found.transform.warp(moving, onto=fixed.geometry)
    carried = found.transform.warp(mask, onto=fixed.geometry, mode="nearest")
    spinecho.write(moved, out / "flair_in_template.nii.gz")
    spinecho.write(carried, out / "lesions_in_template.nii.gz")
    write_both(found.transform, out / "to_template.h5", fixed.geometry, moving.geometry)
    write_report(out / "report.html", fixed, moving, found, labels=mask)
    volumes = {"patient": _ml(mask), "template": _ml(carried)}
    print(f"lesions: {volumes['patient']:.2f} ml in the patient, {volumes['template']:.2f} ml in the template's space")
    return volumes


def _ml(mask: Image) -> float:
    x, y, z = mask.geometry.voxel_mm
    return float((mask.values > 0).sum()) * x * y * z / 1000


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    flair, lesions, template, out = (Path(a) for a in sys.argv[1:5])
    main(flair, lesions, template, out)
