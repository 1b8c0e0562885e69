"""NIfTI: images out and in; RAS exists only in this format's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spinecho.core.image import Image
from spinecho.io.atomic import replacing
from spinecho.io.nifti.pair import is_nifti, is_pair
from spinecho.io.nifti.read import place_of, read_volume
from spinecho.io.nifti.write import write_volume
from spinecho.io.options import ReadOptions, WriteOptions, refuse_idle
from spinecho.io.placing import check_lent, placed
from spinecho.io.volume import only_slices, to_image, volumes

SUFFIXES = (".nii", ".nii.gz")
WRITES = ("image",)
COMPLEX = True


def recognises(path: Path, head: bytes) -> bool:
    """A NIfTI-1 or -2 header, perhaps inside gzip, or half of a pair; ANALYZE, to say what it is."""
    return is_nifti(head) or is_pair(path, head)


def read(path: Path, options: ReadOptions) -> Image:
    """Values (time, channel, z, y, x) in LPS; see `io/nifti/read.py`."""
    refuse_idle(options, "NIfTI")
    image = to_image(read_volume(path))
    image = replace(image, header=replace(image.header, file_format="NIfTI"))
    return only_slices(image, options.slices)


def check_output(path: Path, oriented: bool, options: WriteOptions) -> None:
    """An orientation that is lent must be one."""
    check_lent(oriented, options)


def write(image: Image, path: Path, options: WriteOptions) -> list[Path]:
    """One file, or one for each contrast (NAME_contrast-1.nii.gz); returns their paths."""
    parts = volumes(placed(image, options), options.keep_complex, exact=True, vectors=True)
    paths = [labelled(path, part.label) for part in parts]
    place = None if options.grid_of is None else place_of(options.grid_of, parts[0].geometry)
    for part, target in zip(parts, paths, strict=True):
        with replacing(target) as temporary:
            write_volume(part, temporary, place=place)
    return paths


def labelled(path: Path, label: str) -> Path:
    """`brain.nii.gz` with a label becomes `brain_LABEL.nii.gz`."""
    if not label:
        return path
    stem, dot, suffix = path.name.rpartition(".nii")
    return path.with_name(f"{stem}_{label}{dot}{suffix}")
