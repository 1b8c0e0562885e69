"""What registration programs do, well and badly, as an engine file: `parameters["play"]` names the scene."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np

MATRIX = np.array([[1.1, 0.05, 0, 12.0], [-0.05, 0.95, 0.1, -7.0], [0, 0, 1.02, 30.0], [0, 0, 0, 1]])


def truth(points):
    """Where LPS points go: bent, then the matrix."""
    bent = points + 2 * np.sin(points[..., ::-1] / 20)
    return bent @ MATRIX[:3, :3].T + MATRIX[:3, 3]


def register(job, stage):
    play = job["parameters"]["play"]
    with stage("import"):
        if play == "absent":
            import there_is_no_such_program  # noqa: F401
    fixed = nib.load(job["fixed"])
    with stage("affine"):
        print("aligning")
        if play == "crash":
            print("iteration 7", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        if play == "raise":
            raise RuntimeError("images do not overlap")
        if play == "hang":
            Path(job["parameters"]["pid"]).write_text(str(os.getpid()))
            time.sleep(600)
    result = {"matrix": MATRIX.tolist(), "calls": ["fake --exactly this"], "version": "fake 1.0"}
    if play == "tell":
        mask = nib.load(job["mask"]) if job["mask"] else None
        seen = {
            "threads": os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"],
            "seed": job["seed"],
            "mask": None if mask is None else float(np.asarray(mask.dataobj).sum()),
            "beside": str(Path(__file__).parent) in sys.path,
            "torch": "torch" in sys.modules,
            "stands_in": Path.cwd() == Path(job["out"]).resolve(),
        }
        result["calls"] = [json.dumps(seen)]
    if job["kind"] == "deformable":
        index = np.moveaxis(np.indices(fixed.shape), 0, -1)
        lps = np.diag([-1, -1, 1, 1]) @ fixed.affine
        points = index @ lps[:3, :3].T + lps[:3, 3]
        field = (truth(points) - points).transpose(3, 2, 1, 0)
        if play == "nan":
            field[0, 0, 0, 0] = np.nan
        result["field"] = field[:, 1:] if play == "small" else field
    return result
