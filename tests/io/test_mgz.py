"""FreeSurfer's files: as nibabel reads and writes them, to the last voxel."""

from __future__ import annotations

import gzip
import struct
from io import BytesIO

import nibabel
import numpy as np
import pytest
import torch
from nibabel.fileholders import FileHolder
from nibabel.freesurfer.mghformat import MGHImage

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.read import find_format, read
from spinecho.io.write import write

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])


def geometry(mirrored: bool = False) -> Geometry:
    directions = TURN @ np.diag([-1, 1, 1]) if mirrored else TURN
    return Geometry.from_frame((10.5, -20, 30), directions, (0.9, 1.1, 2.5), (4, 5, 7))


def image(g: Geometry, *batch: int) -> Image:
    values = torch.rand(*batch, 1, *g.shape, generator=torch.Generator().manual_seed(1)) * 900
    return Image(values=values, geometries=(g,), axes=("time",) if batch else ())


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_written_as_nibabel_reads(suffix, mirrored, tmp_path):
    g = geometry(mirrored)
    made = image(g)
    write(made, tmp_path / f"a{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    stream = BytesIO(gzip.decompress(content) if suffix == ".mgz" else content)
    theirs = MGHImage.from_file_map({"image": FileHolder(fileobj=stream)})
    np.testing.assert_array_equal(np.asarray(theirs.dataobj).T, made.values[0].numpy())
    np.testing.assert_allclose(TO_RAS @ theirs.affine, g.affine, atol=1e-5)
    again = read(tmp_path / f"a{suffix}")
    torch.testing.assert_close(again.values, made.values, rtol=0, atol=0)
    assert again.geometry.matches(g)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_read_as_nibabel_writes(dtype, tmp_path):
    values = np.random.default_rng(0).integers(0, 200, (7, 5, 4)).astype(dtype)
    affine = TO_RAS @ geometry().affine
    nibabel.save(MGHImage(values, affine), tmp_path / "a.mgz")
    found = read(tmp_path / "a.mgz")
    np.testing.assert_array_equal(found.values[0].numpy(), values.T.astype(np.float32))
    np.testing.assert_allclose(found.geometry.affine, TO_RAS @ nibabel.load(tmp_path / "a.mgz").affine, atol=1e-6)
    assert find_format(tmp_path / "a.mgz").__name__.endswith(".mgz")


def test_frames_and_labels(tmp_path):
    series = image(geometry(), 3)
    write(series, tmp_path / "series.mgz")
    again = read(tmp_path / "series.mgz")
    assert again.axes == ("time",)
    torch.testing.assert_close(again.values, series.values, rtol=0, atol=0)
    for dtype, stored in ((torch.uint8, ">u1"), (torch.int16, ">i2"), (torch.int32, ">i4")):
        labels = Image(values=(series.values[0] / 4).to(dtype), geometries=series.geometries)
        write(labels, tmp_path / "labels.mgz")
        assert nibabel.load(tmp_path / "labels.mgz").get_data_dtype() == np.dtype(stored)
        torch.testing.assert_close(read(tmp_path / "labels.mgz").values, labels.values)


def test_times_and_orientation_unknown(tmp_path):
    header = Header(tr_ms=(2300.0,), te_ms=(2.98,), ti_ms=(900.0,), flip_deg=(9.0,))
    g = Geometry.unknown((4, 5, 7), (1, 2, 3))
    write(Image(values=torch.ones(1, 4, 5, 7), geometries=(g,), header=header), tmp_path / "a.mgz")
    found = read(tmp_path / "a.mgz")
    assert found.header.tr_ms == (2300.0,)
    assert found.header.flip_deg == pytest.approx((9.0,))
    assert found.header.te_ms == pytest.approx((2.98,))
    assert not found.geometry.oriented
    assert found.geometry.voxel_mm == pytest.approx((1, 2, 3))
    assert "orientation=unknown" in found.header.flags


def test_real_label_map_comes_back(shared_data, tmp_path):
    source = next((shared_data / "label_maps").rglob("*.nii.gz"), None) or pytest.skip("no label maps")
    whole = read(source)
    write(Image(values=whole.values.to(torch.int16), geometries=whole.geometries), tmp_path / "a.mgz")
    again = read(tmp_path / "a.mgz")
    torch.testing.assert_close(again.values.long(), whole.values.long(), rtol=0, atol=0)
    assert again.geometry.matches(whole.geometry)


def test_damage_is_told(tmp_path):
    path = tmp_path / "a.mgh"
    write(image(geometry()), path)
    content = path.read_bytes()

    def told(changed: bytes, match: str) -> None:
        path.write_bytes(changed)
        with pytest.raises(DataError, match=match):
            read(path)

    told(content[:400], "bytes too early|holds 400 at most")
    told(struct.pack(">7i", 1, 9000, 9000, 9000, 1, 3, 0) + content[28:], "declares")
    told(struct.pack(">7i", 1, 7, 5, 4, 1, 6, 0) + content[28:], "of type 6")
    told(content[:30] + struct.pack(">f", 0.0) + content[34:], "singular")
    packed = bytearray(gzip.compress(content))
    packed[len(packed) // 2] ^= 255
    path.write_bytes(bytes(packed))
    with pytest.raises(DataError):
        read(path)
