"""Classic MR images for the tests, one file each, with any attribute changed or left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from spinecho.io.dicom.files import quiet

SHAPE = (6, 5)


def picture(number: int) -> np.ndarray:
    """Pixels (row, column) that no other number has."""
    return np.random.default_rng(number).integers(0, 4000, SHAPE)


def attributes(number: int, z_mm: float = 0.0, **changes: Any) -> Dataset:
    """An axial slice at z_mm, 1.25 x 1.5 mm pixels; changes set attributes, None leaves one out."""
    ds = Dataset()
    facts: dict[str, Any] = {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(),
        "SeriesInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "InstanceNumber": number,
        "ImagePositionPatient": [-7, 3, z_mm],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1.5, 1.25],
        "SliceThickness": 4,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": SHAPE[0],
        "Columns": SHAPE[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": picture(number).astype("<u2").tobytes(),
    }
    for keyword, value in (facts | changes).items():
        if value is not None:
            setattr(ds, keyword, value)
    return ds


def save(path: Path, number: int, z_mm: float = 0.0, **changes: Any) -> Path:
    """`attributes` as a file, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        ds = attributes(number, z_mm, **changes)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(path, enforce_file_format=True)
    return path


def stack_of(folder: Path, n: int = 4, first: int = 1, **changes: Any) -> Path:
    """n slices 4 mm apart, numbered from first, as first.dcm and so on."""
    for i in range(n):
        save(folder / f"{first + i:04d}.dcm", first + i, 4.0 * i, **changes)
    return folder
