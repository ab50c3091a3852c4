"""``/fhir/AuditEvent`` for an auditor's own tools: what is found, who may, and what it leaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from careweir.audit import Entry, Query
from careweir_fhir import validate
from fhir_api.gateway import QUESTIONS, START, Base, token

DCM = "http://dicom.nema.org/resources/ontology/DCM"
PATH = "/fhir/AuditEvent"


def inferences(events: list[dict[str, Any]]) -> list[str]:
    """Which questions events are about, in their order."""
    return [
        entity["what"]["identifier"]["value"]
        for event in events
        for entity in event["entity"]
        if entity["type"]["code"] == "XrequestId"
    ]


def issue(response: httpx.Response) -> dict[str, Any]:
    outcome = response.json()
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert outcome["resourceType"] == "OperationOutcome"
    assert validate.problems(outcome) == ()
    found: dict[str, Any] = outcome["issue"][0]
    return found


def walked(base: Base, bearer: str, **parameters: str) -> Iterator[dict[str, Any]]:
    """Every page of a search, by its ``next`` links."""
    response = base.get(PATH, bearer, params=parameters)
    while True:
        page = response.json()
        yield page
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            return
        response = base.get(following[0].removeprefix("http://gw"), bearer)


def test_one_disclosure_is_one_event_with_its_outcome(base: Base) -> None:
    found = base.search(entity="dis_4")

    assert len(found) == 1
    event = found[0]
    assert (event["type"]["code"], event["outcome"]) == ("110106", "8")
    assert event["outcomeDesc"] == "vendor_timed_out"
    assert event["source"]["site"] == "north"
    assert {"type": "withheld", "valueString": "Patient.name: role"} in event["entity"][-1][
        "detail"
    ]
    whole = base.search(entity="dis_1")[0]
    assert whole["meta"]["profile"][0].endswith("IHE.BasicAudit.PrivacyDisclosure.Source")
    assert base.search(entity="dis_11")[0]["outcomeDesc"].startswith("under way")


def test_everything_that_leaves_is_valid_r4(base: Base) -> None:
    for page in walked(base, token(), _count="7"):
        assert validate.problems(page) == ()
        for entry in page["entry"]:
            assert validate.problems(entry["resource"]) == ()


@pytest.mark.parametrize(
    ("parameters", "questions"),
    [
        ({"entity": "inf_3", "type": f"{DCM}|110106"}, [3]),
        ({"agent": "dr-2", "type": "110106"}, [11, 8, 5, 2]),
        ({"agent__identifier": "urn:issuer|dr-2", "type": "110106"}, [11, 8, 5, 2]),
        ({"agent__identifier": "|dr-2", "type": "110106"}, []),
        ({"agent__identifier": "|acme-sepsis", "entity": "inf_3"}, [3]),
        ({"agent": "Device/careweir", "entity": "inf_3", "type": "110113"}, [3]),
        ({"agent": "Device/other", "type": "110106"}, []),
        ({"outcome": "8"}, [8, 4, 0]),
        ({"outcome": "4"}, ["x"]),
        ({"outcome": "4,8"}, ["x", 8, 4, 0]),
        ({"outcome": "12"}, []),
        ({"outcome": "0", "type": "110106", "site": "north"}, [7, 6, 5, 3, 2, 1]),
        ({"action": "R", "outcome": "8"}, [8, 4, 0]),
        ({"action": "E", "outcome": "8"}, []),
        ({"subtype": "disclose", "entity": "inf_3"}, [3]),
        ({"subtype": "operation", "entity": "inf_3"}, [3]),
        ({"policy": "urn:ietf:params:oauth:jti:tok-3", "action": "R"}, [3]),
        ({"policy": "urn:careweir:policy:sha256%3A0a", "action": "R", "agent": "dr-0"},
         [9, 6, 3, 0]),
        ({"policy": "urn:other"}, []),
        ({"purpose": "BTG", "type": "110106", "site": "south"}, [10, 8]),
        ({"purpose": "http://terminology.hl7.org/CodeSystem/v3-ActReason|BTG",
          "entity": "inf_2", "action": "R"}, [2]),
        ({"purpose": "urn:x|BTG"}, []),
        ({"site": "south", "type": "110106", "_sort": "date"}, [8, 9, 10, 11]),
        ({"entity": "inf_3,inf_5", "type": "110106", "_sort": "-date"}, [5, 3]),
        ({"source": "Device/careweir", "entity": "dis_1"}, [1]),
    ],
    ids=str,
)  # fmt: skip
def test_search_finds_exactly_these(
    base: Base, parameters: dict[str, str], questions: list[int | str]
) -> None:
    found = base.search(**parameters, _total="accurate")

    assert inferences(found) == [f"inf_{n}" for n in questions]


def test_a_patient_is_found_by_reference_and_stands_in_links_as_a_hash(base: Base) -> None:
    key = base.keys.patient_key("Patient/1")
    for given in ("Patient/1", "1", "https://ehr.example/fhir/Patient/1"):
        response = base.get(PATH, params={"patient": given, "type": "110106"})
        found = [e["resource"] for e in response.json()["entry"]]
        assert inferences(found) == [f"inf_{n}" for n in range(11, 0, -2)]
        assert "Patient%2F1" not in response.text
        assert "Patient/1" not in response.text
        assert key in response.json()["link"][0]["url"]
    assert len(base.search(patient__identifier=f"urn:careweir:patient-key|{key}",
                           type="110106")) == 6  # fmt: skip
    assert base.search(patient__identifier=f"urn:other|{key}") == []
    assert len(base.search(entity="Patient/1", type="110106")) == 6
    modifier = base.get(PATH, params={"patient:identifier": key, "type": "110106"})
    assert len(modifier.json()["entry"]) == 6


@pytest.mark.parametrize(
    ("date", "count"),
    [
        ("ge2026-03-02", 12), ("lt2026-03-02", 0), ("2026-03-02", 12), ("2026-03", 12),
        ("2026", 12), ("2025", 0), ("ne2026-03-02", 0), ("sa2026-03-01", 12), ("eb2026-03-02", 0),
        ("gt2026-03-02T08:00:00Z", 12), ("le2026-03-02T09:00:00%2B01:00", 0),
        ("ap2026-03-02", 12), ("2026-03-01,2026-03-02", 12),
    ],
)  # fmt: skip
def test_dates_match_by_their_precision_and_prefix(base: Base, date: str, count: int) -> None:
    response = base.get(f"{PATH}?date={date}&type=110106&_total=accurate")

    assert response.json()["total"] == count


def test_two_dates_narrow_to_what_lies_between(base: Base) -> None:
    whole = base.search(type="110106", _sort="date")
    third = whole[2]["recorded"]

    response = base.get(PATH, params=[("date", f"ge{third}"), ("date", f"le{whole[4]['recorded']}"),
                                      ("type", "110106"), ("_sort", "date")])  # fmt: skip

    assert [e["resource"]["id"] for e in response.json()["entry"]] == [e["id"] for e in whole[2:5]]


def test_pages_follow_each_other_without_gaps_while_entries_are_written(base: Base) -> None:
    query = {"type": "110106", "_count": "5", "agent": "ehr"}
    seen: list[str] = []
    for page in walked(base, token(), **query):
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        assert "total" not in page
        base.write(Entry("refusal", {"site": "north"}, actor="x", outcome="access_denied"))

    assert len(seen) == len(set(seen)) == QUESTIONS
    assert seen == [event["id"] for event in base.search(type="110106")]


def test_totals_are_given_only_when_asked_for_and_true(base: Base) -> None:
    query = {"type": "110106", "site": "north", "_count": "3"}
    plain = base.get(PATH, params=query).json()
    counted = base.get(PATH, params=query | {"_total": "accurate"}).json()
    several = base.get(PATH, params={"agent": "dr-1", "type": "110106", "_total": "estimate"})
    none = base.get(PATH, params=query | {"_summary": "count"}).json()

    assert "total" not in plain
    assert (counted["total"], len(counted["entry"])) == (8, 3)
    assert several.json()["total"] == 4
    assert (none["total"], none.get("entry")) == (8, None)
    assert base.get(PATH, params=query | {"_count": "0"}).json()["total"] == 8


def test_a_reader_bound_to_a_site_learns_nothing_of_another(base: Base) -> None:
    north = token(site="north")
    everywhere = base.search(type="110106")
    southern = [e for e in everywhere if e["source"]["site"] == "south"]
    assert southern

    pages = list(walked(base, north, type="110106", _count="3", _total="accurate"))

    seen = [entry["resource"] for page in pages for entry in page["entry"]]
    assert {event["source"]["site"] for event in seen} == {"north"}
    assert [page["total"] for page in pages] == [8, 8, 8]
    assert len(pages) == 3
    for event in southern:
        assert base.get(f"{PATH}/{event['id']}").status_code == 200
        assert base.get(f"{PATH}/{event['id']}", north).status_code == 404
        assert base.get(PATH, north, params={"_cursor": event["id"]}).status_code == 400
    for hidden in ({"site": "south"}, {"entity": "inf_9"}, {"_id": southern[0]["id"]}):
        assert base.search(north, **hidden) == []
    assert base.search(north, type="110134") == []  # of no site


def test_who_may_read(base: Base) -> None:
    allowed = [
        token("auditor"), token("privacy-officer"), token(scope="user/AuditEvent.s"),
        token(scope="openid system/*.read"), token(scope="system/AuditEvent.*"),
        token(scope="system/AuditEvent.rs?type=110106"),
    ]  # fmt: skip
    refused = [
        token("ed-physician"), token("operator"), token(scope="capability/*.infer"),
        token(scope="system/AuditEvent.r"), token(scope="system/AuditEvent.cud"),
        token(scope="patient/AuditEvent.rs"), token(scope="system/Observation.rs"),
        token(scope="system/AuditEvent.write"),
    ]  # fmt: skip

    assert [base.get(PATH, bearer).status_code for bearer in allowed] == [200] * len(allowed)
    for bearer in refused:
        response = base.get(PATH, bearer)
        assert response.status_code == 403
        assert issue(response)["code"] == "forbidden"
    assert base.read_back(Query(type="read", newest_first=True, limit=1))[0].entry.body["what"] == (
        "fhir: AuditEvent refused"
    )
    none = base.call("GET", PATH, None)
    assert (none.status_code, issue(none)["code"]) == (401, "login")
    assert "Bearer" in none.headers["www-authenticate"]
    only_search = token(scope="system/AuditEvent.s")
    event = base.search(only_search, type="110106")[0]["id"]
    assert base.get(f"{PATH}/{event}", only_search).status_code == 403
    assert base.get(f"{PATH}/{event}", token(scope="system/AuditEvent.r")).status_code == 200


def test_reading_is_on_the_record_and_on_the_patients(base: Base) -> None:
    base.get(PATH, params={"patient": "Patient/1", "agent": "dr-1"})

    last = base.read_back(Query(type="read", newest_first=True, limit=1))[0].entry
    assert last.body["what"] == "fhir: AuditEvent search, agent, patient.identifier"
    assert last.patient_key == base.keys.patient_key("Patient/1")
    assert (last.actor, last.body["role"]) == ("Practitioner/auditor", "auditor")
    used = base.search(type="110101", patient="1")
    assert used[0]["action"] == "R"


def test_an_event_is_read_by_its_id(base: Base) -> None:
    event = base.search(entity="dis_1")[0]

    assert base.get(f"{PATH}/{event['id']}").json() == event
    assert base.search(_id=f"{event['id']},gw-99") == [event]
    for unknown in ("gw-99", "nothing", f"{event['id']}000", "_search"):
        response = base.get(f"{PATH}/{unknown}")
        assert (response.status_code, issue(response)["code"]) == (404, "not-found")


def test_the_outcome_of_a_disclosure_is_no_event_of_its_own(base: Base) -> None:
    row = base.read_back(Query(type="outcome", limit=1))[0]

    assert base.get(f"{PATH}/{row.receipt.writer}-{row.receipt.seq}").status_code == 404


def test_a_search_may_come_in_the_body(base: Base) -> None:
    form = {"patient": "Patient/1", "type": "110106", "_count": "2"}

    response = base.call("POST", f"{PATH}/_search", token(), data=form)

    page = response.json()
    assert response.status_code == 200
    assert len(page["entry"]) == 2
    following = urlsplit(page["link"][-1]["url"])
    assert set(parse_qs(following.query)) == {"patient.identifier", "type", "_count", "_cursor"}
    assert base.get(f"{following.path}?{following.query}").status_code == 200
    other = base.call("POST", f"{PATH}/_search", token(), json={})
    assert (other.status_code, issue(other)["code"]) == (415, "not-supported")


def test_unknown_parameters_are_named_by_count_or_refused(base: Base) -> None:
    query = {"CANARY-name": "x", "entity": "dis_1"}
    lenient = base.get(PATH, params=query)
    strict = base.get(PATH, params=query, headers={"Prefer": "handling=strict"})

    page = lenient.json()
    assert [e["search"]["mode"] for e in page["entry"]] == ["match", "outcome"]
    assert page["link"][0]["url"] == f"http://gw{PATH}?entity=dis_1"
    assert (strict.status_code, issue(strict)["code"]) == (400, "not-supported")
    for response in (lenient, strict):
        assert "CANARY" not in response.text


@pytest.mark.parametrize(
    "query",
    ["date=yesterday", "date=zz2026", "date=2026-13", "_count=-1", "_count=x", "_total=maybe",
     "_cursor=x", "patient=Practitioner/1", "_summary=text", "type:not=x", "patient:missing=true",
     "agent=" + ",".join(f"a{n}" for n in range(21)),
     "agent=" + ",".join(f"a{n}" for n in range(20))],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_without_its_value(base: Base, query: str) -> None:
    response = base.get(f"{PATH}?{query}")

    assert response.status_code == 400
    assert query.partition("=")[2] not in issue(response)["details"]["text"]


@pytest.mark.parametrize(("query", "name"), [("date=yesterday", "date"), ("_count=x", "_count")])
def test_a_refusal_names_the_parameter(base: Base, query: str, name: str) -> None:
    told = issue(base.get(f"{PATH}?{query}"))

    assert told["location"] == [f"http.{name}"]
    assert "expression" not in told


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        ("application/fhir+json", "", 200),
        ("application/json", "", 200),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", 200),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("application/fhir+xml", "", 406),
        ("text/html", "", 406),
        ("application/json;q=0, text/html", "", 406),
        ("application/fhir+xml", "_format=json", 200),
        ("application/json", "_format=xml", 406),
        ("text/html", "_format=application/fhir+json", 200),
    ],
)
def test_only_json_is_spoken(base: Base, accept: str, query: str, status: int) -> None:
    response = base.get(f"{PATH}?{query}&_count=1", headers={"Accept": accept})

    assert response.status_code == status
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"


def test_refusals_of_the_base_are_operation_outcomes(base: Base) -> None:
    expected = {
        ("GET", "/fhir/Nothing"): (404, "not-found"),
        ("GET", "/fhir"): (404, "not-found"),
        ("POST", PATH): (405, "not-supported"),
        ("DELETE", f"{PATH}/gw-1"): (405, "not-supported"),
    }
    for (method, path), (status, code) in expected.items():
        response = base.call(method, path, token())
        assert (response.status_code, issue(response)["code"]) == (status, code)
    elsewhere = base.get("/v1/nothing")
    assert elsewhere.headers["content-type"] == "application/problem+json"


def test_facts_that_r4_does_not_take_do_not_hide_an_entry(base: Base) -> None:
    base.write(Entry("refusal", {"purpose": "A  B"}, actor="odd", outcome="access_denied"))

    event = base.search(agent="odd")[0]

    assert validate.problems(event) == ()
    assert "cannot stand in R4" in event["outcomeDesc"]


def test_the_capability_statement_tells_what_is_there(base: Base) -> None:
    response = base.call("GET", "/fhir/metadata", None)
    statement = response.json()

    assert response.status_code == 200
    assert validate.problems(statement) == ()
    assert statement["fhirVersion"] == "4.0.1"
    everything = token(scope="system/*.rs")
    for resource in statement["rest"][0]["resource"]:
        kind = resource["type"]
        for interaction in resource["interaction"]:
            path = {"read": f"/fhir/{kind}/none-1", "search-type": f"/fhir/{kind}"}
            assert base.get(path[interaction["code"]], everything).status_code in (200, 404)
        for parameter in resource["searchParam"]:
            value = {"date": "2026"}.get(parameter["type"], "x")
            answered = base.get(f"/fhir/{kind}", everything, params={parameter["name"]: value},
                                headers={"Prefer": "handling=strict"})  # fmt: skip
            assert answered.status_code == 200, parameter["name"]


def test_nothing_was_written_before_the_history_began(base: Base) -> None:
    oldest = base.search(_sort="date", _count="1")[0]

    assert oldest["recorded"] > START.isoformat()
    assert oldest["type"]["code"] == "110134"
