"""MRD: signals of points at known places in the patient come back at those places."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from asymmetric import DIRECTIONS
from mrd_files import header, line, save

from spinecho.core.geometry import Geometry
from spinecho.io.mrd.geometry import frame, geometries, head_frame
from spinecho.io.read import read
from spinecho.tasks.recon.run import recon

NY, NX = 20, 24
FOV = (4.0, 30.0, 48.0)  # z, y, x: the readout is oversampled, its half is wanted
POSITION = np.array([12.5, -40.0, 71.0])


def point_signals(where_mm: np.ndarray, directions: np.ndarray, position: np.ndarray, matrix) -> np.ndarray:
    """Signal of unit points, s(k) = sum exp(-2 pi i k . (r - position)), k along read, phase and slice."""
    offsets = (where_mm - position) @ directions  # mm along x, y, z
    k = [(np.arange(n) - n // 2) / f for n, f in zip(matrix, FOV, strict=True)]
    kz, ky, kx = np.meshgrid(*k, indexing="ij")
    phase = np.tensordot(np.stack([kx, ky, kz], -1), offsets.T, 1)
    return np.exp(-2j * np.pi * phase).sum(-1).astype(np.complex64)


def fields(directions: np.ndarray, position: np.ndarray) -> dict:
    names = ("read_dir", "phase_dir", "slice_dir")
    return {"position": position, **{n: directions[:, i] for i, n in enumerate(names)}}


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("vendor", ["", "SIEMENS"])
def test_points_come_back_where_they_were(tmp_path, name, vendor):
    directions, step = DIRECTIONS[name], 5.0
    head = header((1, NY, NX), fov_mm=FOV, recon_matrix=(1, NY, NX // 2), recon_fov_mm=(4.0, 30.0, 24.0), vendor=vendor)
    positions = [POSITION + directions[:, 2] * step * s for s in range(4)]
    # Voxels are 2 x 1.5 mm: each slice's point lies in the middle of another voxel.
    points = [p + directions @ [2.0 * (s - 3), 1.5 * (4 - 3 * s), 0.0] for s, p in enumerate(positions)]
    lines = []
    for s in (2, 0, 3, 1):  # interleaved
        signal = point_signals(points[s][None], directions, positions[s], (1, NY, NX))[0]
        signal = signal.conj() if vendor else signal
        lines += [
            line(signal[None, y], slice=s, kspace_encode_step_1=y, **fields(directions, positions[s]))
            for y in range(NY)
        ]
    scan = read(save(tmp_path / "a.h5", head, lines))
    assert all(g.oriented for g in scan.geometries) and "orientation=unknown" not in scan.header.flags
    image = recon(scan, "zero_filled")
    assert image.values.shape == (4, 1, 1, NY, NX // 2)
    for s in range(4):
        z, y, x = np.unravel_index(int(image.values[s, 0].argmax()), image.values.shape[-3:])
        assert np.allclose(image.geometries[s].to_world([x, y, z]), points[s], atol=1e-3)
    volume = image.volume()
    for s, point in enumerate(points):
        x, y, z = np.round(volume.geometry.to_voxel(point)).astype(int)
        assert volume.values[0, z, y, x] > 0.9 * volume.values.max(), f"slice {s}"


def test_three_dimensions(tmp_path):
    directions, nz = DIRECTIONS["oblique"], 6
    point = POSITION + directions @ [2.0 * 3, 1.5 * -5, 4.0 / nz * 2]
    signal = point_signals(point[None], directions, POSITION, (nz, NY, NX))
    where = fields(directions, POSITION)
    lines = [
        line(signal[None, z, y], kspace_encode_step_1=y, kspace_encode_step_2=z, **where) for z, y in np.ndindex(nz, NY)
    ]
    image = recon(read(save(tmp_path / "a.h5", header((nz, NY, NX), fov_mm=FOV), lines)), "zero_filled")
    z, y, x = np.unravel_index(int(image.values[0].argmax()), image.values.shape[-3:])
    assert np.allclose(image.geometry.to_world([x, y, z]), point, atol=1e-3)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_frames_survive_the_header(name):
    geometry = Geometry.from_frame(POSITION, DIRECTIONS[name], (1.1, 2.0, 3.0), (4, 6, 8))
    found, notes = geometries([head_frame(geometry)], (4, 6, 8), (12.0, 12.0, 8.8))
    assert not notes and found[0].matches(geometry, 1e-4)
    rotation = found[0].directions
    assert np.abs(rotation.T @ rotation - np.eye(3)).max() < 1e-12


def test_what_is_no_frame():
    good = head_frame(Geometry.from_frame(POSITION, DIRECTIONS["oblique"], (1, 1, 1), (1, 4, 4)))
    assert frame(good) is not None
    assert frame({**good, "slice_dir": np.zeros(3)}) is not None, "the normal follows from the other two"
    for broken in ({"read_dir": np.zeros(3)}, {"phase_dir": good["read_dir"]}, {"position": np.full(3, np.nan)}):
        assert frame({**good, **broken}) is None
    assert frame({**good, "slice_dir": good["read_dir"]}) is None


def test_slices_without_distance_are_spaced_and_told():
    head = head_frame(Geometry.from_frame(POSITION, DIRECTIONS["axial"], (1, 1, 1), (1, 4, 4)))
    found, notes = geometries([head, head], (1, 4, 4), (3.0, 4.0, 4.0))
    assert not found[0].oriented and "share a position" in notes[0]
    assert np.allclose(found[1].affine[:3, 3] - found[0].affine[:3, 3], [0, 0, 3])
    assert torch.tensor([g.voxel_mm for g in found]).eq(torch.tensor([1.0, 1.0, 3.0])).all()
