"""What kind of image a frame is (magnitude, phase, a map, water, fat), from what each vendor writes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from spinecho.io.dicom.frame import Frame

_MAPS = {
    **dict.fromkeys(("PHASE MAP",), "phase"),
    **dict.fromkeys(("B0 MAP", "FIELD MAP", "FIELDMAP", "B0MAP"), "fieldmap"),
    **dict.fromkeys(("VELOCITY MAP", "VELOCITY"), "velocity"),
    **dict.fromkeys(("B1 MAP", "B1MAP"), "b1map"),
    **dict.fromkeys(("T1 MAP", "T1MAP"), "t1map"),
    **dict.fromkeys(("T2 MAP", "T2MAP"), "t2map"),
    **dict.fromkeys(("T2 STAR MAP", "T2* MAP", "T2STAR MAP"), "t2starmap"),
    **dict.fromkeys(("ADC", "ADC MAP"), "adc"),
    **dict.fromkeys(("WATER", "W"), "water"),
    **dict.fromkeys(("FAT", "F"), "fat"),
    **dict.fromkeys(("IN PHASE", "INPHASE", "IP"), "inphase"),
    **dict.fromkeys(("OUT PHASE", "OUTPHASE", "OPP PHASE", "OPPOSED PHASE", "OP"), "outphase"),
}
"""Words of ImageType (PS3.3 C.7.6.1.1.2, values 3 and on) that say more than which part of a complex number it is."""
_PARTS = {
    **dict.fromkeys(("M", "MAGNITUDE"), "magnitude"),
    **dict.fromkeys(("P", "PHASE"), "phase"),
    **dict.fromkeys(("R", "REAL"), "real"),
    **dict.fromkeys(("I", "IMAGINARY", "IMAG"), "imaginary"),
}
_OF_GE = ("magnitude", "phase", "real", "imaginary")
_ORDER = tuple(dict.fromkeys((*_OF_GE, *_MAPS.values())))


def words_of(image_type: Any) -> tuple[str, ...]:
    """ImageType or FrameType from its third value on, in one spelling."""
    values = [image_type] if isinstance(image_type, str) else list(image_type or ())
    return tuple(" ".join(str(v).upper().replace("_", " ").split()) for v in values[2:])


def kind_of(ds: Any, words: Sequence[str], component: str) -> str:
    """The kind of a frame; magnitude where nothing says another.

    Parameters
    ----------
    words
        Of its image type, as `words_of` gives them.
    component
        ComplexImageComponent, "" if absent.
    """
    letters = (word[0] for word in words if re.fullmatch("[MPRI] [A-Z0-9]+", word))
    said = [*(_MAPS.get(w, "") for w in words), _PARTS.get(component.upper(), "")]
    said += [*(_PARTS.get(w, "") for w in words), *(_PARTS[letter] for letter in letters), _private(ds)]
    return next((kind for kind in said if kind), "magnitude")


def by_kind(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    """Frames of each kind, the magnitude first, then the order of `_ORDER`, then names."""
    groups: dict[str, list[Frame]] = defaultdict(list)
    for f in frames:
        groups[f.kind].append(f)
    kinds: dict[str, list[Frame]] = {}
    for kind, group in groups.items():
        kinds |= _by_words(kind, group)
    place: Callable[[str], int] = lambda kind: _ORDER.index(kind) if kind in _ORDER else len(_ORDER)  # noqa: E731
    return {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: (place(kind), kind))}


def _by_words(kind: str, frames: list[Frame]) -> dict[str, list[Frame]]:
    """Frames whose image types differ and each cover all places are kinds that nobody knows: named by their words."""
    groups: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for f in frames:
        groups[f.words].append(f)
    places = [{_place(f) for f in group} for group in groups.values()]
    if any(p != places[0] or None in p for p in places):
        return {kind: frames}
    shared = set.intersection(*(set(words) for words in groups))
    named = {_slug([w for w in words if w not in shared]) or kind: group for words, group in groups.items()}
    return named if len(named) == len(groups) else {kind: frames}


def _place(f: Frame) -> tuple[float, ...] | None:
    return None if f.position is None else tuple(round(float(v), 2) for v in f.position)


def _slug(words: list[str]) -> str:
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def _private(ds: Any) -> str:
    """GE's number for the kind (0043,102F), Philips' letter (2005,1011); "" where there is none."""
    element, creator = ds.get((0x0043, 0x102F)), ds.get((0x0043, 0x0010))
    if element is not None and ("GE" in str(ds.get("Manufacturer", "")).upper() or "GEMS" in str(creator)):
        value = element.value
        number = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else value
        return _OF_GE[number] if isinstance(number, int) and number in range(4) else ""
    element = ds.get((0x2005, 0x1011))
    value = "" if element is None else element.value
    letter = value.decode("ascii", "ignore") if isinstance(value, bytes) else str(value)
    return _PARTS.get(letter.strip().upper(), "")
