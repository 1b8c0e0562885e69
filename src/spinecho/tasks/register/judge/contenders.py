"""Who registers: methods of ours, nothing at all, and fields that others have left in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine, Displacement, Transform, identity, left_after
from spinecho.evaluate import versions
from spinecho.evaluate.judge import Asked, Case, Contender, Cost, Outcome
from spinecho.tasks.register import run as registering
from spinecho.tasks.register.judge.pairs import Inputs

UNMOVED = "identity"
"""Does nothing: what the others have gained"""
_EXTERNAL = "external"
_SUFFIXES = (".npz", ".npy")
_JUDGES = ("metrics", "core", "tasks/register/judge/measure.py")


def contender(word: str) -> Contender | None:
    """`identity` or `external:NAME=FOLDER`; None for a method.

    Raises
    ------
    DataError
        For folders that do not exist.
    """
    if word == UNMOVED:
        return Unmoved()
    head, _, rest = word.partition(":")
    if head != _EXTERNAL:
        return None
    name, _, folder = rest.partition("=")
    if not name or not folder or not Path(folder).is_dir():
        raise DataError(f"{word!r} names no folder", do="write external:NAME=FOLDER, with FOLDER/PAIR.npz inside")
    return External(name, Path(folder))


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The transform of a method of ours, with the seconds of its stages."""
    fixed, moving = (image.to(inputs.device) for image in (inputs.fixed, inputs.moving))
    done = registering.run(fixed, moving, asked.name, settings=asked.settings)
    return Outcome(result=done.transform.to("cpu"), stages=_told(done.seconds))


@dataclass(frozen=True)
class Unmoved:
    """Leaves the moving image where it is."""

    name: str = UNMOVED
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """Of what judges."""
        return versions.joined(UNMOVED, versions.of_code(*_JUDGES))

    def run(self, inputs: Inputs) -> Outcome:
        """No motion, at no cost."""
        return Outcome(result=identity(), cost=Cost(wall_s=0.0, cpu_s=0.0, peak_gb=float("nan")))


@dataclass(frozen=True)
class External:
    """FOLDER/PAIR.npz (`field`) or PAIR.npy: displacement (3, z, y, x) at the fixed voxels, LPS mm.

    PAIR.json beside it may tell `matrix` (4x4, the linear part, so that the rest can be inverted well), `wall_s`,
    `cpu_s`, `peak_mb`, `seconds` per stage, `calls`, and `failed` where there is no field.
    """

    name: str
    folder: Path
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """Of what judges, and of the field; that is taken by size and time, since fields are large."""
        path = self._field_file(case.name)
        stat = path.stat() if path else None
        field = f"{stat.st_size} {stat.st_mtime_ns}" if stat else "absent"
        return versions.joined(self.name, field, versions.of_code(*_JUDGES))

    def run(self, inputs: Inputs) -> Outcome:
        """The transform in the file, with what it cost as its own program wrote it down."""
        name, fixed = inputs.pair.name, inputs.fixed
        path, facts = self._field_file(name), self._facts(name)
        if path is None:
            raise DataError(str(facts.get("failed") or f"{self.folder} has no field for {name}")[-200:])
        loaded = np.load(path)
        field = np.asarray(loaded["field"] if path.suffix == ".npz" else loaded, dtype=np.float32)
        if field.shape != (3, *fixed.geometry.shape):
            shapes = f"the field has shape {field.shape}, the fixed image {fixed.geometry.shape} (z, y, x)"
            raise DataError(shapes, do="write it as (3, z, y, x) at the fixed voxels", file=path)
        wall_s, cpu_s, peak_mb = (float(facts.get(key, "nan")) for key in ("wall_s", "cpu_s", "peak_mb"))
        return Outcome(
            result=_transform(torch.from_numpy(field), fixed.geometry, facts.get("matrix")),
            cost=Cost(wall_s=wall_s, cpu_s=cpu_s, peak_gb=peak_mb / 1e3),
            stages=_told(facts.get("seconds") or {}),
            calls="; ".join(facts.get("calls") or ()),
        )

    def _field_file(self, pair: str) -> Path | None:
        return next((p for s in _SUFFIXES if (p := self.folder / f"{pair}{s}").exists()), None)

    def _facts(self, pair: str) -> dict[str, Any]:
        path = self.folder / f"{pair}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _transform(field: torch.Tensor, geometry: Geometry, matrix: Any) -> Transform:
    """The field; where its linear part is known, that part after what remains, so that the inverse is sound."""
    whole = Displacement(field, geometry)
    if matrix is None:
        return whole
    linear = Affine(np.asarray(matrix))
    return linear @ left_after(linear, whole, geometry)


def _told(seconds: Any) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in dict(seconds).items())
