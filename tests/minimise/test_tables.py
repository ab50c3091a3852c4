"""The small tables that decide: labels, laws, references, patterns, dates and ages, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from careweir.minimise import read_chart
from careweir.minimise.moment import (
    age_in_years,
    lead_in_days,
    read_end,
    read_moment,
    shifted,
    window_start,
)
from careweir.minimise.reading import is_number, questionnaire_code, void_reason, when
from careweir.minimise.scrub import scrubber_of
from careweir.minimise.sensitive import attachment_text, labels, sensitivities
from minimise.charts import AS_OF, Json, bundle, observation, patient, policies

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
WORDS = policies().vocabulary


def labelled(system: Any, code: Any) -> list[str]:
    return list(labels({"meta": {"security": [{"system": system, "code": code}]}}, WORDS))


@pytest.mark.parametrize(
    "code",
    ["AUDIT", "AUDTR", "AOD", "ENCRYPT", "ENCRYPTR", "ENCRYPTT", "ENCRYPTU", "LABEL", "MINEC",
     "PERSISTLABEL", "PRIVMARK", "PROCESSINLINELABEL", "DELAU"],
)  # fmt: skip
def test_a_duty_to_handle_with_care_restricts_nobody(code: str) -> None:
    assert labelled(ACT, code) == []
    assert labelled(CONFIDENTIALITY, code) == [code]


@pytest.mark.parametrize(
    ("system", "code", "found"),
    [
        (ACT, "42CFRPart2", ["SUD"]),
        (ACT, "Title38Section7332", ["SUD"]),
        (ACT, "HIPAAPsyNotes", ["PSYTHPN"]),
        (ACT, "NORDSCLCD", ["NORDSCLCD"]),
        (ACT, "MASK", ["MASK"]),
        (CONFIDENTIALITY, "U", []),
        (CONFIDENTIALITY, "L", []),
        (CONFIDENTIALITY, "M", []),
        (CONFIDENTIALITY, "N", []),
        (CONFIDENTIALITY, "R", ["R"]),
        (CONFIDENTIALITY, "V", ["V"]),
        (CONFIDENTIALITY, None, ["SPI"]),
        (ACT, 7, ["SPI"]),
        (None, "N", ["SPI"]),
        ("urn:local", "N", ["SPI"]),
        ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED", []),
        ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT", []),
        (["x"], "N", ["SPI"]),
    ],
)
def test_each_label_restricts_as_its_system_says(system: Any, code: Any, found: list[str]) -> None:
    assert labelled(system, code) == found


@pytest.mark.parametrize(
    ("meta", "found"),
    [(None, []), ("x", []), ({}, []), ({"security": None}, []), ({"security": ["x"]}, ["SPI"]),
     ({"security": "x"}, ["SPI"])],
)  # fmt: skip
def test_a_label_that_cannot_be_read_restricts_and_none_at_all_does_not(
    meta: Any, found: list[str]
) -> None:
    assert list(labels({"meta": meta}, WORDS)) == found


def about(*resources: Json) -> frozenset[str]:
    """What the first resource after the patient is sensitive for."""
    chart = read_chart(bundle(patient(), *resources), subject=None)
    return sensitivities(chart, chart.records[1], WORDS)


@pytest.mark.parametrize(
    "key", ["system", "url", "reference", "profile", "data", "id", "lastUpdated"]
)
def test_what_is_an_address_or_a_number_is_not_read_as_words(key: str) -> None:
    assert about(observation("8867-4", 80, note=[{key: "hiv"}])) == frozenset()
    assert about(observation("8867-4", 80, note=[{"text": "hiv"}])) == {"HIV"}


@pytest.mark.parametrize(
    "name",
    ["encounter", "context", "performer", "requester", "recorder", "author", "asserter",
     "custodian", "serviceProvider", "participant", "location", "device", "specimen", "provider",
     "insurer", "facility", "managingOrganization", "generalPractitioner"],
)  # fmt: skip
def test_a_reference_that_says_who_or_where_spreads_nothing(name: str) -> None:
    other = {"resourceType": "Basic", "id": "x", "note": "HIV clinic"}
    linked = {"reference": "Basic/x"}

    for said in (linked, [{"actor": linked}]):
        assert about(observation("8867-4", 80) | {name: said}, other) == frozenset()
    assert about(observation("8867-4", 80, reasonReference=[linked]), other) == {"HIV"}


def test_a_link_to_the_patient_and_to_nothing_spreads_nothing() -> None:
    person = patient(note=[{"text": "HIV"}])
    chart = read_chart(
        bundle(
            person,
            observation("8867-4", 80, derivedFrom=[{"reference": "Patient/p1"},
                                                   {"reference": "Basic/gone"}]),
        ),
        subject=None,
    )  # fmt: skip

    assert sensitivities(chart, chart.records[1], WORDS) == frozenset()


def test_codes_of_hl7_say_what_they_are_wherever_they_stand() -> None:
    def coded(system: str, code: str) -> frozenset[str]:
        return about(
            observation("8867-4", 80, method={"coding": [{"system": system, "code": code}]})
        )

    assert coded(ACT, "PSY") == {"PSY"}
    assert coded(ACT, "IMP") == frozenset()
    assert coded(CONFIDENTIALITY, "R") == {"R"}
    assert coded(CONFIDENTIALITY, "N") == frozenset()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("SElW", "HIV"),
        ("SE\nlW ", "HIV"),
        ("SElW!", None),
        ("/w==", None),
        ("SEl", None),
        (7, None),
    ],
)
def test_an_attachment_is_text_or_nothing(data: Any, text: str | None) -> None:
    assert attachment_text({"data": data}) == text
    assert about(observation("8867-4", 80, note=[{"data": data}])) == (
        {"HIV"} if text else frozenset()
    )


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("mail a.b+c@x-y.example.org now", "mail [EMAIL] now"),
        ("see www.example.org/a now", "see [URL] now"),
        ("see FTP://example.org/a now", "see [URL] now"),
        ("host 10.20.30.40 now", "host [ADDRESS] now"),
        ("uid 1.2.840.113619.2.55 now", "uid [ID] now"),
        ("no 123-45-6789 now", "no [ID] now"),
        ("MRN 12-34 now", "[ID] now"),
        ("Medical Record Number: AB7 now", "[ID] now"),
        ("patient id #7 now", "[ID] now"),
        ("policy number 9a/3 now", "[ID] now"),
        ("on 2025/1/9 now", "on [DATE] now"),
        ("on 2025-01-09T10:11:12+01:00 now", "on [DATE] now"),
        ("on 9.1.25 now", "on [DATE] now"),
        ("on 31/12/2025 now", "on [DATE] now"),
        ("on 1st January 2025 now", "on [DATE] now"),
        ("on 3 Sept 25 now", "on [DATE] now"),
        ("on February 3rd now", "on [DATE] now"),
        ("in March 2024 now", "in [DATE] now"),
        ("in May, 2024 now", "in [DATE] now"),
        ("on 20240131 now", "on [DATE] now"),
        ("call +1 (555) 201-7788 now", "call [PHONE] now"),
        ("call 555.201.7788 now", "call [PHONE] now"),
        ("call 5552017788 now", "call [PHONE] now"),
        ("call +4930123456 now", "call [PHONE] now"),
        ("at 12 Old Mill Rd. now", "at [ADDRESS] now"),
        ("in MA 02134-1234 now", "in [ADDRESS] now"),
        ("zip 02134-1234 now", "zip [ADDRESS] now"),
        ("acc A1234567B now", "acc [ID] now"),
        ("no 1234567 now", "no [ID] now"),
        ("Dr. Ada Finch now", "[NAME] now"),
        ("Nurse Finch now", "[NAME] now"),
        ("Electronically signed by: Ada Finch", "[NAME] "),
        ("dictated Ada Finch, MD", "[NAME] "),
        ("Patient name: Ada Finch", "[NAME] "),
        ("a 90-year-old man", "a [AGE] man"),
        ("a 101 yo man", "a [AGE] man"),
        ("a 95 y.o. man", "a [AGE]. man"),
        ("Dr. Finch, Dr. Wren now", "[NAME] now"),
    ],
)
def test_what_looks_like_an_identifier_gives_way_to_its_kind(said: str, left: str) -> None:
    nobody = {"resourceType": "Patient", "id": "p1"}

    assert scrubber_of(read_chart(bundle(nobody), subject=None))(said) == left


@pytest.mark.parametrize(
    "said",
    [
        "BP 120/80, 3.2 x 1.5 cm", "a 89-year-old man", "a 9 year old", "T4 N1 M0", "L4-5 disc",
        "may be seen", "on 2025 beds", "grade 3/4", "dose 500 mg twice", "in 2024",
        "signed off by protocol", "CT 512 x 512", "ratio 1.25", "5-10 days", "a 130-year-old oak",
    ],
)  # fmt: skip
def test_what_a_reader_needs_stays_as_it_is(said: str) -> None:
    nobody = {"resourceType": "Patient", "id": "p1"}

    assert scrubber_of(read_chart(bundle(nobody), subject=None))(said) == said


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "begin", "end"),
    [
        ("2024", at(2024, 1, 1), at(2025, 1, 1)),
        ("2024-02", at(2024, 2, 1), at(2024, 3, 1)),
        ("2024-12", at(2024, 12, 1), at(2025, 1, 1)),
        ("2024-02-28", at(2024, 2, 28), at(2024, 2, 29)),
    ],
)
def test_a_date_reaches_to_the_end_of_what_it_says(
    value: str, begin: datetime, end: datetime
) -> None:
    assert read_moment(value) == begin
    assert read_end(value) == end - timedelta(microseconds=1)


def test_a_moment_ends_when_it_begins_and_the_last_year_has_an_end_too() -> None:
    moment = at(2024, 2, 28, 9, 30)

    assert read_end("2024-02-28T10:30:00+01:00") == moment == read_moment("2024-02-28T09:30:00Z")
    assert read_end("9999") == datetime.max.replace(tzinfo=UTC)
    assert read_end("whenever") is None


@pytest.mark.parametrize(
    "value",
    ["", "24", "2024-13", "2024-02-30", "2024-2-3", "2024-02-03T10:00", "x2024", 2024, None,
     "2024-02-03T25:00:00Z", "0001-01-01T00:00:00+23:00"],
)  # fmt: skip
def test_what_is_no_date_of_fhir_is_no_moment(value: Any) -> None:
    assert read_moment(value) is None
    assert shifted(value, -1) is None


@pytest.mark.parametrize(
    ("window", "start"),
    [
        ("PT1H", at(2026, 3, 2, 7, 30)),
        ("PT30M", at(2026, 3, 2, 8)),
        ("PT90S", at(2026, 3, 2, 8, 28, 30)),
        ("P1D", at(2026, 3, 1, 8, 30)),
        ("P2W", at(2026, 2, 16, 8, 30)),
        ("P1M", at(2026, 2, 2, 8, 30)),
        ("P3M", at(2025, 12, 2, 8, 30)),
        ("P14M", at(2025, 1, 2, 8, 30)),
        ("P1Y", at(2025, 3, 2, 8, 30)),
        ("P1Y2M3DT4H", at(2024, 12, 30, 4, 30)),
        ("P9999Y", datetime.min.replace(tzinfo=UTC)),
        ("P2026Y", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_window_counts_back_in_calendar_time(window: str, start: datetime) -> None:
    assert window_start(window, AS_OF) == start


def test_a_month_back_from_the_last_day_is_the_last_day() -> None:
    assert window_start("P1M", at(2026, 3, 31)) == at(2026, 2, 28)
    assert window_start("P1M", at(2024, 3, 31)) == at(2024, 2, 29)


@pytest.mark.parametrize("window", ["", "P", "PT", "1D", "P1H", "P1DT", "P-1D", "P1.5D"])
def test_what_is_no_duration_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match="not an ISO 8601 duration"):
        window_start(window, AS_OF)


@pytest.mark.parametrize(
    ("born", "age"),
    [("1957-03-02", 69), ("1957-03-03", 68), ("1957-02-28", 69), ("2026-03-02", 0),
     ("2026-03-03", None), ("1957", None), ("1957-03", None), (1957, None), ("1957-02-30", None)],
)  # fmt: skip
def test_an_age_counts_whole_years(born: Any, age: int | None) -> None:
    assert age_in_years(born, AS_OF) == age


@pytest.mark.parametrize(
    ("booked", "begins", "days"),
    [("2026-03-01", "2026-03-03", 2), ("2026-03-01", "2026-03-01", 0),
     ("2026-03-01T12:00:00Z", "2026-03-03T11:00:00Z", 1), ("2026-03-03", "2026-03-01", None),
     (None, "2026-03-01", None), ("2026-03-01", None, None)],
)  # fmt: skip
def test_a_lead_counts_whole_days(booked: Any, begins: Any, days: int | None) -> None:
    assert lead_in_days(booked, begins) == days


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, "2026-03-01") for name in (
        "effectiveDateTime", "effectiveInstant", "started", "performedDateTime", "onsetDateTime",
        "authoredOn", "start", "date", "occurrenceDateTime", "recordedDate", "issued", "created",
        "authored")]
    + [(name, {"start": "2026-03-01"}) for name in (
        "effectivePeriod", "performedPeriod", "onsetPeriod")],
)  # fmt: skip
def test_each_element_that_dates_a_resource_is_read(name: str, value: Any) -> None:
    assert when({name: value}, AS_OF) == (at(2026, 3, 1), at(2026, 3, 1))
    assert when({f"x{name}": value}, AS_OF) == (None, None)


@pytest.mark.parametrize("status", ["proposed", "pending", "booked", "waitlist"])
def test_an_appointment_ahead_counts_from_its_booking_unless_it_is_over(status: str) -> None:
    ahead = {"resourceType": "Appointment", "start": "2026-03-09", "created": "2026-02-01"}

    assert when({**ahead, "status": status}, AS_OF) == (at(2026, 2, 1), at(2026, 3, 9))
    assert when({**ahead, "status": "arrived"}, AS_OF) == (at(2026, 3, 9), at(2026, 3, 9))
    unbooked = {**ahead, "status": status, "created": None}
    assert when(unbooked, AS_OF) == (at(2026, 3, 9), at(2026, 3, 9))
    past = {**ahead, "status": status, "start": "2026-03-01"}
    assert when(past, AS_OF) == (at(2026, 3, 1), at(2026, 3, 1))
    assert when({"resourceType": "Appointment"}, AS_OF) == (None, None)


@pytest.mark.parametrize(
    ("value", "exact"),
    [(0, True), (2**53, True), (-(2**53), True), (2**53 + 1, False), (-(2**53) - 1, False),
     (1.5, True), (True, False), ("1", False), (None, False)],
)  # fmt: skip
def test_a_number_is_one_that_every_reader_takes_exactly(value: Any, exact: bool) -> None:
    assert is_number(value) is exact


def test_a_questionnaire_is_a_code_by_its_url_without_its_version() -> None:
    assert questionnaire_code("urn:x|1.0") == ("urn:ietf:rfc:3986", "urn:x")
    assert questionnaire_code({"reference": "urn:x"}) is None


@pytest.mark.parametrize("said", [True, 0, 1, "", "false", []])
def test_an_order_not_to_do_is_void_unless_it_plainly_is_none(said: Any) -> None:
    assert void_reason({"doNotPerform": said}) == "says what must not be done"
    assert void_reason({"doNotPerform": False}) is None
    assert void_reason({"doNotPerform": None}) is None
