"""The work list over HTTP: who sees what, claims, verdicts, escalation, reopening."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from adjudication.world import World, actor, pneumothorax, token
from careweir_fhir.model import ICD10CM, Coding, Finding, Polarity
from careweir_fhir.validate import check


def disagree(here: World, **more: Any) -> str:
    """A conflict about a pneumothorax; its id."""
    found = here.answer(pneumothorax("lumen-cxr"), pneumothorax("radnote-cxr", "absent"), **more)
    name = found.conflicts[0].id
    assert name is not None
    return name


def effusion(tool: str, polarity: Polarity, **more: Any) -> Finding:
    return pneumothorax(tool, polarity, code=Coding(display="pleural effusion"), **more)


def test_a_conflict_is_on_the_work_list_and_settled_with_its_history(here: World) -> None:
    name = disagree(here)
    [row] = here.rows()
    assert (row["id"], row["state"], row["severity"]) == (name, "open", "high")
    assert row["due"] == "2026-03-02T11:00:00Z"

    settled = here.settle(name, verdict="prefer", preferred_finding=0)

    body = settled.json()
    assert settled.status_code == 200
    assert (body["state"], body["verdict"], body["preferred_finding"]) == ("settled", "prefer", 0)
    assert [(e["action"], e["actor"]) for e in body["history"]] == [
        ("opened", None), ("settled", "Practitioner/radiologist"),
    ]  # fmt: skip
    assert [f["finding"]["polarity"] for f in body["findings"]] == ["present", "absent"]
    assert here.rows("/v1/conflicts?state=unsettled") == []


def test_every_step_is_on_the_record_without_a_word_of_the_rationale(here: World) -> None:
    name = disagree(here)
    here.call("POST", f"/v1/conflicts/{name}/claim", token("radiologist"))
    here.settle(name, rationale="CANARY of a patient's words")

    entries = here.recorded("conflict")

    assert [e.outcome for e in entries] == ["opened", "claimed", "settled"]
    assert [e.actor for e in entries] == [None, *["Practitioner/radiologist"] * 2]
    assert entries[2].body["verdict"] == "not_a_conflict"
    assert len(entries[2].body["rationale_sha256"]) == 64
    told = orjson.dumps([e.body for e in entries])
    assert b"CANARY" not in told
    assert b"pneumothorax" not in told


def test_gravest_first_then_oldest_in_pages_that_fit_together(here: World) -> None:
    for number in range(3):
        here.answer(effusion("lumen-cxr", "present"), effusion("radnote-cxr", "absent"),
                    subject=f"Patient/m{number}")  # fmt: skip
        here.clock.tick(seconds=1)
    for number in range(3):
        disagree(here, subject=f"Patient/h{number}")
        here.clock.tick(seconds=1)

    pages, path = [], "/v1/conflicts?limit=2"
    while path:
        body = here.get(path).json()
        pages.append([(row["severity"], row["subject"]) for row in body["conflicts"]])
        path = f"/v1/conflicts?limit=2&after={body['next']}" if body["next"] else ""

    rows = [row for page in pages for row in page]
    assert rows == [("high", f"Patient/h{n}") for n in range(3)] + [
        ("moderate", f"Patient/m{n}") for n in range(3)
    ]
    assert len(here.rows("/v1/conflicts?severity=moderate")) == 3
    assert here.rows("/v1/conflicts?type=triage_discrepancy") == []


@pytest.mark.parametrize(
    "query", ["state=x", "severity=x", "limit=0", "limit=101", "after=x", "after=W10", "which=x"]
)
def test_a_filter_that_cannot_be_used_is_refused(here: World, query: str) -> None:
    assert here.get(f"/v1/conflicts?{query}").status_code == 422


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"verdict": "CANARY"}, "verdict"),
        ({"verdict": "prefer"}, "preferred_finding"),
        ({"verdict": "prefer", "preferred_finding": 2}, "preferred_finding"),
        ({"verdict": "prefer", "preferred_finding": -1}, "preferred_finding"),
        ({"verdict": "prefer", "preferred_finding": "CANARY"}, "preferred_finding"),
        ({"verdict": "neither", "preferred_finding": 0}, "preferred_finding"),
        ({"rationale": "  "}, "rationale"),
        ({"rationale": "CANARY\u0000"}, "rationale"),
        ({"rationale": 7}, None),
        ({"CANARY": 1}, None),
    ],
)
def test_a_verdict_that_cannot_be_used_changes_nothing(
    here: World, body: dict[str, Any], path: str | None
) -> None:
    name = disagree(here)

    refused = here.settle(name, **body)

    assert refused.status_code == 422
    assert refused.json().get("path") == path
    assert "CANARY" not in refused.text
    assert here.rows()[0]["state"] == "open"


@pytest.mark.parametrize(
    ("verdict", "preferred", "meant"),
    [("upheld", "radnote-cxr", "prefer"), ("False alarm", None, "not_a_conflict"),
     ("both", None, "both_acceptable"), ("rejected", None, "neither")],
)  # fmt: skip
def test_other_words_and_tool_names_mean_the_same_verdicts(
    here: World, verdict: str, preferred: str | None, meant: str
) -> None:
    settled = here.settle(disagree(here), verdict=verdict, preferred_finding=preferred).json()

    assert settled["verdict"] == meant
    assert settled["preferred_finding"] == (1 if preferred else None)


def test_settled_twice_is_a_conflict_until_it_is_reopened(here: World) -> None:
    name = disagree(here)
    here.settle(name)

    assert here.settle(name).status_code == 409
    reopened = here.call("POST", f"/v1/conflicts/{name}/reopen", token("radiologist"),
                         json={"rationale": "new film"})  # fmt: skip
    assert reopened.json()["state"] == "open"
    again = here.settle(name, verdict="prefer", preferred_finding=1).json()
    assert [e["action"] for e in again["history"]] == ["opened", "settled", "reopened", "settled"]


def test_what_one_has_claimed_another_does_not_settle_but_the_board_may(here: World) -> None:
    name = disagree(here)
    here.call("POST", f"/v1/conflicts/{name}/claim", token("radiologist"))

    assert here.settle(name, subject="Practitioner/other").status_code == 403
    here.clock.tick(hours=2)
    here.run(here.adjudication.desk.sweep())
    assert here.settle(name, role="governance-board").status_code == 200


def test_nobody_settles_an_override_of_their_own(here: World) -> None:
    """The board settles it; the asker, even as a member of the board, does not."""
    name = disagree(here, override=True)

    assert here.get(f"/v1/conflicts/{name}", "radiologist").status_code == 404
    own = here.settle(name, role="governance-board", subject="Practitioner/radiologist")
    other = here.settle(name, role="governance-board")

    assert (own.status_code, own.json()["because"]) == (403, ["two people"])
    assert other.status_code == 200


def test_nothing_is_known_beyond_grants_queues_and_sites(here: World) -> None:
    name = disagree(here)

    assert here.get(f"/v1/conflicts/{name}", "radiologist").status_code == 200
    for role in ("coder", "scheduler", "vendor", "governance-board", "operator"):
        assert here.get(f"/v1/conflicts/{name}", role).status_code == 404
        assert here.rows(role=role) == []
        assert here.settle(name, role=role).status_code == 404
    assert here.get(f"/v1/conflicts/{name}", "radiologist", site="south").status_code == 404
    assert here.rows(role="radiologist", site="south") == []
    assert here.call("GET", "/v1/conflicts", "no token").status_code == 401


def test_auditors_see_that_and_who_and_never_what(here: World) -> None:
    name = disagree(here)
    here.settle(name, rationale="CANARY rationale")

    seen = here.get(f"/v1/conflicts/{name}", "auditor")

    assert "CANARY" in here.get(f"/v1/conflicts/{name}", "radiologist").text
    assert seen.json()["history"][1]["actor"] == "Practitioner/radiologist"
    for word in ("CANARY", "pneumothorax", "Patient/1", "Encounter/e1"):
        assert word not in seen.text
    assert here.settle(name, role="auditor").status_code == 403
    assert here.recorded("read")[-1].body["what"] == f"conflict {name}"


def test_codes_go_to_the_coder(here: World) -> None:
    coded = [
        Finding(tool=tool, kind="coding", code=Coding(system=ICD10CM, code=code),
                encounter="Encounter/e1")
        for tool, code in (("a", "E10.9"), ("b", "E11.9"))
    ]  # fmt: skip
    here.answer(*coded, capability="coding-suggestion", who=actor("coder"))

    assert [row["type"] for row in here.rows(role="coder")] == ["coding_discrepancy"]
    assert here.rows(role="radiologist") == []


def test_what_nobody_settles_in_time_goes_to_the_board_once(here: World) -> None:
    name = disagree(here)
    here.clock.tick(minutes=59)
    assert here.run(here.adjudication.desk.sweep()) == 0

    here.clock.tick(minutes=2)
    assert here.run(here.adjudication.desk.sweep()) == 1
    assert here.run(here.adjudication.desk.sweep()) == 0

    [row] = here.rows(role="governance-board")
    assert (row["id"], row["queue"], row["escalated"]) == (name, "safety-board", True)
    assert here.rows(role="radiologist")[0]["id"] == name  # who had it still sees it


def test_the_same_tools_disagreeing_again_are_one_conflict(here: World) -> None:
    name = disagree(here)
    here.clock.tick(minutes=5)

    assert disagree(here) == name
    assert len(here.rows()) == 1
    here.settle(name)
    here.clock.tick(minutes=5)
    disagree(here)
    assert here.rows()[0]["state"] == "settled"


def test_a_settled_conflict_is_opened_anew_when_the_tools_say_new_things(here: World) -> None:
    name = disagree(here)
    here.settle(name, verdict="prefer", preferred_finding=0)
    here.clock.tick(minutes=5)

    here.answer(pneumothorax("lumen-cxr", "absent"), pneumothorax("radnote-cxr"))

    [row] = here.rows()
    assert (row["id"], row["state"]) == (name, "open")
    assert [e["action"] for e in row["history"]] == ["opened", "settled", "reopened"]


def test_found_again_and_again_is_one_line_of_the_history(here: World) -> None:
    disagree(here)
    for number in range(6):
        here.clock.tick(minutes=1)
        first = "absent" if number % 2 == 0 else "present"
        second = "present" if number % 2 == 0 else "absent"
        here.answer(pneumothorax("lumen-cxr", first), pneumothorax("radnote-cxr", second))

    [row] = here.rows()
    assert [e["action"] for e in row["history"]] == ["opened", "seen_again"]
    assert row["history"][1]["at"] == "2026-03-02T10:06:00Z"


def test_three_tools_against_one_are_settled_once(here: World) -> None:
    reading = here.answer(*(pneumothorax(f"t{n}") for n in range(3)), pneumothorax("odd", "absent"))

    assert len(reading.conflicts) == 3
    [row] = here.rows()
    assert row["tools"] == ["t0", "t1", "t2", "odd"]


def test_score_cards_count_verdicts_and_take_them_back(here: World) -> None:
    name = disagree(here)
    here.settle(name, verdict="prefer", preferred_finding=0)
    card = here.get("/v1/tools/radnote-cxr").json()["score_card"]
    assert card["by_type"]["assertion_contradiction"]["overruled"] == 1
    assert here.get("/v1/tools/lumen-cxr").json()["score_card"]["total"]["upheld"] == 1

    here.call("POST", f"/v1/conflicts/{name}/reopen", token("radiologist"),
              json={"rationale": "new film"})  # fmt: skip
    here.settle(name, verdict="neither")

    card = here.get("/v1/tools/lumen-cxr").json()["score_card"]
    assert card["total"] == {"upheld": 0, "overruled": 1, "cleared": 0}


@pytest.mark.parametrize("settled", [False, True])
def test_as_fhir_it_is_an_issue_with_its_task_and_who_did_what(here: World, settled: bool) -> None:
    name = disagree(here)
    here.call("POST", f"/v1/conflicts/{name}/claim", token("radiologist"))
    if settled:
        here.settle(name, verdict="prefer", preferred_finding=0)

    response = here.call("GET", f"/v1/conflicts/{name}", token("radiologist"),
                         headers={"Accept": "application/fhir+json"})  # fmt: skip

    bundle = response.json()
    check(bundle)
    resources: dict[str, list[Any]] = {}
    for entry in bundle["entry"]:
        resources.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    [issue], [task] = resources["DetectedIssue"], resources["Task"]
    assert issue["code"]["coding"][0]["system"] == "urn:careweir:conflict-type"
    assert len(issue["implicated"]) == 2
    assert issue["status"] == ("final" if settled else "preliminary")
    assert task["status"] == ("completed" if settled else "in-progress")
    assert task["owner"] == {"reference": "Practitioner/radiologist"}
    assert ("mitigation" in issue) is settled
    people = [p for p in resources["Provenance"] if p["activity"].get("text") == "settled"]
    assert len(people) == settled
