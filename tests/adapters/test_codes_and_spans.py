"""Codes are checked as far as they can be, and words are found where they stand or nowhere."""

from __future__ import annotations

import pytest

from careweir_fhir.model import ICD10CM, LOINC, RADLEX, RXNORM, SNOMED, Coding
from careweir_kit.adapter import VendorAnswer
from careweir_kit.codes import ATC, DCM, HCPCS, UMLS, agree, icd10cm_words, verified, well_formed
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.event_stream import Event, events, is_event_stream
from careweir_kit.spans import checked, ground


@pytest.mark.parametrize(
    ("system", "good", "bad"),
    [
        (SNOMED, "91302008", "91302009"),  # the check digit
        (SNOMED, "24028007", "45651917"),  # a description is no concept
        (SNOMED, "7771000", "0777100"),
        (LOINC, "8867-4", "8867-5"),
        (LOINC, "LA9340-6", "LA-6"),
        (ICD10CM, "S72.001A", "S72001A"),
        (ICD10CM, "U07.1", "7U0.1"),
        (RXNORM, "11289", "RX11289"),
        (RADLEX, "RID43255", "43255"),
        (HCPCS, "E0601", "X0601"),
        (UMLS, "C0011849", "C11849"),
        (ATC, "C10AA05", "C1AA05"),
        (DCM, "121071", "T-D0050"),
    ],
)
def test_a_code_has_the_shape_and_check_digit_of_its_system(
    system: str, good: str, bad: str
) -> None:
    assert well_formed(system, good) is True
    assert well_formed(system, bad) is False


def test_every_slip_of_one_digit_in_a_snomed_code_is_seen() -> None:
    code = "233604007"

    for place, digit in enumerate(code):
        for other in "0123456789":
            slipped = code[:place] + other + code[place + 1 :]
            assert well_formed(SNOMED, slipped) is (other == digit)


def test_a_system_without_known_rules_is_neither_right_nor_wrong() -> None:
    assert well_formed("urn:vendor:codes", "x") is None
    assert well_formed(None, "x") is None


@pytest.mark.parametrize(
    ("code", "display", "known"),
    [
        ("E11.9", None, True),
        ("E11.9", "Type 2 diabetes", True),
        ("E11.9", "Diabetes mellitus type II", True),
        ("E11.9", "Type 1 diabetes mellitus", False),
        ("E11.9", "Fracture of femur", False),
        ("I50.22", "Chronic systolic heart failure", True),
        ("I50.22", "Acute systolic heart failure", False),
        ("S72.001A", "Closed fracture of neck of right femur", True),
        ("S72.001A", "Fracture of neck of left femur", False),
        ("I10", "Hypertension", True),
        ("E11.99", "Type 2 diabetes", False),  # no such code
        ("Z99.999", None, False),
        ("e11.9", None, False),
    ],
)
def test_an_icd_code_is_verified_when_it_exists_and_its_words_agree(
    code: str, display: str | None, known: bool
) -> None:
    assert verified(Coding(system=ICD10CM, code=code, display=display)) is known


def test_a_code_of_the_tool_file_is_verified_with_its_own_words() -> None:
    known = {(SNOMED, "91302008"): "Sepsis"}

    assert verified(Coding(system=SNOMED, code="91302008", display="sepsis"), known)
    assert not verified(Coding(system=SNOMED, code="91302008", display="Asthma"), known)
    assert verified(Coding(system=SNOMED, code="73211009", display="Diabetes"), known)
    assert not verified(Coding(system=SNOMED, code="73211008", display="Diabetes"), known)
    assert not verified(Coding(system="urn:vendor:codes", code="1", display="Sepsis"), known)
    assert not verified(Coding(display="Sepsis"), known)


def test_a_seventh_character_has_the_words_of_the_code_that_it_extends() -> None:
    assert icd10cm_words("S72.001A") == "Fracture of unspecified part of neck of right femur"
    assert icd10cm_words("S72.001Z") is None


def test_no_words_agree_with_anything_and_only_empty_ones_with_nothing() -> None:
    assert agree(None, "Sepsis")
    assert agree("x", None)
    assert not agree("of the other", "Sepsis")


TEXT = "🫁 Épanchement: none.\r\nNo pleural effusion. No e\u0301tat. No pleural line."


def test_a_quote_that_stands_once_has_its_place_in_code_points() -> None:
    found = ground("No pleural effusion", TEXT)

    assert found.place == "one"
    assert found.span is not None
    assert TEXT[found.span.start : found.span.end] == "No pleural effusion"
    assert ground("No e\u0301tat", TEXT).span is not None


@pytest.mark.parametrize(
    ("quote", "text", "place"),
    [
        ("No pleural", TEXT, "several"),
        ("no pleural effusion", TEXT, "none"),
        ("  ", TEXT, "none"),
        ("", TEXT, "none"),
        ("aa", "aaa", "several"),
        ("anything", None, "unchecked"),
    ],
)
def test_a_quote_that_does_not_stand_exactly_once_has_no_place(
    quote: str, text: str | None, place: str
) -> None:
    found = ground(quote, text)

    assert (found.span, found.place) == (None, place)


def test_a_place_that_a_vendor_gives_is_held_against_the_text() -> None:
    start = TEXT.index("effusion")

    assert checked(TEXT, start, start + 8, "effusion") is not None
    assert checked(TEXT, start + 1, start + 9, "effusion") is None  # counted in UTF-16
    assert checked(TEXT, start, start, "") is None
    assert checked(TEXT, -3, 2, TEXT[-3:2]) is None
    assert checked(TEXT, 0, len(TEXT) + 1, TEXT) is None
    assert checked(None, 0, 1, "🫁") is None


def test_events_have_names_data_and_comments_in_any_line_end() -> None:
    body = (
        b'\xef\xbb\xbf: hello\r\nevent: ping\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\n\rdata\r\r'
    )

    assert list(events(body)) == [
        Event("ping", '{"a":\n1}'),
        Event("message", "x"),
        Event("message", ""),
    ]
    assert next(iter(events(body))).json() == {"a": 1}


def test_an_event_that_the_stream_was_cut_in_is_none() -> None:
    assert list(events(b"data: 1\n\ndata: 2\n")) == [Event("message", "1")]
    assert list(events("data: 1\n\ndata: é".encode()[:-1])) == [Event("message", "1")]


def test_what_is_no_stream_is_refused_without_its_words() -> None:
    with pytest.raises(VendorProtocolBroken, match="UTF-8"):
        list(events(b"data: \xff\xff\xff\xff\n\n"))
    with pytest.raises(VendorProtocolBroken, match="acceptable JSON") as raised:
        Event("message", '{"a": NaN, "CANARY": 1}').json()
    assert raised.value.__cause__ is None
    with pytest.raises(VendorProtocolBroken, match="JSON object"):
        Event("message", "[1]").json()


def test_a_stream_is_known_by_its_content_type() -> None:
    assert is_event_stream(VendorAnswer(200, {"content-type": "Text/Event-Stream; x=1"}, b""))
    assert not is_event_stream(VendorAnswer(200, {"content-type": "application/json"}, b""))
