"""Run a blinded reader study in the browser (real and synthetic images, judged one by one), and evaluate it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spinecho.cli.console import Terminal
from spinecho.cli.parse import parse
from spinecho.core.option import Option

if TYPE_CHECKING:
    from spinecho.serve.study.session import Session


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    folders: Annotated[tuple[Path, ...], Option(positional=True, metavar="[REAL SYNTHETIC]")] = ()
    """the folder of real images, then that of synthetic ones: PNG, NIfTI, DICOM, .npy"""
    out: Path
    """folder of the study, with one JSON file per reader; the same command continues a study"""
    results: bool = False
    """evaluate the answers: print statistics and write OUT/results.html, with images if the two folders are given"""
    seed: int = 0
    """seed for the order of the images, which differs from reader to reader"""
    port: int | None = None
    """port of the page, on this machine only (default: 8737, or a free one)"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Serve until it is stopped; or tell the results."""
    args = parse(Arguments, "study", __doc__ or "", arguments)
    from spinecho.serve.study import run as study

    terminal = Terminal()
    if args.results:
        pictures = study.gathered(args.folders, args.seed, terminal.say, terminal.warn) if args.folders else None
        command = shlex.join(["spinecho", "study", *arguments])
        print(f"wrote {study.evaluated(args.out, pictures, command, terminal.say)}")
        return 0
    made, shown = study.gathered(args.folders, args.seed, terminal.say, terminal.warn)
    serve(args, study.session(args.out, made, shown), terminal)
    return 0


def serve(args: Arguments, session: Session, terminal: Terminal) -> None:
    """Answer the browser until Ctrl-C."""
    from spinecho.serve.study.server import opened

    with closing(session), opened(session, args.port) as server:
        terminal.say(f"readers begin at {server.url} (this machine only); Ctrl-C stops, the same command continues")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"the answers are in {args.out}; the same command continues") from None
