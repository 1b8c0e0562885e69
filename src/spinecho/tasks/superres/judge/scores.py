"""Figures of a result: inside the head, of the lost band, of the planted dots, of its agreement with the input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.metrics.head import brightness, psnr_head, ssim_head
from spinecho.metrics.image import hfen
from spinecho.tasks.superres.judge import dots
from spinecho.tasks.superres.judge.degraded import Inputs
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of


def figures(inputs: Inputs, values: Float[Tensor, "1 z y x"]) -> dict[str, float]:
    """All of them.

    Raises
    ------
    DataError
        If the result has another shape, or holds NaN or infinite values.
    """
    x, t = values[0].cpu().float(), inputs.truth
    if x.shape != t.shape:
        raise DataError(f"its shape is {tuple(x.shape)}, the truth's {tuple(t.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise DataError("its image holds NaN or infinite values")
    low = inputs.low.values[0].cpu()
    maps = maps_of(inputs.degradations, low.shape, t.shape)
    error = (along(x.double(), maps) - low.double()).square().mean().sqrt()
    return {
        "psnr_head": psnr_head(t, x),
        "ssim_head": ssim_head(t, x),
        "hfen": hfen(t, x),
        "sharpness": sharpness(t, x, low.shape),
        "dots_kept": dots.kept(t, inputs.plain, x, inputs.dots),
        "dots_new": dots.new(t, x, inputs.dots),
        "disagreement": float(error) / brightness(t),
    }


def sharpness(truth: Float[Tensor, "z y x"], values: Float[Tensor, "z y x"], low: Sequence[int]) -> float:
    """|N x|^2 / |N t|^2, N x the part of x beyond the highest frequency of a grid of that shape."""
    energy = [float(lost(v, low).square().sum()) for v in (values, truth)]
    return energy[0] / energy[1] if energy[1] > 0 else float("nan")


def lost(values: Float[Tensor, "z y x"], low: Sequence[int]) -> Float[Tensor, "z y x"]:
    """N x = x - A^+ A x, float64, A the truncation of k-space."""
    maps = maps_of((Degradation("kspace"),) * 3, low, values.shape)
    inverse = [None if m is None else torch.linalg.pinv(m) for m in maps]
    values = values.double()
    return values - along(along(values, maps), inverse)
