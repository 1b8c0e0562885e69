"""Frames at the same places as whole volumes in the order of time; what a scan that was stopped left over is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from spinecho.core.errors import DataError
from spinecho.core.header import WARNING
from spinecho.core.names import listed
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.when import MEASURED, OF_VOLUMES

Places = list[list[Frame]]
"""Frames by place along the normal."""


def without_unfinished_slice(places: Places) -> tuple[Places, list[str]]:
    """The places, but for one at an end of the stack that was measured last and stopped: slices one after the other."""
    counts = [len(p) for p in places]
    short = [i for i, n in enumerate(counts) if n < max(counts)]
    if len(short) != 1 or short[0] not in (0, len(places) - 1) or len(places) < 3:
        return places, []
    odd, others = places[short[0]], [p for i, p in enumerate(places) if i != short[0]]
    if len({len(p) for p in others}) > 1 or min(map(_measured, odd)) < max(_measured(f) for p in others for f in p):
        return places, []
    reason = f"the slice measured last has {len(odd)} of {max(counts)} frames"
    return others, [_left_out(reason, odd)]


def contrasts(places: Places) -> tuple[list[Places], list[str]]:
    """Frames by (contrast, time, z), and what was left out.

    Raises
    ------
    DataError
        If some places have more frames than others and no stopped scan explains it, or echoes have different numbers.
    """
    echoes: list[tuple[float, ...]] = sorted({f.echo for p in places for f in p})
    if any(sorted({f.echo for f in p}) != echoes for p in places):
        echoes = [()]
    told, per_echo = [], []
    for echo in echoes:
        volumes, step = _whole([[f for f in p if echo in (f.echo, ())] for p in places])
        per_echo.append(volumes)
        told += step
    fewest = min(map(len, per_echo))
    most = max(map(len, per_echo))
    if most > fewest + 1 or (most > fewest and fewest < 2 and not told):
        raise DataError("its echoes have different numbers of frames", do="put each echo into its own folder")
    if most > fewest:
        surplus = [f for volumes in per_echo for volume in volumes[fewest:] for f in volume]
        told.append(_left_out(f"volume {fewest + 1} has not all of its {len(echoes)} echoes", surplus))
    return [volumes[:fewest] for volumes in per_echo], told


def _whole(places: Places) -> tuple[Places, list[str]]:
    """Volumes (time, z) of which none lacks a slice."""
    places = [sorted(p, key=lambda f: f.when) for p in places]
    counts = [len(p) for p in places]
    if len(set(counts)) == 1:
        return [[p[t] for p in places] for t in range(counts[0])], []
    volumes = _by_key(places) or _by_turns(places)
    if volumes is None:
        usual = max(set(counts), key=counts.count)
        odd = next(p for p in places if len(p) != usual)
        raise DataError(
            f"one slice is there {len(odd)} times ({listed([f.file for f in odd])}), most are there {usual} times",
            do="remove the doubles, or find what is missing",
        )
    whole = [v for v in volumes if len(v) == len(places)]
    told = [
        _left_out(f"volume {t} has {len(v)} of {len(places)} slices", v)
        for t, v in enumerate(volumes, 1)
        if len(v) < len(places)
    ]
    return whole, told


def _by_key(places: Places) -> Places | None:
    """Volumes whose slices share a temporal position or time; only the first and the last may lack slices."""
    for key in OF_VOLUMES:
        volumes: dict[float, list[Frame]] = defaultdict(list)
        for p in places:
            for f in p:
                volumes[f.when[key]].append(f)
        if len(volumes) != max(map(len, places)) or any(len({f.when[key] for f in p}) < len(p) for p in places):
            continue
        in_order = [volumes[value] for value in sorted(volumes)]
        if all(len(v) == len(places) for v in in_order[1:-1]) and any(len(v) == len(places) for v in in_order):
            return in_order
    return None


def _by_turns(places: Places) -> Places | None:
    """Volumes of slices that were measured in the same order again and again, until the scan was stopped."""
    n = len(places)
    in_order = sorted(((f, z) for z, p in enumerate(places) for f in p), key=lambda pair: _measured(pair[0]))
    turns = [z for _, z in in_order]
    if len(set(turns[:n])) < n or turns[n:] != turns[:-n]:
        return None
    volumes = [in_order[start : start + n] for start in range(0, len(in_order), n)]
    return [[f for f, _ in sorted(volume, key=lambda pair: pair[1])] for volume in volumes]


def _measured(f: Frame) -> tuple[float, ...]:
    return f.when[MEASURED]


def _left_out(reason: str, frames: Iterable[Frame] | Sequence[Frame]) -> str:
    files = [f.file for f in frames]
    return f"{WARNING}DICOM: stopped early? {reason}, which were left out: {listed(files, most=20)}"
