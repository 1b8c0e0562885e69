"""A registration program of others, run in a process of its own, as a registration of ours.

Volumes go out as NIfTI, a displacement field and a matrix come back; the contract is that of `engines/work.py`. Its own
process, because ITK's extensions were seen to crash beside torch and each wants other versions of numpy.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Displacement, Transform, identity, left_after
from spinecho.io.write import write
from spinecho.tasks.register.base import Stage

Kind = Literal["rigid", "affine", "deformable"]
ENGINES = Path(__file__).parent / "engines"
_WORK = ENGINES / "work.py"
_MISSING = 3
"""Exit status with which `engines/work.py` says that a package is missing"""
_POLL_S = 0.1
_LAST_LINES = 8
_SHEAR = 1e-3
_BEGUN = {"import": 0.0, "affine": 0.05, "rigid": 0.05, "deformable": 0.2, "field": 0.95}
"""Roughly how much of the work is over when a stage begins."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run.

    Parameters
    ----------
    name
        As people know it; also the pip extra that brings it.
    engine
        The file whose `register` is called.
    kind
        What the moving image may do.
    parameters
        Passed on to that file.
    threads, seed
        Of the program.
    python
        The interpreter that has the program; empty: this one.
    """

    name: str
    engine: Path
    kind: Kind
    parameters: Mapping[str, Any]
    threads: int
    seed: int
    python: str = ""


def stages(program: Program, fixed: Image, moving: Image) -> Iterator[Stage]:
    """Run the program; its stages are reported as they begin and end, the result is in the last.

    Parameters
    ----------
    program
        What to run.
    fixed, moving
        Volumes (1, z, y, x); the fixed image's extra `mask` goes along.

    Raises
    ------
    DataError
        If the interpreter or the package is missing, a grid is sheared, or the program fails.
    """
    with tempfile.TemporaryDirectory(prefix="spinecho-") as place:
        out = Path(place)
        job = _job(program, fixed, moving, out)
        yield from _running(program, job, out)
        told = json.loads((out / "result.json").read_text())
        transform = _transform(program, told, out / "field.npy", fixed.geometry)
    spent = ", ".join(f"{name} {s:.1f} s" for name, s in told["seconds"].items())
    note = f"{told['version']}; {spent}; {' | '.join(told['calls'])}"
    yield Stage(f"{program.name} read", transform, 1.0, note=note)


def _job(program: Program, fixed: Image, moving: Image, out: Path) -> Path:
    """The job's file, its images beside it."""
    job: dict[str, Any] = {"engine": str(program.engine), "kind": program.kind, "parameters": dict(program.parameters)}
    job |= {"threads": program.threads, "seed": program.seed, "out": str(out), "mask": None}
    for name, image in (("fixed", fixed), ("moving", moving)):
        job[name] = _written(program, replace(image, extras={}), name, out)
    if "mask" in fixed.extras:
        mask = replace(fixed, values=fixed.extras["mask"].float(), extras={})
        job["mask"] = _written(program, mask, "mask", out)
    (out / "job.json").write_text(json.dumps(job))
    return out / "job.json"


def _written(program: Program, image: Image, name: str, out: Path) -> str:
    turn = image.geometry.directions
    if np.abs(turn.T @ turn - np.eye(3)).max() > _SHEAR:
        raise DataError(
            f"the {name} image's axes are not at right angles, and {program.name} reads no sheared grid",
            do=f"use another {setting('method')}, or resample it onto an upright grid first",
        )
    oriented = replace(image.geometry, oriented=True)
    write(replace(image, values=image.values.cpu(), geometries=(oriented,)), out / f"{name}.nii")
    return str(out / f"{name}.nii")


def _running(program: Program, job: Path, out: Path) -> Iterator[Stage]:
    """The process while it runs; it is killed if nobody listens any more."""
    python = program.python or sys.executable
    log, begun, seen = out / "log.txt", out / "stages.txt", list[str]()
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen([python, str(_WORK), str(job)], stdout=stream, stderr=subprocess.STDOUT)
        except OSError as error:
            do = f"give {setting('python')} the path of one"
            raise DataError(f"{python} cannot be run: {error.strerror}", do=do) from error
        try:
            running = True
            while running:
                time.sleep(_POLL_S)
                running = process.poll() is None
                names = begun.read_text().splitlines() if begun.exists() else []
                for name in names[len(seen) :]:
                    if seen:
                        yield _stage(program, seen[-1], ended=True)
                    yield _stage(program, name, ended=False)
                    seen.append(name)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise _failure(program, python, process.returncode, log)
    if seen:
        yield _stage(program, seen[-1], ended=True)


def _stage(program: Program, name: str, ended: bool) -> Stage:
    return Stage(f"{program.name} {name}", identity(), _BEGUN.get(name, 0.5), ended)


def _failure(program: Program, python: str, status: int, log: Path) -> DataError:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if status == _MISSING and lines:
        return DataError(
            f"{program.name} needs the package {lines[-1]}, which {python} does not have",
            do=f"pip install 'spinecho[{program.name}]', or give {setting('python')} an interpreter that has it",
        )
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
    told = "\n".join(lines[-_LAST_LINES:])
    do = f"see its last lines above, or use another {setting('method')}"
    return DataError(f"{program.name} {how}:\n{told}", do=do)


def _transform(program: Program, told: Mapping[str, Any], field: Path, onto: Geometry) -> Transform:
    """The matrix, after a displacement that leaves it alone outside the fixed grid."""
    linear = Affine(np.array(told["matrix"]))
    if program.kind != "deformable":
        return linear
    total = torch.from_numpy(np.load(field))
    if tuple(total.shape) != (3, *onto.shape) or not bool(total.isfinite().all()):
        raise DataError(
            f"{program.name} gave back a field of shape {tuple(total.shape)} for a grid {onto.shape} (z, y, x)"
            + ("" if bool(total.isfinite().all()) else " with values that are not finite"),
            do=f"use another {setting('method')}",
        )
    return linear @ left_after(linear, Displacement(total, onto), onto)
