"""From two images as read to the transform between them: prepare both, run a method, record what each stage did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.core.log import logged, logger
from spinecho.core.transform import Transform
from spinecho.io.limits import out_of_memory
from spinecho.methods.pretrained import built
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.parts.volumes import comparable


@dataclass(frozen=True)
class Registration:
    """What a registration found, and how.

    Parameters
    ----------
    transform
        Fixed world to moving world, LPS mm.
    method, settings
        The method that was run, and every field of its `Config`.
    seconds
        Of each stage, in order.
    told
        What each stage reported, by its name; warnings are listed separately.
    warnings
        What you should know before trusting the result.
    """

    transform: Transform
    method: str
    settings: Mapping[str, Any]
    seconds: Mapping[str, float]
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def register(
    fixed: Image, moving: Image, method: str = "hybrid", *, mask: Image | None = None, **settings: Any
) -> Transform:
    """Align two volumes.

    Parameters
    ----------
    fixed, moving
        As read: any orientation, spacing, size, contrast and scale.
    method
        Name of a method, or of trained weights in the package (`spinecho list`).
    mask
        On any grid in the fixed world: the images are compared where it is over 0.
    settings
        Fields of that method's `Config`; for a learned method also `weights`, a file to use instead of those in the
        package.

    Returns
    -------
    The transform from the fixed world to the moving world, LPS mm: `transform.warp(moving, onto=fixed.geometry)`.

    Raises
    ------
    DataError
        If an image cannot be used, or a setting is unknown.
    """
    return run(fixed, moving, method, mask=mask, settings=settings).transform


@logged("register")
def run(
    fixed: Image,
    moving: Image,
    method: str = "hybrid",
    *,
    mask: Image | None = None,
    settings: Mapping[str, Any] | None = None,
    tell: Callable[[Stage], None] | None = None,
) -> Registration:
    """As `register`, with all that is known afterwards; `tell` hears of each stage while it works."""
    runner = build(method, settings or {}, fixed.values.device)
    fixed, moving = comparable(fixed, "fixed", mask), comparable(moving, "moving")
    seconds: dict[str, float] = {}
    told: dict[str, tuple[str, ...]] = {}
    doubts: list[str] = []
    last: Stage | None = None
    log, begin = logger("register"), time.perf_counter()
    with torch.inference_mode(), _enough_memory(method, runner):
        for last in runner.stages(fixed, moving):
            if tell is not None:
                tell(last)
            if last.ended:
                now = time.perf_counter()
                seconds[last.name] = seconds.get(last.name, 0.0) + now - begin
                log.info("%s: %.2f s%s", last.name, now - begin, f", {last.note}" if last.note else "")
                begin = now
                if last.note.startswith(WARNING):
                    doubts.append(last.note[len(WARNING) :])
                elif last.note:
                    told[last.name] = (*told.get(last.name, ()), last.note)
    assert last is not None
    used = {name: getattr(runner.config, name) for name in runner.config.__dataclass_fields__}
    warnings = tuple(dict.fromkeys((*fixed.header.warnings, *moving.header.warnings, *doubts)))
    return Registration(last.transform, method, used, seconds, told, warnings)


@contextmanager
def _enough_memory(method: str, runner: Register) -> Iterator[None]:
    """Where memory runs out, which of the method's settings would need less."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        do = "use another method (affine needs least), or give images on a coarser grid"
        if less := runner.coarser(4):
            do = "work on a coarser grid: " + " ".join(setting(n, float(f"{v:g}")) for n, v in less.items())
        raise DataError(f"there is not enough memory for {method}", do=do) from error


def build(method: str, settings: Mapping[str, Any], device: torch.device | str = "cpu") -> Register:
    """The method with its settings, as `pretrained.built` says."""
    runner = built("register", method, settings, device)
    assert isinstance(runner, Register)
    return runner
