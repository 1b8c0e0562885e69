"""What an image command leaves behind: the image, labels brought along, maps, figures, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spinecho.cli.image_arguments import inputs_of, labels_of
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.job import Job
from spinecho.evaluate.image_scores import Figure, are_whole, figures
from spinecho.io.describe import written
from spinecho.io.labels import are_labels, as_integers
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import beside, check_outputs, on_grid
from spinecho.io.write import write

if TYPE_CHECKING:
    from spinecho.evaluate.image_page import Work

_AUTO = "auto"


@dataclass(frozen=True)
class Results:
    """All that there is once the work is done."""

    task: ModuleType
    args: Any
    job: Job
    image: Image
    made: Image
    labels: Sequence[Image]
    truth: Image | None
    seconds: float


def write_results(r: Results) -> None:
    """Write and say it: the image first, since it cost most."""
    maps = maps_of(r.made) if r.args.maps else {}
    map_paths = [beside(r.args.output[0], Path(name)) for name in maps]
    check_outputs([*r.args.output, *labels_of(r.args), *map_paths], inputs_of(r.args))
    for path in r.args.output:
        _say_written(r, r.made, path)
    brought = [brought_along(one, r.made.geometry) for one in r.labels]
    for one, path in zip(brought, labels_of(r.args), strict=True):
        _say_written(r, one, path)
    for one, path in zip(maps.values(), map_paths, strict=True):
        _say_written(r, one, path)
    measured = [] if r.truth is None else _measured(r, r.truth)
    if r.args.report is not None:
        _write_report(r, r.args.report, brought, measured)


def options(r: Results, image: Image) -> WriteOptions:
    """How an image is written: on the input's grid with its affine, codes and units, where the grid stayed."""
    by = "" if r.job.method == _AUTO else f" by {r.job.method}"
    write_options = replace(r.args.write, done=f"{r.task.WHAT}{by}")
    stays = image.geometry.matches(r.image.geometry)
    made = on_grid(write_options, r.args.image, image)
    return made if stays else replace(made, grid_of=None)


def brought_along(labels: Image, onto: Geometry) -> Image:
    """A label map on the result's grid: as it is where it lies on it, else the label with the largest weight."""
    import torch

    from spinecho.sim.anatomy import resample_labels

    labels = labels.volume()
    if labels.geometry.matches(onto):
        return labels
    values = as_integers(labels.values)
    flat = values.reshape(-1, *values.shape[-3:]).to(torch.int64)
    moved = torch.stack([resample_labels(one, labels.geometry, onto) for one in flat]).to(values.dtype)
    header = labels.header.regridded().noted("brought onto another grid: of the eight neighbours the heaviest label")
    values = moved.reshape(*values.shape[:-3], *onto.shape)
    return replace(labels, values=values, geometries=(onto,), header=header)


def maps_of(made: Image) -> dict[str, Image]:
    """The maps in the result's extras that lie on its grid, as images of their own."""
    maps: dict[str, Image] = {}
    for name, values in made.extras.items():
        lacking = made.values.ndim - values.ndim
        if lacking < 0 or tuple(values.shape[-3:]) != tuple(made.geometry.shape):
            continue
        axes = made.axes[lacking:] if lacking < len(made.axes) else ()
        values = values[(None,) * (len(axes) + 4 - values.ndim)]
        values = values.abs() if values.is_complex() else values.float()
        maps[name] = replace(made, values=values, axes=axes, extras={}, header=made.header.anew(f"map: {name}"))
    return maps


def _say_written(r: Results, image: Image, path: Path) -> None:
    r.job.console.say(written(write(image, path, options(r, image))))


def _measured(r: Results, truth: Image) -> list[Figure]:
    """The figures, on the terminal as in the report."""
    if not are_whole(r.made) and are_labels(truth.values):
        r.job.console.warn(f"{r.args.truth.name} looks like a label map, and the result is an image")
    told = figures(r.image, r.made, truth)
    for f in told[: 1 if are_whole(r.made) else None]:
        r.job.console.say(
            f"  {f.name}: {f.before + ' before, ' if f.before else ''}{f.after}{' after' * bool(f.before)}"
        )
    return told


def _write_report(r: Results, path: Path, brought: Sequence[Image], measured: Sequence[Figure]) -> None:
    from spinecho.evaluate.image_page import write_image_page

    first = brought[0] if brought else None
    write_image_page(path, r.image, r.made, _work(r), truth=r.truth, figures=measured, labels=first)
    r.job.console.say(f"wrote {path}")


def _work(r: Results) -> Work:
    from spinecho.evaluate.image_page import Work

    names: Any = getattr(r.task, "NAMES", {})
    maps: Mapping[str, str] = getattr(r.task, "MAPS", {})
    return Work(
        what=r.task.WHAT,
        method=r.made.header.by(r.job.method),
        command=r.job.command,
        settings=r.job.settings,
        seconds=r.seconds,
        maps=maps,
        names=dict(names) if isinstance(names, Mapping) else names(r.job.method),
        other_contrast=getattr(r.task, "OTHER_CONTRAST", False),
    )
