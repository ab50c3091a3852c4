"""A JSON API by a tool file alone: what is sent, what an answer is, what becomes a finding."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from careweir_adapters.rest.template import filled, path_of
from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, replay
from careweir_kit.tool import Tool
from support.minimised import AS_OF, SUBJECT, ask, bundle, number, report

REST = discover_adapters()["rest"]
JSON = {"content-type": "application/json"}
BASE: dict[str, Any] = {
    "tool": "made-up",
    "vendor": "Made-up (simulated)",
    "product": "Risk",
    "version": "1.0",
    "adapter": "rest",
    "capabilities": ["deterioration-risk"],
    "endpoints": {"default": "http://127.0.0.1:9100"},
    "request": {
        "path": "v1/score",
        "headers": {"X-Call": "{{request_id}}"},
        "inputs": {
            "pulse": {
                "loinc": ["8867-4"],
                "unit": "/min",
                "low": 20,
                "high": 300,
                "required": True,
            },
            "temperature": {"loinc": ["8310-5"], "unit": "Cel", "low": 25, "high": 45},
        },
        "body": {"who": "{{subject}}", "vitals": {"hr": "{{pulse}}", "t": "{{temperature}}"}},
    },
    "answer": {
        "subject": "who",
        "version": "model.version",
        "partial": "next",
        "findings": [
            {
                "kind": "risk",
                "code": {"is": {"display": "deterioration"}},
                "number": {"path": "risk", "low": 0, "high": 100, "divide_by": 100},
                "horizon": "PT12H",
                "bands": [{"name": "low", "below": 0.3}, {"name": "high"}],
            }
        ],
    },
}
GOOD = {"who": SUBJECT, "risk": 41, "model": {"version": "1.0"}}


def tool(**changes: Any) -> Tool:
    """The made-up tool with some places changed: ``request__path="x"``."""
    value = deepcopy(BASE)
    for place, new in changes.items():
        *path, last = place.split("__")
        at: Any = value
        for key in path:
            at = at[int(key)] if key.isdigit() else at[key]
        at[last] = new
    return Tool.model_validate(value)


def read(wanted: Tool, body: Any, status: int = 200) -> dict[str, Any]:
    REST.http.check_tool(wanted)
    return replay(REST, wanted, VendorAnswer(status, JSON, json.dumps(body).encode()))


def sent(wanted: Tool, question: Ask) -> dict[str, Any]:
    REST.http.check_tool(wanted)
    found: dict[str, Any] = json.loads(REST.http.build_request(wanted, question).body)
    return found


def test_values_keep_their_type_and_what_is_missing_is_left_out_with_its_key() -> None:
    question = ask(number("8867-4", 118, "/min"))

    request = REST.http.build_request(tool(), question)

    assert json.loads(request.body) == {"who": SUBJECT, "vitals": {"hr": 118.0}}
    assert request.headers["X-Call"] == "att-01"
    assert request.without == ("temperature: not in the chart",)


def test_a_number_is_sent_in_the_unit_that_the_tool_file_wants() -> None:
    question = ask(number("8867-4", 118, "/min"), number("8310-5", 102.2, "[degF]"))

    assert sent(tool(), question)["vitals"]["t"] == pytest.approx(39.0)


def test_without_what_is_required_nobody_is_asked() -> None:
    with pytest.raises(InputsMissing, match="pulse"):
        REST.http.build_request(tool(), ask(number("8310-5", 39, "Cel")))


NOTE = {
    "kind": "document",
    "code": {"is": {"display": "plan"}},
    "prose": {"path": "plan", "chars_max": 12},
}


@pytest.mark.parametrize("plan", [None, "", "  ", 7, "x" * 13])
def test_a_document_is_the_vendors_text_and_never_an_empty_one(plan: Any) -> None:
    note = tool(answer__findings=[NOTE])

    (found,) = read(note, GOOD | {"plan": " Rest at home\n"})["findings"]
    broken = read(note, GOOD | {"plan": plan})

    assert (found["kind"], found["value"]) == ("document", "Rest at home")
    assert (broken["outcome"], broken["findings"]) == ("protocol_broken", [])


def test_a_value_in_a_path_cannot_lead_elsewhere() -> None:
    assert path_of("results/{{x}}", {"x": "../../admin?y=1"}) == "results/..%2F..%2Fadmin%3Fy%3D1"
    assert path_of("results/{{x}}", {"x": ".."}) == "results/%2E%2E"
    assert filled("a {{x}} b", {"x": 7}) == "a 7 b"
    assert filled("a {{x}} b", {}) is None


def test_an_answer_becomes_a_finding_in_its_range_with_its_band() -> None:
    result = read(tool(), GOOD)

    (finding,) = result["findings"]
    assert (finding["value"], finding["threshold_band"], finding["unit"]) == (0.41, "high", "1")
    assert result["model"]["version"] == "1.0"


@pytest.mark.parametrize("risk", [None, "41", True, -1, 101, [], {"value": 41}])
def test_a_number_that_is_not_one_or_lies_out_of_range_breaks_the_answer(risk: Any) -> None:
    result = read(tool(), GOOD | {"risk": risk})

    assert (result["outcome"], result["findings"]) == ("protocol_broken", [])
    assert result["error"]["code"] == "protocol_broken"


def test_an_answer_that_goes_on_elsewhere_is_partial() -> None:
    result = read(tool(), GOOD | {"next": "page-2"})

    assert (result["outcome"], result["completeness"]) == ("partial", "partial")
    assert result["findings"][0]["completeness"] == "partial"


def test_no_rule_makes_an_error_status_usable() -> None:
    lenient = tool(answer__rules=[{"status": [500, 404], "answer": "ok"},
                                  {"when": "risk", "answer": "pending"}])  # fmt: skip

    assert read(lenient, GOOD, 500)["outcome"] == "vendor_fault"
    assert read(lenient, GOOD, 404)["outcome"] == "bad_request"
    assert read(lenient, GOOD, 200)["outcome"] == "pending"


def test_a_rule_reads_the_wait_and_never_the_words_of_the_vendor() -> None:
    rules = [{"when": "code == 'slow'", "answer": "throttled", "after": "wait"}]
    body = json.dumps({"code": "slow", "wait": "1.5s", "message": "CANARY"}).encode()

    verdict = REST.http.classify_answer(tool(answer__rules=rules), VendorAnswer(400, JSON, body))

    assert (verdict.answer_class, verdict.retry_after_s) == ("throttled", 1.5)
    assert "CANARY" not in verdict.note


def test_where_to_ask_again_comes_out_of_the_answer_and_is_held_to_its_form() -> None:
    wanted = tool(
        request__poll={"path": "jobs/{{job}}", "take": {"job": "job"}, "every_s": 2},
        answer__rules=[{"status": [202], "answer": "pending"}],
    )
    for job, path in (("j-7", "jobs/j-7"), ("../x", None), (None, None), ({"a": 1}, None)):
        body = json.dumps({"job": job}).encode()
        verdict = REST.http.classify_answer(wanted, VendorAnswer(202, JSON, body))

        assert (verdict.answer_class, verdict.retry_after_s) == ("pending", 2)
        assert (verdict.follow_up.path if verdict.follow_up else None) == path


@pytest.mark.parametrize(
    ("place", "new", "words"),
    [
        ("request__body", {"a": "{{nothing}}", "b": "{{pulse}}{{temperature}}"}, "is no input"),
        ("request__body", {"a": "{{pulse}}"}, "is used nowhere"),
        ("request__path", "https://elsewhere.example/x", "leads out"),
        ("request__path", "a/../b", "leads out"),
        ("request__headers", {"authorization": "x"}, "belongs to auth"),
        ("request__poll", {"path": "x/{{job}}"}, "not taken from the answer"),
        ("request__method", "GET", "a GET has none"),
        ("answer__subject", "a[", "not a JMESPath"),
        ("answer__findings__0__number__path", "risk ||", "not a JMESPath"),
        ("answer__subject", None, "echo is required"),
        ("answer__findings__0__kind", "assertion", "needs it"),
        ("answer__findings__0__number__divide_by", 10, "within 0 to 1"),
        ("answer__findings__0__polarity", {"path": "x", "map": {"1": "yes"}}, "no such meaning"),
        ("answer__findings__0__code", {}, "either is"),
        ("answer__findings__0__number", None, "a number or a word"),
        ("answer__findings__0__kind", "document", "a document needs it"),
        ("answer__findings__0__prose", {"path": "text"}, "nothing else may have it"),
        ("answer__findings__0__prose", {"path": "text["}, "not a JMESPath"),
    ],
)
def test_a_tool_file_that_cannot_be_understood_is_refused(place: str, new: Any, words: str) -> None:
    with pytest.raises(ToolFileInvalid, match=words):
        REST.http.check_tool(tool(**{place: new}))


# Two further APIs in the manner of the market, by a tool file alone.
ENVELOPE = {
    "subject": None,
    "version": "Data.metadata.model_version",
    "rules": [{"when": "Result == 'Failure'", "answer": "vendor_fault"}],
    "whole": "Result == 'Success'",
    "findings": [
        {
            "kind": "assertion",
            "each": "Data.findings",
            "code": {"path": "name", "map": {"Pneumothorax": {"display": "pneumothorax"}}},
            "polarity": {"path": "presence", "map": {"true": "present", "false": "absent"}},
            "confidence": {
                "path": "confidence", "low": 0, "high": 1, "kind": "class_probability",
                "of": "present",
            },
        }
    ],
}  # fmt: skip
BY_YEAR = {
    "subject": "metadata.case",
    "rules": [
        {"when": "statusCode >= `400`", "answer": "vendor_fault", "note": "it failed inside"}
    ],
    "findings": [
        {
            "kind": "risk",
            "code": {"is": {"display": "lung cancer"}},
            "number": {"path": f"data.predictions[0][{year}]", "low": 0, "high": 1},
            "horizon": f"P{year + 1}Y",
        }
        for year in range(3)
    ],
}


def test_an_envelope_with_its_own_success_and_the_probability_of_presence() -> None:
    wanted = tool(answer=ENVELOPE, subject_echo="none")
    found = [
        {"name": "Pneumothorax", "presence": True, "confidence": 0.9},
        {"name": "Nodule/Mass", "presence": False, "confidence": 0.2},
    ]
    body = {"Result": "Success", "Data": {"findings": found, "metadata": {"model_version": "v2"}}}

    present, absent = read(wanted, body)["findings"]

    assert (present["polarity"], present["confidence"], present["verified"]) == (
        "present",
        0.9,
        True,
    )
    assert (absent["polarity"], absent["confidence"], absent["verified"]) == ("absent", 0.8, False)
    assert absent["code"]["display"] == "Nodule/Mass"
    assert read(wanted, body | {"Result": "Failure"})["outcome"] == "vendor_fault"
    assert read(wanted, body | {"Result": "Warning"})["outcome"] == "protocol_broken"


def test_a_risk_a_year_and_a_failure_that_hides_behind_status_200() -> None:
    wanted = tool(answer=BY_YEAR)
    body = {"data": {"predictions": [[0.02, 0.05, 0.07]]}, "metadata": {"case": SUBJECT}}

    result = read(wanted, body | {"statusCode": 200})

    assert [(f["value"], f["horizon"]) for f in result["findings"]] == [
        (0.02, "P1Y"), (0.05, "P2Y"), (0.07, "P3Y"),
    ]  # fmt: skip
    assert read(wanted, body | {"statusCode": 400})["outcome"] == "vendor_fault"
    assert read(wanted, {"data": {"predictions": [[0.02]]}})["outcome"] == "protocol_broken"


def test_spans_count_code_points_and_a_place_with_other_words_is_dropped() -> None:
    text = "🫁 é No pneumothorax."
    where = {"kind": "assertion", "each": "m", "code": {"path": "w"}, "polarity": "present",
             "span": {"quote": "w", "start": "at", "start_missing": 0}}  # fmt: skip
    wanted = tool(
        answer={"findings": [where]},
        subject_echo="none",
        request__inputs={"text": {"text": "newest_report"}},
        request__body={"t": "{{text}}"},
    )
    question = Ask(SUBJECT, "att-01", bundle(report(text)), AS_OF)
    marks = [
        {"w": "pneumothorax", "at": text.index("pneumothorax")},
        {"w": "pneumothorax", "at": 3},
    ]
    body = json.dumps({"m": marks}).encode()

    parsed = REST.http.parse_findings(wanted, question, VendorAnswer(200, JSON, body))

    right, wrong = parsed.findings
    assert right.span is not None
    assert text[right.span.start : right.span.end] == "pneumothorax"
    assert wrong.span is None
    assert any("other words" in note for note in parsed.notes)


def test_a_gender_without_a_word_is_not_asked_about() -> None:
    triage = REST.example_tool
    assert triage is not None
    condition = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "29857009"}]},
    }
    for gender, asked in (("female", True), ("other", False), ("unknown", False)):
        chart = bundle(condition)
        chart["entry"][0]["resource"]["gender"] = gender
        question = Ask(SUBJECT, "att-01", chart, AS_OF)
        if asked:
            assert json.loads(REST.http.build_request(triage, question).body)["sex"] == gender
        else:
            with pytest.raises(InputsMissing, match="sex"):
                REST.http.build_request(triage, question)


def test_an_error_names_no_value() -> None:
    body = json.dumps(GOOD | {"risk": "CANARY"}).encode()

    with pytest.raises(VendorProtocolBroken) as caught:
        REST.http.parse_findings(tool(), None, VendorAnswer(200, JSON, body))

    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None
