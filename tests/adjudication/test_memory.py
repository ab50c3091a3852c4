"""Findings of earlier answers are compared, and only by those who may hear of them."""

from __future__ import annotations

import orjson

from adjudication.world import World, actor, pneumothorax
from careweir.adjudication import Seen
from careweir.errors import StateUnavailable
from careweir.question import Reply
from careweir.stages import bundle_of
from careweir_fhir.bundle import ResultContext
from careweir_fhir.model import Coding, Finding


def test_imaging_at_ten_and_a_note_at_ten_forty_are_held_against_each_other(here: World) -> None:
    first = here.answer(pneumothorax("lumen-cxr"))
    here.clock.tick(minutes=40)

    second = here.answer(pneumothorax("radnote-cxr", "absent"))

    assert first.conflicts == ()
    [conflict] = second.conflicts
    assert conflict.type == "assertion_contradiction"
    assert conflict.between == (0, 1)
    [earlier] = second.earlier
    assert earlier["inference"] == first.answered.inference
    assert earlier["at"] == "2026-03-02T10:00:00Z"
    assert earlier["finding"]["tool"] == "lumen-cxr"
    said_in = [second.answered.inference, first.answered.inference]
    assert [one.inference for one in conflict.inputs] == said_in


def test_what_is_past_the_rules_window_or_forgotten_is_not_compared(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"))
    here.clock.tick(hours=13)

    assert here.answer(pneumothorax("radnote-cxr", "absent")).conflicts == ()

    here.clock.tick(hours=80)
    gone = here.answer(pneumothorax("beacon-sepsis", "present", effective="2026-03-02T10:00:00Z"))
    assert gone.conflicts == ()


def test_another_patient_is_nobody_to_compare_with(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"))

    assert here.answer(pneumothorax("radnote-cxr", "absent"), subject="Patient/2").conflicts == ()
    assert here.answer(pneumothorax("radnote-cxr", "absent")).conflicts != ()


def test_a_tool_that_looked_again_has_replaced_what_it_said(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"))
    here.clock.tick(minutes=10)
    here.answer(pneumothorax("lumen-cxr", "absent"))
    here.clock.tick(minutes=10)

    assert here.answer(pneumothorax("radnote-cxr", "absent")).conflicts == ()


def test_no_word_of_a_capability_that_the_role_may_not_ask(here: World) -> None:
    """The radiologist has no grant for sepsis; the emergency physician has one for both."""
    here.answer(
        pneumothorax("acme-sepsis", explanation=("CANARY-sepsis",)),
        who=actor("ed-physician"), capability="sepsis-risk",
    )  # fmt: skip

    heard = here.answer(pneumothorax("radnote-cxr", "absent"), who=actor("ed-physician"))
    kept_out = here.answer(pneumothorax("lumen-cxr", "absent"), who=actor("radiologist"))

    assert b"CANARY-sepsis" in orjson.dumps(heard.earlier)
    assert kept_out.conflicts == ()
    assert b"CANARY-sepsis" not in orjson.dumps(kept_out.earlier)
    assert here.rows(role="radiologist") == []
    assert len(here.rows(role="ed-physician")) == 1


def test_no_word_of_another_site(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"), who=actor(site="south"))

    assert here.answer(pneumothorax("radnote-cxr", "absent")).conflicts == ()
    same = here.answer(pneumothorax("radnote-cxr", "absent"), who=actor(site="south"))
    assert len(same.conflicts) == 1


def test_no_word_of_an_override_or_of_what_a_sensitive_right_opened(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"), override=True)
    assert here.answer(pneumothorax("radnote-cxr", "absent")).conflicts == ()

    here.answer(pneumothorax("acme-sepsis", "absent"), sensitivity=["PSY"], subject="Patient/2")
    plain = here.answer(pneumothorax("lumen-cxr"), subject="Patient/2")
    opened = here.answer(
        pneumothorax("radnote-cxr"), subject="Patient/2", sensitivity=["PSY", "SUD"]
    )
    assert plain.conflicts == ()
    assert len(opened.conflicts) == 1


def test_inputs_that_only_one_tool_had_are_named(here: World) -> None:
    seen = {
        "lumen-cxr": Seen(("DiagnosticReport.conclusion", "Patient.birthDate"), {}),
        "radnote-cxr": Seen(("DiagnosticReport.conclusion",), {"Patient.birthDate": "role"}),
    }

    reading = here.answer(
        pneumothorax("lumen-cxr"), pneumothorax("radnote-cxr", "absent"), seen=seen
    )

    [conflict] = reading.conflicts
    assert [[w.path for w in one.without] for one in conflict.inputs] == [[], ["Patient.birthDate"]]
    assert conflict.inputs[1].without[0].reason == "role"
    assert "radnote-cxr did not see Patient.birthDate (role), which the other saw" in (
        conflict.reason
    )
    assert [one.tool_version for one in conflict.inputs] == ["1.0", "1.0"]


def test_a_question_asked_again_and_again_makes_memory_no_longer(here: World) -> None:
    for _ in range(5):
        here.answer(pneumothorax("lumen-cxr"))
        here.answer(pneumothorax("radnote-cxr"))
        here.clock.tick(minutes=1)

    [kept] = here.run(here.app.state.store.find("answered-findings", site="north"))
    assert [one["findings"][0]["tool"] for one in orjson.loads(kept.body)] == [
        "radnote-cxr", "lumen-cxr",
    ]  # fmt: skip
    assert len(here.answer(pneumothorax("third", "absent")).conflicts) == 2


def test_of_earlier_answers_only_what_a_conflict_names_is_shown(here: World) -> None:
    other = Finding(tool="lumen-cxr", kind="assertion", code=Coding(display="CANARY-other"),
                    polarity="present")  # fmt: skip
    here.answer(pneumothorax("lumen-cxr"), other)

    reading = here.answer(pneumothorax("radnote-cxr", "absent"))

    assert len(reading.earlier) == 1
    assert b"CANARY-other" not in orjson.dumps(reading.earlier)


def test_findings_lie_encrypted_and_patients_hashed(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr", encounter="Encounter/CANARY-77"), subject="Patient/C-9")
    kept = here.run(here.app.state.store.find("answered-findings", site="north"))

    assert b"CANARY-77" in kept[0].body
    lying = b"".join(p.read_bytes() for p in here.data.glob("*") if p.is_file())
    assert b"answered-findings" in lying
    assert b"CANARY-77" not in lying
    assert b"Patient/C-9" not in lying


def test_an_answer_is_given_where_memory_is_away_and_says_so(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"))
    state = here.app.state.store
    backend, state._backend = state._backend, _Away()

    reading = here.answer(pneumothorax("radnote-cxr", "absent"), pneumothorax("acme-sepsis"))
    state._backend = backend

    assert reading.whole is False
    assert len(reading.conflicts) == 1


class _Away:
    """A database that is not there."""

    def __getattr__(self, _name: str) -> object:
        async def away(*_: object, **__: object) -> object:
            raise StateUnavailable("the database is away")

        return away


def test_as_fhir_an_answer_holds_the_earlier_result_that_its_conflict_names(here: World) -> None:
    here.answer(pneumothorax("lumen-cxr"))
    reading = here.answer(pneumothorax("radnote-cxr", "absent"))
    context = ResultContext(
        inference="inf_9", capability="chest-xray-findings", subject="Patient/1",
        encounter="Encounter/e1", study=None, as_of=reading.answered.at,
        recorded=reading.answered.at, policy_revision="p",
    )  # fmt: skip
    house = here.app.state.services.gateway.house
    replies = [Reply("radnote-cxr", "1.0", "live", "answered")]

    bundle = bundle_of(context, house, reading.compared.findings, reading.conflicts, replies)

    resources = [entry["resource"] for entry in bundle["entry"]]
    [issue] = [one for one in resources if one["resourceType"] == "DetectedIssue"]
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert {one["reference"] for one in issue["implicated"]} <= urls
    assert sum(one["resourceType"] == "Observation" for one in resources) == 2
