"""Which pairs are registered, and what is known about each."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.evaluate.judge import Case, Cases
from spinecho.io.read import read_image
from spinecho.sim.splits import Part, split

IXI: dict[str, Part] = {"ixi": "test", "ixi-validate": "validate"}
STEP = 7
"""The moving image of subject i is subject i + STEP, so that no pair occurs in both directions"""
_FIELDS = ("fixed", "moving", "fixed_labels", "moving_labels", "truth")


@dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """Two images and the truth about them.

    Parameters
    ----------
    name, group
        Of the pair and of the set it belongs to.
    fixed, moving
        Image files.
    fixed_labels, moving_labels
        Label maps on the same grids; None: regions are not scored.
    truth
        `.npy`, float32 (3, z, y, x): the right displacement at the fixed voxels, LPS mm, NaN where nothing is scored.
    """

    name: str
    group: str
    fixed: Path
    moving: Path
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    truth: Path | None = None

    def digest(self) -> str:
        """Of everything that the files hold."""
        paths = [getattr(self, name) for name in _FIELDS]
        return sha256("\n".join(_digest(p) if p else "" for p in paths).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A pair with its images, and where a method shall work on them."""

    pair: JudgedPair
    fixed: Image
    moving: Image
    device: torch.device


def cases(words: Sequence[str], first: int | None, device: torch.device) -> Cases:
    """The pairs that the words name, of each only the first so many.

    Raises
    ------
    DataError
        As `pairs`; for no words, and less than one pair.
    """
    if not words:
        raise DataError("an option has no values", do=f"give at least one to {setting('pairs')}")
    if first is not None and first < 1:
        raise DataError(setting("first", first), do="give 1 or more, or leave it out")
    wanted = [pair for where in words for pair in pairs(where)[:first]]

    def each() -> Iterator[Case]:
        for pair in wanted:
            yield _case(pair, device)

    return Cases(total=len(wanted), each=each())


def _case(pair: JudgedPair, device: torch.device) -> Case:
    def load() -> Inputs:
        return Inputs(pair=pair, fixed=read_image(pair.fixed), moving=read_image(pair.moving), device=device)

    # a file written by a command is called fixed.nii.gz: its folder names the pair, and nothing the subject
    scan = pair.name if pair.fixed.name == "fixed.nii.gz" else pair.fixed.name
    digest = f"{pair.group}:{pair.name}:{pair.digest()}"
    return Case(name=pair.name, digest=digest, scan=scan, group=pair.group, load=load)


def pairs(where: str) -> list[JudgedPair]:
    """The pairs that a word on the command line names.

    Parameters
    ----------
    where
        - a folder with NAME/fixed.nii.gz, NAME/moving.nii.gz and, of these, what there is: fixed_labels.nii.gz and
          moving_labels.nii.gz, truth.npy;
        - a list (.json or .csv): fixed, moving and, where known, name, fixed_labels, moving_labels, truth, relative to
          the list;
        - ixi:FOLDER (or ixi-validate:FOLDER): FOLDER/t1 and FOLDER/labels of the test (validation) subjects, each with
          the seventh after it.

    Raises
    ------
    DataError
        If there are no pairs, or a file is missing.
    """
    word, colon, rest = where.partition(":")
    path = Path(where)
    if colon and word in IXI:
        named = _ixi(Path(rest), word)
    elif path.is_dir():
        named = _made(path)
    elif path.suffix.lower() in (".json", ".csv") and path.exists():
        named = _listed(path)
    else:
        do = "give a folder of pairs, a list (.json, .csv), or ixi:FOLDER"
        raise DataError(f"{where} is neither a folder nor a list", do=do)
    if not named:
        raise DataError("there are no pairs", do="each needs NAME/fixed.nii.gz and NAME/moving.nii.gz", file=path)
    for pair in named:
        for file in (getattr(pair, name) for name in _FIELDS):
            if file is not None and not file.exists():
                raise DataError(f"pair {pair.name} needs a file that does not exist", do="check the list", file=file)
        if (pair.fixed_labels is None) != (pair.moving_labels is None):
            raise DataError(f"pair {pair.name} has labels on one side only", do="give both or neither")
    names = [pair.name for pair in named]
    if len(set(names)) < len(names):
        raise DataError("two pairs have one name", do="give each its own", file=path)
    return named


def _ixi(folder: Path, group: str) -> list[JudgedPair]:
    subjects = [s for s in split("ixi_2mm", IXI[group]) if (folder / "t1" / f"{s}.nii.gz").exists()]
    return [
        JudgedPair(
            name=f"{fixed}-{moving}",
            group=group,
            fixed=folder / "t1" / f"{fixed}.nii.gz",
            moving=folder / "t1" / f"{moving}.nii.gz",
            fixed_labels=folder / "labels" / f"{fixed}.nii.gz",
            moving_labels=folder / "labels" / f"{moving}.nii.gz",
        )
        for fixed, moving in ((s, subjects[(i + STEP) % len(subjects)]) for i, s in enumerate(subjects))
    ]


def _made(folder: Path) -> list[JudgedPair]:
    folder = folder.resolve()
    group = folder.parent.name if folder.name == "pairs" else folder.name
    made = []
    for fixed in sorted(folder.glob("*/fixed.nii.gz")):
        place = fixed.parent
        known = {n: place / f"{n}{'.npy' if n == 'truth' else '.nii.gz'}" for n in _FIELDS}
        known = {n: p for n, p in known.items() if n in ("fixed", "moving") or p.exists()}
        made.append(JudgedPair(name=place.name, group=group, **known))
    return made


def _listed(path: Path) -> list[JudgedPair]:
    with path.open(encoding="utf-8", newline="") as f:
        try:
            entries = json.load(f) if path.suffix.lower() == ".json" else list(csv.DictReader(f))
            return list(_entries(entries, path))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError, csv.Error) as error:
            do = f"each entry needs fixed and moving; known are name, {', '.join(_FIELDS)}"
            raise DataError(f"this is not a list of pairs ({error})", do=do, file=path) from None


def _entries(entries: Iterable[dict[str, str]], path: Path) -> Iterable[JudgedPair]:
    for entry in entries:
        given = {k: v for k, v in entry.items() if v}
        files = {k: path.parent / v for k, v in given.items() if k != "name"}
        name = given.get("name") or f"{_stem(files['fixed'])}-{_stem(files['moving'])}"
        yield JudgedPair(name=name, group=path.stem, **files)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


@cache
def _digest(path: Path) -> str:
    with path.open("rb") as f:
        digest = sha256()
        while block := f.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
