"""The files that a how-to page says its reader has: small ones, made here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch

import spinecho
from spinecho.core.image import Image

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "io"), *(str(TESTS / "tasks" / task) for task in ("register", "generate"))]


def scanner_files() -> None:
    """meas.dat (Siemens), file_brain.h5 (fastMRI), scan.cfl with scan.hdr (BART), scan.h5 (MRD)."""
    import shutil

    from test_fastmri import xml
    from test_twix import lines_of
    from twix_maker import protocol, write_twix

    shutil.copy(Path(spinecho.__file__).parent / "samples" / "cartesian_r4.mrd.h5", "scan.h5")
    scan = spinecho.read("scan.h5")
    assert isinstance(scan, spinecho.KSpace)
    spinecho.write(scan, "scan.cfl")
    full = full_scan()
    write_twix(Path("meas.dat"), [(protocol(64, 56), lines_of(full[:, 4:60], 28))])
    with h5py.File("file_brain.h5", "w") as file:
        file["kspace"] = np.stack([full, full]).transpose(0, 1, 3, 2)
        file["ismrmrd_header"] = xml(64, 64, (32, 64))


def full_scan() -> np.ndarray:
    """A disc seen by three coils, (coil, k1, k0), nothing left out."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, 64)] * 2, indexing="ij")
    coils = np.stack([np.exp(-((x - a) ** 2 + (y - b) ** 2)) for a, b in ((1, 0), (-1, 0.5), (0, -1))])
    images = ((x**2 + (y / 0.8) ** 2 < 0.6) * (1 + 0.5 * np.cos(9 * x))) * coils
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2))), axes=(1, 2))
    return spectrum.astype(np.complex64)


def two_visits() -> None:
    """visit1.nii.gz and visit2.nii.gz of one head, moved and bent a little, and regions.nii.gz of the first."""
    from heads import bend, head, seen_through

    first = head()
    second = seen_through(first, bend(5.0))
    shift = replace(second.geometry, affine=second.geometry.affine + np.eye(4, k=3) * 4)
    labels = (first.values > 20).to(torch.uint8) + (first.values > 60).to(torch.uint8)
    spinecho.write(first, "visit1.nii.gz")
    spinecho.write(replace(second, geometries=(shift,)), "visit2.nii.gz")
    spinecho.write(replace(first, values=labels), "regions.nii.gz")
    spinecho.write(seen_through(first, bend(6.0, seed=3)), "person.nii.gz")


def noisy_head() -> None:
    """head.nii.gz, a magnitude with Rician noise, truth.nii.gz without it, and head_dicom, a DICOM series of it."""
    from heads import grid, head

    truth = head(geometry=grid(40, 4.0))
    rng = torch.Generator().manual_seed(0)
    real, imaginary = 5 * torch.randn(2, *truth.values.shape, generator=rng)
    noisy: Image = replace(truth, values=torch.hypot(truth.values + real, imaginary))
    spinecho.write(truth, "truth.nii.gz")
    spinecho.write(noisy, "head.nii.gz")
    spinecho.write(noisy, "head_dicom")


def dicom_folders() -> None:
    """head_dicom, as for denoising, and study, a folder with two series of it."""
    import pydicom

    noisy_head()
    Path("study").mkdir()
    for number, name in ((1, "t1 head"), (2, "t2 head")):
        uid = pydicom.uid.generate_uid()
        for file in sorted(Path("head_dicom").iterdir()):
            ds = pydicom.dcmread(file)
            ds.SeriesNumber, ds.SeriesDescription, ds.SeriesInstanceUID = number, name, uid
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
            ds.save_as(Path("study") / f"{number}_{file.name}")


def full_scans() -> None:
    """my_scans/ with full scans of several people, as a training wants them."""
    full = full_scan()
    Path("my_scans").mkdir()
    for person in range(2):
        scale = 1 + 0.1 * person
        with h5py.File(f"my_scans/person{person}.h5", "w") as file:
            from test_fastmri import xml

            file["kspace"] = scale * full[None].transpose(0, 1, 3, 2)
            file["ismrmrd_header"] = xml(64, 64, (32, 64))


def flair_and_t1() -> None:
    """flair.nii.gz and t1.nii.gz of the sample's brain: grey brighter than white, and two bright spots beside the
    ventricles."""
    t1 = spinecho.read(Path(spinecho.__file__).parent / "samples" / "head_t1.nii.gz")
    assert isinstance(t1, Image)
    bright = t1.values.float()
    z, y, x = torch.meshgrid(*(torch.arange(n) for n in bright.shape[-3:]), indexing="ij")
    spots = [(z - 42) ** 2 + (y - 30) ** 2 + (x - across) ** 2 < 2.5**2 for across in (22, 42)]
    flair = torch.where(bright > 20, 320 - bright, 0 * bright)
    flair = torch.where(spots[0] | spots[1], 2.2 * flair, flair)
    spinecho.write(t1, "t1.nii.gz")
    spinecho.write(replace(t1, values=flair), "flair.nii.gz")


def t2_of_the_sample() -> None:
    """t2.nii.gz on the grid of the sample's head: dark where that is bright, fluid at the surface brightest."""
    t1 = spinecho.read(Path(spinecho.__file__).parent / "samples" / "head_t1.nii.gz")
    assert isinstance(t1, Image)
    bright = t1.values.float()
    spinecho.write(replace(t1, values=torch.where(bright > 10, 280 - bright, 0 * bright)), "t2.nii.gz")


def heads_of_people() -> None:
    """my_heads/ with T1 images of whole heads, each another person's."""
    from phantom_heads import folder_of_heads

    folder_of_heads(Path("my_heads"), 8)


FILES: dict[str, Callable[[], None]] = {
    "scanner_files": scanner_files,
    "align": two_visits,
    "denoise": noisy_head,
    "dicom": dicom_folders,
    "generate": heads_of_people,
    "lesions": flair_and_t1,
    "train": full_scans,
    "translate": t2_of_the_sample,
}
"""By the name of the page"""
