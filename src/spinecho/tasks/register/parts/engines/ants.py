"""ANTs: rigid and affine by mutual information, then SyN by local cross-correlation; see `work.py` for the contract.

The stages are those of antsRegistrationSyN.sh, given to antsRegistration itself, so that what is iterated at which
resolution stands here and not in a preset.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

LINEAR_ITERATIONS = "1000x500x250x100"


def register(job: dict[str, Any], stage: Callable[[str], Any]) -> dict[str, Any]:
    """Parameters: metric (CC or MI), detail (CC: radius of the window; MI: bins), step, and iterations, shrink and

    smooth (voxels) from coarse to fine, joined by x.
    """
    with stage("import"):
        ants = importlib.import_module("ants")
    fixed, moving, out, parameters = job["fixed"], job["moving"], Path(job["out"]), job["parameters"]
    shared = ["--dimensionality", "3", "--float", "1", "--random-seed", str(job["seed"])]
    shared += ["--winsorize-image-intensities", "[0.005,0.995]", "--use-histogram-matching", "0"]
    shared += ["--masks", f"[{job['mask']},NULL]"] if job.get("mask") else []
    calls = []

    def run(prefix: str, arguments: list[str]) -> None:
        arguments = [*shared, "--output", str(out / prefix), *arguments]
        calls.append("antsRegistration " + " ".join(arguments))
        ants.registration(arguments, None)

    with stage("affine"):
        arguments = ["--initial-moving-transform", f"[{fixed},{moving},1]"]
        for kind in ["Rigid", "Affine"][: 1 if job["kind"] == "rigid" else 2]:
            arguments += ["--transform", f"{kind}[0.1]", "--metric", f"MI[{fixed},{moving},1,32,Regular,0.25]"]
            arguments += ["--convergence", f"[{LINEAR_ITERATIONS},1e-6,10]"]
            arguments += ["--shrink-factors", "8x4x2x1", "--smoothing-sigmas", "3x2x1x0vox"]
        run("linear", arguments)
    linear = str(out / "linear0GenericAffine.mat")
    result: dict[str, Any] = {"matrix": _matrix(ants.read_transform(linear)), "calls": calls}
    result["version"] = f"antspyx {importlib.import_module('importlib.metadata').version('antspyx')}"
    if job["kind"] != "deformable":
        return result
    with stage("deformable"):
        arguments = ["--initial-moving-transform", linear, "--transform", f"SyN[{parameters['step']},3,0]"]
        arguments += ["--metric", f"{parameters['metric']}[{fixed},{moving},1,{parameters['detail']}]"]
        arguments += ["--convergence", f"[{parameters['iterations']},1e-6,10]"]
        arguments += ["--shrink-factors", parameters["shrink"], "--smoothing-sigmas", parameters["smooth"] + "vox"]
        run("syn", arguments)
    with stage("field"):
        grid = ants.image_read(fixed)
        chain = [str(out / "syn1Warp.nii.gz"), linear]
        total = ants.apply_transforms(grid, ants.image_read(moving), transformlist=chain, compose=str(out / "total"))
        result["field"] = ants.image_read(total).numpy().transpose(3, 2, 1, 0)
    return result


def _matrix(transform: Any) -> list[list[float]]:
    """4x4 of an ANTs transform: where the origin and the three unit points go."""
    origin, *ends = (transform.apply_to_point(p) for p in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)))
    rows = [[float(end[i] - origin[i]) for end in ends] + [float(origin[i])] for i in range(3)]
    return [*rows, [0.0, 0.0, 0.0, 1.0]]
