"""MRD headers with one bad number in a field of view: the others stay, the bad one is mended, and it is told."""

from __future__ import annotations

import h5py
import ismrmrd
import numpy as np
import pytest
from mrd_files import coil_images, grid_lines, header, save, to_kspace

from spinecho.io.mrd.fov import mended
from spinecho.io.mrd.xml import EncodingSpace, Space
from spinecho.io.options import ReadOptions
from spinecho.io.read import read

NY, NX = 12, 16
FOV = (5.0, 180.0, 240.0)
FRAME = {"read_dir": (1.0, 0.0, 0.0), "phase_dir": (0.0, 1.0, 0.0), "slice_dir": (0.0, 0.0, 1.0)}


def scan(path, encoded=FOV, recon=FOV, *, nz=1, positions=(0.0,), nx=NX, **fields):
    """A file whose header has these fields of view (z, y, x), slices at these places along z."""
    lines = [
        x
        for s, z in enumerate(positions)
        for x in grid_lines(to_kspace(coil_images(2, (nz, NY, nx), s)), slice=s, position=(3.0, 4.0, z), **FRAME)
    ]
    head = header((nz, NY, nx), fov_mm=encoded, recon_matrix=(nz, NY, NX), recon_fov_mm=recon, **fields)
    return read(save(path / "a.h5", head, lines))


def told(got):
    return [step for step in got.header.history if "field of view" in step]


BAD = [0.0, -1.0, float("nan"), float("inf"), -7.0]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("where", ["encoded", "recon"])
def test_one_space_mends_the_other(tmp_path, where, axis, bad):
    spoilt = tuple(bad if i == axis else f for i, f in enumerate(FOV))
    got = scan(tmp_path, **{where: spoilt})
    assert got.encoding.fov_mm == pytest.approx(FOV) and got.encoding.recon_fov_mm == pytest.approx(FOV)
    assert got.geometries[0].voxel_mm == pytest.approx((15.0, 15.0, 5.0)) and got.geometries[0].oriented
    assert got.header.slice_thickness_mm == 5.0 and not got.header.warnings
    other = "reconSpace" if where == "encoded" else "encodedSpace"
    assert len(told(got)) == 1 and "zyx"[axis] in told(got)[0] and f"mm taken from {other}" in told(got)[0]


@pytest.mark.parametrize("axes", [(2,), (1,), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("where", [("encoded",), ("recon",), ("encoded", "recon")])
def test_metres_are_told_from_millimetres(tmp_path, where, axes):
    spoilt = tuple(f / 1000 if i in axes else f for i, f in enumerate(FOV))
    got = scan(tmp_path, **dict.fromkeys(where, spoilt))
    assert got.encoding.fov_mm == pytest.approx(FOV) and got.encoding.recon_fov_mm == pytest.approx(FOV)
    assert got.geometries[0].voxel_mm == pytest.approx((15.0, 15.0, 5.0)) and got.geometries[0].oriented
    assert got.header.slice_thickness_mm == pytest.approx(5.0)
    assert len(told(got)) == len(axes) * len(where) and all("taken as metres" in t for t in told(got))


@pytest.mark.parametrize("axis", [1, 2])
def test_a_slab_given_in_metres_along_one_axis(tmp_path, axis):
    fov = (24.0, 180.0, 240.0)
    spoilt = tuple(f / 1000 if i == axis else f for i, f in enumerate(fov))
    assert scan(tmp_path, spoilt, spoilt, nz=4).geometries[0].voxel_mm == pytest.approx((15.0, 15.0, 6.0))
    thin = (0.024, 180.0, 240.0)
    assert scan(tmp_path, thin, thin, nz=4).geometries[0].voxel_mm == pytest.approx((15.0, 15.0, 6.0))


def test_the_readouts_oversampling_survives_a_bad_number(tmp_path):
    """Encoded 480 mm in 32 samples, wanted 240 mm in 16: either number follows from the other."""
    wide = (5.0, 180.0, 480.0)
    for encoded, recon in (((5.0, 180.0, 0.0), FOV), (wide, (5.0, 180.0, 0.0)), ((5.0, 180.0, 0.48), FOV)):
        got = scan(tmp_path, encoded, recon, nx=2 * NX)
        assert got.samples.shape[-1] == NX and got.encoding.fov_mm == pytest.approx(FOV)
        assert got.encoding.recon_fov_mm == pytest.approx(FOV)


def test_an_interpolated_image_has_the_field_of_view_of_the_scan():
    encoded = Space(matrix=(1, 96, 256), fov_mm=(5.0, 240.0, 480.0))
    recon = Space(matrix=(1, 128, 128), fov_mm=(5.0, 0.0, 240.0))
    space, _ = mended(EncodingSpace(encoded=encoded, recon=recon))
    assert space.recon.fov_mm == (5.0, 240.0, 240.0) and space.encoded == encoded
    both = mended(EncodingSpace(encoded=Space(matrix=(1, 256, 256), fov_mm=(5.0, 0.0, 256.0)), recon=Space()))[0]
    assert both.encoded.fov_mm == (5.0, 256.0, 256.0) and both.recon == Space()


@pytest.mark.parametrize("bad", BAD[:4])
def test_slices_are_as_thick_as_they_lie_apart(tmp_path, bad):
    spoilt = (bad, *FOV[1:])
    got = scan(tmp_path, spoilt, spoilt, positions=(-6.5, 0.0, 6.5))
    assert [g.voxel_mm for g in got.geometries] == [pytest.approx((15.0, 15.0, 6.5))] * 3
    assert all(g.oriented for g in got.geometries) and not got.header.warnings
    assert got.header.slice_thickness_mm == 0, "the distance is no thickness"
    assert any("distance between slices" in t for t in told(got))
    part = read(tmp_path / "a.h5", ReadOptions(slices=(1, 2)))
    assert part.geometries[0].matches(got.geometries[1])


@pytest.mark.parametrize("bad", BAD[:4])
@pytest.mark.parametrize("nz", [1, 4])
def test_a_thickness_that_nothing_tells_is_assumed_aloud(tmp_path, nz, bad):
    spoilt = (bad, *FOV[1:])
    got = scan(tmp_path, spoilt, spoilt, nz=nz)
    assert got.geometries[0].voxel_mm == pytest.approx((15.0, 15.0, 15.0)) and got.geometries[0].oriented
    assert got.header.slice_thickness_mm == 0
    assert any("along z" in w and "assumed" in w for w in got.header.warnings)


@pytest.mark.parametrize("bad", BAD[:4])
@pytest.mark.parametrize("axis", [1, 2])
def test_square_voxels_are_assumed_aloud(tmp_path, axis, bad):
    spoilt = tuple(bad if i == axis else f for i, f in enumerate(FOV))
    got = scan(tmp_path, spoilt, spoilt)
    assert got.geometries[0].voxel_mm == pytest.approx((15.0, 15.0, 5.0)) and got.header.slice_thickness_mm == 5.0
    assert any("square" in w and "assumed" in w for w in got.header.warnings)


def test_a_minus_sign_is_dropped_where_the_size_is_likely(tmp_path):
    spoilt = (-4.0, 180.0, -240.0)
    got = scan(tmp_path, spoilt, spoilt)
    assert got.encoding.fov_mm == pytest.approx((4.0, 180.0, 240.0))
    assert sum("sign" in t for t in told(got)) == 2


def test_both_in_the_plane_are_bad(tmp_path):
    got = scan(tmp_path, (5.0, 0.0, 0.0), (5.0, 0.0, 0.0))
    assert got.geometries[0].voxel_mm == pytest.approx((1.0, 1.0, 5.0)) and got.header.warnings


def test_an_oversampled_readout_may_be_wider_than_a_metre(tmp_path):
    body = (5.0, 500.0, 600.0)
    for encoded, recon in (((5.0, 500.0, 1.2), body), ((0.005, 0.5, 1.2), (0.005, 0.5, 0.6))):
        got = scan(tmp_path, encoded, recon, nx=2 * NX)
        assert got.encoding.fov_mm == pytest.approx(body) == got.encoding.recon_fov_mm
        assert got.geometries[0].voxel_mm[2] == pytest.approx(5.0)


def test_good_headers_are_left_alone(tmp_path):
    for fov in ((0.2, 18.0, 24.0), (1.0, 1.0, 1.0), (5.0, 500.0, 500.0), (300.0, 300.0, 300.0), (0.4, 1.5, 1.5)):
        got = scan(tmp_path, fov, fov)
        assert got.encoding.fov_mm == fov and not told(got)


def test_repetitions_and_a_spoke_path_have_their_header_mended_too(tmp_path):
    from test_mrd_spokes import N, lines, star

    made = header((1, N, N), fov_mm=(5.0, 240.0, 0.24), recon_fov_mm=(0.0, 240.0, 240.0), trajectory="radial")
    path = star(40) * (1e3 / 240)
    both = [x for r in range(2) for x in lines(path, 1, fields=lambda i, r=r: {"repetition": r})]
    got = read(save(tmp_path / "a.h5", made, both))
    assert got.encoding.fov_mm == pytest.approx((5.0, 240.0, 240.0)) and len(told(got)) == 2
    assert np.allclose(got.traj[0, 0], star(40), atol=1e-2)


@pytest.mark.parametrize(
    ("fov", "positions", "voxel"),
    [
        ((240.0, 180.0, 0.0), (0.0, 6.0), (15.0, 15.0, 6.0)),
        ((0.24, 180.0, 5.0), (0.0, 6.0), (15.0, 15.0, 5.0)),
        ((240.0, float("nan"), 5.0), (0.0,), (15.0, 15.0, 5.0)),
        ((240.0, 180.0, 0.005), (0.0,), (15.0, 15.0, 5.0)),
    ],
)
def test_an_image_series(tmp_path, fov, positions, voxel):
    path = tmp_path / "a.h5"
    with ismrmrd.Dataset(str(path), "dataset", mode="w") as file:
        for s, z in enumerate(positions):
            image = ismrmrd.Image.from_array(np.ones((1, NY, NX), np.float32), slice=s, field_of_view=fov)
            for name, value in {**FRAME, "position": (0.0, 0.0, z)}.items():
                getattr(image, name)[:] = value
            file.append_image("image_0", image)
    got = read(path, ReadOptions())
    assert got.geometries[0].voxel_mm == pytest.approx(voxel) and got.geometries[0].oriented
    assert told(got)


def test_fastmri(tmp_path):
    from ismrmrd import xsd

    made = header((1, NY, NX), fov_mm=(0.0, 180.0, 0.24), recon_fov_mm=(0.005, 0.0, 240.0))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.ones((2, 1, NX, NY), np.complex64)
        file["ismrmrd_header"] = xsd.ToXML(made).encode()
    got = read(tmp_path / "a.h5")
    assert got.encoding.fov_mm == pytest.approx(FOV) and got.header.slice_thickness_mm == pytest.approx(5.0)
    assert len(told(got)) == 4
