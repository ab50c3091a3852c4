"""A vendor that tells what it was not sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from careweir.minimise import read_chart
from careweir.question import Reply
from careweir.unsent import NOTE, flagged, told_unsent
from careweir_fhir.model import Coding, Finding
from careweir_kit.simulation.model import SimResponse
from support.charts import sepsis
from support.inprocess import bearer, gateway, run, simulated
from support.vendors import Book, prepared

CHART = {
    "resourceType": "Bundle", "type": "collection",
    "entry": [{"resource": {
        "resourceType": "Patient", "id": "p1", "birthDate": "1950-01-01",
        "name": [{"family": "Gray", "given": ["Quillon"], "text": "Quillon Gray"}],
        "identifier": [{"system": "urn:mrn", "value": "MRN-778812"}],
        "telecom": [{"system": "phone", "value": "555-0147-22"}],
        "address": [{"city": "New York"}],
    }}],
}  # fmt: skip


def told(words: str, *, sent: dict[str, Any] | None = None) -> list[Reply]:
    one = prepared([], Book())
    one = replace(one, minimised=cast("Any", SimpleNamespace(payload=sent or {})))
    code = Coding(display="Summary")
    finding = Finding(tool="t", kind="document", code=code, value=words)
    reply = Reply("t", "1", "live", "answered", findings=(finding,))
    chart = read_chart(orjson.dumps(CHART), subject="Patient/p1")
    return flagged(chart, [one], [reply])


@pytest.mark.parametrize("words", ["Quillon Gray fell", "see mrn-778812",
                                   "call 555-0147-22", "call 555014722"])  # fmt: skip
def test_a_name_or_number_that_was_not_sent_is_flagged_and_what_was_sent_is_not(
    words: str,
) -> None:
    (reply,) = told(words)
    assert reply.notes == (NOTE,)
    assert told_unsent([reply]) == ["t"]
    assert reply.findings
    (same,) = told(words, sent={"entry": [words]})
    assert same.notes == ()


@pytest.mark.parametrize("words", ["gray matter", "travelled to New York", "", "born long ago"])
def test_words_that_anybody_may_say_are_not_flagged(words: str) -> None:
    (reply,) = told(words)

    assert reply.notes == ()


def named(answer: SimResponse) -> SimResponse:
    """As if the vendor had found out who the pseudonym is."""
    body = answer.body.replace(b'"Blood cultures"', b'"Blood cultures for 999-00-4321"')
    return replace(answer, body=body)


@pytest.mark.parametrize("knows", [True, False])
def test_the_caller_and_the_record_are_told_of_a_vendor_that_knows_the_patients_number(
    tmp_path: Path, knows: bool
) -> None:
    async def work() -> None:
        async with (
            simulated("beacon-sepsis", **({"changed": named} if knows else {})) as vendor,
            gateway(tmp_path, {"beacon-sepsis": vendor.url}) as up,
        ):
            answer = (await up.ask(sepsis(tools=["beacon-sepsis"]))).json()
            path = f"/v1/audit/records?inference={answer['id']}"
            text = (await up.client.get(path, headers=bearer("auditor"))).text
            kept = await up.client.get(f"/v1/inferences/{answer['id']}", headers=bearer())

            (row,) = [row for row in answer["tools"] if row["tool"] == "beacon-sepsis"]
            (entry,) = [one for one in orjson.loads(text)["records"] if one["type"] == "answer"]
            assert row["status"] == "answered"
            assert row.get("notes", []) == ([NOTE] if knows else [])
            assert entry["body"].get("told_unsent", []) == (["beacon-sepsis"] if knows else [])
            assert kept.json()["tools"] == answer["tools"]
            assert "999-00-4321" not in text
            sent = vendor.state.view()["received"]
            assert sent
            assert "999-00-4321" not in str(sent)

    run(work())
