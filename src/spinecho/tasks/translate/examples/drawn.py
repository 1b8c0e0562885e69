"""Blocks by number: the same place of a head in two contrasts, or two places, or a label map rendered twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spinecho.core.chance import chance, integer, uniform
from spinecho.tasks.translate.examples.heads import Gathered
from spinecho.tasks.translate.examples.planted import places_of_t1, planted
from spinecho.tasks.translate.examples.rendered import rendered
from spinecho.tasks.translate.examples.stripped import kept
from spinecho.tasks.translate.parts.contrasts import most, sides
from spinecho.tasks.translate.parts.lesson import Lesson, as_many
from spinecho.train.draw import generator

Shape = tuple[int, int, int]
_LEAST_LIGHT, _LOOKS = 0.15, 6
_BRIGHTER = 0.06
"""The logarithm of how much the level of what is seen is off, standard deviation"""
_NOISE = 0.03
"""Most noise that what is seen gets beside its own"""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of blocks.

    Parameters
    ----------
    pairs
        That are drawn equally often, as `t1-t2`.
    shape
        Voxels (z, y, x) of a block.
    number
        Blocks in an example.
    paired
        Whether both sides are of one place.
    rendered
        Share of blocks from label maps, where there are heads with the pair as well.
    cut
        Share of blocks from which a piece is cut away: an edge of a stripped brain can run anywhere.
    lesions
        Share of blocks in which lesions are planted; of heads, where a T1 image shows the white matter.
    """

    gathered: Gathered
    pairs: tuple[str, ...]
    shape: Shape
    number: int
    seed: int
    part: str = "train"
    paired: bool = True
    rendered: float = 0.3
    cut: float = 0.0
    lesions: float = 0.0

    def __call__(self, step: int, index: int) -> Lesson:
        rng = generator(self.seed, "translate", self.part, step, index)
        which = [integer(rng, len(self.pairs)) for _ in range(self.number)]
        blocks = [self._block(self.pairs[i], rng) for i in which]
        seen = torch.stack([as_many(torch.stack(given), most(self.pairs)) for given, *_ in blocks])
        wanted, lesions = (torch.stack(row) for row in ([b[1] for b in blocks], [b[2] for b in blocks]))
        beside = seen[:, 1:] if seen.shape[1] > 1 else None
        return Lesson(seen[:, 0], wanted, torch.tensor(which), beside, lesions if self.lesions else None)

    def absent(self) -> list[str]:
        """The pairs of which there is nothing to draw."""
        return [] if self.gathered.maps else [pair for pair in self.pairs if not all(self._heads[pair])]

    @cached_property
    def _heads(self) -> dict[str, tuple[list[int], list[int]]]:
        """Of each pair the heads that have the one side, and those that have the other: the same ones where paired."""
        heads = self.gathered.heads
        having = lambda *names: [i for i, head in enumerate(heads) if all(n in head for n in names)]  # noqa: E731
        known: dict[str, tuple[list[int], list[int]]] = {}
        for pair in self.pairs:
            given, b = sides(pair)
            known[pair] = (having(*given, b), having(*given, b)) if self.paired else (having(*given), having(b))
        return known

    def _block(self, pair: str, rng: torch.Generator) -> tuple[list[Tensor], Tensor, Tensor]:
        """What is seen, what is wanted, and the share of planted lesions in what is wanted."""
        given, b = sides(pair)
        ones, others = self._heads[pair]
        maps = self.gathered.maps
        if maps and (not (ones and others) or chance(rng, self.rendered)):
            draw = lambda: rendered(maps[integer(rng, len(maps))], (*given, b), self.shape, rng, self.lesions)  # noqa: E731
            (*seen, wanted), sick = draw()
            if not self.paired:
                (*_, wanted), sick = draw()
        else:
            head = self.gathered.heads[ones[integer(rng, len(ones))]]
            (*seen, wanted), sick = self._of_head(head, (*given, b if self.paired else given[0]), rng)
            if not self.paired:
                (wanted,) = _cut([self.gathered.heads[others[integer(rng, len(others))]][b]], self.shape, rng)
        if chance(rng, self.cut):
            here = kept(self.shape, rng)
            seen, wanted = [x * here for x in seen], wanted * (here if self.paired else kept(self.shape, rng))
        if chance(rng, 0.5):
            *seen, wanted, sick = (x.flip(-1) for x in (*seen, wanted, sick))
        return [_noisy(x, rng) for x in seen], wanted, sick

    def _of_head(
        self, head: Mapping[str, np.ndarray], contrasts: Sequence[str], rng: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """A block in these contrasts, and its share of planted lesions."""
        names = [*contrasts, "t1"] if self.paired and "t1" in head and chance(rng, self.lesions) else contrasts
        blocks = _cut([head[name] for name in names], self.shape, rng)
        if len(blocks) == len(contrasts):
            return blocks, torch.zeros(self.shape)
        return planted(blocks[:-1], contrasts, places_of_t1(blocks[-1]), rng)


def _cut(volumes: list[np.ndarray], shape: Shape, rng: torch.Generator) -> list[Tensor]:
    """The same block of volumes on one grid, not dark; zeros where they end."""
    grid = volumes[0].shape
    box: tuple[slice, ...] = ()
    for _ in range(_LOOKS):
        starts = [integer(rng, max(1, n - m + 1)) for n, m in zip(grid, shape, strict=True)]
        box = tuple(slice(a, a + m) for a, m in zip(starts, shape, strict=True))
        if (volumes[0][box] > 0).mean() > _LEAST_LIGHT:
            break
    pieces = [v[box].astype(np.float32) for v in volumes]
    missing = [(0, m - n) for n, m in zip(pieces[0].shape, shape, strict=True)]
    return [torch.from_numpy(np.pad(piece, missing)) for piece in pieces]


def _noisy(seen: Tensor, rng: torch.Generator) -> Tensor:
    """With another level and a little noise, as the images of other people have them."""
    gain = float(torch.exp(_BRIGHTER * torch.randn(1, generator=rng)))
    noise = _NOISE * uniform(rng) * torch.randn(seen.shape, generator=rng)
    return (gain * seen + noise * (seen > 0)).clamp_min(0)
