"""DIPY: affine by mutual information, then SyN by local cross-correlation; contract: `engines/work.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def register(job: dict[str, Any], stage: Callable[[str], Any]) -> dict[str, Any]:
    """Parameters: radius and sigma of CCMetric, iterations (coarse to fine); everything else is DIPY's default."""
    with stage("import"):
        numpy = importlib.import_module("numpy")
        nibabel = importlib.import_module("nibabel")
        align = importlib.import_module("dipy.align")
        imwarp = importlib.import_module("dipy.align.imwarp")
        metrics = importlib.import_module("dipy.align.metrics")
    parameters = job["parameters"]
    fixed, moving = (nibabel.load(job[name]) for name in ("fixed", "moving"))
    static, source = (numpy.asarray(i.dataobj, dtype=numpy.float64) for i in (fixed, moving))
    steps = ["center_of_mass", "translation", "rigid", "affine"][: 3 if job["kind"] == "rigid" else 4]
    with stage("affine"):
        _, affine = align.affine_registration(
            source, static, moving_affine=moving.affine, static_affine=fixed.affine, pipeline=steps
        )
    flip = numpy.diag([-1.0, -1.0, 1.0, 1.0])
    calls = [f"dipy.align.affine_registration(moving, static, pipeline={steps})"]
    version = f"dipy {importlib.import_module('importlib.metadata').version('dipy')}"
    result = {"matrix": (flip @ affine @ flip).tolist(), "calls": calls, "version": version}
    if job["kind"] != "deformable":
        return result
    metric = metrics.CCMetric(3, radius=parameters["radius"], sigma_diff=parameters["sigma"])
    syn = imwarp.SymmetricDiffeomorphicRegistration(metric, level_iters=parameters["iterations"])
    calls.append(
        f"SymmetricDiffeomorphicRegistration(CCMetric(3, radius={parameters['radius']}, "
        f"sigma_diff={parameters['sigma']}), level_iters={parameters['iterations']}).optimize(static, moving, "
        "static_grid2world, moving_grid2world, prealign=affine)"
    )
    with stage("deformable"):
        found = syn.optimize(
            static, source, static_grid2world=fixed.affine, moving_grid2world=moving.affine, prealign=affine
        )
    with stage("field"):
        index = numpy.indices(static.shape[:3]).reshape(3, -1).T.astype(numpy.float64)
        ends = found.transform_points(index, coord2world=fixed.affine, world2coord=numpy.eye(4))
        starts = index @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]
        moved = (numpy.asarray(ends) - starts) * [-1.0, -1.0, 1.0]
        result["field"] = moved.reshape(*static.shape[:3], 3).transpose(3, 2, 1, 0)
    return result
