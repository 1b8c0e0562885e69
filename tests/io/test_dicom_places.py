"""Where slices lie: any order and tilt becomes one grid whose planes pass through them; what is no stack is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from asymmetric import rotation
from dicom_frames import frame, names
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.places import by_place, check_alike, grid, located
from spinecho.io.dicom.spacing import pixel_size, slice_distance, thickness, with_pixel_sizes

few = settings(max_examples=30, deadline=None)


def tilted(n: int, degrees: float, step_mm: float = 4.0) -> list[Frame]:
    """Slices along the normal of a tilted plane."""
    turn = rotation((1, -2, 0.5), degrees)
    start = np.array([12.0, -40.0, 7.0])
    return [
        frame(f"{i}.dcm", axes=turn[:, :2], position=start + i * step_mm * turn[:, 2], location=float(i))
        for i in range(n)
    ]


@few
@given(n=st.integers(2, 8), degrees=st.floats(-179, 179), step=st.floats(0.5, 12), order=st.randoms())
def test_planes_of_the_grid_pass_through_the_slices(n, degrees, step, order):
    slices = tilted(n, degrees, step)
    given_ = order.sample(slices, n)
    places = by_place(given_)
    assert [names(p) for p in places] == [[f"{i}"] for i in range(n)]
    geometry, told = grid([p[0] for p in places], True, None)
    assert geometry.shape == (n, 6, 5)
    np.testing.assert_allclose(geometry.voxel_mm, (1.25, 1.5, step), rtol=1e-5)
    for i, f in enumerate(slices):
        np.testing.assert_allclose(geometry.to_world((0, 0, i)), f.position, atol=1e-6)
        corner = f.position + f.axes @ [4 * 1.25, 5 * 1.5]  # 5 columns, 6 rows
        np.testing.assert_allclose(geometry.to_world((4, 5, i)), corner, atol=1e-6)
    assert told == []


def test_frames_at_one_place_stay_in_their_order():
    first, second, third = frame("a", 0), frame("b", 0.004), frame("c", 4)
    assert [names(p) for p in by_place([third, first, second])] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"shape": (6, 7)}, r"b\.dcm has \(6, 7\) rows and columns, a\.dcm has \(6, 5\)"),
        ({"axes": rotation((1, 0, 0), 5)[:, :2]}, r"orientations are mixed: a\.dcm and b\.dcm are tilted"),
        ({"spacing_mm": (1.25, 1.6, 4.0)}, r"b\.dcm has pixels of \(1\.25, 1\.6\) mm, a\.dcm of"),
        ({"position": None}, r"b\.dcm does not say where it lies"),
        ({"axes": None}, r"b\.dcm does not say where it lies"),
    ],
)
def test_one_frame_unlike_the_others_is_named_beside_the_first(odd, told):
    with pytest.raises(DataError, match=told):
        check_alike([frame("a.dcm"), replace(frame("b.dcm", 4), **odd)])


def test_small_differences_of_rounding_are_none():
    turn = rotation((0, 0, 1), 0.01)
    check_alike([frame("a"), frame("b", 4, axes=turn[:, :2], spacing_mm=(1.2505, 1.5, 3.0))])


def test_slices_without_positions_are_ordered_by_their_location():
    frames = [frame(str(i), position=None, axes=None, location=loc) for i, loc in enumerate((8.0, -4.0, 2.0))]
    placed, oriented, told = located(frames)
    assert not oriented and "in the order of SliceLocation" in told[0]
    assert [names(p)[0] for p in by_place(placed)] == ["1", "2", "0"]
    geometry, _ = grid([p[0] for p in by_place(placed)], False, None)
    assert not geometry.oriented and geometry.voxel_mm[2] == pytest.approx(6)


def test_one_slice_without_a_place_needs_no_word_and_some_without_are_refused_later():
    placed, oriented, told = located([frame("a", position=None, axes=None)])
    assert not oriented and told == [] and placed[0].position is not None
    mixed = [frame("a"), frame("b", position=None, axes=None)]
    assert located(mixed) == (mixed, True, [])
    alike = [frame(n, position=None, axes=None, location=3.0) for n in "ab"]
    assert located(alike)[0] == alike  # one location for two slices orders nothing


def at(*places_mm: float, between: float = 0.0) -> list[Frame]:
    return [frame(f"{i}.dcm", z, between_mm=between) for i, z in enumerate(places_mm)]


def test_a_missing_slice_is_named_by_its_neighbours():
    with pytest.raises(DataError, match=r"a slice is missing: 1\.dcm and 2\.dcm are 8\.00 mm apart, others 4\.00 mm"):
        grid(at(0, 4, 12, 16), True, None)
    with pytest.raises(DataError, match=r"not evenly spaced: 2\.dcm and 3\.dcm are 4\.60 mm apart, 0\.dcm and 1\.dcm"):
        grid(at(0, 4, 8, 12.6), True, None)


def test_uneven_steps_are_told_and_even_ones_pass_in_silence():
    geometry, told = grid(at(0, 4, 8.2, 12), True, None)
    assert geometry.voxel_mm[2] == pytest.approx(4, rel=0.02) and "are 3.80 to 4.20 mm apart" in told[0]
    assert grid(at(0, 4.003, 8.001, 12), True, None)[1] == []


def test_positions_win_over_a_spacing_that_says_otherwise():
    _, told = grid(at(0, 4, 8, between=5.0), True, None)
    assert told == ["DICOM: SpacingBetweenSlices is 5 mm, the positions are 4 mm apart: the positions were taken"]
    assert grid(at(0, 4, 8, between=-4.0), True, None)[1] == []  # some scanners write a sign


@pytest.mark.parametrize(
    ("dz", "said", "taken", "told"),
    [(3.0, None, 3.0, 0), (-3.0, None, 3.0, 1), (0.0, (1.0, 1.0, 7.0), 7.0, 1), (0.0, None, 1.0, 1)],
)
def test_the_thickness_of_a_slice_alone(dz, said, taken, told):
    thick, notes = thickness(frame("a", spacing_mm=(1.0, 1.0, dz)), said)
    assert thick == taken and len(notes) == told


def test_pixel_sizes_come_from_the_first_attribute_that_has_them():
    facts = {"ImagerPixelSpacing": [2, 1], "NominalScannedPixelSpacing": [9, 9]}
    assert pixel_size(facts.get, frame("a").file) == (1.0, 2.0, "ImagerPixelSpacing")
    assert pixel_size({}.get, frame("a").file) == (0.0, 0.0, "")
    for wrong in ([1.0], [1, 2, 3], [0, 1], [float("nan"), 1], "1"):
        with pytest.raises(DataError, match=r"a\.dcm has"):
            pixel_size({"PixelSpacing": wrong}.get, frame("a.dcm").file)


def test_the_distance_between_slices_comes_before_their_thickness():
    assert slice_distance({"SpacingBetweenSlices": "5.5", "SliceThickness": 4}.get, frame("a").file) == (5.5, 5.5)
    assert slice_distance({"SliceThickness": 4}.get, frame("a").file) == (4.0, 0.0)
    assert slice_distance({}.get, frame("a").file) == (0.0, 0.0)
    with pytest.raises(DataError, match="has a SliceThickness of inf"):
        slice_distance({"SliceThickness": float("inf")}.get, frame("a").file)


def test_silent_frames_take_the_pixels_of_the_others():
    silent = frame("b", spacing_mm=(0.0, 0.0, 4.0), pixel_size_from="")
    filled, told = with_pixel_sizes([frame("a"), silent], None)
    assert filled[1].spacing_mm == (1.25, 1.5, 4.0) and "1 of 2 images (b) record no pixel size" in told[0]
    with pytest.raises(DataError, match=r"voxel_mm says 2 x 2 mm, the series has 1\.25 x 1\.5"):
        with_pixel_sizes([frame("a")], (2.0, 2.0, 4.0))
    filled, told = with_pixel_sizes([silent], (2.0, 3.0, 4.0))
    assert filled[0].spacing_mm[:2] == (2.0, 3.0) and "as given" in told[0]
