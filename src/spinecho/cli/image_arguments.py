"""Arguments of the commands that turn an image into an image, and the files that they name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from spinecho.core.option import INLINE, OUTPUTS, POSITIONAL, REPEATED
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import beside, paths_of


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments that all of them share."""

    image: Annotated[Path, POSITIONAL]
    """NIfTI, mgz, a DICOM series, ..., of any orientation, spacing and size; series volume by volume"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where the image goes; the suffix names the format (a folder whose name ends in dicom: a series), and -o may be
    given several times"""
    report: Path | None = None
    """write a page with pictures before and after, the difference, maps, figures and what was done (.html)"""
    truth: Path | None = None
    """image of what the result should be, in the same world: scores before and after are reported"""
    labels: Annotated[tuple[Path, ...], REPEATED] = ()
    """label map of the image to bring along: on the result's grid, seg.nii.gz becomes OUTPUT_seg.nii.gz; may be given
    several times"""
    maps: bool = False
    """write the maps that the method hands over (noise, field, confidence, ...): OUTPUT_NAME.nii.gz"""
    series: str | None = None
    """of a DICOM folder with several series: the number, UID or a part of the description"""
    weights: Path | None = None
    """trained weights for a learned method (default: those in the package; with them, --method may be left out)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""
    write: Annotated[WriteOptions, INLINE] = field(default_factory=WriteOptions)


def inputs_of(args: Any) -> list[Path]:
    """All files that are read, the image first: they are never written over."""
    from spinecho.io.cfl_file import full_name

    named = [args.truth, *args.labels, args.weights, args.write.like, args.write.affine, *paths_of(args.inputs)]
    return [full_name(args.image), *(path for path in named if path is not None)]


def labels_of(args: Any) -> list[Path]:
    """Where each label map goes."""
    return [beside(args.output[0], path) for path in args.labels]
