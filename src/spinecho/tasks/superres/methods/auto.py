"""Auto: looks at the grid, chooses a suitable method that is ready to use, and says which and why.

For thick slices `self`, if the time allowed is enough for it to learn from the scan, otherwise `multiscale`; for other
volumes `multiscale`; each only if it can handle the volume and, for trained weights, if the volume lies inside their
card. Otherwise `bspline`.

Source: no paper; the order is that of psnr inside the head on volumes that were degraded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from spinecho.core.header import TOOK
from spinecho.methods.pretrained import built, refusal
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.limits import outside

SELF_MINUTES = 10.0
"""What `self` may take on two cores"""


@dataclass(frozen=True, kw_only=True)
class Config:
    minutes: float = 0.0
    """minutes that the work may take: from 10 on a network may learn from the scan itself"""


class Method(Superres):
    config: Config
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("superres", "multiscale"),)

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        names, why = choices(target, self.config.minutes)
        passed: list[str] = []
        for name in names:
            reason = refusal("superres", name, values, target)
            if reason is None:
                runner = built("superres", name, {}, values.device)
                assert isinstance(runner, Superres)
                ways = outside(runner.card, target) if runner.learned else []
                if not ways:
                    note = "".join(f"; not {p}" for p in passed)
                    made = runner(values, target)
                    told = (*made.told, f"{TOOK}{name}: {why}{note}")
                    return replace(made, told=told, invents=runner.invents)
                reason = f"it is outside its card: {', '.join(ways)}"
            passed.append(f"{name}, since {reason}")
        raise AssertionError("bspline takes everything")


def choices(target: Target, minutes: float) -> tuple[tuple[str, ...], str]:
    """Names of methods, best first, and what decided the order."""
    lost = [target.degradations[axis] for axis in target.finer]
    thick = len(lost) == 1 and lost[0] is not None and lost[0].name == "slices"
    if not thick:
        return ("multiscale", "bspline"), "no thick slices"
    if minutes >= SELF_MINUTES:
        return ("self", "multiscale", "bspline"), f"thick slices, and {minutes:g} minutes allowed"
    return ("multiscale", "bspline"), f"thick slices, {minutes:g} minutes allowed (`self` needs {SELF_MINUTES:g})"
