"""Odd and even echo-planar lines of a Siemens measurement: one phase for each slice and repetition."""

from __future__ import annotations

import numpy as np

from spinecho.io.twix.epi import least_entropy, navigator_phase, phase_ramp
from spinecho.io.twix.file import Measurement
from spinecho.io.twix.grid import Phases
from spinecho.io.twix.lines import Readout, Roles
from spinecho.io.twix.protocol import Protocol

_COILS = 4


def line_phases(m: Measurement, kinds: Roles, protocol: Protocol, readout: Readout) -> tuple[Phases, list[str]]:
    """What reversed lines are multiplied with, and notes for the header.

    Nothing for scans whose images hold lines of one direction only (bipolar multi-echo scans reverse whole images).
    """
    reflected = m.has("REFLECT")
    if not _mixed(m, kinds.image, reflected):
        return {}, []
    phases: dict[tuple[int, int, bool], np.ndarray] = {}
    slices, repetitions = m.counter("Sli"), m.counter("Rep")
    refined, found_navigators = 0, False
    for number in np.unique(slices[kinds.image]):
        own = kinds.image[slices[kinds.image] == number]
        times = np.unique(repetitions[own])
        estimates = {t: _estimate(m, kinds.navigators, readout, int(number), int(t)) for t in times}
        start = estimates[times[0]]
        found_navigators |= start is not None
        change = (0.0, 0.0)
        image = own[repetitions[own] == times[0]]
        if max(protocol.acceleration) == 1:
            first = start or (0.0, 0.0)
            best = least_entropy(*_one_image(m, image, readout, reflected), first)
            change = (best[0] - first[0], best[1] - first[1])
            refined += 1
        for t in times:
            slope, offset = estimates[t] or start or (0.0, 0.0)
            phases[int(number), int(t), False] = phase_ramp(slope + change[0], offset + change[1], readout.n)
    for number in np.unique(slices[kinds.reference]) if len(kinds.reference_navigators) else ():
        for t in np.unique(repetitions[kinds.reference]):
            estimate = _estimate(m, kinds.reference_navigators, readout, int(number), int(t))
            if estimate is not None:
                phases[int(number), int(t), True] = phase_ramp(*estimate, readout.n)
    notes = ["samples on gradient ramps regridded"] if protocol.ramp is not None else []
    notes += ["odd-even phase corrected from navigators"] if found_navigators else []
    notes += ["odd-even phase refined to least entropy"] if refined else []
    return phases, notes


def _mixed(m: Measurement, index: np.ndarray, reflected: np.ndarray) -> bool:
    """Whether lines of both directions make one image (the same echo, set and slice)."""
    names = ("Sli", "Eco", "Set", "Rep", "Phs")
    key = np.stack([m.counter(n)[index] for n in names], -1)
    _, group = np.unique(key, axis=0, return_inverse=True)
    total = np.bincount(group.ravel())
    backwards = np.bincount(group.ravel(), reflected[index].astype(float))
    return bool(((backwards > 0) & (backwards < total)).any())


def _estimate(
    m: Measurement, navigators: np.ndarray, readout: Readout, number: int, repetition: int
) -> tuple[float, float] | None:
    """From the navigators of this slice and repetition, or of this slice; None without both directions."""
    reflected = m.has("REFLECT")
    usable = navigators[m.lines["SamplesInScan"][navigators] == readout.n_samples]
    own = usable[m.counter("Sli")[usable] == number]
    now = own[m.counter("Rep")[own] == repetition]
    for index in (now, own):
        if reflected[index].any() and not reflected[index].all():
            lines = np.concatenate([pixels for _, pixels in readout.lines(m, index)])
            backwards = reflected[index]
            return navigator_phase(lines[backwards], lines[~backwards])
    return None


def _one_image(
    m: Measurement, index: np.ndarray, readout: Readout, reflected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lines (coil, y, x) of the strongest coils of one image, each line once, and which were read backwards."""
    first = np.stack([m.counter(n)[index] for n in ("Eco", "Set", "Phs", "Par")], -1)
    index = index[(first == first[0]).all(1)]
    numbers, once = np.unique(m.counter("Lin")[index], return_index=True)
    lines = np.concatenate([pixels for _, pixels in readout.lines(m, index[once])]).swapaxes(0, 1)
    strongest = np.argsort((np.abs(lines) ** 2).sum((1, 2)))[-_COILS:]
    full = np.zeros((len(strongest), int(numbers[-1] - numbers[0]) + 1, lines.shape[-1]), np.complex64)
    full[:, numbers - numbers[0]] = lines[strongest]
    backwards = np.zeros(full.shape[1], bool)
    backwards[numbers - numbers[0]] = reflected[index[once]]
    return full, backwards
