"""Volumes as classic MR Image objects: 16 bits (`scale.py`), LPS geometry, derived-image attributes.

Attributes follow PS3.3 A.4.3 (MR Image IOD) and C.8.3.1 (MR Image Module); Debian's dciodvfy finds no error in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.version import __version__
from spinecho.io.dicom.describe import equipment, image_text, patient_and_study, sequence
from spinecho.io.dicom.facts import decimal, new_uid
from spinecho.io.dicom.files import quiet
from spinecho.io.dicom.scale import Scale, scale_of, stored
from spinecho.io.volume import Volume

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
IMPLEMENTATION_UID = "2.25.184205561160002770738988091170842110914"
IMPLEMENTATION = f"SPINECHO_{__version__}"[:16]
_MONOCHROME = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
_BITS = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}


def datasets(volumes: list[Volume], done: str = "") -> Iterator[Any]:
    """One DICOM data set for each contrast, frame and slice, all of one new series.

    Values that are no numbers become 0. Slices with a shear along x or y keep their places; a sheared plane has none.
    `done` says what was done, where that is no reconstruction.

    Raises
    ------
    DataError
        If the orientation is unknown or the plane's axes are not at right angles.
    """
    geometry = volumes[0].geometry
    if not geometry.oriented:
        raise unplaced()
    x, y = geometry.directions[:, 0], geometry.directions[:, 1]
    if abs(x @ y) * max(geometry.fov_mm) > 1e-2:
        raise DataError("the image plane is sheared, DICOM has no place for that", do="write NIfTI")
    scale = scale_of(volumes)
    series = _series(volumes, done)
    number = 0
    for contrast, volume in enumerate(volumes):
        for time, frame in enumerate(volume.values[:, 0]):
            for z, values in enumerate(frame):
                number += 1
                ds = _image(series, volume, scale, values, z)
                ds.InstanceNumber = number
                ds.AcquisitionNumber = time + 1
                if len(volumes) > 1:
                    ds.EchoNumbers = contrast + 1
                if len(volume.values) > 1:
                    ds.TemporalPositionIdentifier = time + 1
                    ds.NumberOfTemporalPositions = len(volume.values)
                yield ds


def unplaced() -> DataError:
    """The refusal of a scan without orientation."""
    return DataError(
        "orientation=unknown: the scan does not record how the patient lay",
        do=f"DICOM is then written only with {setting('like')} (a series) or {setting('affine')} (a file)",
    )


def _series(volumes: list[Volume], done: str) -> Any:
    """What all images of the series share."""
    from pydicom.dataset import Dataset

    header, now = volumes[0].header, datetime.now()
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = MR_IMAGE_STORAGE
    ds.Modality = "MR"
    ds.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
    ds.SeriesInstanceUID = new_uid()
    ds.SeriesNumber = 9000
    for word in ("Series", "Content", "InstanceCreation"):
        setattr(ds, f"{word}Date", now.strftime("%Y%m%d"))
        setattr(ds, f"{word}Time", now.strftime("%H%M%S"))
    with quiet():
        for facts in (patient_and_study(header), equipment(header, now, done), image_text(header, done)):
            for keyword, value in facts.items():
                setattr(ds, keyword, value)
    geometry = volumes[0].geometry
    ds.ImagesInAcquisition = geometry.shape[0]
    return ds


def _image(series: Any, volume: Volume, scale: Scale, values: npt.NDArray[Any], z: int) -> Any:
    from pydicom.dataset import Dataset

    ds = Dataset()
    ds.update(series)
    ds.SOPInstanceUID = new_uid()
    facts = sequence(volume.header) | _plane(volume, z) | _MONOCHROME | _BITS
    for keyword, value in facts.items():
        setattr(ds, keyword, value)
    ds.Rows, ds.Columns = values.shape
    ds.PixelRepresentation = int(scale.signed)
    low, high = (scale.slope * bound + scale.intercept for bound in scale.window)
    ds.WindowCenter, ds.WindowWidth = decimal((low + high) / 2), decimal(high - low)
    if not scale.is_plain:
        ds.RescaleSlope, ds.RescaleIntercept = decimal(scale.slope), decimal(scale.intercept)
        ds.RescaleType, ds.VOILUTFunction = "US", "LINEAR_EXACT"
    ds.RealWorldValueMappingSequence = [_real_world(scale)]
    ds.PixelData = stored(values, scale).tobytes()
    return ds


def _plane(volume: Volume, z: int) -> dict[str, Any]:
    """Image Plane Module (PS3.3 C.7.6.2): spacing (row, column), direction cosines, centre of the first voxel."""
    geometry: Geometry = volume.geometry
    dx, dy, dz = geometry.voxel_mm
    x, y = geometry.directions[:, 0], geometry.directions[:, 1]
    normal, corner = np.cross(x, y), geometry.to_world((0, 0, z))
    thickness = volume.header.slice_thickness_mm or dz
    return {
        "PixelSpacing": [decimal(dy), decimal(dx)],
        "ImageOrientationPatient": [decimal(v) for v in (*x, *y)],
        "ImagePositionPatient": [decimal(v) for v in corner],
        "SliceThickness": decimal(thickness),
        "SpacingBetweenSlices": decimal(abs(float(geometry.affine[:3, 2] @ normal))),
        "SliceLocation": decimal(float(corner @ normal)),
    }


def _real_world(scale: Scale) -> Any:
    """Real World Value Mapping (PS3.3 C.7.6.16.2.11); the unit is arbitrary."""
    from pydicom.dataset import Dataset

    unit, item = Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "1", "UCUM", "no units"
    item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = scale.range
    item.RealWorldValueIntercept, item.RealWorldValueSlope = scale.intercept, scale.slope
    item.LUTExplanation, item.LUTLabel = "signal intensity", "SIGNAL"
    item.MeasurementUnitsCodeSequence = [unit]
    for tag in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"):
        item[tag].VR = "SS" if scale.signed else "US"
    return item


def save(ds: Any, path: Path) -> None:
    """Write one data set as a DICOM file (explicit VR, little endian), marked as spinecho's."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION
    with quiet():
        ds.save_as(path, enforce_file_format=True)


def is_ours(path: Path) -> bool:
    """Whether spinecho wrote a file: its meta information says so."""
    from pydicom.filereader import read_file_meta_info

    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return False
    with quiet():
        return str(read_file_meta_info(path).get("ImplementationClassUID", "")) == IMPLEMENTATION_UID
