"""What learned translation is trained on: blocks in one contrast, and the same or others in another."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True, eq=False)
class Lesson:
    """A handful of blocks; slices with neighbours have a small z.

    Parameters
    ----------
    seen, wanted
        In units of `parts.level`; of the same place, but for methods that learn from unpaired images.
    pairs
        Of each block, as its place among the method's pairs.
    beside
        Further contrasts that are seen; 0 where a pair has fewer.
    lesions
        Share of each voxel of what is wanted that is a planted lesion.
    """

    seen: Float[Tensor, "n z y x"]
    wanted: Float[Tensor, "n z y x"]
    pairs: Int[Tensor, " n"]
    beside: Float[Tensor, "n more z y x"] | None = None
    lesions: Float[Tensor, "n z y x"] | None = None

    @property
    def bucket(self) -> Hashable:
        """The size of the blocks."""
        return tuple(self.seen.shape)

    @classmethod
    def joined(cls, examples: Sequence[Lesson]) -> Lesson:
        """All blocks of examples of one bucket."""
        rows = zip(*((e.seen, e.wanted, e.pairs) for e in examples), strict=True)
        also, sick = ([x for e in examples if (x := getattr(e, n)) is not None] for n in ("beside", "lesions"))
        return cls(*(torch.cat(row) for row in rows), *(torch.cat(x) if x else None for x in (also, sick)))

    def to(self, device: torch.device) -> Lesson:
        """With all tensors on the device."""
        more = (None if t is None else t.to(device) for t in (self.beside, self.lesions))
        return Lesson(*(t.to(device) for t in (self.seen, self.wanted, self.pairs)), *more)

    def thinned(self, depth: int) -> Lesson:
        """With the middle slices of the blocks alone."""
        first = (self.seen.shape[1] - depth) // 2
        assert first >= 0, "the method sees more slices than these blocks have"
        kept = (..., slice(first, first + depth), slice(None), slice(None))
        more = (None if t is None else t[kept] for t in (self.beside, self.lesions))
        return Lesson(self.seen[kept], self.wanted[kept], self.pairs, *more)

    @property
    def given(self) -> Float[Tensor, "n c z y x"]:
        """All contrasts that are seen."""
        one = self.seen[:, None]
        return one if self.beside is None else torch.cat([one, self.beside], 1)

    @property
    def middle(self) -> Float[Tensor, "n y x"]:
        """The middle slice of what is wanted."""
        return self.wanted[:, self.wanted.shape[1] // 2]


def as_many(values: Float[Tensor, "c *grid"], n: int) -> Float[Tensor, "n *grid"]:
    """Contrasts that are given, and zeros for those that other pairs have beside."""
    return torch.cat([values, values.new_zeros(n - len(values), *values.shape[1:])])


def told(x: Float[Tensor, "n c *grid"], pairs: Int[Tensor, " n"], n_pairs: int) -> Float[Tensor, "n c2 *grid"]:
    """What a network sees: the image, and a channel for each pair (if there are several), 1 in that which is wanted."""
    if not n_pairs:
        return x
    which = one_hot(pairs.long(), n_pairs).to(x)
    planes = which.reshape(*which.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
    return torch.cat([x, planes], 1)
