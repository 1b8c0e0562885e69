"""Dynamic series that were stopped early: whole volumes are read, surplus files are named, odd ones refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import enhanced, numbers, picture, save

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.read import read

N_SLICES = 4


def clock(t: int, z: int, n: int) -> dict:
    return {}


def temporal(t: int, z: int, n: int) -> dict:
    return {"TemporalPositionIdentifier": t + 1}


def acquisition_number(t: int, z: int, n: int) -> dict:
    return {"AcquisitionNumber": t + 1}


def acquisition_time(t: int, z: int, n: int) -> dict:
    return {"AcquisitionTime": f"1259{50 + 2 * t:02d}.000000" if t < 5 else "130000.000000"}


def slice_time(t: int, z: int, n: int) -> dict:
    return {"AcquisitionDate": "20200101", "AcquisitionTime": f"1200{n:02d}.500000", "InstanceNumber": 100 - n}


def trigger(t: int, z: int, n: int) -> dict:
    return {"TriggerTime": 2000 * t}


CLOCKS = [clock, temporal, acquisition_number, acquisition_time, slice_time, trigger]


def dynamic(folder: Path, cells: list[tuple[int, int]], when=clock, **changes) -> list[Path]:
    """A file for each (time, slice), numbered in this order."""
    files = []
    for n, (t, z) in enumerate(cells, 1):
        facts = when(t, z, n) | changes
        files.append(
            save(folder / f"{n:04d}.dcm", facts.pop("InstanceNumber", n), 4.0 * z, **facts, PixelData=pixels(t, z))
        )
    return files


def pixels(t: int, z: int) -> bytes:
    return picture(100 * t + z).astype("<u2").tobytes()


def by_volume(n_times: int, surplus: int = 0) -> list[tuple[int, int]]:
    cells = [(t, z) for t in range(n_times + 1) for z in range(N_SLICES)]
    return cells[: n_times * N_SLICES + surplus]


def check(image, times) -> None:
    assert image.axes == (("time",) if len(times) > 1 else ())
    want = np.stack([[picture(100 * t + z) for z in range(N_SLICES)] for t in times])
    np.testing.assert_array_equal(image.values.reshape(want.shape).numpy(), want)


@pytest.mark.parametrize("when", CLOCKS)
@pytest.mark.parametrize("surplus", [1, 3])
def test_the_whole_volumes_are_read_and_the_surplus_is_named(tmp_path, when, surplus):
    files = dynamic(tmp_path, by_volume(3, surplus), when)
    image = read(tmp_path)
    check(image, range(3))
    (told,) = image.header.warnings
    assert f"volume 4 has {surplus} of 4 slices" in told and all(f.name in told for f in files[3 * N_SLICES :])


def test_convert_says_so(tmp_path, capsys):
    dynamic(tmp_path / "s", by_volume(2, 2))
    assert main(["convert", str(tmp_path / "s"), str(tmp_path / "o.nii.gz")]) == 0
    told = capsys.readouterr().err
    assert "left out" in told and "0009.dcm" in told and "0010.dcm" in told


def test_interleaved_slices(tmp_path):
    cells = [(t, z) for t in range(3) for z in (0, 2, 1, 3)][:-2]
    dynamic(tmp_path, cells)
    check(read(tmp_path), range(2))


def test_a_first_volume_that_is_not_whole(tmp_path):
    dynamic(tmp_path, by_volume(3)[2:], temporal)
    image = read(tmp_path)
    check(image, (1, 2))
    assert "volume 1 has 2 of 4 slices" in image.header.warnings[0]


@pytest.mark.parametrize("when", CLOCKS)
def test_a_slice_lost_in_the_middle_is_refused(tmp_path, when):
    files = dynamic(tmp_path, by_volume(4), when)
    files[6].unlink()
    with pytest.raises(DataError, match=r"one slice is there 3 times .* most are there 4 times"):
        read(tmp_path)


def test_a_stop_between_slices_that_are_measured_one_after_the_other(tmp_path):
    """A cine of each slice in turn: the last slice is not whole."""
    cells = [(t, z) for z in range(N_SLICES + 1) for t in range(5)][:-3]
    files = dynamic(tmp_path, cells, lambda t, z, n: {"TriggerTime": 40 * t + z})
    image = read(tmp_path)
    check(image, range(5))
    assert "2 of 5" in image.header.warnings[0] and files[-1].name in image.header.warnings[0]


def test_a_stop_among_several_echoes(tmp_path):
    cells = [(t, z, e) for t in range(3) for z in range(N_SLICES) for e in (3.0, 7.0)][:-3]
    for n, (_, z, e) in enumerate(cells, 1):
        save(tmp_path / f"{n:04d}.dcm", n, 4.0 * z, EchoTime=e)
    image = read(tmp_path)
    assert image.axes == ("contrast", "time") and image.values.shape[:2] == (2, 2)
    assert "0021.dcm" in image.header.warnings[0] and "0017.dcm" in image.header.warnings[0]


def test_a_stop_in_an_enhanced_object(tmp_path):
    cells = [(t, z) for t in (1, 2, 3) for z in (0.0, 5.0, 10.0)][:-1]
    stored = numbers(len(cells))
    image = read(enhanced(tmp_path / "a.dcm", stored, [{"time": t, "z_mm": z} for t, z in cells]))
    np.testing.assert_array_equal(image.values[:, 0].numpy(), stored[:6].reshape(2, 3, 4, 6))
    assert "volume 3 has 2 of 3 slices" in image.header.warnings[0] and "a.dcm" in image.header.warnings[0]


def test_the_same_slice_twice_is_no_dynamic_series(tmp_path):
    dynamic(tmp_path, by_volume(1))
    save(tmp_path / "twin.dcm", 2, 4.0)
    with pytest.raises(DataError, match=r"there 2 times \(0002\.dcm, twin\.dcm\), most are there 1 times"):
        read(tmp_path)
