"""Auto: chooses the method with the smallest error that has trained weights for the pair, and says which and why.

In this order: `supervised`, `pix2pix3d`, `lookup`; each only with its trained weights, if these cover the wanted
contrast and the image lies inside their card. `cyclegan`, which nothing ties to the patient, is never chosen.

Source: no paper; the order is that of the error in the head, the smallest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.methods import registry
from spinecho.methods.pretrained import built
from spinecho.tasks.translate.base import Ask, Made, Translate
from spinecho.tasks.translate.limits import outside
from spinecho.tasks.translate.parts.contrasts import PAIRS, TOGETHER

ORDER = ("supervised", "pix2pix3d", "lookup")


@dataclass(frozen=True, kw_only=True)
class Config:
    pass


class Method(Translate):
    config: Config
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("translate", "*"),)

    @property
    def pairs(self) -> tuple[str, ...]:
        return PAIRS + TOGETHER

    def choice(self, values: Float[Tensor, "c z y x"], ask: Ask) -> tuple[str, str]:
        passed: list[str] = []
        for name in ORDER:
            reason = _reason(name, values, ask)
            if reason is None:
                return name, "; ".join([f"trained weights for {ask.wanted} of {ask.source}", *passed])
            passed.append(f"not {name}, {reason}")
        wanted = f"no method has trained weights for {ask.wanted} of {ask.source}: {'; '.join(passed)}"
        train = f"spinecho train translate/supervised --pairs {ask.pair} --data FOLDER --out runs/{ask.pair}"
        raise DataError(
            wanted, do=f"train some ({train}), or lookup in its place, and give them as {setting('weights')}"
        )

    def forward(self, values: Float[Tensor, "c z y x"], ask: Ask) -> Made:
        return built("translate", self.choice(values, ask)[0], {}, values.device)(values, ask)


def _reason(name: str, values: Tensor, ask: Ask) -> str | None:
    """Why a method is not taken."""
    if not registry.offer("translate", name).is_ready:
        return "which is not trained"
    runner = built("translate", name, {}, values.device)
    assert isinstance(runner, Translate)
    told = runner.lacks(ask) or runner.refusal(values, ask)
    ways = outside(runner.card, ask)
    return f"since {told}" if told else f"since it is outside its card: {ways[0]}" if ways else None
