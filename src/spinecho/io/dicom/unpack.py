"""The stored numbers of a DICOM file, unpacked; what cannot be unpacked here is said with the package that can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.io.dicom.files import parse, quiet
from spinecho.io.limits import check_expansion, check_memory

_JPEG, _JPEG_LS, _JPEG_2000 = "pylibjpeg pylibjpeg-libjpeg", "pyjpegls", "pylibjpeg pylibjpeg-openjpeg"
_PACKAGES = {
    **dict.fromkeys(("50", "51", "57", "70"), _JPEG),
    **dict.fromkeys(("80", "81"), _JPEG_LS),
    **dict.fromkeys(("90", "91", "201", "202", "203"), _JPEG_2000),
}
"""What pip installs so that pydicom 3 unpacks transfer syntax 1.2.840.10008.1.2.4.NUMBER."""


def stored_numbers(file: Path) -> npt.NDArray[Any]:
    """Stored numbers (frame, row, column) of a file.

    Raises
    ------
    DataError
        If pixels are missing, do not fit the header or memory, or are packed in a way that nothing here unpacks.
    """
    ds = parse(file)
    if "PixelData" not in ds:
        raise DataError(f"{file.name} holds no pixels", do="copy it again")
    n_bytes = int(ds.Rows) * int(ds.Columns) * int(ds.get("NumberOfFrames", 1) or 1) * int(ds.BitsAllocated) // 8
    check_expansion(n_bytes, len(ds.PixelData), f"the pixels of {file.name}")
    check_memory(2 * n_bytes, f"the pixels of {file.name}")
    packed = str(ds.file_meta.TransferSyntaxUID).startswith(("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5"))
    try:
        with quiet():
            array = np.asarray(ds.pixel_array)
    except (ValueError, AttributeError, RuntimeError, NotImplementedError, OSError) as error:
        if packed:
            raise _not_unpacked(file, ds) from error
        raise DataError(f"the pixels of {file.name} do not fit its header: {error}", do="copy it again") from error
    return array if array.ndim == 3 else array[None]


def _not_unpacked(file: Path, ds: Any) -> DataError:
    """Which package helps; or that the bytes are damaged, where one is there already."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = ds.file_meta.TransferSyntaxUID
    problem = f"{file.name} is compressed ({syntax.name}) and cannot be unpacked here"
    package = _PACKAGES.get(str(syntax).removeprefix("1.2.840.10008.1.2.4."))
    if package is None:
        return DataError(problem, do="copy it again; if that does not help, export it uncompressed")
    try_first = "copy it again; if that does not help, " if get_decoder(syntax).is_available else ""
    return DataError(problem, do=f"{try_first}install what unpacks it: pip install {package} (or use gdcmconv --raw)")
