"""DICOM: magnetic resonance series in (classic, enhanced, mosaic) and out (classic MR Image Storage)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.io.atomic import check_replaceable, replacing, replacing_folder
from spinecho.io.dicom.facts import header_of
from spinecho.io.dicom.files import is_dicom, quiet, series_headers
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.like import series_patient
from spinecho.io.dicom.series import arranged, kinds, pixels
from spinecho.io.dicom.write import datasets, is_ours, save, unplaced
from spinecho.io.options import ReadOptions, WriteOptions, refuse_idle
from spinecho.io.placing import check_lent, placed
from spinecho.io.volume import UNKNOWN_ORIENTATION, only_slices, volumes

SUFFIXES = (".dcm", "dicom")
WRITES = ("image",)
ASSUMED_SIZE = "voxel size=assumed"


def recognises(path: Path, head: bytes) -> bool:
    """A DICOM file, or a folder that holds one."""
    return is_dicom(path, head)


def read(path: Path, options: ReadOptions) -> Image:
    """A file, or a folder with one series, as (contrast, time, 1, z, y, x); axes of length 1 are left out.

    Of several kinds of image (magnitude, phase, maps) it is the magnitude, with a warning; `read_parts` has them all.
    """
    headers, by_kind = _frames_by_kind(path, options)
    if _is_complex(by_kind):
        return _complex(*(_image(headers, by_kind[kind], options) for kind in ("real", "imaginary")))
    (kind, frames), *others = by_kind.items()
    image = _image(headers, frames, options)
    if others:
        *rest, last = (other for other, _ in others)
        left_out = f"{', '.join(rest)} and {last}" if rest else last
        step = f"DICOM: the series also holds {left_out} images; the {kind} was taken"
        return replace(image, header=image.header.warned(step))
    return _said(image, kind)


def read_parts(path: Path, options: ReadOptions) -> dict[str, Image]:
    """Every kind of image in the series by its name; "" for the magnitude, complex values, or the only kind."""
    headers, by_kind = _frames_by_kind(path, options)
    parts: dict[str, Image] = {}
    for kind, frames in by_kind.items():
        main = kind == "magnitude" or len(by_kind) == 1
        try:
            parts["" if main else kind] = _said(_image(headers, frames, options), kind)
        except DataError as error:
            whose = f"its {kind} images: " if len(by_kind) > 1 else ""
            raise error.but(found=whose + error.marked[0]) from error
    if _is_complex(by_kind):
        return {"": _complex(parts["real"], parts["imaginary"]), **parts}
    return parts


def _frames_by_kind(path: Path, options: ReadOptions) -> tuple[list[Any], dict[str, list[Frame]]]:
    refuse_idle(options, "DICOM", "series", "voxel_mm")
    with quiet():
        headers = series_headers(path, options.series)
        return headers, kinds(headers)


def _is_complex(names: Collection[str]) -> bool:
    return "magnitude" not in names and {"real", "imaginary"} <= set(names)


def _said(image: Image, kind: str) -> Image:
    if kind == "magnitude":
        return image
    return replace(image, header=image.header.noted(f"DICOM: {kind} images"))


def _complex(real: Image, imaginary: Image) -> Image:
    if real.values.shape != imaginary.values.shape or not real.geometry.matches(imaginary.geometry):
        problem = (
            f"its real images have shape {tuple(real.values.shape)}, the imaginary {tuple(imaginary.values.shape)}"
        )
        raise DataError(problem, do="put each kind into its own folder")
    header = real.header.noted("DICOM: real and imaginary images were put together as complex values")
    return replace(real, values=torch.complex(real.values, imaginary.values), header=header)


def _image(headers: list[Any], frames: list[Frame], options: ReadOptions) -> Image:
    """Frames of one kind."""
    with quiet():
        series = arranged(frames, options.voxel_mm)
        header = header_of(headers, series.of_files).noted(*series.told)
        values = torch.from_numpy(pixels(series))
    if any("was assumed" in step for step in series.told):
        header = header.flagged(ASSUMED_SIZE)
    if not series.geometry.oriented:
        header = header.flagged(UNKNOWN_ORIENTATION)
    axes = tuple(name for name, n in zip(("contrast", "time"), values.shape, strict=False) if n > 1)
    batch = [n for n in values.shape[:2] if n > 1]
    values = values.reshape(*batch, 1, *values.shape[2:])
    image = Image(values=values, geometries=(series.geometry,), axes=axes, header=header)
    return only_slices(image, options.slices)


def check_output(path: Path, oriented: bool, options: WriteOptions) -> None:
    """An orientation, lent if need be, and a folder that may be replaced."""
    check_lent(oriented, options)
    if not oriented and options.affine is None and options.like is None:
        raise unplaced()
    if path.is_dir():
        check_replaceable(path, is_ours)


def check_number(path: Path, n: int) -> None:
    """A folder where there are several slices and frames."""
    if n > 1 and path.name.lower().endswith(".dcm") and not path.is_dir():
        problem = f"the image has {n} slices and frames, a .dcm file holds one"
        raise DataError(problem, do=f"write a folder: -o {path.with_suffix('').name}_dicom")


def write(image: Image, path: Path, options: WriteOptions) -> list[Path]:
    """A folder with one file for each contrast, frame and slice (IM_00001.dcm ...); a single slice may be NAME.dcm.

    Whole numbers of 16 bits are stored as they are, others on a scale; integers beyond are refused. A folder that
    holds anything but an earlier result of spinecho is refused.
    """
    image = placed(image, options)
    if options.like is not None:
        header = image.header.noted(f"patient and study taken from {options.like.name}")
        image = replace(image, header=replace(header, patient=series_patient(options.like)))
    parts = volumes(image, exact=True)
    images = datasets(parts, options.done)
    if path.name.lower().endswith(".dcm") and not path.is_dir():
        check_number(path, len(parts) * len(parts[0].values) * parts[0].geometry.shape[0])
        with replacing(path) as temporary:
            save(next(images), temporary)
        return [path]
    with replacing_folder(path, is_ours) as folder:
        for number, ds in zip(count(1), images, strict=False):
            save(ds, folder / f"IM_{number:05d}.dcm")
    return [path]
