"""Reading a chart: what each entry is taken for, what a reference means, and why one is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir.errors import QuestionInvalid
from careweir.minimise import Chart, SubjectMismatch, read_chart
from minimise.charts import LOINC

PERSON = {"resourceType": "Patient", "id": "p1"}


def read(*entries: Any, subject: str | None = None) -> Chart:
    body = {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}
    return read_chart(json.dumps(body).encode(), subject=subject)


def entry(resource: Any, url: str | None = None) -> dict[str, Any]:
    return {"resource": resource} if url is None else {"fullUrl": url, "resource": resource}


RATE = {
    "resourceType": "Observation",
    "id": "o1",
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": LOINC, "code": "8867-4"}, {"code": "x"}, {"system": "s"}]},
    "component": [{"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}}, {}],
    "effectiveDateTime": "2026-03-02T08:00:00Z",
}


def test_a_glance_takes_type_codes_time_and_subject() -> None:
    record = read(entry(PERSON), entry(RATE, "https://ehr.example/fhir/Observation/o1")).records[1]

    assert record.index == 1
    assert (record.resource_type, record.id) == ("Observation", "o1")
    assert record.full_url == "https://ehr.example/fhir/Observation/o1"
    assert record.codes == ((LOINC, "8867-4"),)
    assert record.part_codes == ((LOINC, "8480-6"),)
    assert record.when == "2026-03-02T08:00:00Z"
    assert record.subject == "Patient/p1"
    assert record.attending == ()
    assert json.loads(record.raw)["resource"] == RATE


@pytest.mark.parametrize("name", ["subject", "patient", "beneficiary"])
@pytest.mark.parametrize("odd", [{}, {"code": "odd"}])
def test_whom_a_resource_is_about_is_read_even_of_an_odd_one(
    name: str, odd: dict[str, Any]
) -> None:
    about = {"resourceType": "Flag", name: {"reference": "Patient/p1/_history/3"}, **odd}

    record = read(entry(PERSON), entry(about)).records[1]

    assert record.subject == "Patient/p1"
    assert record.codes is None


def test_an_odd_resource_is_read_by_hand_and_tells_less() -> None:
    odd = {**RATE, "code": "odd", "id": 7}

    record = read(entry(PERSON), {"fullUrl": 8, "resource": odd}).records[1]

    assert (record.id, record.full_url, record.codes, record.when) == (None, None, None, None)
    assert record.part_codes == record.attending == ()
    assert record.subject == "Patient/p1"
    assert record.reference == "Observation#1"


@pytest.mark.parametrize(
    "odd",
    [7, "x", [], None, {}, {"resource": None}, {"resource": {}}, {"resource": []},
     {"resource": {"resourceType": ""}}, {"resource": {"resourceType": 7}}],
)  # fmt: skip
def test_an_entry_without_a_resource_is_counted_and_nothing_else(odd: Any) -> None:
    chart = read(entry(PERSON), odd, entry(RATE))

    assert chart.skipped == 1
    assert [record.index for record in chart.records] == [0, 2]
    assert chart.counts == {"Patient": 1, "Observation": 1}


def test_a_reference_finds_by_id_by_url_and_whatever_its_version() -> None:
    url = "https://ehr.example/fhir/Observation/o1"
    chart = read(entry(PERSON), entry(RATE, url))
    record = chart.records[1]

    for reference in ("Observation/o1", "urn:uuid:o1", url, f"{url}/_history/4",
                      "Observation/o1/_history/1"):  # fmt: skip
        assert chart.find(reference) is record
    for reference in ("o1", "Condition/o1", "Observation/o2", "", None, 7, {"reference": url}):
        assert chart.find(reference) is None
    assert record.reference == "Observation/o1"


def test_a_resource_without_an_id_is_known_by_its_url_and_one_of_neither_by_its_place() -> None:
    nameless = {name: value for name, value in RATE.items() if name != "id"}
    chart = read(entry(PERSON), entry(nameless, "urn:uuid:a"), entry(nameless))

    assert chart.records[1].reference == "urn:uuid:a"
    assert chart.records[2].reference == "Observation#2"
    assert chart.find("urn:uuid:a") is chart.records[1]
    assert chart.find("Observation/None") is None


def test_where_an_id_and_a_url_collide_the_url_is_meant() -> None:
    chart = read(
        entry(PERSON), entry({**RATE, "id": "x"}), entry({**RATE, "id": "y"}, "urn:uuid:x")
    )

    assert chart.find("urn:uuid:x") is chart.records[2]
    assert chart.find("Observation/x") is chart.records[1]


@pytest.mark.parametrize(
    ("url", "aliases"),
    [
        (None, {"Patient/p1", "urn:uuid:p1"}),
        ("urn:uuid:77", {"Patient/p1", "urn:uuid:p1", "urn:uuid:77"}),
        ("https://a.example/Patient/p1",
         {"Patient/p1", "urn:uuid:p1", "https://a.example/Patient/p1"}),
    ],
)  # fmt: skip
def test_a_patient_is_meant_by_its_id_and_by_its_url(url: str | None, aliases: set[str]) -> None:
    assert read(entry(PERSON, url)).aliases == aliases


def test_an_absolute_reference_is_believed_when_all_agree_on_the_server() -> None:
    far = {**RATE, "subject": {"reference": "https://a.example/Patient/p1"}}

    assert read(entry(PERSON), entry(far), entry(far)).aliases == {
        "Patient/p1", "urn:uuid:p1", "https://a.example/Patient/p1",
    }  # fmt: skip
    with pytest.raises(SubjectMismatch):
        read(entry(PERSON, "https://b.example/Patient/p1"), entry(far))


def refused(*entries: Any, subject: str | None = None) -> tuple[str, str | None]:
    with pytest.raises(QuestionInvalid) as error:
        read(*entries, subject=subject)
    return error.value.detail, error.value.path


def test_each_refusal_says_what_is_wrong_and_where() -> None:
    other = {**PERSON, "id": "p2"}
    about_other = {**RATE, "subject": {"reference": "Patient/p2"}}

    assert refused() == ("the chart has no Patient", "inputs.entry")
    assert refused(entry(PERSON), entry(other)) == (
        "the chart has more than one Patient", "inputs.entry",
    )  # fmt: skip
    assert refused(entry(PERSON, "https://a.example/Patient/p9")) == (
        "the Patient's id and fullUrl differ", "inputs.entry.fullUrl",
    )  # fmt: skip
    assert refused(entry(PERSON), subject="Patient/p2") == (
        "the chart's Patient is not the subject", "subject",
    )  # fmt: skip
    assert refused(entry(PERSON), entry(about_other)) == (
        "a resource of the chart is about another patient", "inputs.entry.subject",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "mixed"),
    [
        ("Patient/p2", True), ("urn:uuid:p2", True), ("https://a.example/Patient/p2", True),
        ("p2", True), ("Group/g1", False), ("Device/d1", False), ("#contained", False),
        ("Patient?identifier=x", False), ("Observation/o1", False),
    ],
)  # fmt: skip
def test_only_who_could_be_another_patient_makes_a_chart_mixed(reference: str, mixed: bool) -> None:
    about = {**RATE, "id": "o2", "subject": {"reference": reference}}
    chart = [entry(PERSON), entry(RATE), entry(about)]

    if mixed:
        assert refused(*chart)[1] == "inputs.entry.subject"
    else:
        read_one = read(*chart)
        assert not read_one.is_ours(read_one.records[2])
        assert read_one.is_ours(read_one.records[1])


def test_a_resource_that_cannot_be_read_strictly_is_refused_with_its_place() -> None:
    body = json.dumps({"resourceType": "Bundle", "entry": [entry(PERSON), entry(RATE)]})
    twice = read_chart(body.replace('"id": "o1"', '"id": "o1", "id": "o2"').encode(), subject=None)
    deep = read_chart(
        body.replace('"id": "o1"', '"id": "o1", "x": ' + "[" * 80 + "]" * 80).encode(), subject=None
    )

    for chart in (twice, deep):
        with pytest.raises(QuestionInvalid) as error:
            chart.resource(chart.records[1])
        assert error.value.path == "inputs.entry[1]"
        assert error.value.detail.startswith("an entry cannot be read: ")
    assert chart.resource(chart.records[0]) == PERSON
    assert chart.resource(chart.records[0]) is chart.resource(chart.records[0])


def attended(*actors: str | None) -> Chart:
    participants = [{} if one is None else {"actor": {"reference": one}} for one in actors]
    visit = {"resourceType": "Appointment", "id": "a1", "participant": participants}
    return read(entry(PERSON), entry({"resourceType": "Practitioner", "id": "d"}), entry(visit))


@pytest.mark.parametrize(
    ("actors", "ours"),
    [
        (["Patient/p1"], True), (["Patient/p1", "Practitioner/d"], True),
        (["Patient/p1", "Location/x", None], True), (["urn:uuid:p1/_history/1"], True),
        ([], False), (["Practitioner/d"], False), (["Patient/p1", "Patient/p2"], False),
        (["Patient/p1", "urn:uuid:who"], False), (["Patient/p1", "urn:uuid:d"], True),
        (["Patient/p1", "Stranger/x"], False), (["Patient/p1", "https://a.example/Device/x"], True),
    ],
)  # fmt: skip
def test_an_appointment_is_the_patients_when_nobody_else_could_be_one(
    actors: list[str | None], ours: bool
) -> None:
    chart = attended(*actors)

    assert chart.is_ours(chart.records[2]) is ours
