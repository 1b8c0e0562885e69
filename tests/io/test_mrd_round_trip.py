"""What spinecho writes as MRD comes back as it was, other programs can read it, and damage does not pass."""

from __future__ import annotations

from dataclasses import replace

import h5py
import ismrmrd
import numpy as np
import pytest
import torch
from asymmetric import DIRECTIONS
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.axes import picture_geometry
from spinecho.io.formats import mrd
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.io.read import read, slice_count
from spinecho.io.write import write

FACTS = Header(
    vendor="SIEMENS",
    model="A & B <scanner>",
    field_t=2.89,
    te_ms=(3.5, 7.0),
    tr_ms=(500.0,),
    flip_deg=(15.0,),
    protocol="t1",
    sequence="gre",
    patient={"name": "Nobody^Known", "id": "7", "position": "HFS", "birth_date": "1970-01-31", "sex": "F"},
    flags=("simulated", "retrospectively undersampled"),
    history=("simulated with 4 coils", "mask random:4, <centre> 8 %"),
)


def random(shape, rng):
    return torch.randn(shape, dtype=torch.complex64, generator=rng)


def scan(rng, axes=("slice", "repetition"), batch=(3, 2), grid=(1, 10, 12), mask_shape=None, name="oblique"):
    mask = torch.rand(mask_shape or (*batch, 1, *grid[:2], 1), generator=rng) < 0.6
    n_slices = batch[axes.index("slice")] if "slice" in axes else 1
    normal = DIRECTIONS[name][:, 2]
    fov = (5.0 * grid[0], 1.5 * grid[1], 1.25 * grid[2])
    return KSpace(
        samples=random((*batch, 4, *grid), rng) * mask,
        mask=mask,
        encoding=Encoding(
            matrix=grid,
            recon_matrix=(grid[0], 2 * grid[1], grid[2]),
            fov_mm=fov,
            recon_fov_mm=fov,
            acceleration=(1.0, 2.0),
        ),
        # Interleaved: the file's order of slices is not their order in space.
        geometries=tuple(
            Geometry.from_frame(np.array([5, -7, 11]) + normal * 6.0 * i, DIRECTIONS[name], (1.25, 1.5, 5.0), grid)
            for i in (0, 2, 1, 3)[:n_slices]
        ),
        calib=random((*(b if a == "slice" else 1 for a, b in zip(axes, batch, strict=True)), 4, 1, 6, 12), rng),
        noise_cov=torch.cov(random((4, 64), rng)),
        axes=axes,
        header=FACTS,
        target=torch.rand((*batch, 1, *grid), generator=rng),
    )


def same(a: KSpace, b: KSpace) -> None:
    for name in ("samples", "mask", "traj", "calib", "target"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert torch.equal(torch.broadcast_to(x, y.shape), y), name
    assert a.noise_cov is None or torch.allclose(a.noise_cov, b.noise_cov, rtol=1e-5)
    assert a.axes == b.axes and a.encoding == b.encoding
    assert all(g.matches(h) and g.oriented == h.oriented for g, h in zip(a.geometries, b.geometries, strict=True))


@pytest.mark.parametrize("name", DIRECTIONS)
def test_kspace_comes_back(tmp_path, rng, name):
    kspace = scan(rng, name=name)
    write(kspace, tmp_path / "a.mrd.h5")
    got = read(tmp_path / "a.mrd.h5")
    same(kspace, got)
    facts = replace(got.header, source="", file_format="", history=got.header.history[:2], slice_thickness_mm=0.0)
    assert facts == replace(FACTS, patient=facts.patient) and dict(facts.patient) == dict(FACTS.patient)


@pytest.mark.parametrize("axes", [(), ("slice",), ("time", "slice"), ("contrast", "time")])
def test_axes_keep_their_order_even_with_one_entry(tmp_path, rng, axes):
    kspace = scan(rng, axes, (1, 3)[: len(axes)])
    write(kspace, tmp_path / "a.mrd")
    same(kspace, read(tmp_path / "a.mrd"))


def test_part_of_the_slices(tmp_path, rng):
    kspace = scan(rng)
    write(kspace, tmp_path / "a.mrd")
    assert slice_count(tmp_path / "a.mrd") == 3
    same(kspace.narrow("slice", 1, 3), read(tmp_path / "a.mrd", ReadOptions(slices=(1, 3))))


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 7)] * 3), seed=st.integers(0, 2**31), centre=st.booleans())
def test_any_mask_comes_back(tmp_path_factory, shape, seed, centre):
    rng = torch.Generator().manual_seed(seed)
    kspace = scan(rng, (), (), shape, mask_shape=(1, *shape))
    kspace = replace(kspace, calib=None)
    if centre:
        kspace = replace(kspace, encoding=replace(kspace.encoding, centre=tuple(max(0, n // 2 - 1) for n in shape)))
    path = tmp_path_factory.mktemp("mrd") / "a.mrd"
    if not kspace.mask.any():
        return
    write(kspace, path)
    got = read(path)
    assert got.encoding.origin == kspace.encoding.origin
    assert torch.equal(got.mask.broadcast_to(kspace.mask.shape), kspace.mask)
    assert torch.equal(got.samples, kspace.samples)


def test_trajectory_comes_back(tmp_path, rng):
    kspace = scan(rng)
    kspace = replace(
        kspace,
        samples=random((3, 2, 4, 1, 9, 20), rng),
        traj=torch.randn((3, 2, 1, 9, 20, 3), generator=rng) * torch.tensor([4.0, 4.0, 0.0]),
        mask=None,
        calib=None,
        encoding=replace(kspace.encoding, trajectory="spiral", acceleration=(1.0, 1.0)),
    )
    write(kspace, tmp_path / "a.mrd")
    same(kspace, read(tmp_path / "a.mrd"))


def test_a_scan_without_orientation_keeps_its_picture(tmp_path, rng):
    geometry = picture_geometry((1, 10, 12), transposed=True, n_slices=3, voxel_mm=(2.0, 1.0, 4.0))
    kspace = replace(scan(rng), geometries=geometry, encoding=Encoding.cartesian((1, 10, 12)), calib=None)
    write(kspace, tmp_path / "a.mrd")
    got = read(tmp_path / "a.mrd", ReadOptions(slices=(2, 3)))
    assert "orientation=unknown" in got.header.flags
    assert got.geometries[0].matches(geometry[2]) and not got.geometries[0].oriented


def test_the_standards_own_package_reads_it(tmp_path, rng):
    kspace = scan(rng)
    write(kspace, tmp_path / "a.mrd")
    with ismrmrd.Dataset(str(tmp_path / "a.mrd"), mode="r") as file:
        head = ismrmrd.xsd.CreateFromDocument(file.read_xml_header())
        lines = [file.read_acquisition(i) for i in range(file.number_of_acquisitions())]
    assert head.encoding[0].reconSpace.matrixSize.y == 20 and head.sequenceParameters.TE == [3.5, 7.0]
    assert lines[0].isFlagSet(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    assert sum(x.isFlagSet(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION) for x in lines) == 3 * 6
    image = lines[-1]
    s, y = image.idx.slice, image.idx.kspace_encode_step_1
    assert np.array_equal(image.data, kspace.samples[s, image.idx.repetition, :, 0, y])
    assert np.allclose(image.slice_dir, kspace.geometries[s].directions[:, 2])


def test_what_mrd_cannot_hold_is_refused(tmp_path, rng):
    kspace = scan(rng)
    with pytest.raises(DataError, match="no counter for the axis 'map'"):
        write(replace(kspace, axes=("slice", "map")), tmp_path / "a.mrd")
    assert not (tmp_path / "a.mrd").exists()


def image(rng, complex_values, axes=("slice", "time", "contrast")):
    kspace = scan(rng)
    values = torch.rand((3, 2, 2, 1, 1, 10, 12), generator=rng)
    values = torch.complex(values, values.flip(0)) if complex_values else values
    return Image(values=values, geometries=kspace.geometries, axes=axes, header=FACTS)


@pytest.mark.parametrize("complex_values", [False, True])
def test_images_come_back(tmp_path, rng, complex_values):
    picture = image(rng, complex_values)
    write(picture, tmp_path / "a.mrd", WriteOptions(keep_complex=complex_values))
    got = read(tmp_path / "a.mrd")
    assert torch.equal(got.values, picture.values) and got.axes == picture.axes
    assert all(g.matches(h) for g, h in zip(got.geometries, picture.geometries, strict=True))
    assert got.header.flags == FACTS.flags and got.header.history == FACTS.history
    with ismrmrd.Dataset(str(tmp_path / "a.mrd"), mode="r") as file:
        last = file.read_image("image_0", 11)
    assert np.array_equal(last.data, picture.values[2, 1, 1]) and (last.slice, last.phase, last.contrast) == (2, 1, 1)


def test_an_image_without_orientation_is_written_as_its_owner_stores_it(tmp_path, rng):
    geometry = picture_geometry((1, 10, 12), transposed=True, voxel_mm=(2.0, 1.0, 4.0))
    values = torch.rand((1, 1, 10, 12), generator=rng)
    write(Image(values=values, geometries=geometry), tmp_path / "a.mrd")
    got = read(tmp_path / "a.mrd")
    assert torch.equal(got.values, values.mT) and got.geometry.voxel_mm == (2.0, 1.0, 4.0)
    assert not got.geometry.oriented and "orientation=unknown" in got.header.flags


@pytest.mark.parametrize(("far", "axis"), [(True, "slice"), (False, "repetition")])
def test_images_whose_counters_say_nothing(tmp_path, far, axis):
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    with ismrmrd.Dataset(str(tmp_path / "a.h5"), mode="w") as file:
        for i in range(2):
            one = ismrmrd.Image.from_array(values[i], field_of_view=(8.0, 6.0, 2.0), image_type=1)
            one.position[:] = (0, 0, 5.0 * i * far)
            one.read_dir[:], one.phase_dir[:], one.slice_dir[:] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
            file.append_image("series", one)
    got = read(tmp_path / "a.h5")
    assert got.axes == (axis,) and np.array_equal(got.values[:, 0, 0], values)
    assert got.geometries[0].voxel_mm == (2.0, 2.0, 2.0)
    assert np.allclose(got.geometries[0].to_world([2, 1, 0]), 0)


@pytest.mark.parametrize("kind", ["kspace", "image"])
def test_no_damage_passes_in_silence(tmp_path, rng, kind):
    item = scan(rng) if kind == "kspace" else image(rng, False)
    write(item, tmp_path / "a.mrd")
    sound = (tmp_path / "a.mrd").read_bytes()
    reference = read(tmp_path / "a.mrd")
    main = (lambda i: i.samples) if kind == "kspace" else (lambda i: i.values)
    places = torch.randint(len(sound), (80,), generator=rng).tolist()
    noticed = 0
    for i, place in enumerate(places):
        path = tmp_path / f"damaged{i}.mrd"
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :])
        try:
            got = read(path)
        except DataError:
            noticed += 1
            continue
        assert torch.equal(main(got), main(reference)) and got.axes == reference.axes
        assert all(g.matches(h) for g, h in zip(got.geometries, reference.geometries, strict=True))
    assert noticed > 20


def test_missing_checksums_of_an_own_file_are_noticed(tmp_path, rng):
    write(scan(rng), tmp_path / "a.mrd")
    with h5py.File(tmp_path / "a.mrd", "r+") as file:
        del file["dataset/spinecho_line_sha256"]
    with pytest.raises(DataError, match="spinecho_line_sha256"):
        mrd.read(tmp_path / "a.mrd", ReadOptions())
