"""The record as NDJSON: everything that the reader may see, once, up to one moment."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from careweir.audit import Query
from fhir_api.gateway import Base, token

ASYNC = {"Prefer": "respond-async"}


def begun(base: Base, bearer: str | None = None, **params: str) -> str:
    """The path of the status of an export that must begin."""
    answer = base.get("/fhir/$export", bearer, params=params, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    assert answer.content == b""
    return answer.headers["content-location"].removeprefix("http://gw")


def fetched(base: Base, status: str, bearer: str | None = None) -> list[dict[str, Any]]:
    """All lines of all files."""
    manifest = base.get(status, bearer).json()
    lines: list[dict[str, Any]] = []
    for output in manifest["output"]:
        answer = base.get(output["url"].removeprefix("http://gw"), bearer)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/fhir+ndjson"
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert {one["resourceType"] for one in found} <= {output["type"]}
        lines += found
    return lines


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


def test_an_export_holds_what_a_search_finds_and_nothing_that_came_later(base: Base) -> None:
    sent = base.search(type="110106", _count="500")
    status = begun(base, _type="AuditEvent")
    later = base.search(type="110101", _count="500")  # this reading is on the record, too
    found = fetched(base, status)

    assert sorted(ids(sent)) == sorted(ids([e for e in found if e["type"]["code"] == "110106"]))
    assert len(ids(found)) == len(set(ids(found)))
    assert later[0]["id"] not in ids(found) or later[0]["recorded"] < base.get(status).json()[
        "transactionTime"]  # fmt: skip
    assert ids(fetched(base, status)) == ids(found)  # again: the same


def test_the_manifest_says_where_and_until_when(base: Base) -> None:
    answer = base.get(begun(base, _type="AuditEvent"))
    manifest = answer.json()

    assert answer.headers["content-type"] == "application/json"
    assert "expires" in answer.headers
    assert manifest["requiresAccessToken"] is True
    assert manifest["error"] == []
    assert [one["type"] for one in manifest["output"]] == ["AuditEvent"]
    assert manifest["transactionTime"].endswith(("Z", "+00:00"))


def test_site_and_scope_narrow_an_export_as_they_narrow_a_search(base: Base) -> None:
    north = token(site="north")
    part = token(scope="system/AuditEvent.rs?patient=Patient/1&type=110106")

    of_site = fetched(base, begun(base, north, _type="AuditEvent"), north)
    of_patient = fetched(base, begun(base, part, _type="AuditEvent"), part)

    assert of_site
    assert of_patient
    assert set(ids(of_site)) <= set(ids(base.search(north, _count="500")))
    assert sorted(ids(of_patient)) == sorted(ids(base.search(part, _count="500")))


def test_since_leaves_out_what_is_older(base: Base) -> None:
    assert fetched(base, begun(base, _type="AuditEvent"))
    assert fetched(base, begun(base, _type="AuditEvent", _since="2199-01-01T00:00:00Z")) == []
    whole = len(fetched(base, begun(base, _type="AuditEvent")))
    assert (
        len(fetched(base, begun(base, _type="AuditEvent", _since="2000-01-01T00:00:00Z"))) >= whole
    )


def test_an_export_is_its_applications_alone_and_can_be_forgotten(base: Base) -> None:
    status = begun(base, _type="AuditEvent")
    file = base.get(status).json()["output"][0]["url"].removeprefix("http://gw")
    other = token("privacy-officer")
    absent = base.get("/fhir/$export-status/exp_none", other)

    for path in (status, file):
        assert base.get(path, other).status_code == 404
        assert base.call("GET", path, None).status_code == 401
    assert base.get(status, other).content == absent.content
    assert base.call("DELETE", status, other).status_code == 404
    assert base.call("DELETE", status, token()).status_code == 202
    for path in (status, file):
        assert base.get(path).status_code == 404


def test_a_file_opens_no_more_than_the_token_that_fetches_it(base: Base) -> None:
    status = begun(base, _type="AuditEvent")
    narrower = token(scope="system/AuditEvent.rs?type=110106")
    none = token(scope="system/Observation.rs")

    assert {e["type"]["code"] for e in fetched(base, status, narrower)} == {"110106"}
    url = base.get(status).json()["output"][0]["url"].removeprefix("http://gw")
    assert base.get(url, none).status_code == 403


@pytest.mark.parametrize(
    ("bearer", "params", "headers", "status"),
    [
        ({}, {"_type": "AuditEvent"}, {}, 400),
        ({}, {"_type": "Patient"}, ASYNC, 400),
        ({}, {"_type": ""}, ASYNC, 400),
        ({}, {"_typeFilter": "AuditEvent?type=1"}, ASYNC, 400),
        ({}, {"_type": "AuditEvent", "colour": "red"}, ASYNC, 400),
        ({}, {"_outputFormat": "text/csv"}, ASYNC, 400),
        ({}, {"_since": "yesterday"}, ASYNC, 400),
        ({}, {"_since": "gt2020-01-01"}, ASYNC, 400),
        ({"scope": "system/AuditEvent.r"}, {"_type": "AuditEvent"}, ASYNC, 403),
        ({"scope": "openid"}, {}, ASYNC, 403),
        ({"scope": "system/AuditEvent.rs"}, {"_type": "Observation"}, ASYNC, 403),
    ],
)
def test_what_cannot_be_exported_is_refused(
    base: Base,
    bearer: dict[str, str],
    params: dict[str, str],
    headers: dict[str, str],
    status: int,
) -> None:
    answer: httpx.Response = base.get(
        "/fhir/$export", token(**bearer), params=params, headers=headers
    )

    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_another_role_exports_no_record(base: Base) -> None:
    coder = token("coder", scope="system/*.rs")
    params = {"_type": "AuditEvent"}

    assert base.get("/fhir/$export", coder, params=params, headers=ASYNC).status_code == 403
    types = [o["type"] for o in base.get(begun(base, coder), coder).json()["output"]]
    assert "AuditEvent" not in types
    assert "Observation" in types


def test_an_export_and_each_file_of_it_are_on_the_record(base: Base) -> None:
    fetched(base, begun(base, _type="AuditEvent"))

    last = base.read_back(Query(type="read", newest_first=True, limit=2))
    assert [row.entry.body["what"] for row in last] == [
        "fhir: export of AuditEvent", "fhir: export of AuditEvent begun",
    ]  # fmt: skip
    assert last[0].entry.body["found"] > 0
