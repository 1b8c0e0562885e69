"""How simulated scans are acquired: files of `acquisitions/` by name, and the share of the scans that each makes.

A file there is an acquisition. Its docstring says what it draws, and it offers what `Acquisition` says; nothing is
registered.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.drawing import Drawing
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples import acquisitions

Shares = tuple[tuple[str, float], ...]
"""Names with their shares, which add up to 1."""
CARTESIAN: Shares = (("cartesian", 1.0),)


@runtime_checkable
class Acquisition(Protocol):
    """`acquisitions/NAME.py`."""

    def draw(
        self, drawing: Drawing, step: torch.Generator, examples: Sequence[torch.Generator], device: torch.device
    ) -> KSpace:
        """Scans of objects, undersampled, prepared, with their truth as `target` (`examples.draw.Source.batch`).

        Parameters
        ----------
        drawing
            Draws objects and coils; what it makes of its bucket and of the samples can be changed.
        """
        ...

    def refusal(self, method: Recon) -> str | None:
        """Why the method cannot train on such scans; None if it can."""
        ...


def acquisition_names() -> list[str]:
    """The files of the folder, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(acquisitions.__path__))


def acquisition(name: str) -> Acquisition:
    """The module of an acquisition."""
    return cast(Acquisition, import_module(f"{acquisitions.__name__}.{name}"))


def chosen(given: Sequence[str], radial: float, method: Recon, name: str) -> Shares:
    """The acquisitions that a person wants, for a method called `name`.

    Parameters
    ----------
    given
        NAME or NAME:SHARE; those without a share have equal parts of what is left.
    radial
        Short for radial:SHARE and cartesian for the rest; 0: not said.

    Raises
    ------
    DataError
        If a name is unknown, shares do not add up to 1, or the method cannot take such scans. Whether one for whole
        series takes single frames matters only where there are images (`sources`): raw series need no acquisition.
    """
    if radial:
        if tuple(given) not in ((), ("cartesian",)):
            do = f"say it with {setting('acquire', ('radial:SHARE',))} alone"
            raise DataError(f"{setting('radial')} and {setting('acquire')} are both given", do=do)
        if not 0 < radial <= 1:
            raise DataError(f"{setting('radial')} is {radial:g}", do="give a share from 0 to 1")
        given = (f"radial:{radial!r}", f"cartesian:{1 - radial!r}")
    shares = _shares(given)
    if method.whole_series and shares == CARTESIAN:
        return shares
    for one, share in shares:
        if share and (reason := acquisition(one).refusal(method)):
            option = setting("radial") if radial else setting("acquire", (one,))
            raise DataError(f"{name} cannot train on {one} scans: {reason}", do=f"leave out {option}")
    return shares


def _shares(given: Sequence[str]) -> Shares:
    told: dict[str, float | None] = {}
    for text in given:
        name, colon, number = text.partition(":")
        if name not in acquisition_names():
            raise DataError(f"there is no acquisition {name!r}", do=f"known are {', '.join(acquisition_names())}")
        if name in told:
            raise DataError(f"{setting('acquire')} names {name} twice", do="name it once")
        told[name] = _share(text, number) if colon else None
    total = sum(share for share in told.values() if share is not None)
    open_ones = sum(share is None for share in told.values())
    if not told or total > 1 + 1e-9 or (not open_ones and total < 1 - 1e-9):
        raise DataError(
            f"the shares of {setting('acquire')} add up to {total:g}",
            do="give shares that add up to 1, or leave one out",
        )
    rest = (1 - total) / max(open_ones, 1)
    return tuple((name, rest if share is None else share) for name, share in told.items())


def _share(text: str, number: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise DataError(
            setting("acquire", (text,)), do="give NAME or NAME:SHARE with a share from 0 to 1, as radial:0.3"
        )
    return share
