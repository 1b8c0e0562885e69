"""A study from its folders to a server, and from its answers to results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spinecho.core.errors import DataError, setting
from spinecho.io.atomic import check_place
from spinecho.serve.study import answers, manifest, report
from spinecho.serve.study.alike import Shown, differences
from spinecho.serve.study.images import read_folder
from spinecho.serve.study.manifest import Manifest
from spinecho.serve.study.results import results
from spinecho.serve.study.session import Session

PAGE = "results.html"
Say = Callable[[str], None]


def gathered(folders: Sequence[Path], seed: int, say: Say, warn: Say) -> tuple[Manifest, Shown]:
    """The images of two folders, real ones first, and what a person must know of them.

    Raises
    ------
    DataError
        If these are not two folders with images.
    """
    if len(folders) != 2:
        problem = f"two folders are needed, {len(folders)} given"
        raise DataError(problem, do="name that of real images, then that of synthetic ones")
    groups = []
    for folder in folders:
        sources, notes = read_folder(folder)
        groups.append(sources)
        for note in notes:
            say(note)
    made, shown = manifest.composed(groups[0], groups[1], seed)
    say(f"{len(groups[0])} real and {len(groups[1])} synthetic images, {shown.side} x {shown.side} pixels each")
    for difference in differences(groups[0], groups[1]):
        warn(difference)
    return made, shown


def session(folder: Path, made: Manifest, shown: Shown) -> Session:
    """A study that goes on where it was, or begins; its folder is made where it is absent.

    Raises
    ------
    DataError
        If the folder is of another study, or another process serves it.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError("it is a file, but a folder is needed", do=f"choose another {setting('out')}", file=folder)
    check_place(folder)
    folder.mkdir(exist_ok=True)
    return Session(folder, manifest.begun(folder, made), shown)


def evaluated(folder: Path, pictures: tuple[Manifest, Shown] | None, command: str, say: Say) -> Path:
    """Print what the answers in a folder tell, and write the page there.

    Parameters
    ----------
    pictures
        The study's images where its folders were named, so that the page can show some.

    Raises
    ------
    DataError
        If there is no study, or it is of other images.
    """
    kept = manifest.kept(folder)
    if kept is None:
        do = f"begin it: spinecho study REAL SYNTHETIC {setting('out', str(folder))}"
        raise DataError("there is no study in this folder", do=do, file=folder)
    if pictures is not None:
        manifest.begun(folder, replace(pictures[0], seed=kept.seed))
    told = results(kept, answers.readings(folder, kept))
    if not told.lines:
        say("there are no answers yet")
    for line in report.told(told):
        say(line)
    path = folder / PAGE
    report.write_page(path, told, command, None if pictures is None else pictures[1])
    return path
