"""Cases of denoising: a volume, noise of known strength, and what methods make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.names import told_apart
from spinecho.evaluate.files import all_images
from spinecho.evaluate.judge import Case, Cases, LeftOut, Outcome
from spinecho.evaluate.pictures import Column, grey, upper_window
from spinecho.io.read import read_image
from spinecho.metrics.head import brightness, psnr_head, ssim_head
from spinecho.metrics.inside import psnr_inside
from spinecho.tasks.denoise.judge import real
from spinecho.tasks.denoise.judge.inputs import Inputs, plain
from spinecho.tasks.denoise.judge.rendered import Sized, rendered
from spinecho.tasks.denoise.run import denoise

if TYPE_CHECKING:
    from spinecho.tasks.denoise.judge import Options

UNTOUCHED = "noisy"
"""Does nothing: what the others have gained"""
_AROUND = 16
"""Slices on either side of those that are judged, for methods that see in three dimensions"""


@dataclass(frozen=True)
class Untouched:
    """The image with its noise."""

    name: str = UNTOUCHED
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """Never changes."""
        return "2"

    def run(self, inputs: Inputs) -> Outcome:
        """The input."""
        return Outcome(result=inputs.noisy)


def cases(options: Options, device: torch.device) -> Cases:
    """Every file x level x seed, and every real scan as complex image and as magnitude.

    Raises
    ------
    DataError
        If there are no files, or a level is no share.
    """
    if not all(0 < level < 1 for level in options.levels):
        do = "give shares of the head's brightness, over 0 and below 1"
        raise DataError(f"{setting('levels')} are {options.levels}", do=do)
    if options.channels < 1:
        raise DataError(f"{setting('channels')} is {options.channels}", do="give 1 or more")
    named = [all_images(paths) for paths in (options.images, options.labels, options.real)]
    (plain_files, labels, scans), left_out = ([n[0] for n in named], [one for n in named for one in n[1]])
    if not plain_files and not labels and not scans:
        raise DataError("there are no images", do="give files, or folders that hold some")
    files = [(f, _volume) for f in plain_files] + [(f, rendered) for f in labels]
    each = len(options.levels) * len(options.seeds)

    def all_of_them() -> Iterator[Case | LeftOut]:
        yield from left_out
        yield from _each(files, options, device)
        yield from real.cases(scans, device)

    return Cases(total=each * len(files) + 2 * len(scans), each=all_of_them())


def run(inputs: Inputs, method: str, settings: Mapping[str, Any]) -> Outcome:
    """The image by a method, which finds the noise by itself."""
    image = denoise(inputs.noisy, method, **settings)
    return Outcome(result=image, n_parts=image.values.shape[-3], note="; ".join(image.header.history[-2:]))


def scores(inputs: Inputs, image: Image) -> dict[str, float]:
    """Of the slices that are judged, and the level that was found relative to the true one.

    Raises
    ------
    DataError
        If there are NaN or infinite values.
    """
    assert inputs.truth is not None
    truth, values = inputs.truth[0, inputs.kept], image.values.cpu()[0, inputs.kept]
    if not bool(torch.isfinite(values).all()):
        raise DataError("its image holds NaN or infinite values")
    names = {"psnr_head": psnr_head, "ssim_head": ssim_head, "psnr_inside": psnr_inside}
    figures = {name: score(truth, values) for name, score in names.items()}
    if "noise" in image.extras:
        figures["level"] = float(image.extras["noise"].median()) / inputs.sigma
    return figures


def columns(inputs: Inputs, results: Mapping[str, Image]) -> list[Column]:
    """The middle slice of each, below its error (without a truth what was taken away), one window for all."""
    middle = (inputs.kept.start + inputs.kept.stop) // 2
    start = inputs.noisy.values.cpu()[0, middle]
    truth = start if inputs.truth is None else inputs.truth[0, middle]
    top = upper_window(truth.abs()[None])
    what, times = ("taken away", 2) if inputs.truth is None else ("error", 5)
    shown = [] if inputs.truth is None else [Column(name="truth", image=grey(truth, top, "before noise was added"))]
    for name, image in results.items():
        plane = image.values.cpu()[0, middle]
        error = grey((plane - truth).abs(), top / times, f"{what}, {times} x brighter")
        shown.append(Column(name=name, image=grey(plane.abs(), top, ""), below=error))
    return shown


def _each(
    files: list[tuple[Path, Callable[[Path], Sized]]], options: Options, device: torch.device
) -> Iterator[Case | LeftOut]:
    per_file = len(options.levels) * len(options.seeds)
    for (file, load), called in zip(files, told_apart([file for file, _ in files]), strict=True):
        try:
            (volume, voxel_mm) = load(file)
            values, kept = _cut(volume, options.slices)
        except DataError as error:
            yield LeftOut(n=per_file, scan=called, why=str(error.within(file)))
            continue
        digest = sha256(values.numpy().tobytes() + repr(voxel_mm).encode()).hexdigest()[:16]
        kind = f"chi of {options.channels}" if options.noise == "chi" else options.noise
        for level in options.levels:
            for seed in options.seeds:
                given = _Given(values, kept, level, seed, options.noise, options.channels, voxel_mm)
                yield Case(
                    name=f"{called}, noise {level:g}, seed {seed}",
                    digest=f"{digest}:{kind}:{level:g}:{seed}:{kept.start}:{kept.stop}",
                    scan=called,
                    group=f"{kind} noise {level:g}",
                    kind="simulated",
                    load=lambda given=given: given.inputs(device),
                    about=f"{called}: {kept.stop - kept.start} slices",
                )


@dataclass(frozen=True, eq=False)
class _Given:
    """A volume without noise, and which noise it gets."""

    values: Tensor
    kept: slice
    level: float
    seed: int
    kind: str
    channels: int
    voxel_mm: tuple[float, float, float] = (1.0, 1.0, 5.0)

    def inputs(self, device: torch.device) -> Inputs:
        rng = torch.Generator().manual_seed(self.seed)
        n = self.channels if self.kind == "chi" else 1
        real, imaginary = self.level * torch.randn(2, n, *self.values.shape, generator=rng)
        signal = self.values / n**0.5
        noisy = torch.hypot(signal + real, imaginary).square().sum(0).sqrt()
        noisy = self.values + real[0] if self.kind == "gaussian" else noisy
        return Inputs(truth=self.values, noisy=plain(noisy, self.voxel_mm).to(device), kept=self.kept, sigma=self.level)


def _cut(values: Tensor, n_slices: int) -> tuple[Tensor, slice]:
    """The middle slices and some around them, at a brightness of 1; which of these are judged."""
    middle, n = values.shape[-3] // 2, n_slices or values.shape[-3]
    first = max(0, middle - n // 2)
    last = min(first + n, values.shape[-3])
    if not bool(torch.isfinite(values).all()) or not (bright := brightness(values[0, first:last])) > 0:
        raise DataError("it is empty, or holds values that are not numbers", do="leave it out")
    start = max(0, first - _AROUND)
    return values[:, start : last + _AROUND] / bright, slice(first - start, last - start)


def _volume(file: Path) -> Sized:
    """The first volume's magnitude, and the size of its voxels."""
    from spinecho.train.cases import Case as File
    from spinecho.train.stacks import stacks_of

    if file.suffix.lower() in (".npz", ".npy"):
        return torch.from_numpy(np.abs(stacks_of(File(file))[0]).astype("float32"))[None], (1.0, 1.0, 5.0)
    image = read_image(file).volume()
    values = image.values if not image.values.is_complex() else image.values.abs()
    return values.float().clamp_min(0).reshape(-1, *values.shape[-3:])[:1], image.geometry.voxel_mm
