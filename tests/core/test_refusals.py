"""Scans, images, grids and errors at their edges: broadcast masks, single slices, oblique frames, what is refused."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho import DataError, Encoding, Geometry, Header, Image, KSpace
from spinecho.core.geometry import stack
from spinecho.io.guard import one_error
from spinecho.tasks.recon.base import Recon


def grid(seed: int = 0, shape: tuple[int, int, int] = (3, 5, 7)) -> Geometry:
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return Geometry.from_frame(rng.normal(size=3) * 50, turn, rng.uniform(0.3, 6, 3), shape)


def scan(**change) -> KSpace:
    facts = {
        "samples": torch.zeros(2, 3, 4, 1, 6, 8, dtype=torch.complex64),
        "mask": torch.ones(1, 3, 1, 1, 6, 1, dtype=torch.bool),
        "encoding": Encoding.cartesian((1, 6, 8)),
        "geometries": (Geometry.unknown((1, 6, 8)),),
        "axes": ("time", "average"),
    }
    return KSpace(**{**facts, **change})


def test_cutting_leaves_what_all_entries_share():
    target, calib = torch.arange(2.0).view(2, 1, 1, 1, 1, 1), torch.zeros(1, 1, 4, 1, 4, 8, dtype=torch.complex64)
    part = scan(target=target, calib=calib).part("time", 1)
    assert part.samples.shape[:2] == (1, 3) and part.axes == ("time", "average")
    assert part.mask is not None and part.mask.shape[:2] == (1, 3)
    assert part.calib is calib and part.target is not None and part.target.item() == 1
    average = scan().narrow("average", 1, 3)
    assert average.mask is not None and average.mask.shape[:2] == (1, 2) and average.samples.shape[:2] == (2, 2)


def test_trajectories_are_cut_with_their_samples():
    traj = torch.arange(2.0).view(2, 1, 1, 1, 1, 1).expand(2, 3, 1, 6, 8, 3)
    part = scan(mask=None, traj=traj).part("time", 1)
    assert not part.is_cartesian and part.traj is not None and part.traj.unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"traj": torch.zeros(2, 3, 1, 6, 8, 3)}, "mask .* or a trajectory, and not both"),
        ({"calib": torch.zeros(1, 1, 2, 1, 4, 4, dtype=torch.complex64)}, "calib has 2 coils, k-space 4"),
        (
            {"geometries": (Geometry.unknown((1, 6, 8)),) * 2},
            "1 slices and 2 geometries -> give one geometry per slice",
        ),
        ({"axes": ()}, r"batch axes of sizes \(2, 3\), but they are named \(\)"),
    ],
)
def test_what_contradicts_itself_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        scan(**change)


def test_an_axis_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"there is no axis 'slice' among \('time', 'average'\)"):
        scan().part("slice", 0)


def test_values_of_another_shape_than_their_grid_are_refused():
    with pytest.raises(DataError, match=r"\(1, 6, 9\) \(z, y, x\), their geometry \(1, 6, 8\)"):
        scan().image(torch.zeros(2, 3, 1, 1, 6, 9))


def test_images_without_slices_are_their_own_volume():
    image = scan().image(torch.zeros(2, 3, 1, 1, 6, 8), gfactor=torch.ones(1, 1, 6, 8))
    assert image.volume() is image and image.geometry is image.geometries[0] and set(image.extras) == {"gfactor"}


def test_one_slice_becomes_one_plane():
    geometry = grid(shape=(1, 6, 8))
    values = torch.rand(1, 2, 1, 1, 6, 8)
    csm = torch.rand(1, 2, 1, 4, 1, 6, 8)
    volume = Image(values=values, geometries=(geometry,), axes=("slice", "time"), extras={"csm": csm}).volume()
    assert volume.geometry is geometry and volume.axes == ("time",)
    assert torch.equal(volume.values, values[0]) and torch.equal(volume.extras["csm"], csm[0])


def test_coil_maps_follow_their_slices_into_the_volume():
    first = grid(3, (1, 4, 4))
    normal = first.directions[:, 2] * 7.0
    places = [2, 0, 1]
    geometries = tuple(
        replace(first, affine=first.affine + np.pad(normal[:, None] * p, ((0, 1), (3, 0)))) for p in places
    )
    values = torch.tensor(places, dtype=torch.float32).view(3, 1, 1, 1, 1).expand(3, 1, 1, 4, 4)
    image = Image(
        values=values, geometries=geometries, axes=("slice",), extras={"csm": values[:, None].expand(3, 1, 2, 1, 4, 4)}
    )
    volume = image.volume()
    assert volume.values[0, :, 0, 0].tolist() == [0, 1, 2] and volume.extras["csm"].shape == (1, 2, 3, 4, 4)
    assert volume.extras["csm"][0, 1, :, 0, 0].tolist() == [0, 1, 2]
    assert volume.geometry.voxel_mm[2] == pytest.approx(7)
    np.testing.assert_allclose(volume.geometry.to_world([1, 2, 2]), geometries[0].to_world([1, 2, 0]))


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
def test_magnitude_is_a_root_sum_of_squares_at_any_scale(scale):
    values = scale * torch.randn(5, 1, 3, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    combined = Image(values=values, geometries=(Geometry.unknown((1, 3, 3)),)).magnitude().values
    torch.testing.assert_close(combined / scale, torch.linalg.vector_norm(values / scale, dim=0, keepdim=True))
    assert combined.dtype == torch.float64


def test_oriented_images_are_stored_as_they_are():
    image = Image(values=torch.zeros(1, 3, 5, 7), geometries=(grid().permuted((0, 1, 2)),))
    assert image.as_stored() is image


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_a_grid_survives_its_own_inverses(seed, shape):
    g = grid(seed, shape)
    assert g.flipped(0).flipped(0).matches(g) and g.flipped(2).flipped(2).matches(g)
    for axes in itertools.permutations(range(3)):
        inverse = tuple(axes.index(i) for i in range(3))
        assert g.permuted(axes).permuted(inverse).matches(g)
    bigger = tuple(n + 3 for n in shape)
    assert g.centre_cropped(bigger).centre_cropped(shape).matches(g)
    assert g.resized(bigger).resized(shape).matches(g)
    points = np.random.default_rng(seed).normal(size=(4, 3)) * 9
    np.testing.assert_allclose(g.to_voxel(g.to_world(points)), points, atol=1e-9)
    np.testing.assert_allclose(g.directions.T @ g.directions, np.eye(3), atol=1e-12)


def test_grids_match_to_a_tolerance_at_the_corners():
    g = grid()
    affine = np.array(g.affine)
    affine[:3, 3] += 0.002
    moved = replace(g, affine=affine)
    assert not g.matches(moved) and g.matches(moved, tolerance_mm=0.01) and not g.matches(grid(shape=(3, 5, 8)))


def test_an_affine_cannot_be_changed_afterwards():
    g = grid()
    with pytest.raises(ValueError, match="read-only"):
        g.affine[0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        g.oriented = False  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("voxel", [(0.0, 1.0, 1.0), (1.0, 1.0, 0.0)])
def test_voxels_without_a_size_are_refused(voxel):
    with pytest.raises(DataError, match=r"singular.* -> give one with three voxel sizes over 0"):
        Geometry.unknown((2, 2, 2), voxel)


@pytest.mark.parametrize("size", [1e-6, 1e5])
def test_voxels_of_any_size_are_grids(size):
    assert Geometry.unknown((2, 2, 2), (size,) * 3).voxel_mm == pytest.approx((size,) * 3)


def test_slices_shifted_sideways_are_no_volume():
    flat = [Geometry.from_frame([x, 0, 3.0 * i], np.eye(3), (1, 1, 3), (1, 4, 4)) for i, x in enumerate((0, 9, 0))]
    with pytest.raises(DataError, match="shifted sideways"):
        stack(flat)
    sheared = [Geometry.from_frame([2.0 * i, 0, 3.0 * i], np.eye(3), (1, 1, 3), (1, 4, 4)) for i in range(3)]
    order, volume = stack(sheared)
    assert order == [0, 1, 2]
    np.testing.assert_allclose(volume.to_world([1, 2, 2]), sheared[2].to_world([1, 2, 0]))


def test_one_slice_is_a_stack_and_thick_ones_are_not():
    one = grid(shape=(1, 4, 4))
    assert stack([one]) == ([0], one)
    with pytest.raises(DataError, match=r"slice 0 has shape \(2, 4, 4\)"):
        stack([grid(shape=(2, 4, 4))] * 2)


@pytest.mark.parametrize(
    ("matrix", "fov", "recon_fov", "wanted"),
    [
        ((1, 128, 256), (5, 240, 480), (5, 240, 240), (1, 128, 128)),
        ((20, 64, 64), (120, 240, 240), (100, 300, 240), (17, 80, 64)),
        ((1, 64, 64), (5, 240, 240), (0, 0, 120), (1, 99, 32)),
        ((3, 64, 64), (300, 240, 240), (5, 240, 240), (1, 64, 64)),
    ],
)
def test_the_crop_follows_the_fields_of_view(matrix, fov, recon_fov, wanted):
    encoding = Encoding(matrix=matrix, recon_matrix=(1, 99, 99), fov_mm=fov, recon_fov_mm=recon_fov)
    assert encoding.cropped_matrix == wanted
    assert replace(encoding, fov_mm=None).cropped_matrix == (1, 99, 99)
    assert replace(encoding, centre=(0, 3, 4)).origin == (0, 3, 4)


def test_an_error_keeps_the_innermost_file():
    bare = DataError("bad")
    assert str(bare) == "bad" and bare.do == "" and isinstance(bare, ValueError)
    named = bare.within("inner.h5")
    assert str(named.within("outer.zip")) == str(named) == "inner.h5: bad"
    again = pickle.loads(pickle.dumps(named))
    assert (again.found, again.do, again.file) == ("bad", "", "inner.h5")


def named_twice() -> DataError:
    """An error of a reader that names its file, as it leaves `one_error`."""
    with pytest.raises(DataError) as raised, one_error(Path("outer.zip")):
        raise DataError("bad", do="copy it again", file="inner.h5")
    return raised.value


def test_an_error_that_names_its_file_is_not_its_own_cause():
    error = named_twice()
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        assert all(cause is not one for one in causes), "it was raised from itself"
        causes.append(cause)
    assert [str(one) for one in causes] == ["inner.h5: bad -> copy it again"] * 2


def test_an_error_of_another_kind_keeps_its_kind_with_a_file():
    class Special(DataError):
        pass

    assert type(Special("bad").within("inner.h5")) is Special


@pytest.mark.timeout(60)
def test_dask_can_send_an_error_that_names_its_file():
    core = pytest.importorskip("distributed.core")
    error = named_twice()
    assert error.__cause__ is not error  # or `error_message` fills the memory, walking from it to itself
    assert "inner.h5: bad" in core.error_message(error)["exception_text"]


def test_the_patient_of_an_empty_header_cannot_leak_into_another():
    with pytest.raises(TypeError):
        Header().patient["name"] = "X"  # pyright: ignore[reportIndexIssue]
    assert Header().flagged("a", "a", "b").flags == ("a", "b") and Header().noted().history == ()


def test_methods_must_reconstruct_and_refuse_nothing_by_themselves():
    with pytest.raises(TypeError, match="forward"):
        Recon(None)  # pyright: ignore[reportAbstractUsage]
    assert Recon.refusal(scan()) is None and not Recon.whole_series
