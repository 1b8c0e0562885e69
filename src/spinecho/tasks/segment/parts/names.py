"""The regions that are told apart: their names, the ids that files give them, and which ids of others mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Integer, UInt8
from torch import Tensor

from spinecho.core.errors import DataError

Atlas = Literal["freesurfer", "muse"]
"""Whose ids a label map has"""


@dataclass(frozen=True)
class Region:
    """A structure, both sides together.

    Parameters
    ----------
    label
        Its id in what is written: FreeSurfer's, of the left side where there are two.
    ids
        All of FreeSurfer's ids that belong to it.
    muse
        Ids of the MUSE atlas that belong to it.
    """

    name: str
    label: int
    ids: tuple[int, ...]
    muse: tuple[int, ...] = ()


REGIONS: tuple[Region, ...] = (
    Region("outside the brain", 0, ()),
    Region("cerebral white matter", 2, (2, 41, 25, 57, 77, 78, 79, 85, *range(251, 256)), (*range(81, 96),)),
    Region("cerebral cortex", 3, (3, 42), tuple(range(100, 208))),
    Region("lateral ventricles", 4, (4, 43, 5, 44, 31, 63, 72), (49, 50, 51, 52)),
    Region("cerebellar white matter", 7, (7, 46), (40, 41)),
    Region("cerebellar cortex", 8, (8, 47), (38, 39, 71, 72, 73)),
    Region("thalamus", 10, (9, 10, 48, 49), (59, 60)),
    Region("caudate", 11, (11, 50), (36, 37)),
    Region("putamen", 12, (12, 51), (57, 58)),
    Region("pallidum", 13, (13, 52), (55, 56)),
    Region("third ventricle", 14, (14,), (4,)),
    Region("fourth ventricle", 15, (15,), (11,)),
    Region("brain stem", 16, (16,), (35,)),
    Region("hippocampus", 17, (17, 53), (47, 48)),
    Region("amygdala", 18, (18, 54), (31, 32)),
    Region("fluid around the brain", 24, (24,), (1,)),
    Region("accumbens", 26, (26, 58), (23, 30)),
    Region("ventral diencephalon", 28, (28, 60), (61, 62)),
)
"""Left and right share a class: the network sees no difference that is not the place. Choroid plexus lies in the
ventricles, lesions in white matter."""

BRAIN = tuple(r.label for r in REGIONS if r.label not in (0, 24))
"""Labels of the brain itself, ventricles included."""

TOGETHER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ventricles": ("lateral ventricles", "third ventricle", "fourth ventricle"),
        "cerebellum": ("cerebellar white matter", "cerebellar cortex"),
    }
)
"""What is judged as one where the truth is of the MUSE atlas."""


def classes_of(labels: Integer[Tensor, "*grid"], atlas: Atlas = "freesurfer") -> UInt8[Tensor, "*grid"]:
    """An atlas's ids as the numbers of `REGIONS`; whatever belongs to none of them lies outside the brain."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise DataError(f"labels go down to {low}", do="give label maps with FreeSurfer's ids")
    table = torch.zeros(max(high, 600) + 1, dtype=torch.uint8, device=labels.device)
    for i, region in enumerate(REGIONS):
        table[list(region.ids if atlas == "freesurfer" else region.muse)] = i
    return table[labels.long()]


def also_right(atlas: Atlas) -> UInt8[Tensor, " region"]:
    """For each region another one that may lie where an atlas says it does; itself where there is none.

    MUSE gives the cortex much of the fluid in its folds, and knows none between brain and skull: what it says of the
    three is not held against cortex or fluid.
    """
    table = torch.arange(len(REGIONS), dtype=torch.uint8)
    if atlas == "muse":
        number = {r.name: i for i, r in enumerate(REGIONS)}
        outside, cortex, fluid = (number[n] for n in ("outside the brain", "cerebral cortex", "fluid around the brain"))
        table[outside] = table[cortex] = fluid
        table[fluid] = cortex
    return table


def labels_of(classes: Integer[Tensor, "*grid"]) -> Integer[Tensor, "*grid"]:
    """Numbers of `REGIONS` as the ids that are written, int16."""
    table = torch.tensor([r.label for r in REGIONS], dtype=torch.int16, device=classes.device)
    return table[classes.long()]
