"""A scan with what several methods made of it: what reports and tables are written from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.metrics.image import Scores, score
from spinecho.metrics.inside import score_inside
from spinecho.tasks.recon.run import build, recon, refusal

SIMPLEST = ("zero_filled", "gridding")
"""Baselines, shown first."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Scores of one image: inside the object, scaled to the truth there, and over the whole image as it is."""

    psnr_inside: float
    ssim_inside: float
    whole: Scores

    def named(self) -> dict[str, float]:
        """All of them, those inside first."""
        return {"psnr_inside": self.psnr_inside, "ssim_inside": self.ssim_inside, **asdict(self.whole)}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one method made of a scan, how long it took, and its scores where there is a truth."""

    method: str
    image: Image
    seconds: float
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    scores: Judged | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scan, its results, and why the other methods were not run."""

    title: str
    kspace: KSpace
    results: tuple[Result, ...]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])


def run_method(kspace: KSpace, method: str, **settings: Any) -> Result:
    """Reconstruct, with the time it took and its scores."""
    begin = time.perf_counter()
    image = recon(kspace, method, **settings)
    seconds = time.perf_counter() - begin
    config = build(method, settings, kspace.samples.device).config
    return Result(
        method=method, image=image, seconds=seconds, settings=asdict(config), scores=score_image(kspace, image)
    )


def run_all(kspace: KSpace, title: str) -> Iterator[Case]:
    """Reconstruct with every method that applies; yields the case as it grows, the last one is complete.

    Methods that learn for minutes are left out, and said to be.
    """
    results: list[Result] = []
    refused: dict[str, str] = {}
    names = {*registry.names("recon"), *registry.weights_names("recon")} - {"auto"}
    for name in sorted(names, key=lambda n: (n not in SIMPLEST, n)):
        method = registry.load("recon", registry.offer("recon", name).method).Method
        if reason := "it learns for minutes, which is asked for by its name" if method.tells else refusal(name, kspace):
            refused[name] = reason
        else:
            clean = kspace.target is not None and "simulated" in kspace.header.flags and shows_floor(name)
            results.append(run_method(kspace, name, **({"noise_floor": False} if clean else {})))
        yield Case(title=title, kspace=kspace, results=tuple(results), refused=dict(refused))


def shows_floor(name: str) -> bool:
    """Whether a method's image has the noise power of all coils, by default."""
    offer = registry.offer("recon", name)
    return offer.learned and "noise_floor" in registry.load("recon", offer.method).Config.__dataclass_fields__


def score_image(kspace: KSpace, image: Image) -> Judged | None:
    """Scores against the scan's own truth; None without one. Whole images are taken as they are: no scale is fitted."""
    if kspace.target is None:
        return None
    truth, made = flat_slices(kspace.target), flat_slices(image.values)
    inside = score_inside(truth, made)
    return Judged(psnr_inside=inside.psnr, ssim_inside=inside.ssim, whole=score(truth, made))


def flat_slices(values: Tensor) -> Tensor:
    """Magnitude of (*batch, channel, z, y, x) as (slice, y, x): all batch entries and z one after the other."""
    magnitude = values.abs()
    if magnitude.shape[-4] > 1:
        magnitude = magnitude.square().sum(-4, keepdim=True).sqrt()
    return torch.flatten(magnitude, 0, -3).double()
