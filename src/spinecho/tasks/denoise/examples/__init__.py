"""What learned denoising is trained on: patches of images with noise, held-out ones (`train.supply`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    import numpy as np

    from spinecho.sim.splits import Part
    from spinecho.tasks.denoise.examples.drawn import Drawn
    from spinecho.tasks.denoise.examples.slabs import Slabs
    from spinecho.train.cases import Case
    from spinecho.train.entries import Entry
    from spinecho.train.supply import Context, Supply

USE = "spinecho denoise IMAGE -o OUT"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    patch: int = 64
    """pixels along a side of each patch"""
    patches: int = 16
    """patches in each example"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Patches of everything under the paths; people are held out as `sim.splits` says."""
    from spinecho.tasks.denoise.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    if options.patch < 16 or options.patches < 1:
        problem = f"{setting('patch', options.patch)} and {setting('patches', options.patches)}"
        raise DataError(problem, do="give at least 16 pixels and 1 patch")
    train, validate = (_stacks(paths, part, context) for part in ("train", "validate"))
    if not train:
        do = f"give {setting('data')} images: NIfTI, .npz or .npy stacks of slices"
        raise DataError("there is nothing to train on", do=do)
    if not validate:
        context.say("too few people to hold any out: validation sees other patches of the same ones")
    kind = _kind(options, context)
    return Supply(
        train=kind(train, "train"),
        held_out=held_out(kind(validate or train, "validate"), context),
        told=told,
        facts={"patch": options.patch, "patches": options.patches},
    )


def _kind(options: Options, context: Context) -> Callable[[tuple[np.ndarray, ...], str], Drawn | Slabs]:
    """Slabs for methods that see neighbours, complex patches for others."""
    from spinecho.tasks.denoise.examples.drawn import Drawn
    from spinecho.tasks.denoise.examples.slabs import Slabs

    seed, n = context.settings.seed, options.patches
    if getattr(context.method, "takes_slabs", False):
        return lambda stacks, part: Slabs(stacks, context.method.config.neighbours, options.patch, n, seed, part)
    return lambda stacks, part: Drawn(stacks, options.patch, n, seed, part)


def _stacks(paths: Sequence[Path], part: Part, context: Context) -> tuple[np.ndarray, ...]:
    """Slices of everything; of label maps the tissues, along each axis, where the method sees slabs."""
    import numpy as np

    from spinecho.train.stock import entries

    is_slabs = getattr(context.method, "takes_slabs", False)
    read = lambda case: _read(case, is_slabs, context)  # noqa: E731
    stacks: list[np.ndarray] = []
    for entry in entries(paths, part, read, context, "stacks of slices"):
        each = range(3) if entry.kind == "tissues" else (0,)
        stacks += [np.moveaxis(entry.arrays["slices"], axis, 0) for axis in each]
    return tuple(stacks)


def _read(case: Case, is_slabs: bool, context: Context) -> list[Entry]:
    from spinecho.train.entries import Entry
    from spinecho.train.stacks import stacks_of

    labels = None if case.path.suffix in (".npz", ".npy") else _labels(case.path)
    if labels is None:
        return [Entry("slices", {"slices": stack}) for stack in stacks_of(case)]
    if not is_slabs:
        context.say(f"left out: {case.path.name} holds labels, and this method learns from images")
        return []
    return [Entry("tissues", {"slices": labels})]


def _labels(path: Path) -> np.ndarray | None:
    """Tissues, cut to the head, of a label map; None: it is an image."""
    from spinecho.core.image import Image
    from spinecho.io.labels import are_labels
    from spinecho.io.read import read
    from spinecho.train.label_maps import head_box, read_head, tissues

    image = read(path)
    if not isinstance(image, Image) or not are_labels(image.values):
        return None
    places = tissues(read_head(path)[0])
    return places[head_box(places)].contiguous().numpy()
