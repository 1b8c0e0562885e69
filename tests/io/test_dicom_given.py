"""What a DICOM series says is kept as it is said, left out where it would be wrong, or refused with its reason."""

from __future__ import annotations

import dicom_files
import numpy as np
import pydicom
import pytest

from spinecho.core.errors import DataError
from spinecho.io.dicom.files import quiet
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.io.write import write


def order_of(path) -> list[int]:
    """Which number of picture each frame in time is, first slice."""
    values = read(path, ReadOptions()).values[:, 0, 0].numpy()
    n = len(values)
    made = [dicom_files.picture(100 * t) for t in range(n)]
    return [next(t for t in range(n) if np.allclose(v, made[t])) for v in values]


def frames(folder, facts: list[dict]):
    """One series of two slices, a frame in time for each dict."""
    for t, changes in enumerate(facts):
        for z in range(2):
            pixels = dicom_files.picture(100 * t + z).astype("<u2").tobytes()
            name = folder / f"{t:02d}_{z}.dcm"
            dicom_files.save(name, 2 * t + z + 1, 4.0 * z, PixelData=pixels, **changes)
    return folder


@pytest.mark.parametrize("shift", [{"ImagePositionPatient": [43, 3, 0]}, {"ImagePositionPatient": [-7, 203, 0]}])
def test_stations_at_one_depth_are_not_frames_in_time(tmp_path, shift):
    for station in range(2):
        for i in range(3):
            x, y, _ = shift["ImagePositionPatient"] if station else (-7, 3, 0)
            at = [x, y, 4.0 * i]
            dicom_files.save(tmp_path / f"{station}{i}.dcm", 3 * station + i + 1, ImagePositionPatient=at)
    with pytest.raises(DataError, match=r"shifted against each other by .* mm in their plane -> put each station"):
        read(tmp_path, ReadOptions())


def test_frames_of_one_place_may_differ_by_what_a_scanner_corrects(tmp_path):
    for t in range(2):
        for i in range(3):
            at = [-7 + 0.2 * t, 3, 4.0 * i]
            dicom_files.save(tmp_path / f"{t}{i}.dcm", 3 * t + i + 1, ImagePositionPatient=at, AcquisitionNumber=t + 1)
    assert read(tmp_path, ReadOptions()).values.shape[:1] == (2,)


def test_trigger_delays_do_not_order_acquisitions(tmp_path):
    delays = (12.5, 10, 12.5, 7.5, 10)
    facts = [{"AcquisitionNumber": t + 1, "TriggerTime": d} for t, d in enumerate(delays)]
    assert order_of(frames(tmp_path, facts)) == [0, 1, 2, 3, 4]


def test_phases_of_one_acquisition_are_in_the_order_of_their_delays(tmp_path):
    facts = [{"AcquisitionNumber": 1, "TriggerTime": d} for d in (80, 40, 0)]
    assert order_of(frames(tmp_path, facts)) == [2, 1, 0]


def test_diffusion_volumes_keep_the_order_of_their_gradients_table(tmp_path):
    facts = [{"DiffusionBValue": float(b)} for b in (0, 1000, 1000, 0, 1000)]
    assert order_of(frames(tmp_path, facts)) == [0, 1, 2, 3, 4]


def written_as(tmp_path, source):
    write(read(source, ReadOptions()), tmp_path / "out_dicom")
    return [pydicom.dcmread(f) for f in sorted((tmp_path / "out_dicom").iterdir())]


def test_a_timing_that_differs_among_frames_is_not_stated_for_all(tmp_path):
    facts = [
        {"InversionTime": ti, "FlipAngle": flip, "RepetitionTime": 9.0} for ti, flip in ((400, 15), (50, 5), (90, 5))
    ]
    for ds in written_as(tmp_path, frames(tmp_path / "in", facts)):
        assert ds.InversionTime is None and "FlipAngle" not in ds
        assert ds.RepetitionTime == 9


def test_a_timing_that_is_no_number_is_left_out(tmp_path):
    facts = [{"RepetitionTime": "nan", "EchoTime": "nan", "FlipAngle": "inf"}]
    (ds, _) = written_as(tmp_path, frames(tmp_path / "in", facts))
    assert ds.RepetitionTime is None and ds.EchoTime is None and "FlipAngle" not in ds


def test_a_study_keeps_identifiers_that_bend_the_rule(tmp_path):
    facts = [{"StudyInstanceUID": "1.2.840.0113.7.1", "FrameOfReferenceUID": "1.2.03", "StudyTime": "1004"}]
    (ds, _) = written_as(tmp_path, frames(tmp_path / "in", facts))
    with quiet():
        kept = (str(ds.StudyInstanceUID), str(ds.FrameOfReferenceUID), ds.StudyTime)
    assert kept == ("1.2.840.0113.7.1", "1.2.03", "1004")


def test_a_series_behind_many_other_files_is_seen(tmp_path):
    (tmp_path / "APP").mkdir()
    for i in range(250):
        (tmp_path / "APP" / f"{i:03d}.txt").write_text("viewer")
    dicom_files.stack_of(tmp_path / "IMAGES")
    assert read(tmp_path, ReadOptions()).geometry.shape[0] == 4


@pytest.mark.parametrize("through", ["raw.mrd.h5", "raw.h5", "raw.nii.gz"])
def test_patient_and_study_survive_another_format(tmp_path, through):
    given = {
        "PatientBirthDate": "19700131",
        "StudyDate": "20240229",
        "StudyTime": "100459.5",
        "AccessionNumber": "12345",
        "ProtocolName": "t1prot",
        "FrameOfReferenceUID": "1.2.3.9",
    }
    image = read(dicom_files.stack_of(tmp_path / "in", **given), ReadOptions())
    write(image, tmp_path / through)
    back = read(tmp_path / through, ReadOptions())
    if through.endswith(".nii.gz"):  # names nobody: patients do not travel in it
        assert not set(back.header.patient) & {"name", "birth_date", "accession_number"}
        return
    write(back, tmp_path / "out_dicom")
    ds = pydicom.dcmread(tmp_path / "out_dicom" / "IM_00001.dcm")
    assert float(ds.StudyTime) == float(given.pop("StudyTime"))
    assert {word: str(ds.get(word)) for word in given} == given
