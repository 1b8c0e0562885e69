"""The groups of slices that pictures are judged against, read from files, and real slices as contenders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.evaluate import versions
from spinecho.evaluate.judge import Case, Cases, Outcome
from spinecho.io.read import read
from spinecho.methods.pretrained import identity
from spinecho.sim.splits import Part
from spinecho.tasks.generate.judge.nearest import Nearest, nearest
from spinecho.tasks.generate.judge.sight import NETWORK
from spinecho.tasks.generate.parts.slices import check_size, mid_axial, resized, without_air
from spinecho.tasks.generate.run import generate
from spinecho.train.cases import cases as files_for

if TYPE_CHECKING:
    from spinecho.tasks.generate.judge import Options

REAL = ("held_out", "copies")


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of people, at the finest size.

    Parameters
    ----------
    people
        Number of the person that each slice is of; of generated ones each has its own.
    """

    values: Float[Tensor, "n y x"]
    people: Tensor

    def sized(self, size: int) -> Slices:
        """With fewer pixels, and air 0, as it is in what is made."""
        return Slices(without_air(resized(self.values, size)), self.people)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What pictures of a size are compared with.

    Parameters
    ----------
    train, real, others
        Of the people who train, of those whom pictures are compared with, and of others who do not train.
    """

    size: int
    seed: int
    train: Slices
    real: Slices
    others: Slices
    device: torch.device

    @cached_property
    def usual(self) -> Nearest:
        """The nearest training slices of real people who do not train."""
        return nearest(self.real.values, self.train.values)


def cases(options: Options, device: torch.device) -> Cases:
    """Files are read when the first case is reached.

    Raises
    ------
    DataError
        If nobody trains or nobody is held out among the files, or a size cannot be made.
    """
    for size in options.sizes:
        check_size(size)
    if not options.images:
        raise DataError("there are no images", do=f"give {setting('images')}, a folder of T1 images")
    parts: dict[Part, list[Path]] = {part: _files(options.images, part) for part in get_args(Part)}
    for part in ("train", options.part):
        if not parts[part]:
            do = "give a folder with people who train and people who do not, or another " + setting("part")
            raise DataError(f"no person under {setting('images')} is for {part}", do=do)
    return Cases(total=len(options.sizes) * len(options.seeds), each=_each(parts, options, device))


def run(inputs: Inputs, method: str, settings: Mapping[str, Any]) -> Outcome:
    """As many pictures as there are real ones.

    Raises
    ------
    DataError
        If the method cannot make so many pixels.
    """
    n = len(inputs.real.values)
    image = generate(method, n=n, seed=inputs.seed, pixels=inputs.size, device=inputs.device, **settings)
    return Outcome(result=Slices(image.values[0].cpu(), torch.arange(n)), n_parts=n)


@dataclass(frozen=True)
class Real:
    """Real slices in the place of generated ones: other people who do not train, or training slices."""

    name: str
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """Of the code alone."""
        return versions.joined(self.name, versions.of_task("generate"))

    def run(self, inputs: Inputs) -> Outcome:
        """As many as there are held-out ones, if there are."""
        group = inputs.others if self.name == "held_out" else inputs.train
        if not len(group.values):
            raise DataError("there are no other people who do not train", do="leave out held_out")
        rng = torch.Generator().manual_seed(inputs.seed)
        chosen = torch.randperm(len(group.values), generator=rng)[: len(inputs.real.values)]
        return Outcome(result=Slices(group.values[chosen], group.people[chosen]))


def _files(paths: Sequence[Path], part: Part) -> list[Path]:
    return [case.path for path in paths for case in files_for(path, part, "image")]


def _each(parts: Mapping[Part, list[Path]], options: Options, device: torch.device) -> Iterator[Case]:
    other: Part = "validate" if options.part == "test" else "test"
    order: tuple[Part, Part, Part] = ("train", options.part, other)
    kept = [_slices(parts[part]) for part in order]
    digest = sha256(b"".join(one.values.numpy().tobytes() for one in kept)).hexdigest()[:16]
    seen_by = identity(*NETWORK)
    for size in options.sizes:
        train, real, others = (one.sized(size) for one in kept)
        for seed in options.seeds:
            yield Case(
                name=f"{size} pixels, seed {seed}",
                digest=f"{digest}:{size}:{seed}:{seen_by}",
                scan=f"seed {seed}",
                group=f"{size} pixels",
                kind="real",
                load=lambda seed=seed, size=size, g=(train, real, others): Inputs(size, seed, *g, device),
                about=f"{len(train.values)} slices of people who train, {len(real.values)} of people who do not",
            )


def _slices(files: Sequence[Path]) -> Slices:
    """Of all files that hold a head."""
    made: list[Tensor] = []
    for file in files:
        image = read(file)
        if not isinstance(image, Image):
            raise DataError("it holds no image", do="give T1 images of whole heads", file=file)
        try:
            made.append(mid_axial(image))
        except DataError as error:
            raise error.within(file) from error
    if not made:
        return Slices(torch.zeros(0, 128, 128), torch.zeros(0, dtype=torch.long))
    return Slices(torch.cat(made), torch.arange(len(made)).repeat_interleave(len(made[0])))
