"""Bad input gets a clear error; what is in it is never repeated back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir.errors import QuestionInvalid
from careweir.question import Question, read_question

CANARY = "CANARY-7d1f"


def body(**changes: Any) -> bytes:
    question: dict[str, Any] = {
        "capability": "sepsis-risk",
        "subject": "Patient/123",
        "purpose": "TREAT",
        "inputs": {"resourceType": "Bundle", "type": "collection", "entry": []},
        "context": {"encounter": "Encounter/9", "site": "north", "study": None, "as_of": None},
        "tools": None,
        "strategy": "all",
        "deadline_ms": 4000,
    }
    return json.dumps(question | changes).encode()


def read(data: bytes) -> Question:
    return read_question(data, deadline_ms_default=4000)


def test_the_contract_example_is_read() -> None:
    question = read(body())

    assert question.subject == "Patient/123"
    assert question.encounter == "Encounter/9"
    assert json.loads(question.inputs)["resourceType"] == "Bundle"
    assert question.deadline_ms == 4000


def test_only_three_fields_and_a_chart_are_required() -> None:
    data = b'{"capability":"sepsis-risk","subject":"Patient/1","purpose":"TREAT","inputs":{}}'

    assert read(data).strategy == "all"


def test_a_historic_moment_is_kept_with_its_zone() -> None:
    question = read(body(context={"as_of": "2019-03-02T08:15:00+01:00"}))

    assert question.as_of is not None
    assert question.as_of.isoformat() == "2019-03-02T08:15:00+01:00"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"subject": f"Patient/{CANARY} x"}, "subject"),
        ({"subject": "Practitioner/1"}, "subject"),
        ({"subject": 7}, "subject"),
        ({"capability": f"../{CANARY}"}, "capability"),
        ({"purpose": ""}, "purpose"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"deadline_ms": 60_001}, "deadline_ms"),
        ({"deadline_ms": "4000"}, "deadline_ms"),
        ({"strategy": CANARY}, "strategy"),
        ({"tools": []}, "tools"),
        ({"tools": [f"{CANARY}/../x"]}, "tools"),
        ({"inputs": None}, "inputs"),
        ({"context": {"as_of": "yesterday"}}, "context.as_of"),
        ({"context": {"as_of": "2026-03-02T08:15:00"}}, "context.as_of"),
        ({"context": {"site": f"{CANARY}\n"}}, "context.site"),
        ({"source": {"fhir_server": "http://169.254.169.254"}}, "source"),
    ],
)
def test_a_bad_field_is_named_and_not_quoted(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(QuestionInvalid) as refusal:
        read(body(**changes))

    assert refusal.value.path == path
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"capability":"a","subject":"Patient/1","purpose":"TREAT","inputs":{},"x":1}',
        b'{"subject":"Patient/1","purpose":"TREAT","inputs":{}}',
        b'{"capability":"a","subject":"Patient/\xff","purpose":"TREAT","inputs":{}}',
        b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_a_question_is_refused(data: bytes) -> None:
    with pytest.raises(QuestionInvalid):
        read(data)


@pytest.mark.parametrize("twice", ["subject", "purpose", "inputs", "capability"])
def test_a_key_that_occurs_twice_is_refused(twice: str) -> None:
    data = body()
    again = json.dumps({twice: json.loads(data)[twice]}).encode()[1:-1]

    with pytest.raises(QuestionInvalid, match="twice"):
        read(data[:-1] + b"," + again + b"}")
