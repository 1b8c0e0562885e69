"""A head's regions on its own grid: what the network sees at its spacing, tidied, and borders by the image's greys."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from spinecho.tasks.segment.parts.greys import fitted
from spinecho.tasks.segment.parts.seen import Seen, back
from spinecho.tasks.segment.parts.tidy import tidied
from spinecho.tasks.segment.parts.upright import Look, looked_at


@dataclass(frozen=True, eq=False)
class Named:
    """Regions of a head.

    Parameters
    ----------
    classes, share
        On the image's own grid: which region, and how probable it is.
    scores
        On the working grid.
    by_greys
        Whether the image's greys had a word.
    """

    classes: UInt8[Tensor, "1 z y x"]
    share: Float[Tensor, "1 z y x"]
    scores: Float[Tensor, "region z2 y2 x2"]
    by_greys: bool


def named(head: Seen, network: Look, spacing_mm: float, greys: bool = True) -> Named:
    """The regions of a head.

    Parameters
    ----------
    network
        Scores of regions, of a head on its working grid.
    greys
        Whether borders follow the image's own greys; without, the network's scores alone decide.
    """
    scores = tidied(looked_at(head.values, head.grid, network))
    fit = fitted(head.values[0], scores.log_softmax(0), spacing_mm) if greys else None
    classes, share = back(scores, head, fit)
    return Named(classes, share, scores, fit is not None)
