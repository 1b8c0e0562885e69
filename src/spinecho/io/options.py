"""Options for reading and writing files (torch-free: the command line is made from them)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from spinecho.core.errors import DataError, setting
from spinecho.core.option import HIDDEN


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Facts about a file that the file itself does not record."""

    axes: str | None = None
    """an array's axes, e.g. "coil k1 k0"; from slice time contrast average repetition map coil k2 k1 k0 z y x"""
    domain: Literal["kspace", "coil-images"] = "kspace"
    """what an array holds: k-space, or complex coil images"""
    readout: Literal["x", "y"] = "x"
    """for coil images: which image axis the readout runs along"""
    mask: Path | None = None
    """array of measured samples, with the samples' order of axes, or k1 alone (else: where samples are not zero)"""
    traj: Path | None = None
    """array of trajectory points (cycles per field of view or pixel, radians per pixel) for non-Cartesian samples"""
    exact_trajectory: bool = False
    """samples lie exactly on the trajectory (it was measured): do not look for gradient delays of radial spokes"""
    key: str | None = None
    """name of the variable inside an .npz, .mat or .h5 with several"""
    oversampling: float = 1.0
    """readout oversampling to crop from an array that does not record it"""
    voxel_mm: tuple[float, float, float] | None = None
    """voxel size in mm of the picture as stored (columns, rows, slices) where the file does not record it"""
    series: str | None = None
    """which DICOM series of a folder with several: its number, UID or description, or a unique part of it"""
    simulate_mask: str | None = None
    """undersample a full scan and score the result against it: KIND:R:CENTRE:SEED, e.g. random:4:0.08:0"""
    slices: tuple[int, int] | None = None
    """read only the slices start:stop"""


def named_files(read: ReadOptions, write: WriteOptions) -> list[Path]:
    """The files that the options name, none of which may be written over."""
    return [path for path in (read.mask, read.traj, write.affine, write.like) if path is not None]


def refuse_idle(options: ReadOptions, what: str, *taken: str) -> None:
    """Refuse options that a reader would not use: no option may be ignored silently.

    Parameters
    ----------
    what
        The kind of file, for the message.
    taken
        Options that its reader uses; `slices`, `simulate_mask` and `exact_trajectory` are always allowed.

    Raises
    ------
    DataError
        Names the first option that would do nothing.
    """
    for option in fields(options):
        always = ("slices", "simulate_mask", "exact_trajectory")
        if option.name in (*always, *taken) or getattr(options, option.name) == option.default:
            continue
        name = setting(option.name)
        raise DataError(f"{name} does not apply to {what} files, which record that themselves", do=f"leave out {name}")


def refuse_along_trajectory(options: ReadOptions) -> None:
    """Refuse what only samples on a grid have: a readout axis of the picture, coil images, a mask (DataError)."""
    why = "along a trajectory: samples lie where the trajectory says"
    _refuse(options, ("readout", "domain", "mask"), why, ", or the trajectory")


def refuse_of_images(options: ReadOptions) -> None:
    """Refuse what only samples have: a readout, a mask, a trajectory, oversampling (DataError)."""
    _refuse(options, ("readout", "mask", "traj", "oversampling"), "to images: they are not samples")


def refuse_of_named(options: ReadOptions) -> None:
    """Refuse a readout axis of the picture for samples, the names of whose axes say it (DataError)."""
    _refuse(options, ("readout",), "to samples: their axis k0 is the readout")


def _refuse(options: ReadOptions, names: tuple[str, ...], why: str, otherwise: str = "") -> None:
    for name in names:
        if getattr(options, name) != getattr(ReadOptions(), name):
            raise DataError(f"{setting(name)} does not apply {why}", do=f"leave out {setting(name)}{otherwise}")


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How an image is written."""

    keep_complex: bool = False
    """write complex values where the format can (npy, h5, cfl, NIfTI), else magnitude"""
    like: Path | None = None
    """DICOM series to take patient, study and orientation from"""
    affine: Path | None = None
    """4x4 text file, voxel (x, y, z) to LPS mm, for a scan that does not record its orientation"""
    grid_of: Annotated[Path | None, HIDDEN] = None
    """image file on whose grid the image lies: its affine, codes and units are kept to the bit (set by the pipeline)"""
    done: Annotated[str, HIDDEN] = ""
    """what was done, for the description of a DICOM series ("denoising by wavelet"; set by the pipeline)"""
    input_axes: Annotated[str | None, HIDDEN] = None
    """axes order for .npy output (the input's own order, set by the pipeline)"""
