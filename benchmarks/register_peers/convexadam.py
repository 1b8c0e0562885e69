"""ConvexAdam with MIND features after another peer's affine; the contract is that of `engines/work.py`.

The package knows neither spacing nor affine: it gets the moving image resampled through the affine onto the fixed grid
and gives back a displacement in voxels of that grid.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def register(job: dict[str, Any], stage: Callable[[str], Any]) -> dict[str, Any]:
    """Parameters: affine (4x4, LPS mm, fixed to moving), arguments of `convex_adam_pt`."""
    with stage("import"):
        numpy = importlib.import_module("numpy")
        sitk = importlib.import_module("SimpleITK")
        torch = importlib.import_module("torch")
        convex = importlib.import_module("convexAdam.convex_adam_MIND")
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    matrix, arguments = numpy.array(job["parameters"]["affine"]), job["parameters"]["arguments"]
    fixed, moving = (sitk.ReadImage(job[name], sitk.sitkFloat32) for name in ("fixed", "moving"))
    with stage("resample"):
        transform = sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())
        moved = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0))
    with stage("deformable"):
        voxels = convex.convex_adam_pt(
            torch.from_numpy(sitk.GetArrayFromImage(fixed)),
            torch.from_numpy(moved),
            dtype=torch.float32,
            device=torch.device("cpu"),
            **arguments,
        )
    with stage("field"):  # fixed index + voxels = index in the resampled image; then the world, then the affine
        z, y, x = numpy.indices(moved.shape)
        start = numpy.stack([x, y, z], -1)
        end = start + voxels[..., ::-1]
        spacing = numpy.array(fixed.GetDirection()).reshape(3, 3) * fixed.GetSpacing()
        points = end @ spacing.T + fixed.GetOrigin()
        field = points @ matrix[:3, :3].T + matrix[:3, 3] - (start @ spacing.T + fixed.GetOrigin())
    version = f"convexAdam {importlib.import_module('importlib.metadata').version('convexAdam')}"
    calls = [f"convex_adam_pt(fixed, moving resampled by the affine, **{arguments})"]
    return {"matrix": matrix.tolist(), "calls": calls, "version": version, "field": field.transpose(3, 0, 1, 2)}
