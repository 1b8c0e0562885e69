"""Signal equations: from T1, T2 and proton density to the image of a sequence. Times in ms."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor


def spin_echo(pd: Tensor, t1: Tensor, t2: Tensor, *, te_ms: float, tr_ms: float) -> Tensor:
    """S = PD (1 - 2 exp(-(TR - TE/2) / T1) + exp(-TR / T1)) exp(-TE / T2).

    Source: Bernstein, King, Zhou, Handbook of MRI Pulse Sequences, 2004, section 14.3 (90-180 degrees).
    """
    recovered = 1 - 2 * torch.exp(-(tr_ms - te_ms / 2) / t1) + torch.exp(-tr_ms / t1)
    return pd * recovered * torch.exp(-te_ms / t2)


def gradient_echo(pd: Tensor, t1: Tensor, t2s: Tensor, *, te_ms: float, tr_ms: float, flip_deg: float) -> Tensor:
    """S = PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE / T2*) with E1 = exp(-TR / T1): spoiled, steady state.

    Source: Ernst and Anderson 1966, doi:10.1063/1.1719961.
    """
    a, e1 = math.radians(flip_deg), torch.exp(-tr_ms / t1)
    return pd * math.sin(a) * (1 - e1) / (1 - math.cos(a) * e1) * torch.exp(-te_ms / t2s)


def inversion_recovery(pd: Tensor, t1: Tensor, t2: Tensor, *, te_ms: float, tr_ms: float, ti_ms: float) -> Tensor:
    """S = PD (1 - 2 exp(-TI / T1) + 2 exp(-(TR - TE/2) / T1) - exp(-TR / T1)) exp(-TE / T2); it has a sign.

    Source: Bernstein, King, Zhou, Handbook of MRI Pulse Sequences, 2004, section 14.2 (180-90-180 degrees).
    """
    recovered = 1 - 2 * torch.exp(-ti_ms / t1) + 2 * torch.exp(-(tr_ms - te_ms / 2) / t1) - torch.exp(-tr_ms / t1)
    return pd * recovered * torch.exp(-te_ms / t2)


def nulling_ti_ms(t1_ms: float, *, tr_ms: float, te_ms: float = 0.0) -> float:
    """The inversion time at which a tissue gives no signal: FLAIR for the T1 of cerebrospinal fluid.

    Source: the zero of `inversion_recovery`; Hajnal et al. 1992, doi:10.1097/00004728-199211000-00001 (FLAIR).
    """
    rest = 1 + 2 * math.exp(-(tr_ms - te_ms / 2) / t1_ms) - math.exp(-tr_ms / t1_ms)
    return t1_ms * math.log(2 / rest)


def t1_at_field(t1_ms: float, exponent: float, field_t: float) -> float:
    """T1 at another field strength from its value at 3 T: T1 (B0 / 3 T)^exponent.

    Source: Bottomley et al. 1984, doi:10.1118/1.595535 (T1 = A nu^B); exponents of grey and white matter from Rooney
    et al. 2007, doi:10.1002/mrm.21122 (0.376, 0.382); fluids 0.
    """
    return t1_ms * (field_t / 3.0) ** exponent


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A sequence and its timing; `flair` sets TI itself, so that cerebrospinal fluid is dark."""

    kind: Literal["spin-echo", "gradient-echo", "inversion-recovery", "flair"]
    te_ms: float
    tr_ms: float
    ti_ms: float = 0.0
    flip_deg: float = 90.0

    def signal(self, pd: Tensor, t1: Tensor, t2: Tensor, t2s: Tensor) -> Tensor:
        """The signal; magnitude is left to the caller (inversion recovery has a sign). Where PD = 0 there is none."""
        t1, t2, t2s = (t.clamp_min(1e-3) for t in (t1, t2, t2s))
        if self.kind == "spin-echo":
            return spin_echo(pd, t1, t2, te_ms=self.te_ms, tr_ms=self.tr_ms)
        if self.kind == "gradient-echo":
            return gradient_echo(pd, t1, t2s, te_ms=self.te_ms, tr_ms=self.tr_ms, flip_deg=self.flip_deg)
        return inversion_recovery(pd, t1, t2, te_ms=self.te_ms, tr_ms=self.tr_ms, ti_ms=self.ti_ms)

    def with_nulled(self, t1_csf_ms: float) -> Sequence:
        """For `flair`: the sequence with the inversion time that nulls this T1; else itself."""
        if self.kind != "flair":
            return self
        return replace(self, ti_ms=nulling_ti_ms(t1_csf_ms, tr_ms=self.tr_ms, te_ms=self.te_ms))


SEQUENCES = {
    "t1": Sequence(kind="inversion-recovery", te_ms=4.0, tr_ms=2300.0, ti_ms=900.0),
    "t2": Sequence(kind="spin-echo", te_ms=90.0, tr_ms=5000.0),
    "pd": Sequence(kind="spin-echo", te_ms=12.0, tr_ms=4000.0),
    "flair": Sequence(kind="flair", te_ms=110.0, tr_ms=9000.0),
    "gre": Sequence(kind="gradient-echo", te_ms=4.0, tr_ms=250.0, flip_deg=70.0),
}
"""Typical clinical timings by name."""
