"""Which bytes begin as DICOM files do, what image types say, which series is meant, and when a frame was taken."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
from dicom_files import attributes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from spinecho.core.errors import DataError
from spinecho.io.dicom.choose import chosen
from spinecho.io.dicom.files import quiet
from spinecho.io.dicom.kinds import kind_of, words_of
from spinecho.io.dicom.marks import ENOUGH, has_mark
from spinecho.io.dicom.when import MEASURED, when

few = settings(max_examples=40, deadline=None)


def written(implicit: bool, preamble: bool, **changes: object) -> bytes:
    """A file's bytes as pydicom writes them."""
    ds, out = attributes(1, **changes), BytesIO()
    with quiet():
        if preamble:
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            dcmwrite(out, ds, enforce_file_format=True)
        else:
            dcmwrite(out, ds, implicit_vr=implicit, little_endian=True)
    return out.getvalue()


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("preamble", [False, True])
@pytest.mark.parametrize("first", [{}, {"SpecificCharacterSet": "ISO_IR 192"}, {"ImageType": None}])
def test_files_of_pydicom_are_known_by_their_first_bytes(implicit, preamble, first):
    content = written(implicit, preamble, **first)
    assert has_mark(content[:ENOUGH])
    assert not has_mark(b"") and not has_mark(content[:11])


@few
@given(st.binary(max_size=600))
def test_other_bytes_are_none_and_any_bytes_are_answered(content):
    assert has_mark(content) is (content[128:132] == b"DICM") or content[:2] in (b"\2\0", b"\x08\0")


@pytest.mark.parametrize(
    "content",
    [b"\x08\x00" * 300, b"\x08\x00\x05\x00CS\x0a\x00" + bytes(300), b"%PDF-1.7\n" * 60, bytes(600)],
    ids=["repeated", "nothing behind", "pdf", "zeros"],
)
def test_what_only_looks_like_an_element_is_no_file(content):
    assert not has_mark(content)


def test_words_of_an_image_type_have_one_spelling():
    assert words_of(["ORIGINAL", "PRIMARY", "m", "t2_star  map", "ND"]) == ("M", "T2 STAR MAP", "ND")
    assert words_of("ORIGINAL") == words_of(None) == words_of([]) == ()


@pytest.mark.parametrize(
    ("words", "component", "kind"),
    [
        (("M", "NORM"), "", "magnitude"),
        (("P",), "", "phase"),
        ((), "PHASE", "phase"),
        ((), "mixed", "magnitude"),
        (("M FFE", "M", "FFE"), "", "magnitude"),
        (("R IR", "IR"), "", "real"),
        (("PHASE MAP", "P"), "MAGNITUDE", "phase"),
        (("B0 MAP",), "REAL", "fieldmap"),
        (("W", "M"), "", "water"),
        (("OPP PHASE",), "MAGNITUDE", "outphase"),
        (("MAPPED", "PROJECTION IMAGE"), "", "magnitude"),
    ],
)
def test_the_kind_is_the_most_special_word_that_is_known(words, component, kind):
    assert kind_of(Dataset(), words, component) == kind


@pytest.mark.parametrize(
    ("value", "kind"), [(0, "magnitude"), (1, "phase"), (2, "real"), (3, "imaginary"), (7, "magnitude")]
)
def test_ge_numbers_its_kinds_also_where_nobody_knows_the_type_of_the_number(value, kind):
    ds = Dataset()
    ds.Manufacturer = "GE MEDICAL SYSTEMS"
    ds.add_new((0x0043, 0x102F), "SS", value)
    assert kind_of(ds, (), "") == kind
    ds[0x0043, 0x102F].VR = "UN"
    ds[0x0043, 0x102F].value = int(value).to_bytes(2, "little")
    assert kind_of(ds, (), "") == kind
    ds.Manufacturer = "Somebody"
    assert kind_of(ds, (), "") == "magnitude"


@pytest.mark.parametrize(("value", "kind"), [("P", "phase"), (b"I ", "imaginary"), ("T", "magnitude")])
def test_philips_writes_a_letter(value, kind):
    ds = Dataset()
    ds.add_new((0x2005, 0x1011), "UN" if isinstance(value, bytes) else "CS", value)
    assert kind_of(ds, (), "") == kind


def series(uid: str, number: object, title: str) -> list[Dataset]:
    out = []
    for i in range(2):
        ds = attributes(i, SeriesInstanceUID=uid, SeriesNumber=number, SeriesDescription=title)
        ds.filename = f"/scan/{uid}-{i}.dcm"
        out.append(ds)
    return out


@pytest.mark.parametrize(
    ("said", "uid"),
    [("0", "1.0"), ("00", "1.0"), ("7", "1.7"), ("007", "1.7"), ("1.12", "1.12"), ("T1 MPRAGE", "1.7"), ("mpr", "1.7")],
)
def test_a_series_is_meant_by_number_uid_or_words_zero_included(said, uid):
    there = [*series("1.7", 7, "t1  mprage"), *series("1.0", 0, "localizer"), *series("1.12", 12, "t1")]
    picked = chosen(there, said)
    assert {ds.SeriesInstanceUID for ds in picked} == {uid} and len(picked) == 2


def test_the_whole_description_comes_before_a_part_of_one():
    there = [*series("1.1", 1, "t1"), *series("1.2", 2, "t1 post")]
    assert chosen(there, "t1")[0].SeriesInstanceUID == "1.1"
    with pytest.raises(DataError, match=r"series='t' fits 2 series \(1 t1: 2 files like 1\.1-0\.dcm, 6 x 5; 2 t1 post"):
        chosen(there, "t")
    with pytest.raises(DataError, match=r"holds 2 series .* -> say which: series='1'"):
        chosen(there, None)


@few
@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(0, 10**7), st.booleans())
def test_frames_are_ordered_by_the_time_between_them_over_midnight_too(start, later_ms, whole):
    def key(t: datetime) -> tuple[float, ...]:
        date, clock = t.strftime("%Y%m%d"), t.strftime("%H%M%S.%f")
        facts = {"AcquisitionDateTime": date + clock} if whole else {"AcquisitionDate": date, "AcquisitionTime": clock}
        return when(facts.get, 0)[MEASURED]

    later = start + timedelta(milliseconds=later_ms)
    assert key(later)[0] - key(start)[0] == pytest.approx(later_ms / 1e3, abs=1e-4)


@pytest.mark.parametrize("odd", ["", "noon", "20200230101010", "2020"])
def test_what_is_no_time_is_none(odd):
    assert when({"AcquisitionDateTime": odd}.get, 3)[MEASURED] == (0.0, 0.0, 3.0)
    np.testing.assert_array_equal(when({}.get, 0), np.zeros(8))
