"""A teacher: the target becomes in part what a larger network makes of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from spinecho.core.kspace import KSpace
from spinecho.methods.pretrained import load_learned
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import Seeded


@dataclass(frozen=True, eq=False)
class Taught:
    """Scans whose target is (1 - share) truth + share |teacher's image|.

    A student with few weights cannot follow every detail of the truth; what no teacher recovers is noise to it.

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531, for the idea; here images are averaged, not losses.

    Parameters
    ----------
    draw
        Where the scans come from.
    teacher
        Name or file of weights of `recon`; the noise floor is not part of its image here.
    share
        Of the teacher in the target, 0 to 1.
    """

    draw: Seeded
    teacher: str
    share: float = 0.5

    @property
    def in_batches(self) -> bool:
        """As `Seeded`'s."""
        return self.draw.in_batches

    def __call__(self, step: int, index: int) -> KSpace:
        """One scan."""
        return self._taught(self.draw(step, index))

    def batch(self, step: int, indices: Sequence[int], device: torch.device | str) -> KSpace:
        """As `Seeded.batch`."""
        return self._taught(self.draw.batch(step, indices, device))

    def _taught(self, kspace: KSpace) -> KSpace:
        assert kspace.target is not None
        teacher = load_learned("recon", self.teacher, {}, kspace.device)
        assert isinstance(teacher, Recon)
        with torch.no_grad():
            shown = teacher(kspace).values.abs()
        return replace(kspace, target=torch.lerp(kspace.target.abs(), shown.to(kspace.target.dtype), self.share))
