"""Which words of a chart identify, and with which mark each is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from careweir.minimise import read_chart
from careweir.minimise.identifiers import dates_of, identifiers_in
from careweir.minimise.scrub import scrubber_of
from minimise.charts import bundle

UUID = "9f0c2d5e-1111-4222-8333-abcdefabcdef"


def bare(**extra: Any) -> dict[str, Any]:
    """A patient of whom nothing is known but what a test says."""
    return {"resourceType": "Patient", "id": "p", **extra}


def words(*resources: dict[str, Any]) -> dict[str, str]:
    return identifiers_in(read_chart(bundle(*resources), subject=None))


def scrubbed(text: str, *resources: dict[str, Any]) -> str:
    return scrubber_of(read_chart(bundle(*resources), subject=None))(text)


def test_a_patient_of_whom_nothing_is_known_has_no_identifying_word() -> None:
    assert words(bare()) == {}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ({"family": "Quill", "given": ["Marisol", "Io"]}, {"Quill", "Marisol", "Io"}),
        ({"text": "Marisol van  Quill"}, {"Marisol van Quill", "Marisol", "van", "Quill"}),
        ({"family": "O'Hara-Quill"}, {"O'Hara-Quill"}),
        ({"given": ["J."], "family": "Quill"}, {"Quill"}),
        ({"prefix": ["Dr"], "family": "Quill", "suffix": ["PhD", "Senior"]}, {"Quill", "Senior"}),
        ({"text": "Dr Quill"}, {"Quill"}),
        ({"family": "Medical Quill"}, {"Medical Quill", "Quill"}),
        ({"family": "Älvstrand"}, {"Älvstrand"}),
        ({"family": 7, "given": {"odd": "Quill"}}, {"Quill"}),
        ("Quill Hospital", {"Quill Hospital", "Quill"}),
    ],
)
def test_a_name_is_taken_whole_and_in_parts_without_titles(name: Any, found: set[str]) -> None:
    expected = dict.fromkeys(found, "[NAME]")

    assert words(bare(name=[name])) == expected
    assert words(bare(name=name)) == expected


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("MRN-44.71", {"MRN-44.71", "MRN4471"}),
        ("4471", {"4471"}),
        ("447", {"447"}),
        ("4-71", {"4-71"}),
        ("44", set()),
        (UUID, set()),
        (4471, set()),
        (None, set()),
    ],
)
def test_a_number_is_taken_as_written_and_without_its_punctuation(
    value: Any, found: set[str]
) -> None:
    assert words(bare(identifier=[{"value": value}])) == dict.fromkeys(found, "[ID]")
    assert words(bare(telecom=[{"value": value}])) == dict.fromkeys(found, "[PHONE]")


def test_of_an_address_all_that_is_smaller_than_a_state_is_taken() -> None:
    address = {
        "line": ["14 Tanglewood Crescent", "Apt"],
        "city": "Brackenholm",
        "district": "Wold",
        "state": "Massachusetts",
        "country": "Utopia",
        "postalCode": "48226",
        "text": "by the mill",
    }
    found = {"14 Tanglewood Crescent", "Brackenholm", "Wold", "48226", "by the mill"}

    assert words(bare(address=[address])) == dict.fromkeys(found, "[ADDRESS]")
    extension = [{"url": "birthPlace", "valueAddress": {"city": "Brackenholm", "line": ["Ox"]}}]
    assert words(bare(extension=extension)) == {"Brackenholm": "[ADDRESS]"}
    assert words(bare(address=["14 Tanglewood Crescent"])) == {}
    assert words(bare(address=[{"city": "Rye"}])) == {"Rye": "[ADDRESS]"}


def test_ids_and_urls_of_resources_are_taken_unless_they_are_short_or_uuids() -> None:
    body = (
        b'{"resourceType": "Bundle", "type": "collection", "entry": ['
        b'{"fullUrl": "https://ehr.example/fhir/Patient/long-id", '
        b'"resource": {"resourceType": "Patient", "id": "long-id"}},'
        b'{"fullUrl": "urn:uuid:written-out", "resource": {"resourceType": "Flag", "id": "abcd"}},'
        b'{"fullUrl": "urn:uuid:' + UUID.encode() + b'", '
        b'"resource": {"resourceType": "Flag", "id": "abc"}},'
        b'{"resource": {"resourceType": "Flag"}}]}'
    )

    found = identifiers_in(read_chart(body, subject=None))

    assert found == {"long-id": "[ID]", "written-out": "[ID]", "abcd": "[ID]"}


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"generalPractitioner": [{"reference": "Practitioner/x", "display": "Ada Finch"}]},
         {"Ada Finch", "Ada", "Finch"}),
        ({"managingOrganization": {"identifier": {"system": "x"}, "display": "Finch"}}, {"Finch"}),
        ({"maritalStatus": {"coding": [{"code": "M", "display": "Married"}]}}, set()),
        ({"extension": [{"url": "urn:mothersMaidenName", "valueString": "Finch"}]}, {"Finch"}),
        ({"extension": [{"url": "urn:birthsex", "valueString": "Finch"}]}, set()),
        ({"extension": [{"valueString": "Finch"}]}, set()),
        ({"contact": [{"name": {"family": "Finch"}}]}, {"Finch"}),
        ({"contained": [{"resourceType": "Basic", "name": "Finch"}]}, {"Finch"}),
    ],
)  # fmt: skip
def test_names_are_found_wherever_the_patient_has_them(
    extra: dict[str, Any], found: set[str]
) -> None:
    assert words(bare(**extra)) == dict.fromkeys(found, "[NAME]")


@pytest.mark.parametrize(
    "kind",
    ["RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location", "CareTeam",
     "Encounter", "DiagnosticReport", "ImagingStudy", "DocumentReference", "Coverage",
     "ServiceRequest"],
)  # fmt: skip
def test_people_places_and_numbers_around_the_patient_count_too(kind: str) -> None:
    other = {
        "resourceType": kind,
        "performer": {"reference": "x", "display": "Finch"},
        "uid": "1.2.840.9",
    }

    assert words(bare(), other) == {"Finch": "[NAME]", "1.2.840.9": "[ID]", "128409": "[ID]"}


def test_what_a_measurement_says_is_no_name() -> None:
    other = {"resourceType": "Observation", "performer": [{"reference": "x", "display": "Finch"}]}

    assert words(bare(), other) == {}


def test_the_days_of_birth_and_death_are_found_in_every_way_to_write_them() -> None:
    chart = read_chart(
        bundle(bare(birthDate="1957-03-09", deceasedDateTime="2026-11-23T09:00:00Z")), subject=None
    )

    assert sorted(dates_of(chart)) == sorted(
        [
            "1957-03-09", "19570309", "03091957", "09031957", "03/09/1957", "09/03/1957",
            "3/9/1957", "9.3.1957", "09.03.1957", "March 9, 1957", "9 March 1957", "Mar 9, 1957",
            "9 Mar 1957", "9-Mar-1957",
            "2026-11-23", "20261123", "11232026", "23112026", "11/23/2026", "23/11/2026",
            "11/23/2026", "23.11.2026", "23.11.2026", "November 23, 2026", "23 November 2026",
            "Nov 23, 2026", "23 Nov 2026", "23-Nov-2026",
        ]
    )  # fmt: skip
    assert list(dates_of(read_chart(bundle(bare(birthDate="1957")), subject=None))) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("seen on 03091957", "seen on [DATE]"),
        ("of Tanglewood Crescent 14, Brackenholm", "of Tanglewood Crescent 14, [ADDRESS]"),
        ("Marisol Quill", "[NAME]"),
        ("Quill, Marisol was seen", "[NAME] was seen"),
        ("QUILL was seen", "[NAME] was seen"),
        ("the quill's edge", "the [NAME]'s edge"),
        ("Quillfeather", "Quillfeather"),
        ("no. 44 71-902", "no. [ID]"),
        ("no. 4471-902", "no. [ID]"),
        ("no. 44-71-902", "no. [ID]"),
        ("Alvstrand and Älvstrand", "[NAME] and [NAME]"),
        ("long-id", "[ID]"),
    ],
)
def test_each_word_gives_way_to_its_mark(text: str, left: str) -> None:
    person = bare(
        id="long-id",
        birthDate="1957-03-09",
        name=[{"family": "Quill", "given": ["Marisol"]}, {"family": "Älvstrand"}],
        identifier=[{"value": "44 71-902"}],
        address=[{"city": "Brackenholm"}],
    )

    assert scrubbed(text, person) == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Lung", "lung base, Dr Lung", "lung base, Dr [NAME]"),
        ("Lung", "Lung base", "[NAME] base"),
        ("Io", "io and Io", "io and [NAME]"),
        ("Wood", "wood, WOOD, Wood", "wood, WOOD, [NAME]"),
        ("Woods", "woods, WOODS, Woods", "[NAME]"),
    ],
)
def test_a_short_or_everyday_word_counts_only_as_written(name: str, text: str, left: str) -> None:
    assert scrubbed(text, bare(name=[{"family": name}])) == left


def test_a_report_of_a_patient_with_an_imaging_number_loses_it() -> None:
    study = {"resourceType": "ImagingStudy", "identifier": [{"value": "ACC 77"}]}

    assert scrubbed("see ACC-77", bare(), study) == "see [ID]"
