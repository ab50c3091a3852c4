"""What leaves the trail for others: CSV, OCSF, and FHIR AuditEvents in BALP form."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from audit.conftest import intent, outcome
from careweir.audit import AuditKeys, Entry, Query, Receipt, Stored, open_trail
from careweir.audit.audit_event import Names, audit_event, event_id, place_of
from careweir.audit.event_kinds import DCM
from careweir.audit.formats import csv_lines, ocsf_event, ocsf_lines
from careweir_fhir.validate import problems

NAMES = Names()
BODY = {"role": "ed-physician", "purpose": "TREAT", "sent": ["Observation.valueQuantity"]}


def stored(entry: Entry) -> Stored:
    return Stored(7, Receipt("gw.0a", 7, "ab" * 32), "2026-03-02T08:00:00.000001Z", entry)


async def several(*entries: Entry) -> AsyncIterator[Stored]:
    for entry in entries:
        yield stored(entry)


async def gathered(lines: AsyncIterator[bytes]) -> bytes:
    return b"".join([line async for line in lines])


def test_csv_has_a_header_and_disarms_formulas() -> None:
    entries = several(intent(1), Entry("read", actor="=HYPERLINK(1)"))

    rows = list(csv.reader(io.StringIO(asyncio.run(gathered(csv_lines(entries))).decode())))

    assert rows[0][:3] == ["position", "recorded", "type"]
    assert rows[1][2] == "intent"
    assert rows[2][4] == "'=HYPERLINK(1)"


def test_ocsf_events_are_api_activity() -> None:
    lines = asyncio.run(gathered(ocsf_lines(several(intent(1), outcome(1)), product="careweir")))

    for line in lines.splitlines():
        event = orjson.loads(line)
        assert (event["category_uid"], event["class_uid"]) == (6, 6003)
        assert event["type_uid"] == 600300 + event["activity_id"]
        assert event["time"] == 1772438400000
        assert {"actor", "api", "metadata", "src_endpoint", "severity_id"} <= set(event)
    refusal = ocsf_event(stored(Entry("refusal", outcome="denied")), product="careweir")
    assert refusal["status_id"] == 2


EVENTS = [
    Entry("intent", BODY, "inf_1", "dis_1", "k" * 32, "dr-1", "ehr", "acme-sepsis"),
    Entry("withheld", BODY, "inf_1", None, "k" * 32, "dr-1", "ehr", "acme-sepsis", "withheld"),
    Entry("policy", {"before": "a", "after": "b", "alarm": None}, outcome="reloaded"),
    Entry("decision", BODY, "inf_1", actor="dr-1", client="ehr"),
    Entry("refusal", BODY, actor="scheduler-1", outcome="denied"),
    Entry("read", {"purpose": "HCOMPL"}, actor="auditor-1"),
    Entry("answer", {}, "inf_1"),
    Entry("open", {"predecessors": []}),
    Entry("close"),
]


@pytest.mark.parametrize("entry", EVENTS, ids=lambda entry: entry.type)
def test_every_entry_is_a_valid_r4_audit_event(entry: Entry) -> None:
    event = audit_event(stored(entry), NAMES)

    AuditEvent.model_validate(event)
    assert event["action"] in tuple("CRUDE")
    assert event.get("outcome") in ("0", "4", "8", "12", None)
    assert not problems(event)
    agents: Any = event["agent"]
    assert sum(agent["requestor"] for agent in agents) == 1


def test_an_intent_is_a_disclosure_by_the_gateway_to_the_vendor() -> None:
    event = audit_event(stored(EVENTS[0]), NAMES, "answered")

    assert event["meta"]["profile"] == [  # type: ignore[index,call-overload]
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"
        "IHE.BasicAudit.PrivacyDisclosure.Source"
    ]
    assert event["type"]["code"] == "110106"  # type: ignore[index,call-overload]
    assert event["subtype"][0]["code"] == "disclose"  # type: ignore[index,call-overload]
    roles = {
        agent["type"]["coding"][0]["code"]: agent["who"]  # type: ignore[index,call-overload]
        for agent in event["agent"]  # type: ignore[union-attr]
        if agent["type"]["coding"][0]["system"] == DCM  # type: ignore[index,call-overload]
    }
    assert roles["110153"] == event["source"]["observer"]  # type: ignore[index,call-overload]
    assert roles["110152"] == {"identifier": {"value": "acme-sepsis"}}
    assert "Observation.valueQuantity" in orjson.dumps(event["entity"]).decode()


def test_a_failure_claims_no_profile_and_says_what_failed() -> None:
    event = audit_event(stored(EVENTS[0]), NAMES, "vendor_timed_out")

    assert "meta" not in event
    assert (event["outcome"], event["outcomeDesc"]) == ("8", "vendor_timed_out")


def test_a_disclosure_under_way_claims_no_outcome_and_no_profile() -> None:
    event = audit_event(stored(EVENTS[0]), NAMES)

    assert "meta" not in event
    assert "outcome" not in event
    assert "under way" in str(event["outcomeDesc"])


def test_token_and_policy_revision_are_policies_of_the_person() -> None:
    body = {"token": "a b", "policy_revision": "sha256:0a"}

    event = audit_event(stored(Entry("decision", body, actor="dr-1")), NAMES)

    assert event["agent"][-1]["policy"] == [  # type: ignore[index,call-overload]
        "urn:ietf:params:oauth:jti:a%20b",
        "urn:careweir:policy:sha256%3A0a",
    ]
    assert not problems(event)


def test_an_id_leads_back_to_the_place_of_its_entry() -> None:
    assert place_of(event_id("north-1.0a1b", 118)) == ("north-1.0a1b", 118)
    for foreign in ("", "gw", "gw-", "-1", "gw-01", "gw-x", "gw-1٣"):
        assert place_of(foreign) is None
    longest = f"{'r' * 32}.{'0' * 16}"
    assert len(event_id(longest, 10**14 - 1)) == 64


def test_a_patient_is_named_by_its_key_only() -> None:
    event = audit_event(stored(EVENTS[0]), NAMES)

    entities: Any = event["entity"]
    patient = entities[0]["what"]
    assert patient["identifier"] == {"system": "urn:careweir:patient-key", "value": "k" * 32}


def test_exports_stream_from_a_real_trail(tmp_path: Path, keys: AuditKeys) -> None:
    async def story() -> int:
        from audit.conftest import Clock

        trail = await open_trail(
            data_dir=tmp_path, database_url=None, replica="gw", keys=keys, clock=Clock()
        )
        await asyncio.gather(*(trail.append(outcome(n)) for n in range(1_000)))
        lines = await gathered(csv_lines(trail.read(Query(type="outcome"))))
        await trail.close()
        return lines.count(b"\r\n")

    assert asyncio.run(story()) == 1_001
