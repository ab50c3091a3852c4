"""A hospital's worst Bundles: each is read tolerantly or refused with its place."""

from __future__ import annotations

import json
import time

import pytest

from careweir.errors import QuestionInvalid
from careweir.minimise import SubjectMismatch, read_chart
from minimise.charts import SEPSIS, bundle, observation, patient, reasons, resources, run


def entry(*resources_: object) -> bytes:
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": resources_}
    ).encode()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "inputs"),
        (b"not json", "inputs"),
        (b"[]", "inputs"),
        (b"null", "inputs"),
        (b'{"resourceType": "Patient", "id": "p1"}', "inputs.resourceType"),
        (b'{"resourceType": "Bundle", "type": "collection"}', "inputs.entry"),
        (b'{"resourceType": "Bundle", "entry": []}', "inputs.entry"),
        (b'{"resourceType": "Bundle", "entry": {}}', "inputs"),
        (b'{"resourceType": "Bundle", "entry": null}', "inputs.entry"),
        (b'{"resourceType": "Bundle", "entry": [], "entry": []}', "inputs"),
        (b'{"resourceType": "Bundle", "type": "a", "type": "b", "entry": []}', "inputs"),
        (b'{"resourceType": "Bundle", "total": NaN, "entry": []}', "inputs"),
        (b'{"resourceType": "Bundle", "id": "\xff", "entry": []}', "inputs"),
        (bundle(observation("8867-4", 80)), "inputs.entry"),
    ],
)
def test_what_is_not_a_chart_is_refused_with_its_place(body: bytes, path: str) -> None:
    with pytest.raises(QuestionInvalid) as refused:
        read_chart(body, subject="Patient/p1")

    assert refused.value.path == path


def test_two_different_patients_are_refused_whoever_the_subject_is() -> None:
    with pytest.raises(SubjectMismatch) as refused:
        read_chart(bundle(patient(), patient(id="p2")), subject="Patient/p1")

    assert refused.value.status == 422
    assert refused.value.code == "subject_mismatch"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("Patient/p1", True),
        ("https://ehr.example/fhir/Patient/p1", True),
        ("Patient/p2", False),
        ("https://ehr.example/fhir/Patient/p2", False),
    ],
)
def test_a_patient_whose_id_and_url_differ_is_nobody(url: str, read: bool) -> None:
    body = entry({"fullUrl": url, "resource": patient()})

    if read:
        assert read_chart(body, subject=url).patient.id == "p1"
    else:
        with pytest.raises(SubjectMismatch):
            read_chart(body, subject=url)


def test_one_patient_given_twice_in_the_same_words_is_one_patient() -> None:
    body = entry({"resource": patient()}, {"resource": patient()})

    assert read_chart(body, subject="Patient/p1").patient.id == "p1"


@pytest.mark.parametrize("subject", ["Patient/p1", "urn:uuid:0"])
def test_the_subject_is_known_by_its_id_or_its_full_url(subject: str) -> None:
    assert read_chart(bundle(patient()), subject=subject).patient.id == "p1"


@pytest.mark.parametrize("subject", ["Patient/p2", "p1", "Group/p1", ""])
def test_another_subject_is_refused(subject: str) -> None:
    with pytest.raises(SubjectMismatch):
        read_chart(bundle(patient()), subject=subject)


@pytest.mark.parametrize(
    "reference",
    ["Patient/p2", "urn:uuid:9b2f", "https://ehr.example/fhir/Patient/p2", "Patient/p2/_history/1"],
)
@pytest.mark.parametrize("kind", ["Observation", "Claim"])
def test_a_chart_that_mixes_patients_is_refused_whole(reference: str, kind: str) -> None:
    foreign = {"resourceType": kind, "id": "x", "subject": {"reference": reference}}

    with pytest.raises(SubjectMismatch):
        read_chart(bundle(patient(), foreign), subject="Patient/p1")


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p1",
        "urn:uuid:0",
        "urn:uuid:p1",
        "Patient/p1/_history/3",
        "https://e/fhir/Patient/p1",
    ],
)
def test_each_way_to_refer_to_the_patient_is_understood(reference: str) -> None:
    body = bundle(patient(), observation("8867-4", 80, subject={"reference": reference}))

    assert len(resources(run(body), "Observation")) == 1


def test_absolute_references_of_two_servers_do_not_mean_one_patient() -> None:
    rates = [
        observation("8867-4", 80, subject={"reference": f"https://{server}/Patient/p1"})
        for server in ("a", "b")
    ]

    with pytest.raises(SubjectMismatch):
        read_chart(bundle(patient(), *rates), subject="Patient/p1")


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {},
        {"display": "Marisol"},
        {"identifier": {"value": "MRN-4471902"}},
        {"reference": "Patient?identifier=MRN-4471902"},
        {"reference": "#p1"},
        {"reference": "Group/p1"},
        {"reference": "Device/d1"},
    ],
)
def test_a_resource_that_names_no_patient_is_not_sent(subject: object) -> None:
    found = run(bundle(patient(), observation("8867-4", 80, subject=subject)))

    assert resources(found, "Observation") == []
    assert reasons(found)["Observation"] == {"not_needed_by_tool"}


def test_entries_without_a_resource_are_skipped_and_counted() -> None:
    body = entry(
        {"resource": patient()}, {}, None, 7, {"resource": None}, {"resource": {"id": "x"}},
        {"resource": observation("8867-4", 80)}, {"fullUrl": 3, "resource": {"resourceType": 4}},
    )  # fmt: skip

    found = run(body)

    assert len(resources(found, "Observation")) == 1
    assert [row.count for row in found.manifest.withheld if row.path == "Bundle.entry"] == [6]


@pytest.mark.parametrize("kind", ["transaction", "document", "searchset", "batch"])
def test_any_kind_of_bundle_is_read(kind: str) -> None:
    assert (
        len(resources(run(bundle(patient(), observation("8867-4", 80), type=kind)), "Patient")) == 1
    )


def raw(*entries: bytes) -> bytes:
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join(entries) + b"]}"


RATE = json.dumps(observation("8867-4", 80)).encode()
PATIENT = b'{"resource":' + json.dumps(patient()).encode() + b"}"


@pytest.mark.parametrize(
    "broken",
    [
        b'{"resource":' + RATE[:-1] + b',"status":"final"}}',
        b'{"resource":{"resourceType":"Claim"},"resource":' + RATE + b"}",
        b'{"resource":' + RATE.replace(b"80", b"NaN") + b"}",
        b'{"resource":' + RATE.replace(b"80", b"1e999") + b"}",
        b'{"resource":' + RATE.replace(b"WORDS", b"\xff\xfe") + b"}",
        b'{"resource":' + RATE[:-1] + b',"note":' + b"[" * 80 + b"]" * 80 + b"}}",
    ],
    ids=["duplicate key", "duplicate resource", "nan", "overflow", "utf-8", "depth"],
)
def test_what_would_be_sent_is_read_strictly(broken: bytes) -> None:
    with pytest.raises(QuestionInvalid) as refused:
        run(raw(PATIENT, broken))

    assert refused.value.path in ("inputs.entry[1]", "inputs")
    assert "80" not in str(refused.value)


def test_a_second_resource_type_cannot_smuggle_a_resource_past_the_mask() -> None:
    smuggled = RATE.replace(b'"resourceType"', b'"resourceType":"Claim","resourceType"', 1)

    with pytest.raises(QuestionInvalid):
        run(raw(PATIENT, b'{"resource":' + smuggled + b"}"))


def test_what_nobody_needs_is_not_even_decoded() -> None:
    broken = b'{"resource":{"resourceType":"Claim","id":"a","id":"b","note":NULL}}'
    harmless = b'{"resource":{"resourceType":"Claim","use":"claim","use":"claim"}}'

    assert len(resources(run(raw(PATIENT, harmless)), "Patient")) == 1
    with pytest.raises(QuestionInvalid):
        run(raw(PATIENT, broken))


def test_errors_never_quote_the_chart() -> None:
    canary = b'{"resource":{"resourceType":"Observation","code":"CANARY-1","code":"CANARY-2"}}'

    with pytest.raises(QuestionInvalid) as refused:
        run(raw(PATIENT, canary))

    assert refused.value.__cause__ is None
    assert "CANARY" not in repr(refused.value) + str(refused.value.path)


def test_elements_of_the_wrong_shape_are_read_by_hand() -> None:
    odd = observation("8867-4", 80, component="none", id=7)

    found = run(bundle(patient(), odd))

    assert len(resources(found, "Observation")) == 1


def test_a_ten_megabyte_chart_is_read_in_time() -> None:
    filler = [
        {
            "resourceType": "Claim",
            "id": f"c{i}",
            "patient": {"reference": "Patient/p1"},
            "x": "y" * 900,
        }
        for i in range(10_000)
    ]
    body = bundle(patient(), *filler, observation("8867-4", 80))
    assert len(body) > 10_000_000

    started = time.process_time()
    found = run(body, SEPSIS)

    assert time.process_time() - started < 5
    assert len(resources(found, "Observation")) == 1
