"""One's own undersampled scans, without any truth: train on them, see whether it helped, and make a picture.

python examples/train_on_my_scans.py FOLDER SCAN OUT_FOLDER [STEPS]

What to give: a folder of undersampled Cartesian scans of one kind (MRD, ISMRMRD, fastMRI, twix, cfl, ...), and one SCAN
that shall be reconstructed.
How long: the usual 400 steps take from some minutes (small slices) to some hours (large ones) on two cores.

Trained weights learn on: from a part of each scan's own lines they predict the others (`--loss ssdu`,
named in US patent application 17/075,411). Whether that helped is asked where it can be: on lines of SCAN that the
reconstruction has not seen. For one scan alone there is `spinecho recon SCAN --method zero_shot`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import spinecho
from spinecho.cli import main as command

USUAL = ("--init", "varnet", "--rate", "1e-4", "--batch", "2")


def train(folder: Path, out: Path, steps: int, settings: Sequence[str]) -> Path:
    """The weights after so many steps; killed and started again it goes on."""
    given = ["train", "recon/varnet", "--data", str(folder), "--out", str(out), "--loss", "ssdu", *settings]
    validate = ["--validate-every", str(max(1, steps // 4)), "--validation-examples", "4", "--on-broken", "skip"]
    if command([*given, *validate, "--steps", str(steps)]):
        raise SystemExit("the training ended with an error: see above")
    return out / "weights.safetensors"


def main(
    folder: Path, scan: Path, out: Path, steps: int = 400, settings: Sequence[str] = USUAL
) -> dict[str, spinecho.Image]:
    """The scan's image by the trained weights and by l1_wavelet; both are written, with a page of pictures."""
    weights = train(folder, out / "run", steps, settings)
    kspace = spinecho.read(scan)
    assert isinstance(kspace, spinecho.KSpace), f"{scan} holds images: raw samples are wanted"
    images = {
        "trained": spinecho.recon(kspace, "varnet", weights=str(weights)),
        "l1_wavelet": spinecho.recon(kspace, "l1_wavelet"),
        "checked": spinecho.recon(kspace, "checked", network=str(weights)),
    }
    for name, image in images.items():
        spinecho.write(image, out / f"{name}.nii.gz")
        print(f"{name}:", *image.header.history[len(kspace.header.history) :], sep="\n  ")
    report = ["-o", str(out / "trained.nii.gz"), "--report", str(out / "report.html")]
    command(["recon", str(scan), *report, "--method", "varnet", "--weights", str(weights)])
    return images


if __name__ == "__main__":
    _, mine, one, results, *said = sys.argv
    main(Path(mine), Path(one), Path(results), int(said[0]) if said else 400)
