"""A training in one folder, for a machine that has torch, numpy, scipy, h5py and matplotlib, and none of our readers.

`spinecho train TASK/NAME ... --bundle FOLDER` writes it; there, beside spinecho's own source tree,

    PYTHONPATH=src python -m spinecho.train.bundle FOLDER

trains: the same loop, with validations, checkpoints and weights. The folder holds `order.json` (what was said on the
command line), `pack/` (what the files gave, `train.pack`), weights to start from, and `README.txt`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from spinecho.core.errors import DataError, setting
from spinecho.core.job import Bar
from spinecho.io.limits import human
from spinecho.train.duration import seconds
from spinecho.train.order import Order, from_json, to_json
from spinecho.train.settings import Settings
from spinecho.train.supply import examples_of

if TYPE_CHECKING:
    from spinecho.train.packing import Kept

ORDER, PACK, RUN = "order.json", "pack", "run"
_WEIGHTS = ".safetensors"
_SILENCE_S = 15.0
_README = """A training of {task}/{name}, to be run on another machine
{rule}

In this folder: order.json (what was said to `spinecho train`), pack/ ({size}: what the files gave to learn from and to
validate on; nothing that is for judging), weights to start from where some were given.

Needed there: python 3.11 or later with torch, numpy, scipy, h5py, jaxtyping, safetensors, matplotlib and pillow, this
folder, and spinecho's source tree. Not needed: nibabel, pydicom, ismrmrd, twixtools, tyro, rich, jinja2; finufft only
where scans along trajectories are simulated.

To run it, from the root of the source tree:

    PYTHONPATH=src python -m spinecho.train.bundle {folder} --out RUN --device cuda --workers 15 --budget 9m

--out, --device, --threads, --budget and every setting of the loop (--batch 24, --checkpointing, ...) may be set again;
--help lists them. Try it with --budget 60s first. The same command resumes from the last checkpoint in RUN.

To bring back: RUN/weights.safetensors, RUN/metrics.jsonl, RUN/pictures; to continue elsewhere also RUN/checkpoints and
RUN/budget.json. Then, at home:

    {use} --weights RUN/weights.safetensors
"""


def write(order: Order, folder: Path, say: Callable[[str], None]) -> None:
    """Gather what the order wants to train on, and write the folder.

    Raises
    ------
    DataError
        If the folder holds something, files cannot be used, or even one of each path is too large.
    """
    import torch

    from spinecho.train.pack import named
    from spinecho.train.packing import Kept
    from spinecho.train.team import Team
    from spinecho.train.work import context_of

    if folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty", do=f"choose another {setting('bundle')}", file=folder)
    kept = Kept()
    few = replace(order.settings, validation_examples=min(1, order.settings.validation_examples))
    context = context_of(replace(order, settings=few), Team(), torch.device("cpu"), say)
    examples_of(order.task).gather(order.paths, order.options, replace(context, keep=kept))
    sources = [name for path in order.paths for name in named(path, order.task)]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _fill(folder, order, kept, sources, say)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # it was empty, and half a bundle is none
        raise
    whole = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    say(f"wrote {folder}, {human(whole)}; {folder / 'README.txt'} says how to run it")


def _fill(folder: Path, order: Order, kept: Kept, sources: list[str], say: Callable[[str], None]) -> None:
    from spinecho.train import packing

    made = packing.write(folder / PACK, kept, order.task, sources, say)
    names = {f.name: _carried(getattr(order.options, f.name), folder) for f in fields(order.options)}
    there = replace(
        order,
        options=replace(order.options, **names),
        init=_carried(order.init, folder),
        paths=(Path(PACK),),
        out=Path(RUN),
    )
    (folder / ORDER).write_text(to_json(there), encoding="utf-8")
    place = folder.name if folder.is_absolute() else folder
    about = {"task": order.task, "name": order.name, "folder": place, "use": examples_of(order.task).USE}
    readme = _README.format(**about, rule=f"Packed: {made.rule}.", size=human(made.size))
    (folder / "README.txt").write_text(readme, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a bundle."""
    parser = argparse.ArgumentParser(prog="python -m spinecho.train.bundle", description="Train what a bundle orders.")
    parser.add_argument("folder", type=Path, help="that spinecho train ... --bundle wrote")
    parser.add_argument("--out", type=Path, help=f"folder of the run (default: {RUN}/ in the bundle)")
    parser.add_argument("--budget", help="time for the whole training: 90s, 9m, 1h30m")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int)
    for f in fields(Settings):
        kind: dict[str, Any] = {"type": type(f.default)}
        if isinstance(f.default, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        if isinstance(f.default, tuple):
            kind = {"nargs": "*"}
        parser.add_argument(f"--{f.name.replace('_', '-')}", default=None, **kind)
    said = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        _run(said.pop("folder"), said)
    except DataError as error:
        sys.stderr.write(f"error: {error.typed()}\n")
        return 2
    return 0


def _run(folder: Path, said: dict[str, Any]) -> None:
    """Train in the folder, so that what is noted of the run does not depend on where it lies."""
    path = folder / ORDER
    if not path.is_file():
        raise DataError("it is not a bundle: there is no order.json in it", do="give the folder itself", file=folder)
    out = said.pop("out", folder / RUN).absolute()
    order = replace(changed(from_json(path.read_text(encoding="utf-8"), path), said), out=out)

    from spinecho.core import device
    from spinecho.train.team import together
    from spinecho.train.work import work

    os.chdir(folder)
    with together(device.choose(order.device).type) as (team, own):
        work(order, team, own, _say, _lines)


def changed(order: Order, said: dict[str, Any]) -> Order:
    """The order with what was said anew.

    Raises
    ------
    DataError
        If its length is said in two ways.
    """
    if "budget" in said and "steps" in said:
        told = f"{setting('budget', said['budget'])} and {setting('steps', said['steps'])} are both given"
        raise DataError(told, do="give one of them")
    if "budget" in said:
        seconds(said["budget"])
    own = {f.name for f in fields(Settings)}
    settings = replace(
        order.settings, **{n: tuple(v) if isinstance(v, list) else v for n, v in said.items() if n in own}
    )
    budget = said.get("budget", "" if "steps" in said else order.budget)
    rest = {name: value for name, value in said.items() if name in ("device", "threads")}
    return replace(order, settings=settings, budget=budget, **rest)


def _carried(value: Any, folder: Path) -> Any:
    """A file of weights is copied into the folder and called by its name there; anything else stays."""
    if not isinstance(value, str) or not value.endswith(_WEIGHTS) or not Path(value).is_file():
        return value
    name = Path(value).name
    while (folder / name).exists():
        name = f"other_{name}"
    shutil.copyfile(value, folder / name)
    return name


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def _lines(what: str) -> Iterator[Bar]:
    """A line now and then, for logs."""
    began = last = perf_counter()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if (now := perf_counter()) - last > _SILENCE_S:
            last = now
            _say(f"{what}: step {done:,} of {total:,} after {now - began:.0f} s")

    yield tell


if __name__ == "__main__":
    sys.exit(main())
