"""greedy: affine, then greedy diffeomorphic registration by local cross-correlation; see `work.py` for the contract."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def register(job: dict[str, Any], stage: Callable[[str], Any]) -> dict[str, Any]:
    """Parameters: iterations (coarse to fine), metric, linear_metric, linear_start (an option of greedy, or empty)."""
    with stage("import"):
        numpy = importlib.import_module("numpy")
        sitk = importlib.import_module("SimpleITK")
        greedy = importlib.import_module("picsl_greedy").Greedy3D()
    out, parameters = Path(job["out"]), job["parameters"]
    pair = f"-d 3 -threads {job['threads']} -i {job['fixed']} {job['moving']}"
    pair += f" -gm {job['mask']}" if job.get("mask") else ""
    calls = []

    def run(arguments: str) -> None:
        calls.append("greedy " + arguments)
        greedy.execute(arguments)

    with stage("affine"):
        dof = 6 if job["kind"] == "rigid" else 12
        run(
            f"{pair} -a -dof {dof} {parameters['linear_start']} -m {parameters['linear_metric']} "
            f"-n {parameters['linear_iterations']} -o {out}/affine.mat"
        )
    ras = numpy.loadtxt(out / "affine.mat")
    flip = numpy.diag([-1.0, -1.0, 1.0, 1.0])
    result: dict[str, Any] = {"matrix": (flip @ ras @ flip).tolist(), "calls": calls}
    result["version"] = f"picsl_greedy {importlib.import_module('importlib.metadata').version('picsl_greedy')}"
    if job["kind"] != "deformable":
        return result
    with stage("deformable"):
        run(
            f"{pair} -it {out}/affine.mat -m {parameters['metric']} -n {parameters['iterations']} "
            f"-s {parameters['smooth']} -o {out}/warp.mha"
        )
    with stage("field"):
        run(f"-d 3 -threads {job['threads']} -rf {job['fixed']} -r {out}/warp.mha {out}/affine.mat -rc {out}/total.mha")
        result["field"] = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "total.mha"))).transpose(3, 0, 1, 2)
    return result
