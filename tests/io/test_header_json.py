"""A header as JSON: everything but the patient comes back, anything else is no header."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecho.core.header import Header
from spinecho.io.header_json import header_from_json, header_to_json

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=0), max_size=4).map(tuple)
WORDS = st.lists(st.text(max_size=20), max_size=3).map(tuple)
FACTS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("vendor", "protocol", "sequence"), st.text(max_size=20)),
        **dict.fromkeys(("te_ms", "tr_ms", "ti_ms", "flip_deg"), NUMBERS),
        **dict.fromkeys(("flags", "history"), WORDS),
        "field_t": st.floats(0, 20),
    }
)


@given(FACTS)
def test_round_trip(facts):
    header = Header(**facts)
    assert header_from_json(header_to_json(header)) == header


def test_the_patient_and_where_files_lie_stay_out():
    header = Header(patient={"name": "Doe"}, source="/home/doe/scan.dat", file_format="twix", vendor="GE")
    text = header_to_json(header)
    assert "oe" not in text and header_from_json(text) == Header(vendor="GE")
    sneaked = json.dumps({"spinecho": {"patient": {"name": "x"}, "source": "y"}})
    assert header_from_json(sneaked) == Header()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": 1}', '{"spinecho": 3}', "[" * 100_000, '"spinecho"'])
def test_other_text_is_no_header(text):
    assert header_from_json(text) in (None, Header())


def test_fields_of_the_wrong_type_are_left_out():
    text = json.dumps({"spinecho": {"te_ms": 3, "vendor": ["a"], "flags": ["simulated"], "unknown": 1}})
    assert header_from_json(text) == replace(Header(), flags=("simulated",))
