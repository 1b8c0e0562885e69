"""fastMRI files, built here as the archive's are: k-space, XML header, attributes, and targets by fastMRI's recipe."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from ismrmrd import xsd
from mrd_files import coil_images, header, to_images, to_kspace

from spinecho.core.errors import DataError
from spinecho.io.formats import fastmri
from spinecho.io.options import ReadOptions
from spinecho.io.read import find_format, read, slice_count
from spinecho.tasks.recon.run import recon

N_SLICES, N_COILS, ROWS, COLUMNS = 3, 4, 64, 44
CROP = 32


def centre_cropped(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """fastMRI's crop: (n - m) // 2 rows and columns away."""
    r, c = (x.shape[-2] - rows) // 2, (x.shape[-1] - columns) // 2
    return x[..., r : r + rows, c : c + columns]


def xml(rows: int, columns: int, crop: tuple[int, int], mm: tuple[float, float] = (0.5, 0.6)) -> bytes:
    """Header as in the archive: x is the readout (rows), twice oversampled."""
    wanted = (5.0, mm[1] * crop[1], mm[0] * crop[0])
    head = header(
        (1, columns, rows),
        fov_mm=(7.5, mm[1] * columns, mm[0] * rows),
        recon_matrix=(1, crop[1], crop[0]),
        recon_fov_mm=wanted,
        vendor="SIEMENS",
        te_ms=(27.0,),
    )
    return xsd.ToXML(head).encode()


def save(path: Path, kspace: np.ndarray, *, crop: tuple[int, int] | None = (CROP, CROP), mask=None, padded=0, **attrs):
    """Write a volume; the target is the root sum of squares, centre cropped."""
    rows, columns = kspace.shape[-2:]
    kspace = kspace.copy()
    if padded:
        kspace[..., :padded] = kspace[..., -padded:] = 0
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace if mask is None else kspace * mask
        file["ismrmrd_header"] = xml(rows, columns, crop or (CROP, CROP))
        if mask is not None:
            file["mask"] = mask
        elif crop:
            images = to_images(kspace, (-2, -1))
            combined = np.sqrt((np.abs(images) ** 2).sum(1)) if kspace.ndim == 4 else np.abs(images)
            name = "reconstruction_rss" if kspace.ndim == 4 else "reconstruction_esc"
            file[name] = centre_cropped(combined, *crop).astype(np.float32)
        file.attrs.update({"acquisition": "CORPD_FBK", "patient_id": "abc", "max": 1.0, "norm": 2.0, **attrs})
    return path


@pytest.fixture
def kspace() -> np.ndarray:
    images = np.stack([coil_images(N_COILS, (1, ROWS, COLUMNS), s)[:, 0] for s in range(N_SLICES)])
    return to_kspace(images, (-2, -1))


@pytest.mark.parametrize("crop", [(CROP, CROP), (CROP, 20), (40, CROP), (CROP, COLUMNS)])
def test_reconstruction_equals_the_target_voxel_by_voxel(tmp_path, kspace, crop):
    path = save(tmp_path / "a.h5", kspace, crop=crop)
    scan = read(path)
    assert find_format(path) is fastmri and slice_count(path) == N_SLICES
    assert scan.axes == ("slice",) and scan.target.shape == (N_SLICES, 1, 1, crop[1], crop[0])
    image = recon(scan, "zero_filled")
    assert image.values.shape == scan.target.shape
    assert (image.values - scan.target).abs().max() < 1e-5 * scan.target.max()


def test_picture_is_stored_as_fastmri_stores_it(tmp_path, kspace):
    scan = read(save(tmp_path / "a.h5", kspace))
    image = recon(scan, "zero_filled")
    with h5py.File(tmp_path / "a.h5") as file:
        target = torch.from_numpy(file["reconstruction_rss"][()])
    stored = image.as_stored()
    assert torch.allclose(stored.values[:, 0, 0], target, rtol=1e-4)
    assert np.allclose(stored.geometries[0].voxel_mm, (0.6, 0.5, 5.0))
    assert "orientation=unknown" in image.header.flags and not image.geometries[0].oriented
    assert image.volume().geometry.shape[0] == N_SLICES


def test_header_and_attributes(tmp_path, kspace):
    scan = read(save(tmp_path / "a.h5", kspace))
    assert scan.header.protocol == "CORPD_FBK" and scan.header.patient["id"] == "abc"
    assert scan.header.te_ms == (27.0,) and scan.header.field_t == 3.0 and scan.header.slice_thickness_mm == 5.0
    assert any("64 samples cropped to 32" in step for step in scan.header.history)
    # The vendor is Siemens, but fastMRI's own images are made without conjugation.
    assert not any("conjugated" in step for step in scan.header.history)


def test_single_coil(tmp_path, kspace):
    scan = read(save(tmp_path / "a.h5", kspace[:, 0]))
    image = recon(scan, "zero_filled")
    assert scan.n_coils == 1
    assert (image.values - scan.target).abs().max() < 1e-5 * scan.target.max()


def test_padding_is_not_measured(tmp_path, kspace):
    scan = read(save(tmp_path / "a.h5", kspace, padded=5))
    columns = scan.mask[0, 0, 0, :, 0]
    assert columns.tolist() == [False] * 5 + [True] * (COLUMNS - 10) + [False] * 5
    assert "10 of 44 phase encodes are zeros of padding, not measured" in scan.header.history


def test_test_files_have_a_mask_and_no_target(tmp_path, kspace):
    mask = np.arange(COLUMNS) % 4 == 0
    scan = read(save(tmp_path / "a.h5", kspace, mask=mask.astype(np.float32), acceleration=np.int64(4)))
    assert scan.target is None and scan.mask[0, 0, 0, :, 0].tolist() == mask.tolist()
    assert scan.encoding.acceleration == (1.0, 4.0)
    assert recon(scan, "zero_filled").values.shape[-3:] == (1, CROP, CROP)


def test_part_of_the_slices_reads_only_them(tmp_path, kspace):
    path = save(tmp_path / "a.h5", kspace)
    whole, part = read(path), read(path, ReadOptions(slices=(1, 3)))
    assert torch.equal(part.samples, whole.samples[1:]) and torch.equal(part.target, whole.target[1:])
    assert [g.affine[2, 3] for g in part.geometries] == [g.affine[2, 3] for g in whole.geometries[1:]]
    with pytest.raises(DataError, match="slices 2:9 were asked for, the file has 3"):
        read(path, ReadOptions(slices=(2, 9)))


def test_voxel_size_where_the_header_has_none(tmp_path, kspace):
    path = save(tmp_path / "a.h5", kspace)
    with h5py.File(path, "r+") as file:
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = b"<ismrmrdHeader/>"
    scan = read(path, ReadOptions(voxel_mm=(0.6, 0.5, 4.0)))
    assert np.allclose(scan.geometries[0].voxel_mm, (0.5, 0.6, 4.0))
    image = recon(scan, "zero_filled")
    assert (image.values - scan.target).abs().max() < 1e-5 * scan.target.max()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kspace": np.ones((2, 2, 3, 4, 5), np.complex64)}, "kspace has shape"),
        ({"kspace": np.ones((3, 4, 8, 8), np.float32)}, "it must be complex"),
        ({"mask": np.ones(7)}, r"the mask has shape \(7,\), k-space has 44 columns"),
        ({"reconstruction_rss": np.ones((2, 32, 32))}, "reconstruction_rss has shape"),
        ({"ismrmrd_header": b"<broken"}, "XML header cannot be read"),
    ],
)
def test_errors_say_what_was_found(tmp_path, kspace, change, said):
    path = save(tmp_path / "a.h5", kspace)
    with h5py.File(path, "r+") as file:
        for name, value in change.items():
            file.pop(name, None)
            file[name] = value
    with pytest.raises(DataError, match=said):
        read(path)


def test_a_real_knee_in_fastmris_layout(tmp_path, shared_data):
    knee = scipy.io.loadmat(shared_data / "kspace/knee_1coil.mat")["kdata"]  # (332 phase encodes, 640 readout)
    volume = np.ascontiguousarray(knee.T[None]).astype(np.complex64)  # (slice, readout, phase encode)
    scan = read(save(tmp_path / "a.h5", volume, crop=(320, 320)))
    image = recon(scan, "zero_filled")
    assert image.values.shape == (1, 1, 1, 320, 320)
    assert (image.values - scan.target).abs().max() < 1e-5 * scan.target.max()
