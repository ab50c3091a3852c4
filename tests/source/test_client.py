"""A server that answers badly: refused whole, in our own words, and never followed elsewhere."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from careweir.errors import QuestionInvalid
from careweir.minimise import SubjectMismatch
from careweir.source import ChartTooLarge, Fetched, SourceUnavailable
from careweir.source.page import read_page
from careweir.source.place import Place
from minimise.charts import CHEST, SEPSIS, Json, blood_pressure, observation, patient, report
from source.pulling import entries, fetched, kinds, opened, pull
from source.server import FHIR, Server

CANARY = "CANARY-77aa"


def pulses(count: int) -> list[Json]:
    return [observation("8867-4", 60 + n, id=f"o{n}") for n in range(count)]


def refused(server: Server, error: type[Exception], *tools: Any, **more: Any) -> str:
    """The refusal's text; neither it nor its traceback holds a canary."""
    with pytest.raises(error) as caught:
        pull(server, *tools, **more)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    for secret in (CANARY, "CANARY", "Quillfeather", "MRN-4471902"):
        assert secret not in shown
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_every_page_is_read_and_nothing_twice(server: Server) -> None:
    server.hold(patient(), *pulses(7), blood_pressure())

    chart = pull(server, file={"page_count": 3})

    assert kinds(chart) == ["Observation"] * 8 + ["Patient"]
    assert chart.pages == len(server.requests)
    assert any("_offset" in dict(one.params) for one in server.requests)


def test_a_resource_keeps_its_bytes_as_they_were_written() -> None:
    written = '{"resourceType":"Observation", "id":"o", "valueQuantity":{"value":7.10}}'
    body = f'{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{written}}}]}}'

    (item,) = read_page(body.encode(), kind="Observation", patient=frozenset({"Patient/p1"})).items

    assert item.raw.decode() == written


OTHERS = [
    "http://127.0.0.1:9/fhir/R4/Observation?page=2",
    "http://localhost:{port}/fhir/R4/Observation?page=2",
    "https://127.0.0.1:{port}/fhir/R4/Observation?page=2",
    "http://127.0.0.1:{port}/fhir/R4b/Observation?page=2",
    "http://127.0.0.1:{port}/other",
    "http://127.0.0.1:{port}/fhir/R4/../../oauth/token",
    "http://127.0.0.1:{port}/fhir/R4/%2e%2e/%2e%2e/oauth/token",
    "http://127.0.0.1:{port}/fhir/R4/%252e%252e/x",
    "http://user@127.0.0.1:{port}/fhir/R4/Observation",
    "http://127.0.0.1:{port}@evil.example/fhir/R4/Observation",
    "//evil.example/fhir/R4/Observation",
    "/elsewhere?page=2",
    "file:///etc/passwd",
    "http://127.0.0.1:{port}/fhir/R4/Observation#x",
    "http://127.0.0.1:{port}/fhir/R4/Obs\r\nX: y",
    "http://127.0.0.1:port/fhir/R4",
]


@pytest.mark.parametrize("url", OTHERS)
def test_a_next_page_on_another_server_is_refused(server: Server, url: str) -> None:
    server.hold(patient(), *pulses(2))
    server.twist.page = _next_is(url.format(port=server.port))

    assert "another server" in refused(server, SourceUnavailable)
    server.settle()
    searches = server.searches("Observation")
    assert len(searches) == len(set(searches))  # each of them a first page, and none asked again
    assert not [one for one in searches if dict(one.params).keys() & {"page", "X"}]


@pytest.mark.parametrize("url", ["?page=2", "Observation?page=2", "http://127.0.0.1/fhir/R4/?a=b"])
def test_a_next_page_on_the_same_base_is_followed(url: str) -> None:
    base = Place.read("http://127.0.0.1/fhir/R4")

    assert base is not None
    found = base.below(url)
    assert found is not None
    assert found.startswith("/fhir/R4/")


def test_pages_that_lead_round_in_a_circle_are_refused(server: Server) -> None:
    server.hold(patient(), *pulses(2))
    server.twist.page = _next_is(f"{server.base_url}/Observation?patient=p1&_count=9")

    assert "circle" in refused(server, SourceUnavailable)


def _next_is(url: str) -> Callable[[str, Json], Json]:
    def page(kind: str, body: Json) -> Json:
        if kind == "Observation":
            body["link"] = [{"relation": "next", "url": url}]
        return body

    return page


@pytest.mark.parametrize(
    ("limit", "word"),
    [({"pages_max": 4, "page_count": 2}, "pages"), ({"resources_max": 5}, "resources"),
     ({"bytes_max": 1500}, "larger|bytes")],
)  # fmt: skip
def test_a_chart_beyond_a_limit_is_refused_and_never_cut(
    server: Server, limit: Json, word: str
) -> None:
    server.hold(patient(), *pulses(9))

    said = refused(server, ChartTooLarge, file=limit)

    assert any(one in said for one in word.split("|"))
    assert len(entries(pull(server))) == 10


@pytest.mark.parametrize("whose", ["Patient/p2", "http://elsewhere.example/Patient/p1", "Group/g"])
def test_a_resource_about_somebody_else_refuses_the_pull(server: Server, whose: str) -> None:
    server.hold(patient(), *pulses(2))

    def page(kind: str, body: Json) -> Json:
        for entry in body["entry"][1:]:
            entry["resource"]["subject"] = {"reference": whose, "display": CANARY}
        return body

    server.twist.page = page
    refused(server, SubjectMismatch)


def test_the_servers_own_absolute_reference_means_the_patient(server: Server) -> None:
    absolute = {"subject": {"reference": f"{server.base_url}/Patient/p1/_history/3"}}
    server.hold(patient(), observation("8867-4", 80))

    def page(kind: str, body: Json) -> Json:
        for entry in body["entry"]:
            entry["resource"].update(absolute)
        return body

    server.twist.page = page
    assert kinds(pull(server)) == ["Observation", "Patient"]


def _add(*resources: Json) -> Callable[[str, Json], Json]:
    def page(kind: str, body: Json) -> Json:
        if kind == "Observation":
            body["entry"] += [{"resource": one, "search": {"mode": "outcome"}} for one in resources]
        return body

    return page


def outcome(severity: str, code: str) -> Json:
    issue = {"severity": severity, "code": code, "diagnostics": CANARY}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def test_an_outcome_among_the_entries_is_no_data(server: Server) -> None:
    server.hold(patient(), *pulses(2))
    server.twist.page = _add(outcome("information", "informational"))

    chart = pull(server)

    assert kinds(chart) == ["Observation"] * 2 + ["Patient"]
    assert CANARY not in chart.bundle.decode()


@pytest.mark.parametrize(
    ("severity", "code"), [("warning", "incomplete"), ("error", "processing"), ("fatal", "x")]
)
def test_an_outcome_that_says_not_all_refuses_the_pull(
    server: Server, severity: str, code: str
) -> None:
    server.hold(patient(), *pulses(2))
    server.twist.page = _add(outcome(severity, code))

    assert "not complete" in refused(server, SourceUnavailable)


def test_a_type_that_was_not_asked_for_refuses_the_pull(server: Server) -> None:
    server.hold(patient(), *pulses(2))
    server.twist.page = _add({"resourceType": "Condition", "id": "c", "subject": {}})

    assert "another type" in refused(server, SourceUnavailable)


BAD = {
    "a login page": Response(f"<html>{CANARY}</html>", media_type="text/html"),
    "no JSON": Response(CANARY, media_type=FHIR),
    "two equal keys": Response('{"type":"searchset","type":"searchset"}', media_type=FHIR),
    "NaN": Response('{"resourceType":"Bundle","type":"searchset","total":NaN}', media_type=FHIR),
    "too deep": Response("[" * 5000 + "]" * 5000, media_type=FHIR),
    "a list": Response("[]", media_type=FHIR),
    "no Bundle": Response('{"resourceType":"Observation","id":"x"}', media_type=FHIR),
    "no searchset": Response('{"resourceType":"Bundle","type":"history"}', media_type=FHIR),
    "an entry without a resource": Response(
        '{"resourceType":"Bundle","type":"searchset","entry":[{}]}', media_type=FHIR
    ),
    "entries that are no list": Response(
        '{"resourceType":"Bundle","type":"searchset","entry":{"a":1}}', media_type=FHIR
    ),
    "a redirect": Response("", status_code=302, headers={"location": "http://127.0.0.1:9/x"}),
    "an error": Response(CANARY, status_code=500),
    "nothing": Response("", status_code=204),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_is_no_searchset_refuses_the_pull(server: Server, name: str) -> None:
    server.hold(patient(), *pulses(1))
    server.twist.answer = BAD[name]

    refused(server, SourceUnavailable)


def test_an_encoded_body_refuses_the_pull(server: Server) -> None:
    server.hold(patient())
    server.twist.answer = Response(b"x", headers={"content-encoding": "gzip"}, media_type=FHIR)

    refused(server, ChartTooLarge)


def test_a_server_that_asks_to_wait_is_heard(server: Server) -> None:
    server.hold(patient())
    server.twist.answer = Response("", status_code=429, headers={"retry-after": "17"})

    with pytest.raises(SourceUnavailable) as caught:
        pull(server)
    assert (caught.value.status, caught.value.code) == (503, "source_unavailable")
    assert caught.value.retry_after_s == 17


def test_a_patient_whom_the_server_does_not_know_is_the_callers_mistake(server: Server) -> None:
    server.hold(patient())

    refused(server, QuestionInvalid, subject="urn:uuid:00000000-0000-0000-0000-000000000001")
    assert server.requests == []  # asked before the other: searches of that are still under way
    assert "does not know" in refused(server, QuestionInvalid, subject="Patient/p9")


def test_another_patient_than_asked_for_refuses_the_pull(server: Server) -> None:
    server.hold(patient())
    held = server.resources[0]

    class Lying(dict[str, Any]):
        """Found under one id, shown with another."""

        def items(self) -> Any:
            return {**held, "id": "p2"}.items()

    server.resources[0] = Lying(held)
    refused(server, SubjectMismatch)


def test_a_server_that_is_not_there_is_unavailable(server: Server) -> None:
    refused(server, SourceUnavailable, file={"base_url": "http://127.0.0.1:9/fhir"})


def test_the_deadline_ends_a_slow_pull(server: Server) -> None:
    server.hold(patient())
    server.twist.delay_s = 5.0
    began = time.monotonic()

    assert "in time" in refused(server, SourceUnavailable, seconds=0.3)
    assert time.monotonic() - began < 2.0


def test_cancelling_a_pull_is_not_swallowed(server: Server) -> None:
    server.hold(patient())
    server.twist.delay_s = 5.0

    async def cancelled() -> bool:
        source = opened(server)
        task = asyncio.create_task(fetched(source))
        await asyncio.sleep(0.1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        finally:
            await source.close()
        return False

    assert asyncio.run(cancelled())


def test_references_are_followed_to_an_end(server: Server) -> None:
    chain = [observation("8867-4", 60, id=f"o{n}") for n in range(9)]
    for n, one in enumerate(chain):
        one["derivedFrom"] = [{"reference": f"Observation/o{n + 1}"}]
        one["code"] = one["code"] if n == 0 else {"text": "other"}
    server.hold(patient(), *chain)
    assert "further" in refused(server, ChartTooLarge)

    chain[2]["derivedFrom"] = [{"reference": "Observation/o0"}]  # a circle ends by itself
    server.hold(patient(), *chain)
    assert len(entries(pull(server))) == 4


def test_a_reference_that_leads_nowhere_is_asked_for_once(server: Server) -> None:
    rows = [observation("8867-4", 60 + n, id=f"o{n}", basedOn=[{"reference": "ServiceRequest/s"}])
            for n in range(3)]  # fmt: skip
    server.hold(patient(), *rows)

    pull(server)

    (asked,) = server.searches("ServiceRequest")
    assert dict(asked.params)["_id"] == "s"
    assert dict(asked.params)["patient"] == "p1"


def test_what_is_recorded_holds_types_and_names_of_parameters_only(server: Server) -> None:
    server.hold(patient(), *pulses(2), report("Clear."))

    chart: Fetched = pull(server, SEPSIS)

    assert chart.asked[0] == "Patient/[id]?_elements"
    assert "p1" not in "".join(chart.asked)
    assert not any(char.isdigit() for char in "".join(chart.asked))
    assert pull(server, SEPSIS) == chart
    assert pull(server, CHEST).asked != chart.asked
