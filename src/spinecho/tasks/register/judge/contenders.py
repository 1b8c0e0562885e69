"""Who registers: methods of ours by name and settings, nothing at all, and fields that others have left in a folder."""

from __future__ import annotations

import ast
import json
import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Displacement, Transform, identity, left_after
from spinecho.evaluate.peak import peak_resident
from spinecho.tasks.register.judge.pairs import Pair
from spinecho.tasks.register.judge.versions import version_of_field, version_of_method
from spinecho.tasks.register.run import build, run

UNMOVED = "identity"
"""Does nothing: what the others have gained"""
_EXTERNAL = "external"
_SUFFIXES = (".npz", ".npy")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A transform with what it cost; nan where nobody wrote that down."""

    transform: Transform
    wall_s: float
    cpu_s: float
    peak_gb: float
    stages: str = ""
    calls: str = ""


class Contender(ABC):
    """One line of the table."""

    name: str

    @abstractmethod
    def version(self, pair: Pair) -> str:
        """Changes whenever its transform for this pair might."""

    @abstractmethod
    def register(self, pair: Pair, fixed: Image, moving: Image) -> Found:
        """The transform from the fixed to the moving world."""


def contender(word: str) -> Contender:
    """What a word on the command line means.

    Parameters
    ----------
    word
        `identity`; a method, `hybrid` or `hybrid:time_budget=60,smoothness=2`; or `external:NAME=FOLDER`.

    Raises
    ------
    DataError
        For unknown methods and settings, and folders that do not exist.
    """
    head, _, rest = word.partition(":")
    if head == _EXTERNAL:
        name, _, folder = rest.partition("=")
        if not name or not folder or not Path(folder).is_dir():
            raise DataError(f"{word!r} names no folder", do="write external:NAME=FOLDER, with FOLDER/PAIR.npz inside")
        return External(name, Path(folder))
    if word == UNMOVED:
        return Unmoved()
    own = Own(word, head, _settings(rest, word))
    build(own.method, own.settings)
    return own


class Unmoved(Contender):
    """Leaves the moving image where it is."""

    name = UNMOVED

    def version(self, pair: Pair) -> str:
        return "1"

    def register(self, pair: Pair, fixed: Image, moving: Image) -> Found:
        return Found(transform=identity(), wall_s=0.0, cpu_s=0.0, peak_gb=float("nan"))


class Own(Contender):
    """A method under `methods/register`, run here."""

    def __init__(self, name: str, method: str, settings: dict[str, Any]) -> None:
        self.name, self.method, self.settings = name, method, settings

    def version(self, pair: Pair) -> str:
        return version_of_method(self.method, self.settings)

    def register(self, pair: Pair, fixed: Image, moving: Image) -> Found:
        wall, cpu = time.perf_counter(), _cpu()
        with peak_resident() as peak:
            found = run(fixed, moving, self.method, settings=self.settings)
        return Found(
            transform=found.transform,
            wall_s=time.perf_counter() - wall,
            cpu_s=_cpu() - cpu,
            peak_gb=peak.n_bytes / 1e9,
            stages=_told(found.seconds),
        )


class External(Contender):
    """FOLDER/PAIR.npz (`field`) or PAIR.npy: displacement (3, z, y, x) at the fixed voxels, LPS mm.

    PAIR.json beside it may tell `matrix` (4x4, the linear part, so that the rest can be inverted well), `wall_s`,
    `cpu_s`, `peak_mb`, `seconds` per stage, `calls`, and `failed` where there is no field.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    def version(self, pair: Pair) -> str:
        return version_of_field(self._field_file(pair))

    def register(self, pair: Pair, fixed: Image, moving: Image) -> Found:
        path = self._field_file(pair)
        facts = self._facts(pair)
        if path is None:
            raise DataError(str(facts.get("failed") or f"{self.folder} has no field for {pair.name}")[-200:])
        loaded = np.load(path)
        field = np.asarray(loaded["field"] if path.suffix == ".npz" else loaded, dtype=np.float32)
        if field.shape != (3, *fixed.geometry.shape):
            found = f"the field has shape {field.shape}, the fixed image {fixed.geometry.shape} (z, y, x)"
            raise DataError(found, do="write it as (3, z, y, x) at the fixed voxels", file=path)
        transform = _transform(torch.from_numpy(field), fixed.geometry, facts.get("matrix"))
        return Found(
            transform=transform,
            wall_s=float(facts.get("wall_s", "nan")),
            cpu_s=float(facts.get("cpu_s", "nan")),
            peak_gb=float(facts.get("peak_mb", "nan")) / 1e3,
            stages=_told(facts.get("seconds") or {}),
            calls="; ".join(facts.get("calls") or ()),
        )

    def _field_file(self, pair: Pair) -> Path | None:
        return next((p for s in _SUFFIXES if (p := self.folder / f"{pair.name}{s}").exists()), None)

    def _facts(self, pair: Pair) -> dict[str, Any]:
        path = self.folder / f"{pair.name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _transform(field: torch.Tensor, geometry: Geometry, matrix: Any) -> Transform:
    """The field; where its linear part is known, that part after what remains, so that the inverse is sound."""
    whole = Displacement(field, geometry)
    if matrix is None:
        return whole
    linear = Affine(np.asarray(matrix))
    return linear @ left_after(linear, whole, geometry)


def _settings(text: str, word: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise DataError(f"{part!r} in {word!r} sets nothing", do="write METHOD:key=value,key=value")
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return found


def _told(seconds: Any) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in dict(seconds).items())


def _cpu() -> float:
    """Processor seconds of this process and of the programs it has run."""
    return sum(os.times()[:4])
