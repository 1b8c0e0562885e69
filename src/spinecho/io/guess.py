"""What the axes of an array probably are, for an error's command: guesses in order of likelihood, with their reasons.

Nothing is read with a guess: a shape does not tell coils from slices. Layouts that programs are known to write are
compared by their sizes (coils are few, an image's sides long), by the kind of file (column-major programs write .mat)
and by a data set's name (fastMRI's `kspace`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_USUAL_COILS = {8: 1.0, 16: 1.0, 32: 1.0, **dict.fromkeys((4, 6, 12, 15, 18, 20, 24, 28, 30, 34, 48, 64), 0.5)}
_MOST, _FAR = 3, 8.0
_EXTRA = ("slice", "time", "contrast", "repetition", "average")
# Layouts with P and Q for the two sides of the picture, who writes them, and their weight before anything is looked at.
_ROWS_FIRST = (
    ("coil P Q", "coils first, as sigpy has them", 1.0),
    ("slice P Q", "slices of one coil", 0.0),
    ("slice coil P Q", "slices, then coils, the usual order of numpy", 1.0),
    ("coil slice P Q", "coils, then slices", 0.5),
    ("coil k2 P Q", "coils, then a volume encoded in three dimensions", 0.3),
    ("time slice coil P Q", "frames, slices, coils", 1.0),
    ("time coil k2 P Q", "frames, coils, a volume encoded in three dimensions", 0.5),
)
_COLUMNS_FIRST = (
    ("P Q coil", "coils last, as MATLAB has them", 1.0),
    ("P Q slice", "slices of one coil, last", 0.0),
    ("P Q coil slice", "coils, then slices, last", 0.9),
    ("P Q slice coil", "slices, then coils, last", 0.6),
    ("P Q k2 coil", "BART's order", 0.5),
    ("P coil Q slice", "coils after the readout, as Siemens' raw data have them", -0.5),
    ("P coil Q", "coils after the readout", -0.5),
    ("P Q coil slice time", "coils, slices, frames, last", 1.0),
    ("P Q k2 coil time", "BART's order with frames", 0.5),
)
_PICTURES = (
    ("slice P Q", "slices first", 1.0),
    ("P Q slice", "slices last", 0.9),
    ("time slice P Q", "frames, then slices", 1.0),
    ("P Q slice time", "slices, then frames, last", 0.9),
)


TOO_MANY = "leave out those of length 1: numpy.squeeze, or squeeze in MATLAB"
"""What to do about more axes than there are names."""


@dataclass(frozen=True)
class Guess:
    """Names of axes, and what speaks for them."""

    axes: str
    why: str


def guesses(
    shape: Sequence[int],
    *,
    image: bool = False,
    coil_images: bool = False,
    column_major: bool = False,
    named: str = "",
    plain_hdf5: bool = False,
) -> list[Guess]:
    """One to three readings of a shape, the likeliest first; none where there are more axes than names.

    Parameters
    ----------
    image
        It holds an image, not k-space.
    coil_images
        It holds images of single coils.
    column_major
        It comes from a program that counts the first axis fastest.
    named, plain_hdf5
        The variable's name, and whether it lies in an HDF5 file that is none of MATLAB's.
    """
    n = len(shape)
    if n <= 2:
        plane = ["y", "x"] if image or coil_images else ["k1", "k0"]
        return [Guess(" ".join(plane[2 - n :]), "the only reading")]
    scored: list[tuple[float, Guess]] = []
    like_fastmri = plain_hdf5 and named.strip("/") == "kspace" and n in (3, 4) and not (image or coil_images)
    for layout, why, weight, rows_first in _layouts(n, image, coil_images):
        names = layout.split()
        total = weight + _likelihood(names, shape) + 1.5 * (rows_first != column_major)
        plane = "y x" if image or coil_images else "k1 k0" if rows_first else "k0 k1"
        if like_fastmri and layout in ("slice coil P Q", "slice P Q"):
            total, plane, why = total + (6 if n == 4 else _single_coil(shape[0])), "k0 k1", "fastMRI's order"
        p, q = plane.split()
        if coil_images and ("k2" in names or "coil" not in names):
            continue
        scored.append((total, Guess(layout.replace("P", p).replace("Q", q), why)))
    scored.sort(key=lambda pair: -pair[0])
    best = max((total for total, _ in scored), default=0.0)
    return [guess for total, guess in scored if total > best - _FAR][:_MOST]


def completed(given: Sequence[str], shape: Sequence[int]) -> str:
    """The likeliest names for a shape that keep those given, in their order, where that can be; "": there are none."""
    of_image = not set(given) & {"k0", "k1", "k2"}
    readings = guesses(shape, coil_images=of_image)
    if of_image and "coil" not in given:
        readings += guesses(shape, image=True)
    ways = [axes for g in readings for axes in (g.axes, swapped(g.axes))]
    return next((w for w in ways if [n for n in w.split() if n in given] == list(given)), "".join(ways[:1]))


def _layouts(n: int, image: bool, coil_images: bool) -> list[tuple[str, str, float, bool]]:
    if image:
        known = [(*entry, entry[0].endswith("P Q")) for entry in _PICTURES]
    else:
        known = [(*entry, True) for entry in _ROWS_FIRST] + [(*entry, False) for entry in _COLUMNS_FIRST]
    fitting = [entry for entry in known if len(entry[0].split()) == n]
    if fitting:
        return fitting
    coil = [] if image else ["coil"]
    extra = [*_EXTRA, "z" if image or coil_images else "k2"][: n - 2 - len(coil)]
    if len(extra) < n - 2 - len(coil):
        return []
    why = "one of many readings of so many axes"
    return [
        (" ".join([*extra[::-1], *coil, "P", "Q"]), why, 0.0, True),
        (" ".join(["P", "Q", *coil, *extra]), why, 0.0, False),
    ]


def _likelihood(names: Sequence[str], shape: Sequence[int]) -> float:
    """How well sizes fit names, as a sum of (rough) logarithms."""
    sizes = dict(zip(names, shape, strict=True))
    sides = sorted((sizes["P"], sizes["Q"]))
    total = sum(0.0 if s >= 32 else -1.0 if s >= 16 else -3.0 if s >= 8 else -6.0 for s in sides)
    total -= 2.0 * (sides[1] > 4 * sides[0])
    for name, size in sizes.items():
        if name == "coil":
            total += (
                _USUAL_COILS.get(size, 0.0) if 1 < size <= 64 else -1.0 if size == 1 else -3.0 if size <= 128 else -8.0
            )
        elif name not in ("P", "Q"):
            total -= 4.0 * (size > 300)
        if name not in ("P", "Q", "k2"):
            total -= 2.0 * (size > sides[0])
    return total


def _single_coil(n: int) -> float:
    """fastMRI's files of one coil have some 30 to 40 slices; a usual number of coils speaks for coils."""
    return 4.0 if n not in _USUAL_COILS else 0.0


def phase_encode(block: np.ndarray) -> int | None:
    """Which of the two sides (0 or 1) of planes (..., P, Q) is the phase encode: lines of zeros lie across it.

    Returns
    -------
    None where neither side, or both, have such lines.
    """
    points = (block != 0).reshape(-1, *block.shape[-2:]).any(0)
    gaps = [bool((~points.any(1 - side)).any()) for side in (0, 1)]
    return None if gaps[0] == gaps[1] or not points.any() else gaps.index(True)


def run_outwards(points: np.ndarray) -> float:
    """How far the distance from the centre varies along k0 of a trajectory (..., k0, 3): most along its readouts.

    Spokes and arms are turned copies of one another, so that across them it hardly varies.
    """
    return float(np.linalg.norm(points, axis=-1).std(-1).mean())


def swapped(axes: str) -> str:
    """k0 and k1 exchanged."""
    turned = {"k0": "k1", "k1": "k0"}
    return " ".join(turned.get(n, n) for n in axes.split())
