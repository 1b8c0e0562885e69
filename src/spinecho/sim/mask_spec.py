"""Masks by name: `KIND:R:CENTRE:SEED`, as the command line takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.sim import mask
from spinecho.sim.poisson import poisson_disc

Kind = Literal["random", "equispaced", "gaussian", "poisson", "partial", "kt", "kt-random"]

GRAMMAR = (
    f"give KIND:R:CENTRE:SEED with KIND one of {' '.join(get_args(Kind))}, R the acceleration (partial: the fraction "
    "measured), CENTRE the central lines (a fraction below 1, a count from 1 on; default 0.08) and SEED a whole number "
    "(default 0), for example random:4:0.08:0"
)


@dataclass(frozen=True)
class MaskSpec:
    """A mask that is not drawn yet: the same spec and matrix give the same mask everywhere.

    Parameters
    ----------
    kind
        Which function of `sim.mask` or `sim.poisson` draws it.
    accel
        Acceleration; for `partial` the fraction of lines measured.
    centre
        Central lines, a fraction below 1 or a count; for `poisson` the side of the central block.
    seed
        Of the random generator.
    """

    kind: Kind
    accel: float
    centre: float = 0.08
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.accel:g}:{self.centre:g}:{self.seed}"

    def draw(self, matrix: tuple[int, int, int], n_frames: int = 1) -> Bool[Tensor, "*frame 1 k2 k1 #k0"]:
        """The mask for a (k2, k1, k0) grid; the k-t kinds give one per frame, the others one for all.

        Lines are drawn along k1 (and used for every k2). Poisson points lie on (k2, k1), or, where k2 = 1, on
        (k1, k0): one slice of a 3-D scan whose readout has been transformed.
        """
        rng = torch.Generator().manual_seed(self.seed)
        k2, k1, k0 = matrix
        if self.kind == "poisson":
            shape = (k2, k1) if k2 > 1 else (k1, k0)
            points = poisson_disc(shape, self.accel, mask.centre_lines(min(shape), self.centre), rng)
            return points if k2 > 1 else points.movedim(-1, -3)
        if self.kind in ("kt", "kt-random"):
            draw = mask.kt_lines if self.kind == "kt" else mask.kt_random_lines
            return draw(n_frames, k1, self.accel, self.centre, rng)
        if self.kind == "partial":
            return mask.partial_fourier(k1, self.accel)
        if self.kind == "equispaced":
            return mask.equispaced_lines(k1, self.accel, self.centre, generator=rng)
        draw = mask.random_lines if self.kind == "random" else mask.gaussian_lines
        return draw(k1, self.accel, self.centre, rng)


def parse(spec: str) -> MaskSpec:
    """`KIND:R[:CENTRE[:SEED]]` as a MaskSpec.

    Raises
    ------
    DataError
        With the grammar, if the text is not of that form.
    """
    kind, *numbers = spec.strip().split(":")
    try:
        if kind not in get_args(Kind) or not 1 <= len(numbers) <= 3:
            raise ValueError
        accel, centre = float(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.08
        seed = int(numbers[2]) if len(numbers) > 2 else 0
        if not (math.isfinite(accel) and math.isfinite(centre) and abs(seed) < 2**63):
            raise ValueError
        return MaskSpec(cast(Kind, kind), accel, centre, seed)
    except ValueError:
        raise DataError(f"the mask {spec!r} is not understood", do=GRAMMAR) from None
