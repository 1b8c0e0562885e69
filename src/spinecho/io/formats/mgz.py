"""FreeSurfer's MGH and MGZ: images in and out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spinecho.core.image import Image
from spinecho.io.atomic import replacing
from spinecho.io.mgh.header import is_mgh
from spinecho.io.mgh.read import read_volume
from spinecho.io.mgh.write import write_volume
from spinecho.io.options import ReadOptions, WriteOptions, refuse_idle
from spinecho.io.placing import check_lent, placed
from spinecho.io.volume import only_slices, to_image, volumes

SUFFIXES = (".mgz", ".mgh")
WRITES = ("image",)


def recognises(path: Path, head: bytes) -> bool:
    """A header of MGH, perhaps inside gzip."""
    return is_mgh(head)


def read(path: Path, options: ReadOptions) -> Image:
    """Values (time, channel, z, y, x) in LPS; see `io/mgh/read.py`."""
    refuse_idle(options, "MGH")
    image = to_image(read_volume(path))
    image = replace(image, header=replace(image.header, file_format="MGH"))
    return only_slices(image, options.slices)


def check_output(path: Path, oriented: bool, options: WriteOptions) -> None:
    """An orientation that is lent must be one."""
    check_lent(oriented, options)


def write(image: Image, path: Path, options: WriteOptions) -> list[Path]:
    """One file, or one for each contrast (NAME_contrast-1.mgz); magnitudes, and labels as integers."""
    parts = volumes(placed(image, options), exact=True)
    paths = [path.with_name(f"{path.stem}_{p.label}{path.suffix}") if p.label else path for p in parts]
    for part, target in zip(parts, paths, strict=True):
        with replacing(target) as temporary:
            write_volume(replace(part, values=part.values[:, 0]), temporary)
    return paths
