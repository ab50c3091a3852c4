"""The samples of vendors with an API of their own, read by tool files alone."""

from __future__ import annotations

import json
import re
from typing import Any

from careweir_fhir.model import LOINC
from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.conformance.recordings import tool_of_recordings
from careweir_kit.registry import discover_adapters, replay
from careweir_kit.tool import Tool
from support import minimised as charts
from support.paths import SHARED, needs_shared

REST = discover_adapters()["rest"]
JSON = {"content-type": "application/json"}
pytestmark = needs_shared

# The radiology sample's API, which no shipped tool file speaks.
LEAP: dict[str, Any] = {
    "tool": "single-inference",
    "vendor": "Sample",
    "product": "Sample",
    "version": "0",
    "adapter": "rest",
    "capabilities": ["chest-xray-findings"],
    "endpoints": {"default": "http://127.0.0.1:9100"},
    "subject_echo": "none",
    "request": {"path": "single_inference", "body": {"id": "{{request_id}}"}},
    "answer": {
        "rules": [{"when": "Result == 'Failure'", "answer": "vendor_fault"}],
        "whole": "Result == 'Success'",
        "version": "Data.metadata.model_version",
        "findings": [
            {
                "kind": "assertion",
                "each": "Data.findings",
                "code": {"path": "name", "map": {"Pneumothorax": {"display": "pneumothorax"}}},
                "polarity": {"path": "presence", "map": {"true": "present", "false": "absent"}},
                "confidence": {"path": "confidence", "low": 0, "high": 1, "of": "present",
                               "kind": "class_probability"},
            }
        ],
    },
}  # fmt: skip

# The scribe's note, which no shipped tool file reads.
SCRIBE: dict[str, Any] = {
    "tool": "single-note",
    "vendor": "Sample",
    "product": "Sample",
    "version": "0",
    "adapter": "rest",
    "capabilities": ["note-summary"],
    "endpoints": {"default": "http://127.0.0.1:9100"},
    "subject_echo": "none",
    "request": {"path": "generate-note", "body": {"id": "{{request_id}}"}},
    "answer": {
        "findings": [
            {
                "kind": "document",
                "each": "note.sections",
                "code": {
                    "path": "key",
                    "map": {"SUBJECTIVE": {"system": LOINC, "code": "10164-2"}},
                },
                "prose": {"path": "text", "chars_max": 200},
            }
        ],
    },
}


def samples(file: str) -> list[bytes]:
    text = (SHARED / "vendors" / file).read_text(encoding="utf-8")
    return [sample.encode() for sample in re.findall(r"```json\n(.*?)\n```", text, re.S)]


def test_the_triage_sample_is_an_emergency() -> None:
    assert REST.example_tool is not None

    answer = VendorAnswer(200, JSON, samples("infermedica.md")[1])
    result = replay(REST, REST.example_tool, answer)

    (finding,) = result["findings"]
    assert (result["outcome"], finding["kind"]) == ("ok", "triage")
    assert (finding["value"], finding["scale"]) == ("emergency", "disposition")


def test_the_triage_request_has_the_shape_of_the_sample() -> None:
    assert REST.example_tool is not None
    pain = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": charts.SNOMED, "code": "29857009"}]},
    }
    chart = charts.bundle(pain, age_years=58)
    chart["entry"][0]["resource"]["gender"] = "female"

    request = REST.http.build_request(
        REST.example_tool, Ask(charts.SUBJECT, "a", chart, charts.AS_OF)
    )

    assert json.loads(request.body) == json.loads(samples("infermedica.md")[0])


def test_the_entities_sample_is_a_denied_chest_pain_with_its_place() -> None:
    tool = tool_of_recordings(REST, "document_entities")
    asked, answered = samples("google_healthcare_nlp.md")
    text = json.loads(asked)["documentContent"]
    answer = VendorAnswer(200, JSON, answered)

    (finding,) = replay(REST, tool, answer)["findings"]
    parsed = REST.http.parse_findings(tool, charts.ask(charts.report(text)), answer)

    assert (finding["code"]["code"], finding["polarity"]) == ("29857009", "absent")
    assert (finding["confidence"], finding["confidence_kind"]) == (0.98, "detection")
    (grounded,) = parsed.findings
    assert grounded.span is not None
    assert (grounded.span.start, grounded.span.text) == (15, "chest pain")


def test_the_radiology_sample_is_one_present_and_one_absent_finding() -> None:
    tool = Tool.model_validate(LEAP)
    REST.http.check_tool(tool)

    result = replay(REST, tool, VendorAnswer(200, JSON, samples("radiology_rest_vendors.md")[0]))

    present, absent = result["findings"]
    assert (present["polarity"], present["confidence"]) == ("present", 0.91)
    assert (absent["polarity"], absent["confidence"]) == ("absent", 0.88)
    assert result["model"]["version"] == "v1.0.1"


def test_the_note_sample_is_a_section_in_the_scribes_own_words() -> None:
    tool = Tool.model_validate(SCRIBE)
    REST.http.check_tool(tool)

    result = replay(REST, tool, VendorAnswer(200, JSON, samples("scribe_coding.md")[1]))

    (section,) = result["findings"]
    assert (result["outcome"], section["kind"]) == ("ok", "document")
    assert (section["code"]["code"], section["value"]) == ("10164-2", "Denies fever.")
