"""Frames at the same places become whole volumes in time, whatever order they come in; what is left over is named."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from dicom_frames import dynamic, frame, names
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.repeats import contrasts, without_unfinished_slice

few = settings(max_examples=30, deadline=None)


def shuffled(places: list[list[Frame]], seed: int) -> list[list[Frame]]:
    rng = random.Random(seed)
    return [rng.sample(p, len(p)) for p in places]


def stopped(places: list[list[Frame]], n_measured: int) -> list[list[Frame]]:
    """What is there of a series that was stopped after so many frames."""
    return [[f for f in p if f.when[6] < n_measured] for p in places]


@few
@given(n_slices=st.integers(1, 6), n_volumes=st.integers(1, 5), seed=st.integers(0, 99))
def test_whole_series_are_put_in_order_of_time(n_slices, n_volumes, seed):
    order = random.Random(seed).sample(range(n_slices), n_slices)
    (volumes,), told = contrasts(shuffled(dynamic(n_slices, n_volumes, order), seed))
    assert told == []
    assert [names(v) for v in volumes] == [[f"{z}-{t}" for z in range(n_slices)] for t in range(n_volumes)]


@few
@given(n_slices=st.integers(2, 6), n_volumes=st.integers(2, 5), rest=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_series_that_was_stopped_keeps_its_whole_volumes(n_slices, n_volumes, rest, seed):
    rest = min(rest, n_slices - 1)
    order = random.Random(seed).sample(range(n_slices), n_slices)
    places = stopped(dynamic(n_slices, n_volumes, order), (n_volumes - 1) * n_slices + rest)
    (volumes,), told = contrasts(shuffled(places, seed))
    assert [names(v) for v in volumes] == [[f"{z}-{t}" for z in range(n_slices)] for t in range(n_volumes - 1)]
    assert len(told) == 1 and f"volume {n_volumes} has {rest} of {n_slices} slices" in told[0]
    left_out = {f"{z}-{n_volumes - 1}.dcm" for z in order[:rest]}
    assert all(name in told[0] for name in left_out)


def test_a_temporal_position_decides_where_times_say_nothing():
    places = [[frame(f"{z}-{t}.dcm", 4.0 * z, volume=float(t)) for t in (3, 1, 2)] for z in range(3)]
    del places[1][0]  # volume 3 lacks a slice
    (volumes,), told = contrasts(places)
    assert [names(v) for v in volumes] == [["0-1", "1-1", "2-1"], ["0-2", "1-2", "2-2"]]
    assert "volume 3 has 2 of 3 slices" in told[0]


def test_the_first_volume_may_lack_slices_too_but_none_between():
    def without(t: int) -> list[list[Frame]]:
        places = [[frame(f"{z}-{t}.dcm", 4.0 * z, volume=float(t)) for t in range(1, 5)] for z in range(3)]
        places[2] = [f for f in places[2] if f.when[0] != t]
        return places

    (volumes,), told = contrasts(without(1))
    assert len(volumes) == 3 and "volume 1 has 2 of 3 slices" in told[0]
    with pytest.raises(DataError, match=r"one slice is there 3 times \(2-1.dcm, .*most are there 4 times"):
        contrasts(without(2))


def test_a_double_of_one_slice_is_no_volume():
    places = [[frame(f"{z}.dcm", 4.0 * z)] for z in range(4)]
    places[1].append(frame("copy.dcm", 4.0))
    with pytest.raises(DataError, match=r"one slice is there 2 times \(1\.dcm, copy\.dcm\), most are there 1 times"):
        contrasts(places)


def test_echoes_are_contrasts_in_order_of_their_time():
    places = [
        [frame(f"{z}-{e}-{t}.dcm", 4.0 * z, echo=(te, 0.0), measured=float(t)) for t in range(2) for e, te in echoes]
        for z in range(3)
        for echoes in [[("b", 9.2), ("a", 4.6)]]
    ]
    (first, second), told = contrasts(places)
    assert told == []
    assert [names(v) for v in first] == [["0-a-0", "1-a-0", "2-a-0"], ["0-a-1", "1-a-1", "2-a-1"]]
    assert [names(v) for v in second] == [["0-b-0", "1-b-0", "2-b-0"], ["0-b-1", "1-b-1", "2-b-1"]]


def test_an_echo_time_that_differs_from_place_to_place_is_no_contrast():
    places = [[frame(f"{z}.dcm", 4.0 * z, echo=(float(z), 0.0))] for z in range(3)]
    (volumes,), told = contrasts(places)
    assert names(volumes[0]) == ["0", "1", "2"] and not told


def test_a_last_volume_without_its_second_echo_is_left_out_whole():
    def echo(te: float, n: int) -> list[list[Frame]]:
        return [
            [replace(f, echo=(te, 0.0), file=f.file.with_stem(f"{f.file.stem}-{te:g}")) for f in p]
            for p in dynamic(3, n)
        ]

    places = [a + b for a, b in zip(echo(4, 3), echo(8, 2), strict=True)]
    (first, second), told = contrasts(places)
    assert len(first) == len(second) == 2
    assert "volume 3 has not all of its 2 echoes" in told[0] and "0-2-4.dcm" in told[0]
    places = [a + b for a, b in zip(echo(4, 3), echo(8, 1), strict=True)]
    with pytest.raises(DataError, match="its echoes have different numbers of frames"):
        contrasts(places)


@pytest.mark.parametrize(("at", "found"), [(0, True), (4, True), (2, False)])
def test_a_slice_measured_last_and_not_to_its_end_lies_at_an_end_of_the_stack(at, found):
    places = [[frame(f"{z}-{t}.dcm", 4.0 * z, measured=10.0 * z + t) for t in range(5)] for z in range(5)]
    last = [replace(f, when=(*f.when[:6], 100.0 + f.when[6], 0.0, 0.0)) for f in places[at][:3]]
    places[at] = last
    kept, told = without_unfinished_slice(places)
    assert len(kept) == (4 if found else 5) and len(told) == found
    if found:
        assert "the slice measured last has 3 of 5 frames" in told[0] and names(last)[0] in told[0]


def test_a_short_slice_that_was_not_measured_last_stays():
    places = [[frame(f"{z}-{t}.dcm", 4.0 * z, measured=10.0 * z + t) for t in range(5)] for z in range(5)]
    del places[0][3:]
    assert without_unfinished_slice(places) == (places, [])
    assert without_unfinished_slice(places[:2]) == (places[:2], [])
