"""A cohort's finished work waits on the disk: a long run can be interrupted and continued, by many processes."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Displacement, Velocity
from spinecho.io.atomic import replacing
from spinecho.methods import unfinished
from spinecho.tasks.register.parts.mean_shape import Split

_VOLUME = ".volume.npz"


@dataclass(frozen=True)
class CohortFiles:
    """A folder with `state.json`, what is known of each subject, and a folder for each round.

    A file has its name only once it is complete: what is there is finished.
    """

    folder: Path

    def begin(self, marks: dict[str, Any]) -> bool:
        """Make the folder, or go on with it; whether there was something to go on with.

        Raises
        ------
        DataError
            If the folder belongs to other images, another method or other settings; it names the first difference.
        """
        return unfinished.begin(self.folder, marks)[1]

    @property
    def registered(self) -> bool:
        """Whether a transform of any round is there."""
        return any(self.folder.glob("round_*/[0-9]*.npz"))

    def about(self, subject: int) -> Path:
        """What was measured on a subject (JSON)."""
        return self.folder / f"{subject:04d}.json"

    def volume(self, subject: int) -> Path:
        """A subject given as an image."""
        return self.folder / f"{subject:04d}{_VOLUME}"

    def template(self, number: int) -> Path:
        """The image that a round registers to; that of the round after the last is the result."""
        return self._round(number) / f"template{_VOLUME}"

    def transform(self, number: int, subject: int) -> Path:
        """A subject's transform from the template of that round."""
        return self._round(number) / f"{subject:04d}.npz"

    def mean(self, number: int) -> Path:
        """From the template of that round to the mean shape."""
        return self._round(number) / "mean.npz"

    def told(self, number: int) -> Path:
        """What a round has done (JSON)."""
        return self._round(number) / "round.json"

    def warped(self, number: int, subject: int) -> Path:
        """A subject on the next template's grid, NaN where it was not measured (.npy)."""
        return self._round(number) / f"{subject:04d}.npy"

    def remove(self) -> None:
        """Everything is written: nothing here is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _round(self, number: int) -> Path:
        folder = self.folder / f"round_{number:02d}"
        folder.mkdir(exist_ok=True)
        return folder


def write_json(path: Path, content: Any) -> None:
    """Complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_split(path: Path, split: Split, notes: tuple[str, ...] = ()) -> None:
    """A transform in two parts, and what was reported about it."""
    arrays: dict[str, Any] = {"matrix": split.matrix, "notes": np.array(json.dumps(notes))}
    if split.bend is not None:
        g, backward = split.bend.geometry, getattr(split.bend, "backward", None)
        arrays |= {"field": split.bend.field.cpu().numpy(), "affine": g.affine, "oriented": np.array(g.oriented)}
        arrays["flows"] = np.array(isinstance(split.bend, Velocity))
        if backward is not None:
            arrays["backward"] = backward.cpu().numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_split(path: Path) -> tuple[Split, tuple[str, ...]]:
    """What `write_split` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        notes = tuple(json.loads(str(kept["notes"])))
        if "field" not in kept:
            return Split(kept["matrix"]), notes
        field = torch.from_numpy(kept["field"])
        z, y, x = field.shape[1:]
        geometry = Geometry((z, y, x), kept["affine"], bool(kept["oriented"]))
        if bool(kept["flows"]):
            return Split(kept["matrix"], Velocity(field, geometry)), notes
        backward = torch.from_numpy(kept["backward"]) if "backward" in kept else None
        return Split(kept["matrix"], Displacement(field, geometry, backward)), notes


def write_volume(path: Path, image: Image) -> None:
    """Values and grid of a volume (1, z, y, x)."""
    g = image.geometry
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, values=image.values.cpu().numpy(), affine=g.affine, oriented=np.array(g.oriented))


def is_volume(path: Path) -> bool:
    """Whether `write_volume` wrote it."""
    return path.name.endswith(_VOLUME)


def read_volume(path: Path) -> Image:
    """What `write_volume` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        values = torch.from_numpy(kept["values"])
        z, y, x = values.shape[-3:]
        geometry = Geometry((z, y, x), kept["affine"], bool(kept["oriented"]))
    return Image(values=values, geometries=(geometry,))
