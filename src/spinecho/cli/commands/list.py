"""List methods and file formats."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from spinecho.io.catalogue import known_formats
from spinecho.io.transform.suffix import SUFFIXES
from spinecho.methods import registry


@dataclass(frozen=True, kw_only=True)
class Arguments:
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Print the tables."""
    if arguments:  # the parser takes longer to import than everything else here
        from spinecho.cli.parse import parse

        parse(Arguments, "list", __doc__ or "", arguments)
    for task in registry.tasks():
        offers, what = registry.offers(task), registry.task_named(task).WHAT
        print(f"{what} methods (spinecho {task} --method NAME; options: spinecho {task} --method NAME --help)")
        width = max((len(o.name) for o in offers), default=0)
        for o in offers:
            print(f"  {o.name:<{width}}  {o.summary}{_state(task, o)}")
        print()
    for why in registry.not_used():
        print(f"not used: {why}", file=sys.stderr)
    print("file formats")
    for f in known_formats():
        does = ", ".join((["reads"] if f.reads else []) + [f"writes {kind}" for kind in f.writes])
        print(f"  {f.name:<8}  {' '.join(f.suffixes):<24}  {does}")
    print(f"\ntransform files (register --transform, apply)\n  {' '.join(SUFFIXES)}")
    return 0


def _state(task: str, offer: registry.Offer) -> str:
    """Which weights a learned method has, and which package it is from."""
    plugin = registry.elsewhere(task).get(offer.name)
    origin = f" [from {plugin.package or plugin.module}]" if plugin is not None else ""
    if not offer.learned:
        return origin
    if offer.weights is None:
        return f"{origin} [no weights yet: spinecho train {task}/{offer.method}]"
    of = f" for {offer.method}" if offer.method != offer.name else ""
    return f" [trained weights{of}, {offer.weights.stat().st_size / 1e6:.1f} MB]"
