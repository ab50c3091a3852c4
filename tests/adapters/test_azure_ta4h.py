"""Text Analytics for Health: polled at home only, entities with how they are meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_fhir.model import Finding
from careweir_kit.adapter import Parsed, VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, load_tool
from support import minimised as charts

LOADED = discover_adapters()["azure_ta4h"]
TA4H = LOADED.http
TOOL = load_tool(Path(str(LOADED.folder.joinpath("example_tool.yaml"))), {"azure_ta4h": LOADED})
CONTAINER = TOOL.model_copy(update={"request": {"dialect": "v3.1"}})
# An emoji beyond the BMP, a combining accent and a CRLF: the three that vendors count differently.
TEXT = "🫁 cafe\u0301\r\nNo fever. Left chest pain."
Json = dict[str, Any]


def _entity(words: str = "fever", category: str = "SymptomOrSign", **more: Any) -> Json:
    place = {"offset": TEXT.index(words), "length": len(words), "text": words}
    return place | {"category": category, "confidenceScore": 0.9} | more


def _results(*entities: Any, relations: Any = (), **more: Any) -> Json:
    document = {"id": charts.SUBJECT, "entities": list(entities), "relations": list(relations)}
    return {
        "documents": [document | {"warnings": []}],
        "errors": [],
        "modelVersion": "2022-03-01",
    } | more


def _job(found: Json | None, status: str = "succeeded", **more: Any) -> VendorAnswer:
    items = [{"kind": "HealthcareLROResults", "status": "succeeded", "results": found}]
    tasks = {"completed": 1, "failed": 0, "inProgress": 0, "total": 1, "items": items}
    value = {"jobId": "job-1", "status": status, "errors": [], "tasks": tasks} | more
    return VendorAnswer(200, {"content-type": "application/json"}, json.dumps(value).encode())


def _parse(*entities: Any, **more: Any) -> Parsed:
    ask = charts.ask(charts.report(TEXT))
    return TA4H.parse_findings(TOOL, ask, _job(_results(*entities, **more)))


def _one(entity: Json, *others: Json, **more: Any) -> Finding:
    return _parse(entity, *others, **more).findings[0]


def _taken(location: str | None, **headers: str) -> VendorAnswer:
    place = {} if location is None else {"operation-location": location}
    return VendorAnswer(202, place | headers, b"")


def test_the_request_asks_for_code_points_and_that_nothing_is_kept() -> None:
    request = TA4H.build_request(TOOL, charts.ask(charts.report(TEXT)))
    body = json.loads(request.body)

    (task,) = body["tasks"]
    assert task["parameters"]["stringIndexType"] == "UnicodeCodePoint"
    assert task["parameters"]["loggingOptOut"] is True
    assert body["analysisInput"]["documents"] == [
        {"id": charts.SUBJECT, "language": "en", "text": TEXT}
    ]
    assert request.path == "language/analyze-text/jobs?api-version=2023-04-01"


def test_the_container_dialect_says_the_same_in_its_address() -> None:
    request = TA4H.build_request(CONTAINER, charts.ask(charts.report(TEXT)))

    assert json.loads(request.body)["documents"][0]["text"] == TEXT
    assert "stringIndexType=UnicodeCodePoint" in request.path
    assert "loggingOptOut=true" in request.path


def test_no_text_or_too_much_is_not_sent() -> None:
    with pytest.raises(InputsMissing, match="not in the chart"):
        TA4H.build_request(TOOL, charts.ask())
    with pytest.raises(InputsMissing, match="longer"):
        TA4H.build_request(TOOL, charts.ask(charts.report("x" * 125_001)))


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:9100/language/analyze-text/jobs/ab-1?api-version=2023-04-01",
        "https://127.0.0.1/language/analyze-text/jobs/ab-1",
        "/language/analyze-text/jobs/ab-1",
    ],
)
def test_a_job_is_asked_for_at_the_configured_endpoint(location: str) -> None:
    verdict = TA4H.classify_answer(TOOL, _taken(location, **{"retry-after": "2"}))

    assert (verdict.answer_class, verdict.retry_after_s) == ("pending", 2.0)
    assert verdict.follow_up is not None
    assert verdict.follow_up.method == "GET"
    assert verdict.follow_up.path == "language/analyze-text/jobs/ab-1?api-version=2023-04-01"


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "https://elsewhere.example/language/analyze-text/jobs/ab-1",
        "https://127.0.0.1@elsewhere.example/language/analyze-text/jobs/ab-1",
        "http://127.0.0.1/other/jobs/ab-1",
        "http://127.0.0.1/language/analyze-text/jobs/",
        "http://127.0.0.1/language/analyze-text/jobs/a%2f..%2fb",
        "http://[::1/language/analyze-text/jobs/ab-1",
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(location: str | None) -> None:
    verdict = TA4H.classify_answer(TOOL, _taken(location))

    assert (verdict.answer_class, verdict.follow_up) == ("protocol_broken", None)


def test_a_host_that_the_tool_file_names_may_announce_jobs() -> None:
    tool = TOOL.model_copy(update={"answer": {"operation_hosts": ["own.example"]}})
    location = "https://own.example/language/analyze-text/jobs/ab-1"

    assert TA4H.classify_answer(tool, _taken(location)).answer_class == "pending"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (_job(_results(_entity())), "ok"),
        (_job(_results()), "ok"),
        (_job(None, "notStarted"), "pending"),
        (_job(None, "Running"), "pending"),
        (_job(None, "cancelling"), "pending"),
        (_job(None, "failed"), "vendor_fault"),
        (_job(None, "failed", errors=[{"code": "InvalidRequest"}]), "bad_request"),
        (_job(None, "cancelled"), "vendor_fault"),
        (_job(None, "asleep"), "protocol_broken"),
        (_job(None), "protocol_broken"),
        (_job(_results(_entity()), "partiallyCompleted"), "partial"),
        (_job(_results(_entity()), "partiallySucceeded"), "partial"),
        (_job(_results(_entity(), nextLink="https://x")), "partial"),
        (_job(_results(_entity(), **{"@nextLink": "https://x"})), "partial"),
        (_job(_results(_entity()), nextLink="https://x"), "partial"),
        (_job(_results(_entity(), errors=[{"id": "d2", "error": {}}])), "partial"),
        (_job(_results(_entity(), _entity(confidenceScore=1.2))), "partial"),
        (_job(_results(_entity(confidenceScore=1.2))), "protocol_broken"),
        (_job(_results(_entity()), jobId="../../x"), "protocol_broken"),
    ],
)
def test_a_job_has_its_class(answer: VendorAnswer, outcome: str) -> None:
    assert TA4H.classify_answer(TOOL, answer).answer_class == outcome


def test_a_warning_makes_the_answer_partial() -> None:
    results = _results(_entity())
    results["documents"][0]["warnings"] = [{"code": "DocumentTruncated", "message": "CANARY"}]

    parsed = TA4H.parse_findings(TOOL, None, _job(results))

    assert parsed.completeness == parsed.findings[0].completeness == "partial"
    assert not any("CANARY" in note for note in parsed.notes)


def test_a_failed_document_names_its_patient_and_is_no_empty_answer() -> None:
    results = _results(documents=[], errors=[{"id": charts.SUBJECT, "error": {"code": "x"}}])
    parsed = TA4H.parse_findings(TOOL, None, _job(results))

    assert (parsed.findings, parsed.completeness) == ((), "partial")
    assert parsed.echoes == (charts.SUBJECT,)


def test_the_older_dialect_has_its_results_at_the_top() -> None:
    answer = _job(None, tasks=None, results=_results(_entity()))

    assert TA4H.parse_findings(CONTAINER, None, answer).findings[0].code.display == "fever"


@pytest.mark.parametrize(
    ("assertion", "polarity", "context"),
    [
        (None, "present", None),
        ({}, "present", None),
        ({"certainty": "negative"}, "absent", None),
        ({"certainty": "positivePossible"}, "indeterminate", None),
        ({"certainty": "neutralPossible"}, "indeterminate", None),
        ({"certainty": "negativePossible"}, "indeterminate", None),
        ({"certainty": "some new word"}, "indeterminate", None),
        ({"association": "other"}, "present", "family"),
        ({"association": "subject"}, "present", None),
        ({"conditionality": "hypothetical"}, "present", "hypothetical"),
        ({"conditionality": "conditional", "certainty": "negative"}, "absent", "hypothetical"),
        ({"temporality": "past"}, "present", "history"),
        ({"temporality": "future"}, "present", "hypothetical"),
        ({"temporality": "past", "association": "other"}, "present", "family"),
    ],
)
def test_negation_doubt_and_whose_it_is_stay_apart(
    assertion: Json | None, polarity: str, context: str | None
) -> None:
    found = _one(_entity(assertion=assertion))

    assert (found.polarity, found.subject_context) == (polarity, context)


def test_places_count_code_points_and_are_held_against_the_text() -> None:
    found = _one(_entity())
    assert found.span is not None
    assert TEXT[found.span.start : found.span.end] == "fever"
    assert (found.confidence, found.confidence_kind) == (0.9, "detection")

    as_utf16 = len(TEXT[: TEXT.index("fever")].encode("utf-16-le")) // 2
    parsed = _parse(_entity(offset=as_utf16))
    assert parsed.findings[0].span is None
    assert parsed.completeness == "full"
    assert any("place" in note for note in parsed.notes)


def test_the_code_is_the_preferred_one_that_can_be_right() -> None:
    links = [
        {"dataSource": "UMLS", "id": "C0015967"},
        {"dataSource": "NCI", "id": "C3038"},
        {"dataSource": "LNC", "id": "LP21258-6"},
        {"dataSource": "SNOMEDCT_US", "id": "386661007"},
        {"dataSource": "SNOMEDCT_US", "id": "386661006"},
    ]
    found = _one(_entity(name="Fever", links=links))

    assert (found.code.code, found.code.display, found.verified) == ("386661006", "Fever", True)
    assert found.explanation == ("also coded UMLS C0015967",)
    wrong = _one(_entity(links=links[3:4]))
    assert (wrong.code.code, wrong.code.display, wrong.verified) == (None, "fever", False)


@pytest.mark.parametrize("root", ["#/documents/0", "#/results/documents/0"])
def test_a_side_comes_from_a_relation_whatever_its_root(root: str) -> None:
    ends = [
        {"ref": f"{root}/entities/0", "role": "Condition"},
        {"ref": f"{root}/entities/1", "role": "Direction"},
    ]
    relation = {"relationType": "DirectionOfCondition", "entities": ends}
    pain, left = _entity("chest pain"), _entity("Left", "Direction")

    (found,) = _parse(pain, left, relations=[relation]).findings
    assert found.laterality == "left"
    elsewhere = json.loads(json.dumps(relation).replace("documents/0", "documents/1"))
    assert _parse(pain, left, relations=[elsewhere]).findings[0].laterality is None


def test_a_dose_belongs_to_its_medication() -> None:
    text = "Metoprolol 25 mg daily."
    entities = [
        {"offset": 0, "length": 10, "text": "Metoprolol", "category": "MedicationName"},
        {"offset": 11, "length": 5, "text": "25 mg", "category": "Dosage"},
    ]
    ends = [
        {"ref": "#/results/documents/0/entities/1", "role": "Dosage"},
        {"ref": "#/results/documents/0/entities/0", "role": "Medication"},
    ]
    results = _results(
        *(one | {"confidenceScore": 0.9} for one in entities),
        relations=[{"relationType": "DosageOfMedication", "entities": ends}],
    )

    (found,) = TA4H.parse_findings(TOOL, charts.ask(charts.report(text)), _job(results)).findings
    assert found.dose is not None
    assert (found.dose.value, found.dose.unit) == (25, "mg")


def test_an_examination_with_a_number_and_a_known_unit_is_a_measurement() -> None:
    def read(unit: str) -> Finding:
        entities = [
            {"offset": 0, "length": 11, "text": "Temperature", "category": "ExaminationName"},
            {"offset": 12, "length": 4, "text": "38.4", "category": "MeasurementValue"},
            {"offset": 17, "length": len(unit), "text": unit, "category": "MeasurementUnit"},
        ]
        relations = [
            {
                "relationType": f"{role}OfExamination",
                "entities": [
                    {"ref": f"#/documents/0/entities/{at}", "role": role},
                    {"ref": "#/documents/0/entities/0", "role": "Examination"},
                ],
            }
            for at, role in ((1, "Value"), (2, "Unit"))
        ]
        results = _results(*(e | {"confidenceScore": 1} for e in entities), relations=relations)
        return TA4H.parse_findings(TOOL, None, _job(results)).findings[0]

    found = read("degC")
    assert (found.kind, found.value, found.unit, found.polarity) == (
        "measurement",
        38.4,
        "Cel",
        None,
    )
    assert read("gradus").kind == "assertion"


def test_what_only_describes_is_no_finding_of_its_own() -> None:
    parsed = _parse(_entity("Left", "Direction"), _entity("chest", "BodyStructure"))

    assert (parsed.findings, parsed.completeness) == ((), "full")


def test_every_document_is_an_echo_and_another_version_is_noted() -> None:
    parsed = _parse(_entity(), modelVersion="2030-01-01")

    assert parsed.echoes == (charts.SUBJECT,)
    assert (parsed.model_version, parsed.findings[0].tool_version) == ("2030-01-01", "2030-01-01")
    assert any("another model version" in note for note in parsed.notes)


def test_a_running_job_has_no_findings_to_read() -> None:
    with pytest.raises(VendorProtocolBroken):
        TA4H.parse_findings(TOOL, None, _job(_results(_entity()), "running"))


def test_a_preference_for_a_system_that_is_not_known_is_refused() -> None:
    with pytest.raises(ToolFileInvalid, match="systems"):
        TA4H.check_tool(TOOL.model_copy(update={"answer": {"systems": ["NCI"]}}))
