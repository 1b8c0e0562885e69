"""`python -m benchmarks.register_offsets`: how far contrasts of one patient lie from each other, by three measures.

The scans of a patient with multiple sclerosis were brought onto one grid by those who published them. Here a rigid
transform between each two of them, at 2 mm, is sought by local correlation at 3 mm, by mutual information at 2 mm (as
`hybrid` does across contrasts) and by SimpleITK's mutual information: mean motion within the brain, mm. `round` is how
far the way from T1 to T2 to FLAIR and back to T1 leads from where it began: the part of these motions that is error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from benchmarks.register_contrasts import CONTRASTS, ROOT, Material, distance
from spinecho.core.geometry import Array
from spinecho.core.image import Image
from spinecho.core.transform import Affine
from spinecho.tasks.register.parts.affine import Settings, align_linear
from spinecho.tasks.register.parts.simplest import ACROSS
from spinecho.tasks.register.parts.volumes import comparable

_BINS, _STEPS = 50, 100
ROUND = (("t1", "t2"), ("t2", "flair"), ("t1", "flair"))


def by_simpleitk(fixed: Image, moving: Image) -> Affine:
    """Mattes' mutual information of all voxels, by regular steps from the header's position."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    images = [_as_itk(image) for image in (fixed, moving)]
    start = sitk.Euler3DTransform()
    start.SetCenter(images[0].TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in images[0].GetSize()]))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(0.5, 1e-3, _STEPS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start)
    return _matrix_of(method.Execute(*images).TransformPoint)


def _as_itk(image: Image):
    import SimpleITK as sitk

    geometry = image.geometry
    out = sitk.GetImageFromArray(image.values[0].numpy())
    out.SetSpacing([float(v) for v in geometry.voxel_mm])
    out.SetOrigin([float(v) for v in geometry.affine[:3, 3]])
    out.SetDirection((geometry.affine[:3, :3] / np.array(geometry.voxel_mm)).ravel().tolist())
    return out


def _matrix_of(point: Callable[[tuple[float, ...]], tuple[float, ...]]) -> Affine:
    matrix = np.eye(4)
    matrix[:3, 3] = point((0.0, 0.0, 0.0))
    for axis in range(3):
        matrix[:3, axis] = np.array(point(tuple(np.eye(3)[axis]))) - matrix[:3, 3]
    return Affine(matrix)


ENGINES: dict[str, Callable[[Image, Image], Affine]] = {
    "local correlation, 3 mm": lambda f, m: _affine(f, m, Settings()),
    "mutual information, 2 mm": lambda f, m: _affine(f, m, ACROSS),
    "SimpleITK": by_simpleitk,
}


def _affine(fixed: Image, moving: Image, settings: Settings) -> Affine:
    return Affine(align_linear(fixed, moving, "rigid", settings).matrix)


def closing(there: Array, on: Array, straight: Array) -> Affine:
    """From the first to the second, on to the third, and straight back to the first."""
    return Affine(np.linalg.inv(straight) @ on @ there)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--part", choices=("validate", "test"), default="test")
    args = parser.parse_args()
    torch.set_num_threads(1)
    material = Material(args.shared / "data", args.part)
    scans = {c: comparable(material.scan(c), "fixed") for c in CONTRASTS}
    grid, none = scans["t1"].geometry, Affine(np.eye(4))
    print(f"| {material.patient} | {' | '.join(ENGINES)} |\n|---|{'---|' * len(ENGINES)}")
    matrices: dict[tuple[str, str], list[Affine]] = {}
    for pair in combinations(CONTRASTS, 2):
        matrices[pair] = [engine(*(scans[c] for c in pair)) for engine in ENGINES.values()]
        print(_row(" < ".join(pair), [distance(m, none, grid, material.brain) for m in matrices[pair]]))
    rounds = [closing(*(matrices[pair][i].matrix for pair in ROUND)) for i in range(len(ENGINES))]
    print(_row("round", [distance(m, none, grid, material.brain) for m in rounds]))


def _row(name: str, values: list[float]) -> str:
    return f"| {name} | {' | '.join(f'{v:.2f}' for v in values)} |"


if __name__ == "__main__":
    main()
