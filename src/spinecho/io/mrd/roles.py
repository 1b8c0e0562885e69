"""What each line of an MRD file is for: an image, a calibration scan of its own, noise, or nothing that is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spinecho.io.mrd.lines import SKIPPED, Lines
from spinecho.io.mrd.own import OWN
from spinecho.io.mrd.xml import EncodingSpace, ScanHeader

Array = np.ndarray[Any, np.dtype[Any]]
_WITHIN, _APART = ("embedded", "interleaved", "interleaveddynamic"), ("separate", "external")
_ENTRY = ("slice", "contrast", "set", "repetition", "phase")
_STEPS = ("kspace_encode_step_1", "kspace_encode_step_2")


@dataclass(frozen=True, kw_only=True, eq=False)
class Roles:
    """Masks over all lines, and sentences on what was decided.

    `calibration` holds the lines of a separate calibration scan; those measured within the scan are among `imaging`.
    """

    imaging: Array
    calibration: Array
    noise: Array
    skipped: Array
    notes: tuple[str, ...]

    def counts(self) -> str:
        """How many lines there are of each kind, for messages."""
        names = ("imaging", "calibration", "noise", "skipped")
        return ", ".join(f"{n} {name}" for name in names if (n := int(getattr(self, name).sum())))


def roles(lines: Lines, header: ScanHeader) -> Roles:
    """Sort lines by their flags, and by the header's calibrationMode."""
    skipped, notes, noise = np.zeros(len(lines), bool), [], lines.flagged("noise")
    for name in SKIPPED:
        mask = lines.flagged(name) & ~skipped & ~noise
        if mask.any():
            notes.append(f"{int(mask.sum())} {name} lines skipped")
        skipped |= mask
    empty = lines.heads["number_of_samples"] == 0
    measured = ~(skipped | noise | empty)
    alone = measured & lines.flagged("calibration") & ~lines.flagged("calibration and imaging")
    image = measured & ~alone
    within, why = _within(lines, image, alone, header) if alone.any() else (alone, "")
    repeated = _agreeing(lines, within, image, _ENTRY + _STEPS)
    fresh = within & ~repeated
    if fresh.any():
        notes.append(f"{int(fresh.sum())} lines flagged as calibration alone are part of the image: {why}")
    if repeated.any():
        notes.append(f"{int(repeated.sum())} calibration lines repeat lines of the image: left out")
    return Roles(
        imaging=image | fresh,
        calibration=alone & ~within,
        noise=noise & ~empty,
        skipped=skipped | repeated,
        notes=tuple(notes),
    )


def encoding_of(lines: Lines, header: ScanHeader) -> tuple[EncodingSpace, Array]:
    """The encoding that the first lines use, and all references to one like it: limits and calibration may differ."""
    refs = lines.heads["encoding_space_ref"].astype(np.int64)
    spaces = {int(r): header.encodings[min(int(r), len(header.encodings) - 1)] for r in np.unique(refs)}
    first = spaces[int(refs[0])]
    like = [r for r, s in spaces.items() if replace(s, limits=first.limits, calibration=first.calibration) == first]
    return first, np.array(like)


def _within(lines: Lines, image: Array, alone: Array, header: ScanHeader) -> tuple[Array, str]:
    """Which of the lines flagged as calibration alone were measured within the scan, and so are of the image; and why.

    The header's mode says so, or lines flagged as both. Where they contradict each other or are silent, places
    decide: a scan of its own measures lines again that the image has, calibration within the scan fills gaps.
    """
    nothing = np.zeros_like(alone)
    space, like = encoding_of(lines[image if image.any() else alone], header)
    mode = "separate" if OWN in header.user else space.calibration
    within = alone & np.isin(lines.heads["encoding_space_ref"], like)
    if not image.any():
        return (within, f"the header says {mode}") if mode in _WITHIN else (nothing, "")
    for name in ("active_channels", "trajectory_dimensions"):
        within &= np.isin(lines.heads[name], lines.heads[name][image])
    within = _agreeing(lines, within, image, _ENTRY)
    both = bool((image & lines.flagged("calibration and imaging")).any())
    if mode in _WITHIN:
        return within, f"the header says {mode}"
    if both and mode not in _APART:
        return within, "others are flagged as calibration and imaging"
    if (both or mode not in _APART) and _fills_gaps(lines, image, within):
        return within, "they fill gaps of the image and repeat none of its lines"
    return nothing, ""


def _fills_gaps(lines: Lines, image: Array, some: Array) -> bool:
    """Whether some lines lie around lines of the image and repeat none of their slice and frame."""
    if not some.any():
        return False
    steps = np.stack([lines.counter(name) for name in _STEPS])
    low, high = steps[:, some].min(1, keepdims=True), steps[:, some].max(1, keepdims=True)
    amid = image & (steps >= low).all(0) & (steps <= high).all(0)
    return bool(amid.any()) and not _agreeing(lines, some, image, _ENTRY + _STEPS).any()


def _agreeing(lines: Lines, some: Array, image: Array, names: tuple[str, ...]) -> Array:
    """Those of some lines that have these counters in common with a line of the image."""
    if not some.any():
        return some
    rows = np.stack([lines.counter(name) for name in names], -1)
    key = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return some & np.isin(key, key[image])
