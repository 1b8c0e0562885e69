"""What `--like SERIES` lends: patient, study, frame of reference, and the place of its voxels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.io.dicom.facts import patient_facts
from spinecho.io.dicom.files import quiet, series_headers
from spinecho.io.dicom.series import ordered, pixels

_ONE = "give a folder with one series"


def series_geometry(path: Path) -> Geometry:
    """The grid of a DICOM series.

    Raises
    ------
    DataError
        If it is no magnetic resonance series, or does not say where it lies itself.
    """
    _check_there(path)
    try:
        with quiet():
            geometry = ordered(series_headers(path, do=_ONE)).geometry
    except DataError as error:
        raise error.within(path) from error
    if not geometry.oriented:
        raise DataError("the series does not say how the patient lay", do="give another one", file=path)
    return geometry


def series_magnitude(path: Path) -> npt.NDArray[Any]:
    """Magnitude (z, y, x) of a DICOM series, the mean of its contrasts and frames.

    Raises
    ------
    DataError
        If its pixels cannot be read.
    """
    try:
        with quiet():
            return np.abs(pixels(ordered(series_headers(path, do=_ONE)))).mean((0, 1))
    except DataError as error:
        raise error.within(path) from error


def series_patient(path: Path) -> Mapping[str, str]:
    """Patient, study and frame of reference of a DICOM series.

    Raises
    ------
    DataError
        If it is no magnetic resonance series.
    """
    _check_there(path)
    try:
        with quiet():
            return patient_facts(series_headers(path, do=_ONE)[0])
    except DataError as error:
        raise error.within(path) from error


def _check_there(path: Path) -> None:
    if not path.exists():
        raise DataError(
            f"there is no such series ({setting('like')})", do="give the folder of a DICOM series", file=path
        )
