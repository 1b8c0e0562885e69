"""What is known about a scan besides its samples: scanner, sequence, patient, and what has been done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from spinecho.core.errors import plain as worded

WARNING = "warning: "
"""How steps of the history begin that a person must not overlook."""
TOOK = "auto took "
"""How the step of the history begins that says which method `auto` took, its name up to the colon."""
GRID = "grid."
"""How names in `Header.kept` begin that hold on the file's own grid alone, as the timing of its slices does."""

UNRELATED = "T1, synthetic"
"""Sequence of volumes whose slices have nothing to do with each other: pictures that `generate` made"""

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Header:
    """Facts that travel with a scan from the reader to the written image.

    Parameters
    ----------
    source, file_format
        The file it came from, and which reader took it.
    vendor, model, field_t
        Scanner; field strength in tesla (0: unknown).
    te_ms, tr_ms, ti_ms, flip_deg
        Sequence timings (one entry per contrast) and flip angles.
    slice_thickness_mm
        0: unknown. The distance between slices is in the geometry.
    protocol, patient
        Protocol name; what the source records about the patient (`name id birth_date sex position study_uid ...`).
    flags
        Short facts that change how the result may be used: `orientation=unknown`, `simulated`,
        `retrospectively undersampled`.
    kept
        Facts that only a file of the same format can hold again (`dtype slope intercept descrip ...`).
    history
        What was done, in order, one sentence per step; the report prints it. Steps that begin with "warning: " say
        why the result may be wrong; the command line shows them as warnings.
    """

    source: str = ""
    file_format: str = ""
    vendor: str = ""
    model: str = ""
    field_t: float = 0.0
    te_ms: tuple[float, ...] = ()
    tr_ms: tuple[float, ...] = ()
    ti_ms: tuple[float, ...] = ()
    flip_deg: tuple[float, ...] = ()
    slice_thickness_mm: float = 0.0
    sequence: str = ""
    protocol: str = ""
    patient: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    kept: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    flags: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    def flagged(self, *flags: str) -> Header:
        """The header with these flags added once."""
        return replace(self, flags=(*self.flags, *(f for f in dict.fromkeys(flags) if f not in self.flags)))

    def noted(self, *steps: str) -> Header:
        """The header with these steps added to the history, settings as Python has them."""
        return replace(self, history=(*self.history, *map(worded, steps)))

    def warned(self, *steps: str) -> Header:
        """The header with these steps added to the history as warnings."""
        return self.noted(*(WARNING + step for step in steps))

    def by(self, method: str) -> str:
        """The method's name, for people; of `auto` with that of the method which it took last."""
        took = [step[len(TOOK) :].partition(":")[0] for step in self.history if step.startswith(TOOK)]
        return f"{method} ({took[-1]})" if method == "auto" and took else method

    def anew(self, *steps: str) -> Header:
        """The header of other values on the same grid, computed by these steps: nothing of the old numbers is kept."""
        return replace(self.noted(*steps), kept=_EMPTY)

    def regridded(self) -> Header:
        """The header of the same values on another grid."""
        return replace(self, kept={name: text for name, text in self.kept.items() if not name.startswith(GRID)})

    def plain(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {**vars(self), "patient": dict(self.patient), "kept": dict(self.kept)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as plain values: the empty mapping is one that stays in its process."""
        return partial(Header, **self.plain()), ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings in the history, each once, without the word."""
        return tuple(dict.fromkeys(step[len(WARNING) :] for step in self.history if step.startswith(WARNING)))
