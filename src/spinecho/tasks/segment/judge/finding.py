"""Heads with lesions or a tumour that an expert marked: cases, what is counted, and pictures of the borders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.names import told_apart
from spinecho.core.one_grid import same_grid
from spinecho.evaluate.judge import Case, Cases
from spinecho.evaluate.overlay import lined
from spinecho.evaluate.pictures import Column, upper_window
from spinecho.tasks.segment.parts.files import TRUTHS, file_beside, images_beside, stem, truth_beside
from spinecho.tasks.segment.parts.findings import CONTRASTS, TARGETS, is_any
from spinecho.tasks.segment.parts.pieces import pieces

_FIRST = "flair"
_FINDS = {"lesions": "lesions", "labels": "tumour"}
"""By the names of files with the truth"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Marked:
    """A head with what an expert found.

    Parameters
    ----------
    beside
        Other contrasts.
    truth
        (z, y, x); of `parts.findings.LABELS`.
    finds
        `lesions` or `tumour`.
    """

    image: Image
    beside: Mapping[str, Image] = field(default_factory=dict)
    truth: Tensor
    finds: str


def cases(paths: Sequence[Path], device: torch.device) -> Cases:
    """One for each FLAIR image that has a truth beside it.

    Raises
    ------
    DataError
        If a path does not exist or holds none, or an image has no truth.
    """
    files = [file for path in paths for file in _files(path)]
    return Cases(total=len(files), each=_each(files, device))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError("there is no such file or folder", do="check the path", file=path)
    files = sorted(f for f in path.rglob("*.nii*") if stem(f) == _FIRST and not f.name.startswith("."))
    if not files:
        raise DataError("it holds no FLAIR images", do="give files that are called flair.nii.gz", file=path)
    return files


def _each(files: Sequence[Path], device: torch.device) -> Iterator[Case]:
    for file, name in zip(files, told_apart([_named(f) for f in files]), strict=True):
        if (truth := file_beside(file, TRUTHS)) is None:
            raise DataError("it has no truth", do=f"put {' or '.join(TRUTHS)}.nii.gz beside it", file=file)
        finds = _FINDS[stem(truth)]
        seen = [file, truth, *(f for c in CONTRASTS[1:] if (f := file_beside(file, (c,))) is not None)]
        digest = sha256(b"".join(f.read_bytes() for f in seen)).hexdigest()[:16]
        yield Case(
            name=name,
            digest=f"{digest}:{finds}",
            scan=name,
            group=f"{finds} that an expert marked",
            kind="real",
            load=lambda file=file, finds=finds: _loaded(file, finds, device),
        )


def _named(file: Path) -> Path:
    """What a head is called by: its file, or the folder of a file that is called by its contrast alone."""
    own = file.absolute()
    return own.parent if stem(file) == file.name.partition(".")[0].lower() else own


def _loaded(file: Path, finds: str, device: torch.device) -> Marked:
    images = {name: image.to(device) for name, image in images_beside(file, CONTRASTS).items()}
    truth = truth_beside(file)
    same_grid(images[_FIRST], {"truth": truth})
    return Marked(
        image=images.pop(_FIRST), beside=images, truth=truth.values.reshape(truth.geometry.shape).int(), finds=finds
    )


def scores(inputs: Marked, labels: Tensor) -> dict[str, float]:
    """Of all that is marked: overlap, shares found and right, pieces; of tumours also the overlap of what enhances.

    Raises
    ------
    DataError
        If the labels lie on another grid.
    """
    labels = labels.cpu().reshape(labels.shape[-3:])
    if labels.shape != inputs.truth.shape:
        raise DataError(f"its labels have shape {tuple(labels.shape)}, the truth {tuple(inputs.truth.shape)}")
    own, true = labels > 0, inputs.truth > 0
    both, n_own, n_true = (int(x.sum()) for x in (own & true, own, true))
    figures = {
        "found": _share(2 * both, n_own + n_true),
        "sensitivity": _share(both, n_true),
        "precision": _share(both, n_own),
        "pieces": _share(_hit(true, own), _count(true)),
        "false": float(_count(own) - _hit(own, true)),
    }
    for name, which in list(TARGETS[inputs.finds].items())[1:]:
        a, b = is_any(labels, which), is_any(inputs.truth, which)
        figures[name] = _share(2 * int((a & b).sum()), int(a.sum()) + int(b.sum()))
    return figures


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _count(where: Bool[Tensor, "z y x"]) -> int:
    return len(pieces(where)[1]) - 1


def _hit(where: Bool[Tensor, "z y x"], by: Bool[Tensor, "z y x"]) -> int:
    """Pieces of one mask that another one touches."""
    marked = pieces(where)[0][by & where]
    return len(torch.unique(marked))


def columns(inputs: Marked, results: Mapping[str, Tensor]) -> list[Column]:
    """The slice across the patient with most of it marked: the truth in red, what a method found in cyan."""
    image = inputs.image.values[0].cpu().float()
    axis = 2 - int(abs(inputs.image.geometry.directions[2]).argmax())
    at = int((inputs.truth > 0).movedim(axis, 0).flatten(1).sum(1).argmax())
    plane, top = image.select(axis, at), upper_window(image)
    truth = (inputs.truth.select(axis, at) > 0).float()
    red = (truth, [0.5], "tab:red")
    shown = [Column(name="truth", image=lined(plane, top, [red], ""))]
    for name, labels in results.items():
        own = (labels.cpu().reshape(image.shape).select(axis, at) > 0).float()
        shown.append(Column(name=name, image=lined(plane, top, [red, (own, [0.5], "tab:cyan")], "")))
    return shown
