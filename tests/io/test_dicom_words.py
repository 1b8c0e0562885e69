"""What may stand in DICOM strings, and how mosaics and words of headers are understood."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.io.dicom.describe import equipment, image_text, patient_and_study, sequence
from spinecho.io.dicom.facts import clock, decimal, digits, new_uid, short, uid
from spinecho.io.dicom.mosaic import mosaic_slices

UP = np.array([0.0, 0.0, 1.0])


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_decimal_strings_are_short_and_right(value):
    text = decimal(value)
    assert len(text) <= 16 and re.fullmatch(r"[-+0-9.eE]+", text)
    assert float(text) == pytest.approx(value, rel=1e-8)
    assert decimal(-0.0) == "0.0"


@pytest.mark.parametrize("value", [9.999999999999998, -9.999999999999998, 99.99999999999999, 1.9999999999999996])
def test_rounding_up_makes_no_longer_decimal_string(value):
    assert len(decimal(value)) <= 16 and float(decimal(value)) == pytest.approx(value, rel=1e-8)


@given(st.text())
def test_text_never_breaks_a_file(text):
    assert len(short(text, 64)) <= 64 and not re.search(r"[\x00-\x1f\\]", short(text))
    assert re.fullmatch(r"(\d{8})?", digits(text)) or not text.isascii()
    assert uid(text) in ("", text) and clock(text) in ("", re.sub(r"[:\s]", "", text))


def test_dates_times_and_identifiers():
    assert (digits("1970-01-31"), digits("19700131"), digits("70")) == ("19700131", "19700131", "")
    assert (clock("10:04:59"), clock("100459.25"), clock("26:00:00")) == ("100459", "100459.25", "")
    assert uid("1.2.840.10008") == "1.2.840.10008" and uid("a.b") == uid("1..2") == uid("7") == ""
    assert uid("1.02.3") == "1.02.3", "files have such, and a new one would tear them from their study"
    assert (clock("10:04"), clock("10"), clock("1060")) == ("1004", "10", "")
    assert re.fullmatch(r"2\.25\.\d{1,39}", new_uid()) and new_uid() != new_uid()


def test_hostile_patient_facts_are_cleaned():
    wrong = {"name": "a\\b\x00c" * 40, "sex": "female", "birth_date": "soon", "weight_kg": "heavy", "study_uid": "x"}
    facts = patient_and_study(Header(patient=wrong))
    assert len(facts["PatientName"]) <= 64 and "\\" not in facts["PatientName"]
    assert (facts["PatientSex"], facts["PatientBirthDate"]) == ("F", "") and "PatientWeight" not in facts
    assert facts["StudyInstanceUID"].startswith("2.25.") and facts["Laterality"] == ""


def test_a_body_part_makes_laterality_needless():
    facts = patient_and_study(Header(patient={"body_part": "head"}))
    assert facts["BodyPartExamined"] == "HEAD" and "Laterality" not in facts


def test_flags_come_before_what_may_be_cut():
    text = image_text(Header(flags=("simulated",), history=("step " * 400,), protocol="p" * 80))
    assert (
        text["DerivationDescription"].startswith("simulated; spinecho") and len(text["DerivationDescription"]) <= 1000
    )
    assert text["SeriesDescription"].startswith("spinecho; simulated; p") and text["ImageComments"] == "simulated"
    assert "ImageComments" not in image_text(Header())


def test_sequence_words():
    assert sequence(Header())["ScanningSequence"] == ["RM"]
    assert sequence(Header(sequence="GR\\EP"))["ScanningSequence"] == ["GR", "EP"]
    inversion = sequence(Header(sequence="SE", ti_ms=(900.0,)))
    assert inversion["ScanningSequence"] == ["SE", "IR"] and inversion["InversionTime"] == "900.0"
    assert "InversionTime" not in sequence(Header())


def test_equipment_names_scanner_and_processing():
    from datetime import datetime

    facts = equipment(Header(vendor="GE", model="M"), datetime(2026, 1, 2))
    assert facts["Manufacturer"] == "GE"
    item = facts["ContributingEquipmentSequence"][0]
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102" and item.Manufacturer == "spinecho"


def _mosaic(positions: list[float], size: int | None = None) -> Dataset:
    lines = [f"sSliceArray.asSlice[{i}].sPosition.dTra   = {z}" for i, z in enumerate(positions)]
    text = "\n".join([*lines, f"sSliceArray.lSize   = {size or len(positions)}", ""])
    ds = Dataset()
    ds.add_new((0x0029, 0x1020), "OB", text.encode())
    return ds


def test_tiles_go_from_the_end_where_the_first_one_lies():
    protocol = _mosaic([-10.0, -5.0, 0.5, 5.0])
    n, across = mosaic_slices(protocol, UP, np.array([0.0, 0.0, -9.0]))
    assert n == 4 and (across == UP).all()
    assert (mosaic_slices(protocol, UP, np.array([0.0, 0.0, 6.0]))[1] == -UP).all()
    assert (mosaic_slices(protocol, -UP, np.array([0.0, 0.0, 6.0]))[1] == -UP).all()


def test_a_mosaic_without_protocol_takes_the_private_count_and_the_plane_normal():
    ds = Dataset()
    ds.add_new((0x0019, 0x100A), "US", 12)
    assert mosaic_slices(ds, UP, np.zeros(3))[0] == 12
    with pytest.raises(DataError, match="does not say how many slices"):
        mosaic_slices(Dataset(), UP, np.zeros(3))
