"""Cases of translation: a head in two contrasts, with lesions planted in the one, and what methods make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.names import told_apart
from spinecho.evaluate.judge import Case, Cases, LeftOut, Outcome
from spinecho.evaluate.pictures import Column, grey, upper_window
from spinecho.evaluate.planting import calm_places, planted
from spinecho.io.read import read_image
from spinecho.metrics.observer import Place
from spinecho.tasks.translate.parts.contrasts import checked, of_file, sides, word_of
from spinecho.tasks.translate.parts.lesion import amplitude
from spinecho.tasks.translate.parts.level import level
from spinecho.tasks.translate.run import translate

if TYPE_CHECKING:
    from spinecho.tasks.translate.judge import Options

LESION_MM = 2.0
"""Standard deviation of a lesion that is planted"""
_LESIONS = "lesions"
_NEAR_MM = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A head in two contrasts, each in units of its level.

    Parameters
    ----------
    source
        (1, z, y, x), the first contrast of the pair, and `beside` the others; `pair` is what is wanted of them.
    truth
        (z, y, x).
    places, sigma
        Voxels where lesions are planted; their standard deviations in voxels.
    lesions
        The expert's, where there are some.
    """

    source: Image
    truth: Tensor
    pair: tuple[str, str]
    beside: dict[str, Image]
    places: list[Place]
    sigma: tuple[float, float, float]
    lesions: Tensor | None

    @property
    def given(self) -> dict[str, Image]:
        """By their contrasts, the first first."""
        return {self.pair[0].split("+")[0]: self.source, **self.beside}


@dataclass(frozen=True, eq=False)
class Result:
    """The translated head, and the translated head with lesions."""

    image: Image
    with_lesions: Tensor | None


def cases(options: Options, device: torch.device) -> Cases:
    """Every head x pair.

    Raises
    ------
    DataError
        If there is no head with two contrasts, or a pair makes no sense.
    """
    pairs = checked(options.pairs, several=True)
    heads = [head for path in options.heads for head in _heads(path)]
    folders = told_apart([folder for folder, _, _ in heads])
    called = [f"{folder}/{word}".strip("/") for folder, (_, word, _) in zip(folders, heads, strict=True)]
    files = [f for _, _, f in heads]
    named = [(n, f, p) for n, f in zip(called, files, strict=True) for p in pairs if all(c in f for c in _contrasts(p))]
    if not named:
        do = f"give {setting('heads')} folders that hold t1.nii.gz, t2.nii.gz, ..."
        raise DataError(f"no head has the contrasts of {', '.join(pairs)}", do=do)
    return Cases(total=len(named), each=_each(named, options, device))


def run(inputs: Inputs, method: str, settings: Mapping[str, Any]) -> Outcome:
    """The head by a method that knows its contrast, and the head with lesions."""
    first = next(iter(inputs.given))
    asked = {"contrast": first, "to": inputs.pair[1]}
    image = translate(inputs.source, method, **asked, beside=inputs.beside, **settings)
    other = None
    if inputs.places:
        sick = inputs.given
        for name, one in sick.items():
            values = planted(one.values[0], inputs.places, amplitude(name), inputs.sigma)
            sick[name] = replace(one, values=values.clamp_min(0)[None])
        source = sick.pop(first)
        other = translate(source, method, **asked, beside=sick, passes=1, **settings).values[0].cpu()
    return Outcome(result=Result(image, other), n_parts=len(inputs.truth), note="; ".join(image.header.history))


def columns(inputs: Inputs, results: Mapping[str, Result]) -> list[Column]:
    """The middle slice of the input, the truth, and of each result with its error below."""
    middle = len(inputs.truth) // 2
    truth = inputs.truth[middle].flip(0)
    top = upper_window(inputs.truth)
    made = list[Column]()
    for name, image in inputs.given.items():
        shown = image.values[0].cpu()
        made.append(Column(name=name, image=grey(shown[middle].flip(0), upper_window(shown), "what is given")))
    made.append(Column(name=inputs.pair[1], image=grey(truth, top, "what was measured")))
    for name, result in results.items():
        plane = result.image.values[0, middle].cpu().flip(0)
        error = grey((plane - truth).abs(), top / 2, "error, 2 x brighter")
        made.append(Column(name=name, image=grey(plane, top, "guessed"), below=error))
    return made


def _heads(path: Path) -> Iterator[tuple[Path, str, dict[str, Path]]]:
    """Of a folder, and of those in it: heads by folder and word, with the file of each contrast, and of the lesions."""
    if not path.is_dir():
        raise DataError("there is no such folder", do="give folders with images of heads", file=path)
    for folder in (path, *sorted(p for p in path.iterdir() if p.is_dir())):
        groups: dict[str, dict[str, Path]] = {}
        images = (f for f in folder.iterdir() if f.name.endswith((".nii", ".nii.gz", ".mgz")))
        files = sorted(f for f in images if not f.name.startswith("."))
        for file in files:
            if contrast := of_file(file):
                groups.setdefault(word_of(file), {})[contrast] = file
        lesions = {word_of(f, _LESIONS): f for f in files if _LESIONS in re.split(r"[^a-z0-9]+", f.name.lower())}
        for word, group in groups.items():
            own = lesions.get(word) or (lesions.get("") if len(groups) == 1 else None)
            yield folder.absolute(), word, {**group, **({} if own is None else {_LESIONS: own})}


def _contrasts(pair: str) -> list[str]:
    """All that are given, and what is wanted."""
    given, wanted = sides(pair)
    return [*given, wanted]


def _each(
    named: Sequence[tuple[str, dict[str, Path], str]], options: Options, device: torch.device
) -> Iterator[Case | LeftOut]:
    for head, files, pair in named:
        a, b = pair.split("-")
        try:
            inputs = _inputs(files, (a, b), options, device)
        except DataError as error:
            yield LeftOut(n=1, scan=head, why=str(error.within(files[a.split("+")[0]])))
            continue
        seen = (inputs.source.values, *(one.values for one in inputs.beside.values()), inputs.truth)
        seen += () if inputs.lesions is None else (inputs.lesions,)
        content = b"".join(t.contiguous().cpu().numpy().tobytes() for t in seen)
        yield Case(
            name=f"{head}, {b} of {a.replace('+', ' and ')}",
            digest=f"{sha256(content).hexdigest()[:16]}:{options.lesions}:{inputs.source.geometry.voxel_mm}",
            scan=head,
            group=f"{b} of {a.replace('+', ' and ')}",
            kind="real",
            load=lambda inputs=inputs: inputs,
            about=f"{head}: {len(inputs.truth)} slices, {len(inputs.places)} lesions planted",
        )


def _inputs(files: Mapping[str, Path], pair: tuple[str, str], options: Options, device: torch.device) -> Inputs:
    names = _contrasts("-".join(pair))
    images = [read_image(files[contrast]).volume().magnitude() for contrast in names]
    for name, image in zip(names, images, strict=True):
        if not images[0].geometry.matches(image.geometry):
            raise DataError(f"{names[0]} and {name} lie on two grids", do="register them first")
    n = options.slices or images[0].geometry.shape[0]
    first = max(0, images[0].geometry.shape[0] // 2 - n // 2)
    volumes = [i.values.float().reshape(-1, *i.values.shape[-3:])[0, first : first + n] for i in images]
    scales = [level(volume) for volume in volumes]
    if not all(scale > 0 for scale in scales):
        raise DataError("one of its images is empty", do="leave it out")
    seen, *others, truth = (volume / scale for volume, scale in zip(volumes, scales, strict=True))
    shape = (seen.shape[0], seen.shape[1], seen.shape[2])
    geometry = images[0].geometry.cropped((first, 0, 0), shape)
    x, y, z = (LESION_MM / side for side in geometry.voxel_mm)
    lesions = None
    if _LESIONS in files and pair[1] == "flair":
        marked = read_image(files[_LESIONS]).volume()
        if not images[0].geometry.matches(marked.geometry, _NEAR_MM):
            do = "bring them there, or take them out of the folder"
            raise DataError(f"the lesions lie on another grid than {names[0]}", do=do, file=files[_LESIONS])
        lesions = marked.values[0, first : first + n] > 0
    as_image = lambda volume: Image(values=volume[None], geometries=(geometry,)).to(device)  # noqa: E731
    return Inputs(
        source=as_image(seen),
        beside={name: as_image(one) for name, one in zip(names[1:-1], others, strict=True)},
        truth=truth,
        pair=pair,
        places=calm_places(seen, options.lesions, (z, y, x)),
        sigma=(z, y, x),
        lesions=lesions,
    )
