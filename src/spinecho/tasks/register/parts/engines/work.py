"""One registration by a classical program: `python work.py job.json`, under whatever interpreter has that program.

Imports nothing of spinecho, so that the program may live in an environment without it, crash, or leak.

The job is a JSON object; its paths are absolute:

- engine: path of the file whose `register(job, stage)` does the work
- fixed, moving: paths of NIfTI files; mask: one on the fixed grid, uint8, where images are compared, or null
- kind: `rigid`, `affine` or `deformable`
- parameters: what the engine file names; threads, seed: integers; out: an existing folder

In `out` it leaves `result.json` with `matrix` (4x4, fixed-world to moving-world LPS mm, of the linear stages), `calls`
(exactly what was asked of the program), `version`, `seconds` and `cpu_seconds` per stage (`import` apart), `peak_mb`;
and for `deformable` `field.npy`, float32 (3, z, y, x): moving point minus fixed point as (dx, dy, dz) in LPS mm at the
voxels of the fixed file, the linear stages included. That is ITK's convention for a displacement field. Each stage adds
its name to `stages.txt` when it begins. Exit status 3: the interpreter lacks the package named on the last line.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

MISSING = 3
THREADS = (
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def load(path: str) -> ModuleType:
    """The engine's file as a module, under a name that cannot hide the package it wraps."""
    spec = importlib.util.spec_from_file_location(f"engine_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(path: str) -> None:
    """Do the job and write its results."""
    job: dict[str, Any] = json.loads(Path(path).read_text())
    os.environ.update({name: str(job["threads"]) for name in THREADS})
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]  # it holds an ants.py
    out = Path(job["out"])
    os.chdir(out)  # some programs leave files where they stand
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        with (out / "stages.txt").open("a") as told:
            told.write(f"{name}\n")
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        seconds[name] = round(time.perf_counter() - wall, 3)
        cpu_seconds[name] = round(time.process_time() - cpu, 3)

    try:
        result = load(job["engine"]).register(job, stage)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error.name}\n")
        sys.exit(MISSING)
    field = result.pop("field", None)
    if field is not None:
        import numpy as np

        np.save(out / "field.npy", np.ascontiguousarray(field, dtype=np.float32))
    result |= {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": round(_peak_mb(), 1)}
    (out / "result.json").write_text(json.dumps(result, indent=1))


def _peak_mb() -> float:
    """Largest resident memory of this process; if the system knows it, without what its parent had before the exec."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    told = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    in_kilobytes = sys.platform != "darwin"
    return told[0] if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if in_kilobytes else 1024**2)


if __name__ == "__main__":
    main(sys.argv[1])
