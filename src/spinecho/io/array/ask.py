"""The error that asks for an array's axes: guesses from its sizes and its samples, each with a command that runs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spinecho.core.errors import DataError, setting, typed
from spinecho.io.array.traj import laid_out
from spinecho.io.array.variable import Variable
from spinecho.io.guess import TOO_MANY, Guess, guesses, phase_encode, run_outwards, swapped
from spinecho.io.hdf5 import is_hdf5
from spinecho.io.options import ReadOptions

_LOOKED_AT = 2**28
_NAMES = "the names are coil k2 k1 k0, or z y x for images, and slice time contrast average repetition"


def question(
    variable: Variable, shape: Sequence[int], traj: Variable | None, options: ReadOptions, path: Path, *, image: bool
) -> DataError:
    """What can be guessed of an array's axes, to be raised.

    Parameters
    ----------
    shape
        Of the axes to be named (without one of real and imaginary parts).
    traj
        The trajectory's points, if there are any.
    image
        It holds real numbers, an image.
    """
    with path.open("rb") as file:
        plain_hdf5 = is_hdf5(file.read(8)) and path.suffix.lower() != ".mat"
    coil_images = options.domain == "coil-images"
    readings = guesses(
        shape,
        image=image and not coil_images,
        coil_images=coil_images,
        column_major=path.suffix.lower() == ".mat",
        named=variable.name,
        plain_hdf5=plain_hdf5,
    )
    if not readings:
        return DataError(f"an array of {len(shape)} axes, {variable.shape}: more than have names", do=TOO_MANY)
    is_small = math.prod(variable.shape) * 8 <= _LOOKED_AT
    if traj is not None and math.prod(traj.shape) * 8 <= _LOOKED_AT:
        readings = _by_trajectory(readings, traj, shape)
    elif not (image or coil_images) and is_small:
        readings = [_by_zeros(guess, variable) for guess in readings]
    key = typed(f" {setting('key', options.key)}") if options.key else ""
    along = typed(f" {setting('traj', options.traj)}") if options.traj else ""
    domain = typed(f" {setting('domain', 'coil-images')}") if coil_images else ""
    command = "info" if image and not coil_images else "recon"
    first, *others = readings
    said = "".join(f"; or {typed(setting('axes', g.axes))} ({g.why})" for g in others)
    return DataError(
        f"an array of shape {variable.shape} {variable.dtype} can be read in several ways",
        do=f'name its axes: spinecho {command} {shlex.quote(path.name)}{key}{along} --axes "{first.axes}"{domain} '
        f"(a guess, {first.why}){said}; only its owner knows ({_NAMES})",
    )


def _by_zeros(guess: Guess, variable: Variable) -> Guess:
    """k0 and k1 put right where one plane's lines of zeros show which of them is the phase encode."""
    names = guess.axes.split()
    if "k0" not in names or "k1" not in names:
        return guess
    sides = [i for i, n in enumerate(names) if n in ("k0", "k1")]
    middle = tuple(
        slice(None) if i in sides else slice(n // 2, n // 2 + 1)
        for i, n in enumerate(variable.shape[: len(names)])
    )  # fmt: skip
    block = variable.read(middle)
    if block.dtype.names:
        block = block[block.dtype.names[0]]
    rest = [i for i in range(block.ndim) if i not in sides]
    side = phase_encode(block.transpose([*rest, *sides]))
    if side is None:
        return guess
    why = f"{guess.why}, its lines of zeros lie across axis {sides[side] + 1}"
    return Guess(guess.axes if names[sides[side]] == "k1" else swapped(guess.axes), why)


def _by_trajectory(readings: list[Guess], traj: Variable, shape: Sequence[int]) -> list[Guess]:
    """The guesses that the trajectory's shape fits, k0 along its readouts; all if none does."""
    points = traj.read(())
    fitting = []
    for guess in readings:
        ways = []
        for axes in (guess.axes, swapped(guess.axes)):
            try:
                ways.append((run_outwards(laid_out(points, axes.split(), shape)), axes))
            except DataError:
                continue
        if ways:
            why = f"{guess.why}, the trajectory runs along its axis k0"
            first, last = ways[0], ways[-1]
            fitting.append(replace(guess, axes=last[1] if last[0] > 1.1 * first[0] else first[1], why=why))
    return fitting or readings
