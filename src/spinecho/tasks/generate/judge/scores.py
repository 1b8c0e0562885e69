"""Figures of a group of pictures, and what a person shall look at."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.evaluate.pictures import Column, grey, tiles
from spinecho.tasks.generate.judge.apart import told_apart
from spinecho.tasks.generate.judge.groups import Inputs, Slices
from spinecho.tasks.generate.judge.nearest import nearest, own_symmetry
from spinecho.tasks.generate.judge.sight import kernel_distance, seen

_RINGS, _LIT = 12, 0.15
"""Of a brightness profile; the head is over this share of its brightest pixels"""
_SHOWN, _SUSPECTS = 16, 4


def scores(inputs: Inputs, made: Slices) -> dict[str, float]:
    """By the names of the judge's measures, and the held-out slices' own where they have any.

    Raises
    ------
    DataError
        If there are NaN or infinite values.
    """
    pictures = made.values
    if not bool(torch.isfinite(pictures).all()):
        raise DataError("its pictures hold NaN or infinite values")
    real = inputs.real.values
    near, usual = nearest(pictures, inputs.train.values).values[:, 0], inputs.usual.values[:, 0]
    quartiles = torch.quantile(usual, torch.tensor([0.25, 0.5, 0.75]))
    median = float(near.quantile(0.5))
    mirrored, real_mirrored = own_symmetry(pictures), own_symmetry(real)
    apart = [seen(x, inputs.device) for x in (pictures, inputs.train.values)]
    return {
        "kernel": kernel_distance(apart[0], apart[1]),
        "told_apart": 100 * told_apart(real, pictures, inputs.real.people, made.people),
        "nearest": median,
        "place": float((usual < median).double().mean()),
        "copies": float((near > usual.max()).double().mean()),
        "variety": float(pictures.std(0).square().mean().sqrt() / real.std(0).square().mean().sqrt()),
        "detail": float(_detail(pictures) / _detail(real)),
        "profile": profile_off(pictures, real),
        "symmetry": float(mirrored.quantile(0.5)),
        "symmetry_real": float(real_mirrored.quantile(0.5)),
        "symmetry_off": float((mirrored.mean() - real_mirrored.mean()) / real_mirrored.std()),
        **{f"held_out_{n}": float(q) for n, q in zip(("q25", "median", "q75"), quartiles, strict=True)},
    }


def profile_off(pictures: Float[Tensor, "n y x"], real: Float[Tensor, "m y x"]) -> float:
    """Mean over rings of the distance between both groups' means, in standard deviations of the real ones."""
    made, true = profiles(pictures), profiles(real)
    spread = true.std(0)
    return float(((made.mean(0) - true.mean(0)).abs() / spread)[spread > 0].mean())


def profiles(pictures: Float[Tensor, "n y x"]) -> Float[Tensor, "n rings"]:
    """Mean brightness in rings from the head's middle to its edge, each picture's own ellipse."""
    size = pictures.shape[-1]
    places = torch.arange(size, dtype=torch.float32)
    made: list[Tensor] = []
    for x in pictures.cpu().float():
        lit = x > _LIT * torch.quantile(x, 0.99)
        rows, columns = (places[lit.any(axis)] for axis in (1, 0))
        if not len(rows):
            made.append(x.new_zeros(_RINGS))
            continue
        y, b, a = (rows.min() + rows.max()) / 2, rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        middle = (columns.min() + columns.max()) / 2
        radius = 2 * torch.hypot((places[:, None] - y) / b, (places[None] - middle) / a)
        ring = (radius * _RINGS).long()
        inside = ring < _RINGS
        total = x.new_zeros(_RINGS).index_add_(0, ring[inside], x[inside])
        count = x.new_zeros(_RINGS).index_add_(0, ring[inside], torch.ones_like(x[inside]))
        made.append(total / count.clamp_min(1))
    return torch.stack(made)


def columns(inputs: Inputs, results: Mapping[str, Slices]) -> list[Column]:
    """Real slices first; below each group its pictures nearest to training slices, each with three of these."""
    shown = {"real, held out": inputs.real, **results}
    made: list[Column] = []
    for name, group in shown.items():
        pictures = group.values
        spaced = pictures[torch.linspace(0, len(pictures) - 1, min(_SHOWN, len(pictures))).long()]
        near = nearest(pictures, inputs.train.values)
        order = near.values[:, 0].argsort(descending=True)[:_SUSPECTS].tolist()
        rows = [one for i in order for one in (pictures[i], *inputs.train.values[near.numbers[i]])]
        told = ", ".join(f"{float(near.values[i, 0]):.3f}" for i in order)
        below = grey(tiles(rows, 4), 1.0, f"first of each row: nearest to training slices ({told}); then those")
        made.append(Column(name=name, image=grey(tiles(list(spaced), 4), 1.0, ""), below=below))
    return made


def _detail(pictures: Tensor) -> Tensor:
    x = pictures.float()
    inner = x[:, 1:-1, 1:-1]
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return (around - 4 * inner).square().mean().sqrt()
