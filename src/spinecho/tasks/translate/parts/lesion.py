"""What a lesion of white matter looks like in a contrast, by the signal equations."""

from __future__ import annotations

from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.contrast import SEQUENCES


def amplitude(contrast: str) -> float:
    """Of a lesion in white matter, in units of the level: (S_lesion - S_white) / (S_white + S_grey)."""
    signals = tissue_signals(SEQUENCES[contrast])
    white, grey = signals["white matter"], signals["grey matter"]
    return (signals["lesion"] - white) / (white + grey)
