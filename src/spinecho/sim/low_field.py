"""What a low-field scanner would show of a slice whose tissues are known, and what one of 1.5 T would.

Source: Bottomley et al. 1984, doi:10.1118/1.595535, for how T1 falls with the field (`contrast.t1_at_field`); Marques,
Simonis and Webb 2019, doi:10.1002/jmri.26637, for what else changes: little signal, so long voxels and noise; and Liu
et al. 2021, doi:10.1038/s41467-021-27317-1, for protocols at 0.055 T. T2 is taken to be the same at all fields.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.chance import chance, integer, log_uniform, uniform
from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.contrast import SEQUENCES, Sequence
from spinecho.sim.tissue import TISSUES

FIELDS_T = (0.05, 0.55)
"""Low field"""
REFERENCE_T = 1.5
"""What images are lifted to"""
_NAMES = ("t1", "t2", "flair", "pd", "gre")
_TIMINGS = (0.25, 0.08)
"""Times at low field, and of the reference, differ from the usual ones by up to this power of e"""


def signals(sequence: Sequence, field_t: float) -> Float[Tensor, " tissue"]:
    """Of each of `TISSUES` in their order, the brightest of the brain being 1."""
    of = tissue_signals(sequence, field_t)
    return torch.tensor([of[name] for name in TISSUES], dtype=torch.float32)


def sample_pair(rng: torch.Generator) -> tuple[Float[Tensor, " tissue"], Float[Tensor, " tissue"], float]:
    """Signals at a low field and at `REFERENCE_T` by sequences of one kind, each with timings of its own; the field.

    T1-weighted sequences are adapted to the field, as people do: their times shrink with the T1 of white matter.
    """
    name = _NAMES[integer(rng, len(_NAMES))]
    field = log_uniform(rng, *FIELDS_T)
    low, high = (_timed(SEQUENCES[name], spread, rng) for spread in _TIMINGS)
    if name in ("t1", "gre"):
        adapted = uniform(rng, 0.0, 1.0)
        tissue = TISSUES["white matter"]
        ratio = (tissue.t1_at(field) / tissue.t1_at(REFERENCE_T)) ** adapted
        low = replace(low, tr_ms=low.tr_ms * ratio, ti_ms=low.ti_ms * ratio)
    return signals(low, field), signals(high, REFERENCE_T), field


def shown(tissues: Tensor, level: Float[Tensor, " tissue"], uneven: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
    """Each voxel's signal, times what makes tissue uneven."""
    return (level[tissues.long()] * uneven).clamp_min(0)


def sample_noise(rng: torch.Generator) -> tuple[float, bool]:
    """Standard deviation relative to the brightest tissue of the brain, and whether it is Rician."""
    return log_uniform(rng, 0.008, 0.16), chance(rng, 0.75)


def _timed(sequence: Sequence, spread: float, rng: torch.Generator) -> Sequence:
    by = torch.exp(spread * (2 * torch.rand(3, generator=rng) - 1)).tolist()
    return replace(sequence, te_ms=sequence.te_ms * by[0], tr_ms=sequence.tr_ms * by[1], ti_ms=sequence.ti_ms * by[2])
