"""Questionnaires: of a known one the known questions leave, with coded and counted answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from careweir.access import Decision
from careweir.minimise import Minimised
from minimise.charts import (
    LOINC,
    Json,
    bundle,
    everything,
    patient,
    quantity,
    reasons,
    resources,
    run,
    tool,
    with_classes,
)

FORM = "urn:careweir:questionnaire:symptoms"
PHQ = "http://hl7.org/fhir/us/core/Questionnaire/phq-9-example"
NEED = tool(
    {
        "resource": "QuestionnaireResponse",
        "paths": ("status", "questionnaire", "authored", "item"),
        "window": "P7D",
    }
)


def response(*answered: Any, **extra: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "q1",
        "status": "completed",
        "questionnaire": FORM,
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-03-01T10:00:00Z",
        "item": list(answered),
        **extra,
    }


def item(link: Any, *answers: Json, **extra: Any) -> Json:
    return {"linkId": link, "text": "CANARY-words", "answer": list(answers), **extra}


def asked(one: Json, by: Decision | None = None) -> Minimised:
    found = run(bundle(patient(), one), NEED, by=by or with_classes("questionnaires"))
    assert "CANARY" not in everything(found)
    return found


def items_of(one: Json) -> Any:
    sent = resources(asked(one), "QuestionnaireResponse")
    return sent[0].get("item") if sent else None


def test_a_known_questionnaire_leaves_with_its_answers_and_without_its_words() -> None:
    (sent,) = resources(
        asked(response(item("severity", {"valueInteger": 7}), author={"display": "CANARY"})),
        "QuestionnaireResponse",
    )

    del sent["meta"]
    assert sent == {
        "resourceType": "QuestionnaireResponse",
        "id": "q1",
        "subject": {"reference": "Patient/px"},
        "authored": "2026-03-01T10:00:00Z",
        "questionnaire": FORM,
        "status": "completed",
        "item": [{"linkId": "severity", "answer": [{"valueInteger": 7}]}],
    }


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        ({"valueInteger": 7}, {"valueInteger": 7}),
        ({"valueInteger": 0}, {"valueInteger": 0}),
        ({"valueDecimal": 1.5}, {"valueDecimal": 1.5}),
        ({"valueBoolean": False}, {"valueBoolean": False}),
        ({"valueQuantity": quantity(38.5, "Cel")},
         {"valueQuantity": {**quantity(38.5, "Cel"), "unit": "Cel"}}),
        ({"valueCoding": {"system": LOINC, "code": "LA6570-1", "display": "CANARY"}},
         {"valueCoding": {"system": LOINC, "code": "LA6570-1",
                          "display": "More than half the days"}}),
        ({"valueInteger": True}, None),
        ({"valueInteger": "CANARY"}, None),
        ({"valueBoolean": "CANARY"}, None),
        ({"valueBoolean": 1}, None),
        ({"valueString": "CANARY"}, None),
        ({"valueDate": "2026-03-01"}, None),
        ({"valueReference": {"reference": "Patient/CANARY"}}, None),
        ({"valueCoding": {"system": LOINC, "code": "CANARY"}}, None),
        ({"valueQuantity": {"value": 1, "unit": "CANARY"}}, None),
        ({"valueAttachment": {"data": "Q0FOQVJZ"}}, None),
        ("CANARY", None),
    ],
)  # fmt: skip
def test_an_answer_leaves_only_as_a_code_a_number_or_yes_or_no(answer: Any, sent: Any) -> None:
    expected = None if sent is None else [{"linkId": "severity", "answer": [sent]}]

    assert items_of(response(item("severity", answer))) == expected
    beside = response(item("severity", {"valueInteger": 3}, answer))
    kept = [{"valueInteger": 3}] + ([] if sent is None else [sent])
    assert items_of(beside) == [{"linkId": "severity", "answer": kept}]


def test_groups_keep_their_shape_and_unknown_questions_stay_with_all_below_them() -> None:
    inner = item("fever", {"valueBoolean": True})
    follow = item("since", {"valueInteger": 2})

    found = items_of(
        response(
            {"linkId": "symptoms", "item": [inner, item("CANARY", {"valueInteger": 1})]},
            item("severity", {"valueString": "CANARY", "item": [follow]}),
            {"linkId": "CANARY", "item": [inner]},
            {"linkId": "temperature"},
            {"linkId": 7, "answer": [{"valueInteger": 1}]},
            {"answer": [{"valueInteger": 1}]},
            "CANARY",
        )
    )

    assert found == [
        {"linkId": "symptoms", "item": [{"linkId": "fever", "answer": [{"valueBoolean": True}]}]},
        {
            "linkId": "severity",
            "answer": [{"item": [{"linkId": "since", "answer": [{"valueInteger": 2}]}]}],
        },
    ]


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"questionnaire": "urn:some:other"}, "unknown_code"),
        ({"questionnaire": None}, "unknown_code"),
        ({"questionnaire": {"reference": FORM}}, "unknown_code"),
        ({"status": "entered-in-error"}, "not_needed_by_tool"),
        ({"authored": "2026-02-01"}, "time_window"),
        ({"questionnaire": PHQ}, "sensitivity:PSY"),
        ({"questionnaire": f"{PHQ}|2.0"}, "sensitivity:PSY"),
        ({"item": [item("/44250-9", {"valueInteger": 1})]}, "sensitivity:PSY"),
        ({"item": [item("55277-8", {"valueInteger": 1})]}, "sensitivity:HIV"),
        ({"item": [item("severity", {"valueString": "methadone"})]}, "sensitivity:OPIOIDUD"),
    ],
)
def test_an_unknown_void_old_or_sensitive_questionnaire_stays(extra: Json, reason: str) -> None:
    found = asked(response(item("severity", {"valueInteger": 7}), **extra))

    assert resources(found, "QuestionnaireResponse") == []
    assert reasons(found)["QuestionnaireResponse"] == {reason}


def test_the_version_of_a_questionnaire_stays_here() -> None:
    versioned = response(item("severity", {"valueInteger": 7}), questionnaire=f"{FORM}|CANARY-1")

    (sent,) = resources(asked(versioned), "QuestionnaireResponse")

    assert sent["questionnaire"] == FORM


def test_a_sensitive_questionnaire_leaves_by_a_right_to_what_it_is_about() -> None:
    permit = with_classes("questionnaires")
    wide = replace(permit, rights=replace(permit.rights, sensitivity=frozenset({"PSY"}), plans={}))
    depressed = response(
        item("/44255-8", {"valueCoding": {"system": LOINC, "code": "LA6569-3"}}),
        item("severity", {"valueInteger": 7}),
        questionnaire=PHQ,
    )

    (sent,) = resources(asked(depressed, by=wide), "QuestionnaireResponse")

    assert [one["linkId"] for one in sent["item"]] == ["/44255-8"]  # of this form, not the other


def test_without_the_class_nothing_of_a_questionnaire_leaves() -> None:
    found = run(bundle(patient(), response(item("severity", {"valueInteger": 7}))), NEED)

    assert found.payload is None
    assert reasons(found)["QuestionnaireResponse.item"] == {"role"}
