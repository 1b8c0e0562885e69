"""Finished slices of a long reconstruction wait on the disk, so that it can be interrupted and continued."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.header import TOOK, WARNING, Header
from spinecho.core.image import Image
from spinecho.core.version import __version__
from spinecho.io import cfl_file
from spinecho.io.atomic import replacing
from spinecho.io.options import ReadOptions
from spinecho.methods import unfinished
from spinecho.methods.pretrained import identity, weights_used
from spinecho.methods.unfinished import file_marks


def fingerprint(
    path: Path, options: ReadOptions, method: str, settings: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """What must be the same for finished slices to be used: files, options, method, weights, version."""
    files = [path, *(p for p in (options.mask, options.traj) if p is not None)]
    return {
        "version": __version__,
        "method": method,
        "settings": {name: str(value) for name, value in sorted(settings.items())},
        "options": {name: str(value) for name, value in sorted(asdict(options).items())},
        "device": device,
        "weights": [identity("recon", file) for file in weights_used("recon", method, settings)],
        "files": [file_marks(p) for named in files for p in _parts(named)],
    }


def _parts(path: Path) -> list[Path]:
    """All files of one: of a BART pair, however it is named, both."""
    if cfl_file.full_name(path).suffix not in (".cfl", ".hdr"):
        return [path]
    return [p for p in cfl_file.both(path) if p.exists()]


@dataclass(frozen=True)
class Finished:
    """A folder `OUT.partial` with one .npy file a slice (values, target, g-factor) and `state.json`."""

    folder: Path
    n_slices: int

    def begin(self, marks: dict[str, Any], per_step: int) -> int:
        """Make the folder, or go on with it.

        Returns
        -------
        Slices per step: those of the interrupted run, so that its result is the same to the bit.

        Raises
        ------
        DataError
            If the folder belongs to another file, method or setting; it names the first difference.
        """
        marks = {**marks, "number of slices": self.n_slices}
        state, _ = unfinished.begin(self.folder, marks, {"per_step": per_step})
        return int(state["per_step"])

    def has(self, start: int, stop: int) -> bool:
        """Whether these slices are finished."""
        return all(self._file(i, "values").exists() for i in range(start, stop))

    def put(self, start: int, image: Image, target: Tensor | None) -> None:
        """Keep a step's slices; `values` comes last, and says that a slice is complete."""
        state = unfinished.read_state(self.folder) or {}
        axis = image.axes.index("slice")
        if "header" not in state:
            described = {"axes": image.axes, "header": _plain(image.header), "geometries": {}}
            state.update(described)
        else:
            history, where = state["header"]["history"], f" (slices {start}:{start + len(image.geometries)})"
            new = [step for step in image.header.history if step not in history]
            loud = [step for step in new if step.startswith(WARNING)]
            history += [step if step.startswith(f"{WARNING}slice") else step + where for step in loud]
            taken = {_took(step) for step in history} - {""}
            history += [WARNING + step + where for step in new if taken and _took(step) not in {"", *taken}]
        kept = {"gfactor": image.extras.get("gfactor"), "target": target, "values": image.values}
        for i, geometry in enumerate(image.geometries):
            state["geometries"][str(start + i)] = [geometry.shape, geometry.affine.tolist(), geometry.oriented]
        unfinished.write_state(self.folder, state)
        for name, tensor in kept.items():
            for i in range(len(image.geometries) if tensor is not None else 0):
                assert tensor is not None
                with replacing(self._file(start + i, name)) as temporary:
                    np.save(temporary, tensor.narrow(axis, i if tensor.shape[axis] > 1 else 0, 1).cpu().numpy())

    def image(self, start: int, stop: int) -> tuple[Image, Tensor | None]:
        """The finished slices start:stop, and their truth where there is one."""
        state = unfinished.read_state(self.folder)
        assert state is not None
        axes = tuple(state["axes"])
        read = lambda name: self._stacked(name, start, stop, axes.index("slice"))  # noqa: E731
        geometries = tuple(
            Geometry(tuple(shape), np.array(affine), oriented)
            for shape, affine, oriented in (state["geometries"][str(i)] for i in range(start, stop))
        )
        values, gfactor = read("values"), read("gfactor")
        assert values is not None
        extras = {} if gfactor is None else {"gfactor": gfactor}
        image = Image(values=values, geometries=geometries, axes=axes, header=_header(state["header"]), extras=extras)
        return image, read("target")

    def remove(self) -> None:
        """Everything is written: the slices are no longer needed."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stacked(self, name: str, start: int, stop: int, axis: int) -> Tensor | None:
        if not self._file(start, name).exists():
            return None
        files = [self._file(i, name) for i in range(start, stop)]
        kinds = [np.load(file, mmap_mode="r").dtype for file in files if file.exists()]
        first = np.load(self._file(start, name))
        shape = (*first.shape[:axis], stop - start, *first.shape[axis + 1 :])
        stacked = np.ones(shape, np.result_type(*kinds))  # a slice made by another method may lack its g-factor
        for i, file in enumerate(files):
            if file.exists():
                stacked[(slice(None),) * axis + (slice(i, i + 1),)] = np.load(file)
        return torch.from_numpy(stacked)

    def _file(self, i: int, name: str) -> Path:
        return self.folder / f"{i:05d}.{name}.npy"


def _took(step: str) -> str:
    """The method of a step that says what auto took."""
    return step.partition(":")[0] if step.startswith(TOOK) else ""


def _plain(header: Header) -> dict[str, Any]:
    return header.plain()


def _header(plain: dict[str, Any]) -> Header:
    tuples = {f.name for f in fields(Header) if str(f.type).startswith("tuple")}
    facts: dict[str, Any] = {name: tuple(value) if name in tuples else value for name, value in plain.items()}
    return Header(**facts)
