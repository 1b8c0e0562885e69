"""Cases of denoising: a volume, noise of known strength, and what methods make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate.judge import Case, Cases, LeftOut, Outcome
from spinecho.evaluate.pictures import Column, grey, upper_window
from spinecho.io.read import read_image
from spinecho.metrics.inside import inside, psnr_inside, ssim_inside
from spinecho.tasks.denoise.run import denoise

if TYPE_CHECKING:
    from spinecho.tasks.denoise.judge import Options

UNTOUCHED = "noisy"
"""Does nothing: what the others have gained"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """A volume as it was and with noise, (1, z, y, x), at unit maximum."""

    truth: Tensor
    noisy: Image


@dataclass(frozen=True)
class Untouched:
    """The image with its noise."""

    name: str = UNTOUCHED
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        """Never changes."""
        return "1"

    def run(self, inputs: Inputs) -> Outcome:
        """The input."""
        return Outcome(result=inputs.noisy.values)


def cases(options: Options, device: torch.device) -> Cases:
    """Every file x level x seed.

    Raises
    ------
    DataError
        If there are no files, or a level is no share.
    """
    if not all(0 < level < 1 for level in options.levels):
        do = "give shares of the brightest voxel, over 0 and below 1"
        raise DataError(f"{setting('levels')} are {options.levels}", do=do)
    files = [f for path in options.images for f in _files(path)]
    if not files:
        raise DataError("there are no images", do="give files, or folders that hold some")
    each = len(options.levels) * len(options.seeds)
    return Cases(total=each * len(files), each=_each(files, options, device))


def run(inputs: Inputs, method: str, settings: Mapping[str, Any]) -> Outcome:
    """The image by a method, which finds the noise level by itself."""
    image = denoise(inputs.noisy, method, **settings)
    return Outcome(result=image.values, n_parts=image.values.shape[-3], note=image.header.history[-1])


def scores(truth: Tensor, values: Tensor) -> dict[str, float]:
    """Scores of (1, z, y, x), means over the slices.

    Raises
    ------
    DataError
        If there are NaN or infinite values.
    """
    values = values.cpu()
    if not bool(torch.isfinite(values).all()):
        raise DataError("its image holds NaN or infinite values")
    error = (values - truth).square().mean().clamp_min(1e-30)
    slices = list(zip(truth[0], values[0], strict=True))
    kept = [(t, x) for t, x in slices if inside(t).any()]
    psnr = [psnr_inside(t, x) for t, x in kept]
    ssim = [s for t, x in kept if (s := ssim_inside(t, x)) == s]
    mean = lambda numbers: sum(numbers) / len(numbers) if numbers else float("nan")  # noqa: E731
    figures = {"psnr_inside": mean(psnr), "ssim_inside": mean(ssim)}
    return {**figures, "psnr": float(10 * (truth.max() ** 2 / error).log10())}


def columns(inputs: Inputs, results: Mapping[str, Tensor]) -> list[Column]:
    """The middle slice of each, errors below, one window for all."""
    middle, top = inputs.truth.shape[-3] // 2, upper_window(inputs.truth)
    shown = [Column(name="truth", image=grey(inputs.truth[0, middle], top, "without the noise that was added"))]
    for name, values in results.items():
        plane = values.cpu()[0, middle]
        error = grey((plane - inputs.truth[0, middle]).abs(), top / 5, "error, 5 x brighter")
        shown.append(Column(name=name, image=grey(plane, top, ""), below=error))
    return shown


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError("there is no such file or folder", do="check the path", file=path)
    endings = (".nii", ".nii.gz", ".mgz", ".npz", ".npy")
    return sorted(f for f in path.iterdir() if f.name.endswith(endings) and not f.name.startswith("."))


def _each(files: list[Path], options: Options, device: torch.device) -> Iterator[Case | LeftOut]:
    per_file = len(options.levels) * len(options.seeds)
    for file in files:
        try:
            image = _volume(file, options.slices)
        except DataError as error:
            yield LeftOut(n=per_file, scan=file.name, why=str(error.within(file)))
            continue
        digest = sha256(image.values.numpy().tobytes()).hexdigest()[:16]
        for level in options.levels:
            for seed in options.seeds:
                yield Case(
                    name=f"{file.name}, noise {level:g}, seed {seed}",
                    digest=f"{digest}:{options.noise}:{level:g}:{seed}",
                    scan=file.name,
                    group=f"{options.noise} noise {level:g}",
                    kind="simulated",
                    load=lambda level=level, seed=seed, image=image: _inputs(image, level, seed, options.noise, device),
                    about=f"{file.name}: {image.values.shape[-3]} slices",
                )


def _volume(file: Path, n_slices: int) -> Image:
    """The first volume's magnitude at unit maximum; its middle slices."""
    from spinecho.train.cases import Case as File
    from spinecho.train.stacks import stacks_of

    if file.suffix in (".npz", ".npy"):
        values = torch.from_numpy(stacks_of(File(file))[0].astype("float32"))[None]
        image = _plain(values)
    else:
        image = read_image(file).volume().magnitude()
        values = image.values.float().reshape(-1, *image.values.shape[-3:])[:1]
    middle, n = values.shape[-3] // 2, n_slices or values.shape[-3]
    first = max(0, middle - n // 2)
    values = values[:, first : first + n]
    if not bool(torch.isfinite(values).all()) or not bool((values > 0).any()):
        raise DataError("it is empty, or holds values that are no numbers", do="leave it out")
    return _plain(values / values.max())


def _plain(values: Tensor) -> Image:
    """Values on a grid of 1 mm whose place nobody knows."""
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    return Image(values=values, geometries=(Geometry(shape, np.eye(4), oriented=False),))


def _inputs(image: Image, level: float, seed: int, kind: str, device: torch.device) -> Inputs:
    rng = torch.Generator().manual_seed(seed)
    real, imaginary = (level * torch.randn(image.values.shape, generator=rng) for _ in range(2))
    noisy = torch.hypot(image.values + real, imaginary) if kind == "rician" else image.values + real
    return Inputs(truth=image.values, noisy=_plain(noisy).to(device))
