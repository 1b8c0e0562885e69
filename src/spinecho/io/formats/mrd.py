"""ISMRM raw data (MRD, ISMRMRD) in HDF5: raw scans and image series.

Batch axes: MRD's slice, contrast and repetition keep their names, its cardiac phase is `time`, sets (flow, diffusion)
follow each other along `contrast`; averages are averaged. Segments are lines of one image.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.atomic import replacing
from spinecho.io.hdf5 import MAGIC, create_h5, dataset, open_h5, read_dataset
from spinecho.io.mrd.groups import choose, is_mrd, is_scan
from spinecho.io.mrd.images import read_images, write_images
from spinecho.io.mrd.kspace import read_kspace, sorted_scan
from spinecho.io.mrd.own import check_text
from spinecho.io.mrd.write import write_kspace
from spinecho.io.mrd.xml import ScanHeader, parse_header
from spinecho.io.options import ReadOptions, WriteOptions, refuse_idle

SUFFIXES = (".mrd", ".mrd.h5")
WRITES = ("image", "kspace")
COMPLEX = True


def recognises(path: Path, head: bytes) -> bool:
    """Whether it is HDF5 with a table of acquisitions or a series of MRD images."""
    if not head.startswith(MAGIC):
        return False
    try:
        with h5py.File(path, "r") as file:
            return is_mrd(file)
    except (OSError, RuntimeError, ValueError, KeyError):
        return False


def read(path: Path, options: ReadOptions) -> KSpace | Image:
    """The scan, or an image series where the file has no raw lines or `options.key` names one.

    Raises
    ------
    DataError
        Whatever is wrong with the file; for several scans in one file, their names.
    """
    refuse_idle(options, "MRD", "key")
    with open_h5(path) as file:
        group = choose(file, options.key)
        header = _header(group)
        return read_kspace(group, header, path, options) if is_scan(group) else read_images(group, header, path)


def slice_count(path: Path, options: ReadOptions) -> int:
    """Number of slices that can be read one by one."""
    with open_h5(path) as file:
        group = choose(file, options.key)
        return len(sorted_scan(group, _header(group), None).batch.values["slice"]) if is_scan(group) else 1


def write(item: KSpace | Image, path: Path, options: WriteOptions) -> None:
    """A scan as raw lines (with its truth, where it has one), an image as a series of MRD images.

    Complex images are written as magnitude unless `options.keep_complex`; those without orientation as their owner
    stores them.
    """
    n_bytes = 8 * (item.samples if isinstance(item, KSpace) else item.values).numel()
    with replacing(path) as temporary, create_h5(temporary, n_bytes) as file:
        group = file.create_group("dataset")
        if isinstance(item, KSpace):
            write_kspace(item, group)
        else:
            write_images((item if options.keep_complex else item.combined()).as_stored(), group)


def _header(group: h5py.Group) -> ScanHeader:
    """The XML header of a scan (of the group around an image series); an empty one where there is none."""
    owner = group if "xml" in group else group.parent
    if not isinstance(owner, h5py.Group) or "xml" not in owner:
        return ScanHeader()
    stored = dataset(owner, "xml")
    text = np.ravel(read_dataset(stored))[0]
    check_text(stored, text)
    return parse_header(text)
