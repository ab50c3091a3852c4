"""A scope with conditions opens a part of the record; the rest is not found, counted or hinted."""

from __future__ import annotations

import httpx
import pytest

from fhir_api.gateway import Base, token

PATH = "/fhir/AuditEvent"


def narrow(*conditions: str, **more: str) -> str:
    return token(scope=" ".join(f"system/AuditEvent.rs?{one}" for one in conditions), **more)


def ids(events: list[dict[str, object]]) -> set[object]:
    return {event["id"] for event in events}


@pytest.mark.parametrize(
    ("conditions", "same_as"),
    [
        (["patient=Patient/1"], [{"patient": "Patient/1"}]),
        (["patient=1"], [{"patient": "Patient/1"}]),
        (["site=south"], [{"site": "south"}]),
        (["type=110106"], [{"type": "110106"}]),
        (["type=110106&site=north"], [{"type": "110106", "site": "north"}]),
        (["site=north,south"], [{"site": "north"}, {"site": "south"}]),
        (["site=south", "patient=Patient/0"], [{"site": "south"}, {"patient": "Patient/0"}]),
    ],
)
def test_exactly_what_the_conditions_say_is_open(
    base: Base, conditions: list[str], same_as: list[dict[str, str]]
) -> None:
    sent = {"type": "110106", "_count": "500"}  # a search adds to the record, but none of these
    expected = set().union(*(ids(base.search(**one | sent)) for one in same_as))
    bearer = narrow(*conditions)

    assert expected
    assert ids(base.search(bearer, **sent)) == expected
    everything = {str(one) for one in ids(base.search(_count="500", type="110106"))}
    for event in everything:
        status = base.get(f"{PATH}/{event}", bearer).status_code
        assert status == (200 if event in expected else 404)


@pytest.mark.parametrize(
    "condition",
    [
        "colour=red", "_has:Provenance:target:agent=1", "patient.name=Ada", "patient:missing=true",
        "type:in=http://example.org/vs", "date=yesterday", "_filter=x", "_count=1",
        "site:not=north",
        "type=110106&colour=red", "_id", "patient=Patient/1/_history/1", "_sort=date",
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_followed_opens_nothing(base: Base, condition: str) -> None:
    assert base.search(narrow("type=110106"), _count="500")
    response = base.get(PATH, narrow(condition), params={"_count": "500", "_total": "accurate"})

    assert response.status_code in (200, 403)
    assert response.status_code == 403 or (
        response.json()["total"] == 0 and "entry" not in response.json()
    )


def test_a_condition_that_fails_takes_nothing_from_another_scope(base: Base) -> None:
    both = ids(base.search(narrow("colour=red", "site=south"), _count="500"))

    assert both == ids(base.search(_count="500", site="south"))


def test_asking_cannot_widen_a_scope(base: Base) -> None:
    bearer = narrow("patient=Patient/1")

    assert base.search(bearer, patient="Patient/1")
    assert base.search(bearer, patient="Patient/0") == []
    assert base.search(bearer, patient="Patient/0,Patient/1", _count="500") == base.search(
        bearer, _count="500"
    )
    assert base.search(narrow("site=south"), site="north") == []


def test_totals_pages_and_cursors_stay_within_the_scope(base: Base) -> None:
    bearer = narrow("site=south")
    inside = base.search(bearer, _count="500")
    outside = base.search(site="north", _count="1")[0]["id"]
    page = base.get(PATH, bearer, params={"_count": "2", "_total": "accurate"}).json()
    links = [link["url"] for link in page["link"]]

    assert page["total"] == len(inside)
    assert not any("south" in link for link in links)  # what a scope adds is in no link
    assert base.get(PATH, bearer, params={"_cursor": inside[1]["id"]}).status_code == 200
    assert base.get(PATH, bearer, params={"_cursor": str(outside)}).status_code == 400
    assert base.get(PATH, bearer, params={"_cursor": "gateway-1-99999"}).status_code == 400


def test_a_site_in_the_token_narrows_a_scope_further(base: Base) -> None:
    bearer = narrow("patient=Patient/1", site="north")

    found = ids(base.search(bearer, _count="500"))

    assert found == ids(base.search(_count="500", patient="Patient/1", site="north"))
    assert found < ids(base.search(_count="500", patient="Patient/1"))


def refused(response: httpx.Response) -> str:
    assert response.status_code == 403
    return response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/v1/audit/records?inference=inf_1", "/v1/audit/checkpoint"])
def test_a_part_of_the_record_is_read_below_the_fhir_base_only(base: Base, path: str) -> None:
    """There is no second door: the other routes need the scope without a condition."""
    assert base.get(path).status_code in (200, 404)
    said = refused(base.get(path, narrow("patient=Patient/1")))

    assert said == (
        'Bearer realm="careweir", error="insufficient_scope", scope="system/AuditEvent.rs"'
    )
    assert "insufficient_scope" in refused(base.get(path, token(scope="system/AuditEvent.s")))
    assert "insufficient_scope" in refused(base.get(path, token(scope="capability/*.infer")))


def test_a_scope_gives_no_role(base: Base) -> None:
    assert base.get(PATH, token("coder", scope="system/*.cruds")).status_code == 403
    assert base.get(PATH, token("auditor", scope="system/*.cruds")).status_code == 200


def test_who_sends_no_token_is_told_no_error(base: Base) -> None:
    assert base.call("GET", PATH, None).headers["WWW-Authenticate"] == 'Bearer realm="careweir"'
    answer = base.call("GET", PATH, "a.b.c")
    assert answer.headers["WWW-Authenticate"].endswith('error="invalid_token"')
