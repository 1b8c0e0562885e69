"""List methods, weights and file formats."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spinecho.io.catalogue import known_formats
from spinecho.io.transform.suffix import SUFFIXES
from spinecho.methods import registry


@dataclass(frozen=True, kw_only=True)
class Arguments:
    json: bool = False
    """print one JSON object instead, for programs"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Print the tables."""
    if arguments:  # the parser takes longer to import than everything else here
        from spinecho.cli.parse import parse

        if parse(Arguments, "list", __doc__ or "", arguments).json:
            print(json.dumps(plain(), indent=1))
            return 0
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


def plain() -> dict[str, Any]:
    """All of it as JSON can hold it."""
    return {
        "tasks": [
            {
                "name": task,
                "what": registry.task_named(task).WHAT,
                "default": registry.task_named(task).DEFAULT,
                "methods": [_plain(task, o) for o in registry.offers(task)],
            }
            for task in registry.tasks()
        ],
        "formats": [
            {"name": f.name, "suffixes": f.suffixes, "reads": f.reads, "writes": f.writes} for f in known_formats()
        ],
        "transforms": SUFFIXES,
        "not_used": registry.not_used(),
    }


def _plain(task: str, offer: registry.Offer) -> dict[str, Any]:
    plugin = registry.elsewhere(task).get(offer.name)
    return {
        "name": offer.name,
        "method": offer.method,
        "summary": offer.summary,
        "learned": offer.learned,
        "ready": offer.is_ready,
        "weights": str(offer.weights) if offer.weights else None,
        "package": "spinecho" if plugin is None else plugin.package or plugin.module,
    }


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
