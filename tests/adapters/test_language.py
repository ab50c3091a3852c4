"""The tasks of language models: quotes are looked up, whose and when is kept apart, no guesses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from careweir_fhir.model import ICD10CM, Coding
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.language.question import question_of, service_asked_for
from careweir_kit.language.reading import AMBIGUOUS, UNCHECKED, UNGROUNDED, About, read_content
from careweir_kit.language.task import Task, check_task, schema_of
from careweir_kit.registry import discover_adapters
from careweir_kit.simulation.writer import write
from careweir_kit.tool import Need
from support import minimised as charts

Json = dict[str, Any]
EXAMPLE = discover_adapters()["openai_chat"].example_tool
NOTE = (
    "Mother had heart failure. History of asthma. Denies fever. "
    "🫀 Type 2 diabetes mellitus, well controlled. Pneumonia is possible. "
    "Return for chest pain. Continue metformin. Continue metformin."
)
TASKS: dict[str, Json] = {
    "findings": {"kind": "findings", "labels": {"pneumonia": {"display": "Pneumonia"}}},
    "entities": {
        "kind": "entities",
        "labels": {"asthma": {"system": ICD10CM, "code": "J45.909", "display": "Asthma"}},
    },
    "codings": {"kind": "codings", "system": ICD10CM},
    "summary": {
        "kind": "summary",
        "sections": {
            "history": {"system": "http://loinc.org", "code": "10164-2"},
            "plan": {"system": "http://loinc.org", "code": "18776-5"},
        },
    },
    "triage": {
        "kind": "triage",
        "scale": "disposition",
        "code": {"display": "Triage"},
        "levels": {"er": "emergency", "routine": "routine"},
    },
    "authorisation": {"kind": "authorisation", "code": {"display": "Prior authorisation"}},
}


def _task(name: str) -> Task:
    found: Task = TypeAdapter(Task).validate_python(TASKS[name])
    return found


def _about(text: str | None = NOTE, **more: Any) -> About:
    return About("reader", "m-1", text, "2026-03-02T08:00:00Z", **more)


def _entity(quote: str, **more: str) -> Json:
    return {
        "label": "Asthma",
        "assertion": "present",
        "about": "patient",
        "when": "current",
        "quote": quote,
    } | more


@pytest.mark.parametrize("name", TASKS)
def test_each_schema_is_strict_and_pins_the_subject(name: str) -> None:
    def objects(value: Any) -> list[Json]:
        if isinstance(value, list):
            return [one for item in value for one in objects(item)]
        if not isinstance(value, dict):
            return []
        mine = [value] if value.get("type") == "object" else []
        return mine + [one for item in value.values() for one in objects(item)]

    schema = schema_of(_task(name), "psn-1")

    assert schema["properties"]["subject"] == {"type": "string", "const": "psn-1"}
    assert "subject" not in schema_of(_task(name), None)["properties"]
    for one in objects(schema):
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])


@pytest.mark.parametrize("name", TASKS)
def test_what_the_simulated_model_writes_is_in_the_form_of_its_task(name: str) -> None:
    question = {"text": NOTE, "subject": "psn-1", "facts": [{"type": "Condition"}]}
    brain = "chest_sentences" if name == "findings" else "careful"
    value = write(TASKS[name], brain, question, echo=True, twist="none")

    reading = read_content(_task(name), value, _about())

    assert reading.subject == "psn-1"
    assert reading.completeness == "full"
    assert bool(reading.findings) == (name != "findings")
    assert all(f.confidence is None and f.confidence_kind == "none" for f in reading.findings)


def test_family_history_and_hypothesis_are_kept_apart_from_the_patient_now() -> None:
    value = write(TASKS["entities"], "careful", {"text": NOTE}, echo=False, twist="none")

    found = {
        f.code.display: (f.polarity, f.subject_context)
        for f in read_content(_task("entities"), value, _about()).findings
    }

    assert found == {
        "heart failure": ("present", "family"),
        "Asthma": ("present", "history"),
        "fever": ("absent", None),
        "type 2 diabetes mellitus": ("present", None),
        "pneumonia": ("indeterminate", None),
        "chest pain": ("present", "hypothetical"),
    }


def test_another_person_goes_before_a_time() -> None:
    value = {"entities": [_entity("History of asthma", about="family", when="history")]}

    assert read_content(_task("entities"), value, _about()).findings[0].subject_context == "family"


def test_a_mapped_label_has_its_code_and_another_one_its_words() -> None:
    value = {"entities": [_entity("History of asthma"), _entity("Denies fever", label="Fever")]}

    first, second = read_content(_task("entities"), value, _about()).findings

    assert (first.code.code, first.verified) == ("J45.909", True)
    assert (second.code, second.verified) == (Coding(display="Fever"), False)
    assert first.span is not None
    assert NOTE[first.span.start : first.span.end] == "History of asthma"


def test_an_invented_quote_holds_its_finding_back_and_a_repeated_one_has_no_place() -> None:
    value = {"entities": [_entity("Severe asthma"), _entity("Continue metformin")]}

    reading = read_content(_task("entities"), value, _about())

    (found,) = reading.findings
    assert (found.span, found.completeness, reading.completeness) == (None, "partial", "partial")
    assert reading.notes == (UNGROUNDED, AMBIGUOUS)


def test_a_replay_without_the_text_says_so_and_keeps_the_findings() -> None:
    reading = read_content(_task("entities"), {"entities": [_entity("x")]}, _about(None))

    assert len(reading.findings) == 1
    assert (reading.notes, reading.completeness) == ((UNCHECKED,), "full")


@pytest.mark.parametrize(
    ("code", "display", "verified", "noted"),
    [
        ("E11.9", "Type 2 diabetes", True, False),
        ("E11.9", "", True, False),
        ("E11.9", "Asthma", False, False),
        ("E11.99", "Type 2 diabetes", False, False),
        ("250.00", "Diabetes", False, True),
    ],
)
def test_a_suggested_code_is_checked_and_never_mended(
    code: str, display: str, verified: bool, noted: bool
) -> None:
    value = {"codes": [{"code": code, "display": display, "quote": "Denies fever"}]}

    reading = read_content(_task("codings"), value, _about())

    (found,) = reading.findings
    assert (found.kind, found.code.code, found.verified) == ("coding", code, verified)
    assert found.code.display == (display or None)
    assert bool(reading.notes) == noted


def test_a_summary_says_only_what_its_quotes_bear_out() -> None:
    statements = [
        {"text": "No fever.", "quote": "Denies fever"},
        {"text": "Fully vaccinated.", "quote": "Vaccinations are complete"},
    ]
    value = {"sections": [{"key": "history", "statements": statements}]}

    reading = read_content(_task("summary"), value, _about())

    (found,) = reading.findings
    assert (found.kind, found.value, found.code.code) == ("document", "No fever.", "10164-2")
    assert reading.completeness == "partial"


def test_a_section_without_a_statement_that_holds_is_left_out() -> None:
    value = {"sections": [{"key": "plan", "statements": [{"text": "x", "quote": "no such words"}]}]}

    assert read_content(_task("summary"), value, _about()).findings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("summary", {"sections": [{"key": "other", "statements": []}]}),
        ("triage", {"triage": "next week", "why": ""}),
        ("triage", {"triage": "er", "why": "x", "confidence": 0.9}),
        ("authorisation", {"decision": "probably", "criteria": []}),
        ("entities", {"entities": [_entity("x", assertion="maybe")]}),
        ("codings", {"codes": [{"code": "", "display": "", "quote": ""}]}),
        ("findings", []),
        ("findings", None),
    ],
)
def test_what_is_not_in_the_form_of_the_task_is_refused(name: str, value: Any) -> None:
    with pytest.raises(VendorProtocolBroken) as raised:
        read_content(_task(name), value, _about())
    assert raised.value.__cause__ is None


def test_a_level_is_in_the_words_of_its_scale() -> None:
    (found,) = read_content(_task("triage"), {"triage": "er", "why": " "}, _about()).findings

    assert (found.kind, found.value, found.scale) == ("triage", "emergency", "disposition")
    assert found.explanation == ()


@pytest.mark.parametrize("decision", ["approve", "deny", "review"])
def test_a_proposed_decision_names_its_service_and_its_criteria(decision: str) -> None:
    service = Coding(system="http://snomed.info/sct", code="609588000", display="Total knee")
    criteria = [{"text": "a problem is documented", "met": True, "quote": ""}]
    about = About("reader", "m-1", "", service=service, reads_text=False)

    (found,) = read_content(
        _task("authorisation"), {"decision": decision, "criteria": criteria}, about
    ).findings

    assert (found.kind, found.target, found.value) == ("recommendation", service, decision)
    assert found.action == (None if decision == "review" else decision)
    assert found.explanation == ("met: a problem is documented",)


def test_a_decision_on_words_that_are_not_there_is_for_a_person() -> None:
    criteria = [{"text": "six weeks of therapy", "met": True, "quote": "Six weeks of therapy."}]
    about = About("reader", "m-1", "", reads_text=False)

    reading = read_content(
        _task("authorisation"), {"decision": "approve", "criteria": criteria}, about
    )

    assert (reading.findings[0].action, reading.findings[0].value) == (None, "review")
    assert reading.completeness == "partial"


assert EXAMPLE is not None
READER = EXAMPLE.model_copy(
    update={
        "needs": tuple(
            Need(resource=resource, paths=("code", "status", "valueQuantity", "clinicalStatus"))
            for resource in ("Condition", "Observation", "ServiceRequest")
        )
    }
)


def test_facts_are_coded_values_that_stand() -> None:
    asked = charts.ask(
        charts.condition("E11.9"),
        charts.condition("I10", verification="refuted"),
        charts.order(status="entered-in-error"),
        charts.number("2160-0", 1.4, "mg/dL"),
    )

    said = json.loads(question_of(READER, asked, "facts", echo=True, preliminary=False).message)

    assert said["subject"] == charts.SUBJECT
    assert said["age_years"] == 64
    assert [fact["code"] for fact in said["facts"]] == ["E11.9", "2160-0"]
    assert said["facts"][0]["status"] == "active"
    assert (said["facts"][1]["value"], said["facts"][1]["unit"]) == (1.4, "mg/dL")


def test_text_and_facts_are_read_together_and_what_is_missing_is_named() -> None:
    both = question_of(
        READER,
        charts.ask(charts.condition("E11.9"), charts.note("Seen.")),
        "both",
        echo=False,
        preliminary=False,
    )
    only = question_of(
        READER, charts.ask(charts.note("Seen.")), "both", echo=False, preliminary=False
    )

    assert set(json.loads(both.message)) == {"text", "facts", "age_years"}
    assert only.without == ("coded facts: not in the chart",)
    with pytest.raises(InputsMissing, match="text"):
        question_of(READER, charts.ask(), "both", echo=False, preliminary=False)


def test_the_service_is_known_only_where_one_is_asked_for() -> None:
    one, two = charts.order(), charts.order("73761001", "Colonoscopy")
    dropped = charts.order("73761001", status="revoked")

    def service(*resources: Json) -> str | None:
        asked: Ask = charts.ask(*resources)
        found = service_asked_for(asked.payload)
        return found.code if found else None

    assert service(one, dropped) == "609588000"
    assert service(one, two) is None
    assert service() is None


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"kind": "entities", "labels": {"Asthma": {"display": "x"}}}, "lower case"),
        ({"kind": "codings", "system": ICD10CM, "known": {"11.E": "x"}}, "cannot be one"),
        ({"kind": "summary", "sections": {"plan": {"display": "Plan"}}}, "has no code"),
    ],
)
def test_a_task_that_could_not_be_read_is_refused(task: Json, said: str) -> None:
    assert EXAMPLE is not None
    with pytest.raises(ToolFileInvalid, match=said):
        check_task(TypeAdapter(Task).validate_python(task), EXAMPLE)
