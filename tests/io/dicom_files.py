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
    """`attributes` as a file, whose folders are made; `private` is GE's number for the kind of image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        private = changes.pop("private", None)
        ds = attributes(number, z_mm, **changes)
        if private is not None:
            ds.private_block(0x43, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", private)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(path, enforce_file_format=True)
    return path


def stack_of(folder: Path, n: int = 4, first: int = 1, **changes: Any) -> Path:
    """n slices 4 mm apart, numbered from first, as first.dcm and so on."""
    for i in range(n):
        save(folder / f"{first + i:04d}.dcm", first + i, 4.0 * i, **changes)
    return folder


def item(**values) -> Dataset:
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def enhanced(path: Path, stored: np.ndarray, frames: list[dict], **changes) -> Path:
    """An Enhanced MR object; each frame says z_mm, and maybe slope, intercept, te_ms, time, kind, type."""
    ds = item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1",
        SOPInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
        Modality="MR",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=stored.shape[1],
        Columns=stored.shape[2],
        NumberOfFrames=len(frames),
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
        PixelData=stored.astype("<u2").tobytes(),
    )
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[1.5, 1.25], SliceThickness=4, SpacingBetweenSlices=5)],
    )
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for f in frames:
        group = item(PlanePositionSequence=[item(ImagePositionPatient=[-7, 3, f["z_mm"]])])
        scale = item(RescaleSlope=f.get("slope", 1), RescaleIntercept=f.get("intercept", 0), RescaleType="US")
        group.PixelValueTransformationSequence = [scale]
        group.FrameContentSequence = [item(TemporalPositionIndex=f.get("time", 1))]
        group.MRImageFrameTypeSequence = [item(ComplexImageComponent=f.get("kind", "MAGNITUDE"))]
        if "type" in f:
            group.MRImageFrameTypeSequence[0].FrameType = f["type"]
        group.MREchoSequence = [item(EffectiveEchoTime=f.get("te_ms", 3.0))]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    for name, value in changes.items():
        setattr(ds, name, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    return path


def numbers(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 4000, (n, 4, 6))
