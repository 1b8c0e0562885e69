"""Small files that unpack to far more than they are: refused, quickly, in little memory."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from reader_process import Reader

UNPACKED = 1 << 29
"""Bytes, half a GiB: over every limit, and quickly made."""


@pytest.fixture(scope="module")
def reader():
    process = Reader()
    yield process
    process.stop()


def bomb(head, window):
    """head and UNPACKED zeros as a deflate stream (zlib's window bits: 31 gzip, 15 zlib, -15 raw), without checksum.

    A block that ends with a full flush can be repeated, which is quicker than packing half a GiB.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = raw.compress(bytes(1 << 24)) + raw.flush(zlib.Z_FULL_FLUSH)
    return start + block * (UNPACKED >> 24) + b"\3\0"


def nifti_header():
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 512, 512, 512, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return bytes(header)


def nifti(path):
    path.write_bytes(bomb(nifti_header(), 31))


def nifti_that_declares_terabytes(path):
    header = bytearray(nifti_header())
    struct.pack_into("<8h", header, 40, 5, 32767, 32767, 32767, 1, 7, 1, 1)
    path.write_bytes(gzip.compress(bytes(header) + bytes(1000)))


def npz(path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<c8", "fortran_order": False, "shape": (64, 1024, 1024)})
    packed = bomb(head.getvalue(), -15)
    name, size = b"kspace.npy", len(head.getvalue()) + UNPACKED
    check = zlib.crc32(head.getvalue())
    for _ in range(UNPACKED >> 24):
        check = zlib.crc32(bytes(1 << 24), check)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0x21, check, len(packed), size, len(name), 0)
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0x21, check, len(packed), size, len(name), 0, 0, 0, 0, 0, 0
    )
    start = len(local) + len(name) + len(packed)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(entry) + len(name), start, 0)
    path.write_bytes(local + name + packed + entry + name + end)
    assert zipfile.ZipFile(path).infolist()[0].file_size == size


def npy_that_declares_terabytes(path):
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<c8", "fortran_order": False, "shape": (10**6, 10**6)})


def mat(path):
    """MATLAB v5 with one compressed double matrix."""
    name = b"kspace\0\0"
    body = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 1024, UNPACKED // 8 // 1024)
    body += struct.pack("<II", 1, 6) + name + struct.pack("<II", 9, UNPACKED)
    packed = bomb(struct.pack("<II", 14, len(body) + UNPACKED) + body, 15)
    text = b"MATLAB 5.0 MAT-file".ljust(124)
    path.write_bytes(text + struct.pack("<HH", 0x0100, 0x4D49) + struct.pack("<II", 15, len(packed)) + packed)


def deflated_dicom(path):
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian, MRImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, "2.25.1"
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.Rows, dataset.Columns = 8, 8
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    start = content.index(b"DICM") + 4
    group = struct.unpack_from("<I", content, start + 8)[0]
    head = content[: start + 12 + group]
    private = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, UNPACKED)
    path.write_bytes(head + bomb(private, -15))


BOMBS = {
    "zeros.nii.gz": nifti,
    "declared.nii.gz": nifti_that_declares_terabytes,
    "zeros.npz": npz,
    "declared.npy": npy_that_declares_terabytes,
    "zeros.mat": mat,
    "deflated.dcm": deflated_dicom,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(name, reader, tmp_path):
    path = tmp_path / name
    BOMBS[name](path)
    assert path.stat().st_size < 600_000
    answer = reader.ask(path)
    assert answer.outcome == "DataError", answer
    assert answer.seconds < 5
    assert answer.grown_bytes < 0.75 * UNPACKED  # above the imports, which differ by machine and build of torch
