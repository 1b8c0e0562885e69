"""A cohort to its own template: register all to the mean, average them, move the mean to the middle, again.

Source: unbiased templates, Guimond, Meunier, Thirion 2000, doi:10.1006/cviu.1999.0815; Joshi et al. 2004,
doi:10.1016/j.neuroimage.2004.07.068; with velocities, Ashburner 2007, doi:10.1016/j.neuroimage.2007.07.007. How we
differ: the middle is that of matrices and of velocities, so that neither the first image nor the order counts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.grids import isotropic
from spinecho.core.image import Image
from spinecho.core.transform import Transform
from spinecho.core.version import __version__
from spinecho.methods.crew import Alone, Crew
from spinecho.methods.unfinished import file_marks
from spinecho.tasks.register.cohort.average import Average, average
from spinecho.tasks.register.cohort.files import (
    CohortFiles,
    read_json,
    read_split,
    read_volume,
    write_json,
    write_split,
)
from spinecho.tasks.register.cohort.files import write_volume as keep_volume
from spinecho.tasks.register.cohort.work import measure, register_one, volume_of, warp_one
from spinecho.tasks.register.parts.mean_shape import Split, mean_bend, mean_matrix
from spinecho.tasks.register.parts.volumes import comparable, foreground
from spinecho.tasks.register.run import build

_COST = 6
"""A round of the method takes about so many times as long as the linear one before: for the time left"""
_EARLY_SHARE = 4
"""The first rounds see a blurred template: they get by with so many times fewer working voxels"""
_LARGEST_TEMPLATE = 512
_COARSE_MM = 6.0
"""Grid on which the template's move is measured"""


@dataclass(frozen=True, kw_only=True)
class TemplatePlan:
    """How a template is made.

    Parameters
    ----------
    method, settings
        Of the pairwise registration; rigid and affine make linear templates.
    rounds
        After a linear one, which finds the first mean.
    average
        Of the intensities: "robust" (the middle three fifths), "mean" or "median".
    spacing_mm
        Of the template's voxels; 0: the median of the subjects' finest.
    device
        "auto", "cpu" or "cuda".
    """

    method: str = "hybrid"
    settings: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 4
    average: Average = "robust"
    spacing_mm: float = 0.0
    device: str = "auto"

    def of_round(self, number: int) -> tuple[str, dict[str, Any]]:
        """Method and settings of a round; the last two work with all voxels, those before with a quarter."""
        if number == 0:
            return ("rigid" if self.method == "rigid" else "affine"), {}
        settings = dict(self.settings)
        if number < self.rounds - 1:
            settings |= build(self.method, settings).coarser(_EARLY_SHARE)
        return self.method, settings


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round has done.

    Parameters
    ----------
    number
        0 is the linear one.
    moved_mm
        Root mean square over the template's object of how far it was from the middle: what the correction moved it by.
    likeness
        Mean correlation of the warped subjects with the new template.
    """

    number: int
    moved_mm: float
    likeness: float


@dataclass(frozen=True, eq=False)
class Cohort:
    """A finished template; the transforms are read from the folder when asked for.

    Parameters
    ----------
    template
        Intensities 0 to 1, axes along LPS.
    rounds
        In order.
    warnings
        Number of the subject, and what a person should know of it.
    """

    template: Image
    rounds: tuple[Round, ...]
    warnings: tuple[tuple[int, str], ...]
    files: CohortFiles

    def transform(self, subject: int) -> Transform:
        """Template world to the subject's world, LPS mm."""
        return _centred(self.files, self.rounds[-1].number, subject)


def groupwise(
    subjects: Sequence[Path | Image],
    folder: Path,
    plan: TemplatePlan | None = None,
    *,
    crew: Crew | None = None,
    tell: Callable[[int, int], None] | None = None,
    told: Callable[[Round], None] | None = None,
) -> Cohort:
    """Make the template; finished work is kept in a folder, and what is found there is not done again.

    Parameters
    ----------
    subjects
        At least two volumes or their files: any orientation, spacing and size, one contrast.
    folder
        New, or that of an interrupted run with the same subjects and plan. Remove it when the transforms are saved.
    crew
        Who does the work (`methods.crew.crew`); None: this process.
    tell
        Hears how much of how much is done.
    told
        Hears of each round when it is over.

    Raises
    ------
    DataError
        If an image cannot be used (it names the file), or the folder belongs to another run.
    """
    plan, crew, files = plan or TemplatePlan(), crew or Alone(), CohortFiles(folder)
    if len(subjects) < 2 or plan.rounds < 1:
        raise DataError(f"{len(subjects)} images and {plan.rounds} rounds", do="give at least two images and one round")
    if not 0 <= plan.spacing_mm < math.inf:
        raise DataError(f"a template with voxels of {plan.spacing_mm:g} mm", do="leave it out, or give a length over 0")
    plan.of_round(1)  # unknown methods and settings are refused before the work
    files.begin(_marks(subjects, plan))
    try:
        return _made(subjects, files, plan, crew, tell, told)
    except DataError:
        if not files.registered:
            files.remove()  # it would refuse the corrected command, and holds nothing that takes long
        raise


def _made(
    subjects: Sequence[Path | Image],
    files: CohortFiles,
    plan: TemplatePlan,
    crew: Crew,
    tell: Callable[[int, int], None] | None,
    told: Callable[[Round], None] | None,
) -> Cohort:
    """Measure all, then round by round."""
    paths = [_placed(files, i, subject) for i, subject in enumerate(subjects)]
    count = _Count(len(paths), plan.rounds, tell)
    missing = [i for i in range(len(paths)) if not files.about(i).exists()]
    for _ in crew.each(measure, [(paths[i], files.about(i)) for i in missing]):
        pass
    _first(files, paths)
    rounds = []
    for number in range(plan.rounds + 1):
        rounds.append(_round(files, paths, plan, number, crew, count))
        if told is not None:
            told(rounds[-1])
    template = read_volume(files.template(plan.rounds + 1))
    return Cohort(template, tuple(rounds), _warnings(files, plan.rounds, len(paths)), files)


class _Count:
    """What is done of all registrations, a linear one counting 1."""

    def __init__(self, n: int, rounds: int, tell: Callable[[int, int], None] | None) -> None:
        self.done, self.total, self.tell = 0, n * (1 + _COST * rounds), tell

    def add(self, number: int, n: int = 1) -> None:
        self.done += n * (_COST if number else 1)
        if self.tell is not None:
            self.tell(self.done, self.total)


def _round(files: CohortFiles, paths: list[Path], plan: TemplatePlan, number: int, crew: Crew, count: _Count) -> Round:
    """Register, find the middle, warp, average."""
    n = len(paths)
    if not files.told(number).exists():
        method, settings = plan.of_round(number)
        missing = [i for i in range(n) if not files.transform(number, i).exists()]
        count.add(number, n - len(missing))
        calls = [
            (paths[i], files.template(number), files.transform(number, i), method, settings, plan.device)
            for i in missing
        ]
        for _ in crew.each(register_one, calls):
            count.add(number)
        moved = _middle(files, number, n)
        grid = _grid(files, paths, plan) if number == 0 else read_volume(files.template(number)).geometry
        unwarped = [i for i in range(n) if not files.warped(number, i).exists()]
        calls = [
            (paths[i], files.transform(number, i), files.mean(number), grid, files.warped(number, i)) for i in unwarped
        ]
        for _ in crew.each(warp_one, calls):
            pass
        values, likeness = average([files.warped(number, i) for i in range(n)], plan.average)
        keep_volume(files.template(number + 1), Image(values=values, geometries=(grid,)))
        write_json(files.told(number), asdict(Round(number=number, moved_mm=moved, likeness=likeness)))
        for i in range(n):
            files.warped(number, i).unlink()
    else:
        count.add(number, n)
    return Round(**read_json(files.told(number)))


def _middle(files: CohortFiles, number: int, n: int) -> float:
    """Find and keep the mean of the round's transforms; root mean square of its displacement, mm."""
    template = read_volume(files.template(number))
    grid = _coarse(template.geometry)
    splits = [read_split(files.transform(number, i))[0] for i in range(n)]
    mean = Split(mean_matrix([f.matrix for f in splits]), mean_bend([f.bend for f in splits], grid))
    write_split(files.mean(number), mean)
    coarse = isotropic(template, _COARSE_MM)
    moved = mean.transform.displacement(coarse.geometry)[:, foreground(coarse.values)[0]]
    return float(moved.square().sum(0).mean().sqrt())


def _coarse(template: Geometry) -> Geometry:
    """Voxels of about twice the template's, on the same field of view."""
    z, y, x = (max(2, n // 2) for n in template.shape)
    return template.resized((z, y, x))


def _centred(files: CohortFiles, number: int, subject: int) -> Transform:
    """From the middle back to the round's template, and on to the subject."""
    onto_subject, mean = read_split(files.transform(number, subject))[0], read_split(files.mean(number))[0]
    return onto_subject.transform @ mean.transform.inverse()


def _first(files: CohortFiles, paths: list[Path]) -> None:
    """The image whose head is nearest to the mean in size and form is what the linear round begins with."""
    if files.template(0).exists():
        return
    forms = np.array([read_json(files.about(i))["form"] for i in range(len(paths))])
    nearest = int(np.square(forms - forms.mean(0)).sum(1).argmin())
    image = comparable(volume_of(paths[nearest]), "first")
    keep_volume(files.template(0), replace(image, extras={}))


def _grid(files: CohortFiles, paths: list[Path], plan: TemplatePlan) -> Geometry:
    """Along LPS, around every subject's object where the linear round puts it."""
    facts = [read_json(files.about(i)) for i in range(len(paths))]
    spacing = plan.spacing_mm or float(np.median([f["finest_mm"] for f in facts]))
    corners = []
    for i, fact in enumerate(facts):
        back = _centred(files, 0, i).inverse()
        corners.append(back(torch.tensor(fact["corners"], dtype=torch.float64)).numpy())
    low, high = np.min(corners, axis=(0, 1)), np.max(corners, axis=(0, 1))
    shape = [math.ceil(float(n)) + 1 for n in (high - low) / spacing]
    if not 0 < spacing < float("inf") or max(shape) > _LARGEST_TEMPLATE:
        problem = f"the template would have {shape[2]} x {shape[1]} x {shape[0]} voxels of {spacing:g} mm (z, y, x)"
        do = f"give another {setting('spacing_mm')}: at most {_LARGEST_TEMPLATE} voxels along each axis"
        raise DataError(problem, do=do)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    return Geometry((shape[2], shape[1], shape[0]), affine, any(f["oriented"] for f in facts))


def _marks(subjects: Sequence[Path | Image], plan: TemplatePlan) -> dict[str, Any]:
    """What must be the same for finished work to be used."""
    return {
        "version": __version__,
        "plan": {name: str(value) for name, value in asdict(plan).items()},
        "images": [file_marks(s) if isinstance(s, Path) else _values_marks(s) for s in subjects],
    }


def _values_marks(image: Image) -> dict[str, Any]:
    values = image.values.cpu().contiguous().numpy()
    return {"sha256": hashlib.sha256(values.tobytes()).hexdigest(), "affine": image.geometries[0].affine.tolist()}


def _placed(files: CohortFiles, i: int, subject: Path | Image) -> Path:
    """Where a worker finds the subject."""
    if isinstance(subject, Path):
        return subject.absolute()
    if not files.volume(i).exists():
        keep_volume(files.volume(i), subject.volume())
    return files.volume(i)


def _warnings(files: CohortFiles, number: int, n: int) -> tuple[tuple[int, str], ...]:
    return tuple((i, told) for i in range(n) for told in read_split(files.transform(number, i))[1])
