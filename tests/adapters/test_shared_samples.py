"""The samples of the vendor reference run through the example tools to the right findings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from careweir_kit.adapter import VendorAnswer
from careweir_kit.registry import discover_adapters, replay
from support import minimised as charts

VENDORS = Path(__file__).resolve().parents[3] / "shared" / "vendors"
ADAPTERS = discover_adapters()
pytestmark = pytest.mark.skipif(
    not VENDORS.is_dir(), reason="needs the developer reference beside the repository (../shared)"
)


def _sample(file: str, position: int) -> bytes:
    fenced = re.findall(r"```json\n(.*?)\n```", (VENDORS / file).read_text(encoding="utf-8"), re.S)
    return str(fenced[position]).encode()


def _replayed(adapter: str, file: str) -> dict[str, Any]:
    loaded = ADAPTERS[adapter]
    assert loaded.example_tool is not None
    answer = VendorAnswer(200, {"content-type": "application/json"}, _sample(file, 1))
    return replay(loaded, loaded.example_tool, answer)


def test_the_open_inference_sample_is_a_readmission_risk() -> None:
    result = _replayed("oip_v2", "oip_v2.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    (finding,) = result["findings"]
    assert (finding["kind"], finding["value"], finding["horizon"]) == ("risk", 0.27, "P30D")
    assert result["model"] == {"name": "readmit30", "version": "3.0.1"}


def test_the_open_inference_request_has_the_shape_of_the_sample() -> None:
    loaded = ADAPTERS["oip_v2"]
    assert loaded.example_tool is not None
    sample = json.loads(_sample("oip_v2.md", 0))

    (tensor,) = loaded.example_tool.request["tensors"]

    assert (tensor["name"], tensor["datatype"]) == (
        sample["inputs"][0]["name"],
        sample["inputs"][0]["datatype"],
    )
    assert [1, len(tensor["elements"])] == sample["inputs"][0]["shape"]
    assert loaded.example_tool.request["outputs"] == [o["name"] for o in sample["outputs"]]


def test_the_card_sample_is_a_risk_and_an_order() -> None:
    result = _replayed("cds_hooks", "cds_hooks.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    risk, order = result["findings"]
    assert (risk["kind"], risk["value"], risk["threshold_band"]) == ("risk", 0.82, "high")
    assert (order["kind"], order["action"], order["target"]["code"]) == (
        "recommendation",
        "order",
        "2524-7",
    )
    assert result["model"]["version"] == "4.1.0"


def test_the_chat_sample_is_one_present_and_one_absent_finding() -> None:
    result = _replayed("openai_chat", "openai_compatible.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    nodule, effusion = result["findings"]
    assert (nodule["code"]["code"], nodule["polarity"], nodule["laterality"]) == (
        "R91.1",
        "present",
        "right",
    )
    assert (effusion["code"]["code"], effusion["polarity"]) == ("J90", "absent")
    assert result["model"]["version"] == "med-note-1-2026-05"


def test_the_message_sample_is_a_triage_level() -> None:
    result = _replayed("anthropic_messages", "anthropic.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    (finding,) = result["findings"]
    assert (finding["kind"], finding["value"]) == ("triage", "emergency department")
    assert finding["explanation"] == ["possible ACS"]
    assert result["model"]["version"] == "claude-x-20260501"


def test_the_message_request_has_the_shape_of_the_sample() -> None:
    loaded = ADAPTERS["anthropic_messages"]
    assert loaded.example_tool is not None
    sample = json.loads(_sample("anthropic.md", 0))

    asked = charts.ask(charts.report(sample["messages"][0]["content"]))
    body = json.loads(loaded.http.build_request(loaded.example_tool, asked).body)

    assert (body["model"], body["max_tokens"]) == (sample["model"], sample["max_tokens"])
    assert body["tool_choice"]["name"] == sample["tool_choice"]["name"]
    mine, theirs = (one["tools"][0]["input_schema"] for one in (body, sample))
    assert mine["properties"] == theirs["properties"]
    assert mine["required"] == theirs["required"]


def test_the_error_sample_of_a_message_is_the_vendors_fault() -> None:
    text = (VENDORS / "anthropic.md").read_text(encoding="utf-8")
    (error,) = re.findall(r"Error: `(\{.*\})`", text)
    loaded = ADAPTERS["anthropic_messages"]
    assert loaded.example_tool is not None

    answer = VendorAnswer(529, {"content-type": "application/json"}, error.encode())

    assert replay(loaded, loaded.example_tool, answer)["outcome"] == "vendor_fault"


def test_the_hl7_sample_is_a_preliminary_pneumothorax_with_its_probability() -> None:
    loaded = ADAPTERS["hl7v2_oru"]
    assert loaded.example_tool is not None
    text = (VENDORS / "hl7v2_oru.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```\n(MSH.*?)\n```", text, re.S)

    for body in (sample, sample.replace("\n", "\r") + "\r"):
        answer = VendorAnswer(200, {"content-type": "application/hl7-v2"}, body.encode())
        result = replay(loaded, loaded.example_tool, answer)

        assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
        (finding,) = result["findings"]
        assert (finding["code"]["code"], finding["polarity"]) == ("36118008", "present")
        assert (finding["confidence"], finding["status"]) == (0.91, "preliminary")
        assert result["model"] == {"name": "AI7", "version": "2.3.1"}


def test_the_scoring_sample_is_a_readmission_risk() -> None:
    result = _replayed("mlflow", "mlflow.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    (finding,) = result["findings"]
    assert (finding["kind"], finding["value"], finding["horizon"]) == ("risk", 0.36, "P30D")


def test_the_scoring_request_has_the_shape_of_the_sample() -> None:
    loaded = ADAPTERS["mlflow"]
    assert loaded.example_tool is not None
    sample = json.loads(_sample("mlflow.md", 0))
    stays = (
        charts.stay("2025-09-01T08:30:00Z", "2025-09-02T08:30:00Z"),
        charts.stay("2025-11-01T08:30:00Z", "2025-11-02T08:30:00Z"),
        charts.stay("2026-02-26T08:30:00Z", None),
    )

    asked = charts.ask(*stays, age_years=66)
    body = json.loads(loaded.http.build_request(loaded.example_tool, asked).body)

    assert body == sample


def test_the_scoring_error_sample_is_a_bad_request() -> None:
    text = (VENDORS / "mlflow.md").read_text(encoding="utf-8")
    (error,) = re.findall(r"Error: `(\{.*\})`", text)
    loaded = ADAPTERS["mlflow"]
    assert loaded.example_tool is not None

    answer = VendorAnswer(400, {"content-type": "application/json"}, error.encode())

    assert replay(loaded, loaded.example_tool, answer)["outcome"] == "bad_request"


def test_the_text_analytics_sample_is_no_fever_and_a_dose_of_metoprolol() -> None:
    result = _replayed("azure_ta4h", "azure_ta4h.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    fever, metoprolol = result["findings"]
    assert (fever["code"]["code"], fever["polarity"]) == ("386661006", "absent")
    assert (fever["confidence"], fever["confidence_kind"]) == (1.0, "detection")
    assert fever["span"] == {"start": 3, "end": 8, "text": "fever"}
    assert (metoprolol["code"]["code"], metoprolol["dose"]) == (
        "6918",
        {"value": 25.0, "unit": "mg"},
    )
    assert result["model"]["version"] == "2022-03-01"


def test_the_risk_assessment_sample_is_a_risk_with_its_band() -> None:
    loaded = ADAPTERS["fhir_service"]
    assert loaded.example_tool is not None
    answer = VendorAnswer(200, {"content-type": "application/json"}, _sample("fhir_services.md", 0))

    result = replay(loaded, loaded.example_tool, answer)

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    (finding,) = result["findings"]
    assert (finding["value"], finding["code"]["code"], finding["threshold_band"]) == (
        0.41,
        "91302008",
        "medium",
    )


def test_the_comprehend_medical_sample_is_no_fever_and_pain_in_the_left_knee() -> None:
    result = _replayed("aws_comprehend_medical", "aws_comprehend_medical.md")

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    fever, pain = result["findings"]
    assert (fever["code"]["code"], fever["polarity"], fever["verified"]) == (
        "R50.9",
        "absent",
        True,
    )
    assert (pain["code"]["code"], pain["laterality"], pain["body_site"]) == (
        "M25.562",
        "left",
        "knee",
    )
    assert (pain["confidence"], pain["confidence_kind"]) == (0.93, "detection")
    assert pain["span"] == {"start": 20, "end": 24, "text": "pain"}
    assert result["model"]["version"] == "2.5.0"


def test_the_comprehend_medical_error_is_about_our_request() -> None:
    loaded = ADAPTERS["aws_comprehend_medical"]
    assert loaded.example_tool is not None
    text = (VENDORS / "aws_comprehend_medical.md").read_text(encoding="utf-8")
    (error,) = re.findall(r"Error 400: `(.*?)`", text)

    result = replay(loaded, loaded.example_tool, VendorAnswer(400, {}, error.encode()))

    assert result["outcome"] == "bad_request"


@pytest.mark.parametrize("bundled", [True, False])
def test_the_claim_response_sample_is_pended_and_no_approval(bundled: bool) -> None:
    loaded = ADAPTERS["davinci_pas"]
    assert loaded.example_tool is not None
    body = _sample("fhir_services.md", 1)
    if bundled:
        entry = [{"resource": json.loads(body)}]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entry}
        body = json.dumps(bundle).encode()

    result = replay(
        loaded, loaded.example_tool, VendorAnswer(200, {"content-type": "application/json"}, body)
    )

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    (finding,) = result["findings"]
    assert (finding["kind"], finding["action"], finding["value"]) == ("recommendation", None, "A4")
    assert finding["id"] == "PA-778"


def test_the_insights_sample_is_a_wrong_side_a_critical_result_and_a_follow_up() -> None:
    loaded = ADAPTERS["azure_radiology_insights"]
    assert loaded.example_tool is not None
    answer = VendorAnswer(200, {}, _sample("azure_radiology_insights.md", 0))

    result = replay(loaded, loaded.example_tool, answer)

    assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
    side, critical, follow_up = result["findings"]
    assert (side["code"]["code"], side["laterality"]) == ("orderLateralityMismatch", "right")
    assert critical["code"]["display"] == "PNEUMOTHORAX"
    assert critical["explanation"] == ["the service marks this as critical"]
    assert (follow_up["kind"], follow_up["action"], follow_up["target"]["code"]) == (
        "recommendation",
        "order",
        "77477000",
    )
    assert follow_up["explanation"] == ["due 2026-06-01", "recommended from a guideline"]
    assert {finding["confidence_kind"] for finding in result["findings"]} == {"none"}
    assert result["model"]["version"] == "2025-03-17"


def test_the_structured_report_sample_is_a_pneumothorax() -> None:
    loaded = ADAPTERS["dicom_sr"]
    assert loaded.example_tool is not None
    sample = _sample("dicom_sr.md", 0)

    for body in (sample, b"[" + sample + b"]"):
        answer = VendorAnswer(200, {"content-type": "application/dicom+json"}, body)
        result = replay(loaded, loaded.example_tool, answer)

        assert (result["outcome"], result["completeness"], result["error"]) == ("ok", "full", None)
        (finding,) = result["findings"]
        assert (finding["code"]["code"], finding["polarity"]) == ("36118008", "present")
        assert finding["code"]["system"] == "http://snomed.info/sct"
