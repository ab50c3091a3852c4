"""Comprehend Medical: errors by name, traits kept apart, codes ranked and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_fhir.model import Finding
from careweir_kit.adapter import Parsed, VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, load_tool
from careweir_kit.tool import Tool
from support import minimised as charts

LOADED = discover_adapters()["aws_comprehend_medical"]
AWS = LOADED.http
TOOL = load_tool(Path(str(LOADED.folder.joinpath("example_tool.yaml"))), {LOADED.name: LOADED})
CODER = TOOL.model_copy(update={"answer": {"kind": "coding"}})
TEXT = "🫁 cafe\u0301\r\nNo fever. Knee pain, left."
HEADERS = {"content-type": "application/x-amz-json-1.1"}
Json = dict[str, Any]


def _entity(words: str = "fever", *traits: str, **more: Any) -> Json:
    start = TEXT.index(words)
    place = {"Id": 0, "BeginOffset": start, "EndOffset": start + len(words), "Text": words}
    return (
        place
        | {"Score": 0.9, "Category": "MEDICAL_CONDITION", "Type": "DX_NAME", "Attributes": []}
        | {"Traits": [{"Name": trait, "Score": 0.8} for trait in traits]}
        | {"ICD10CMConcepts": [_concept("R50.9", "Fever, unspecified")]}
        | more
    )


def _concept(code: str, words: str, score: float = 0.7) -> Json:
    return {"Code": code, "Description": words, "Score": score}


def _attribute(kind: str, words: str) -> Json:
    return {"Type": kind, "Score": 0.9, "RelationshipScore": 0.9, "Text": words}


def _answer(*entities: Any, **more: Any) -> VendorAnswer:
    value = {"Entities": list(entities), "ModelVersion": "2.5.0"} | more
    return VendorAnswer(200, HEADERS, json.dumps(value).encode())


def _parse(*entities: Any, tool: Tool = TOOL, **more: Any) -> Parsed:
    return AWS.parse_findings(tool, charts.ask(charts.report(TEXT)), _answer(*entities, **more))


def _one(entity: Json, tool: Tool = TOOL) -> Finding:
    (found,) = _parse(entity, tool=tool).findings
    return found


def _error(
    name: str | None, status: int = 400, *, headers: dict[str, str] | None = None
) -> VendorAnswer:
    body = {"message": "x"} if name is None else {"__type": name, "message": "x"}
    return VendorAnswer(status, HEADERS | (headers or {}), json.dumps(body).encode())


def test_the_request_is_the_text_and_nothing_else() -> None:
    request = AWS.build_request(TOOL, charts.ask(charts.report(TEXT)))

    assert json.loads(request.body) == {"Text": TEXT}
    assert request.headers["x-amz-target"] == "ComprehendMedical_20181030.InferICD10CM"
    assert request.path == ""


def test_no_text_or_too_much_is_not_sent() -> None:
    with pytest.raises(InputsMissing, match="not in the chart"):
        AWS.build_request(TOOL, charts.ask())
    with pytest.raises(InputsMissing, match="longer"):
        AWS.build_request(TOOL, charts.ask(charts.report("x" * 10_001)))
    longer = TOOL.model_copy(update={"request": {"operation": "DetectEntitiesV2"}})
    assert AWS.build_request(longer, charts.ask(charts.report("x" * 10_001)))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (_error("ThrottlingException"), "throttled"),
        (_error("TooManyRequestsException", 429), "throttled"),
        (_error("com.amazonaws.comprehendmedical#ThrottlingException"), "throttled"),
        (
            _error(None, headers={"x-amzn-errortype": "ThrottlingException:http://x.example/"}),
            "throttled",
        ),
        (_error("com.amazon.coral.service#ExpiredTokenException"), "unauthorised"),
        (_error("InvalidSignatureException"), "unauthorised"),
        (_error("AccessDeniedException"), "unauthorised"),
        (_error("TextSizeLimitExceededException"), "bad_request"),
        (_error("ValidationException"), "bad_request"),
        (_error("InternalServerException", 500), "vendor_fault"),
        (_error("ServiceUnavailableException", 503), "vendor_fault"),
        (_error("SomethingNewException"), "bad_request"),
        (_error("SomethingNewException", 500), "vendor_fault"),
        (_error(None, 403), "unauthorised"),
        (_error("ThrottlingException", 200), "protocol_broken"),
    ],
)
def test_the_name_of_an_error_goes_before_its_status(answer: VendorAnswer, outcome: str) -> None:
    assert AWS.classify_answer(TOOL, answer).answer_class == outcome


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"x-amz-retry-after": "750"}, 0.75),
        ({"retry-after": "2", "x-amz-retry-after": "750"}, 2.0),
        ({"x-amz-retry-after": "soon"}, None),
    ],
)
def test_the_wait_has_a_form_of_its_own(headers: dict[str, str], wait_s: float | None) -> None:
    verdict = AWS.classify_answer(TOOL, _error("ThrottlingException", headers=headers))

    assert verdict.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("traits", "polarity", "context"),
    [
        ((), "present", None),
        (("SYMPTOM",), "present", None),
        (("NEGATION",), "absent", None),
        (("PERTAINS_TO_FAMILY",), "present", "family"),
        (("PERTAINS_TO_FAMILY", "NEGATION", "PAST_HISTORY"), "absent", "family"),
        (("HYPOTHETICAL",), "present", "hypothetical"),
        (("FUTURE",), "present", "hypothetical"),
        (("PAST_HISTORY",), "present", "history"),
    ],
)
def test_traits_say_whether_whose_and_when(
    traits: tuple[str, ...], polarity: str, context: str | None
) -> None:
    found = _one(_entity("fever", *traits))

    assert (found.polarity, found.subject_context) == (polarity, context)


@pytest.mark.parametrize(
    ("traits", "kind"),
    [((), "coding"), (("NEGATION",), "assertion"), (("PERTAINS_TO_FAMILY",), "assertion"),
     (("PAST_HISTORY",), "assertion"), (("HYPOTHETICAL",), "assertion")],
)  # fmt: skip
def test_only_what_is_plainly_there_is_suggested_as_a_code(
    traits: tuple[str, ...], kind: str
) -> None:
    assert _one(_entity("fever", *traits), tool=CODER).kind == kind


def test_the_first_concept_that_can_be_a_code_is_the_code() -> None:
    concepts = [
        _concept("5R0.9", "x"),
        _concept("R50.9", "Fever, unspecified"),
        _concept("R68.83", "y", 0.2),
    ]
    found = _one(_entity(ICD10CMConcepts=concepts))

    assert (found.code.code, found.verified) == ("R50.9", True)
    assert found.explanation == ("linking score 0.7", "alternative R68.83, linking score 0.2")
    assert (found.confidence, found.confidence_kind) == (0.9, "detection")


def test_words_that_are_not_those_of_the_code_are_not_verified() -> None:
    assert _one(_entity(ICD10CMConcepts=[_concept("R50.9", "Fracture of femur")])).verified is False
    assert _one(_entity(ICD10CMConcepts=[])).code.display == "fever"


@pytest.mark.parametrize(("side", "agrees"), [("left", True), ("right", False)])
def test_the_side_of_the_code_is_held_against_that_of_the_text(side: str, agrees: bool) -> None:
    entity = _entity(
        "Knee pain",
        Attributes=[_attribute("DIRECTION", side), _attribute("SYSTEM_ORGAN_SITE", "Knee")],
        ICD10CMConcepts=[_concept("M25.562", "Pain in left knee")],
    )
    found = _one(entity)

    assert (found.laterality, found.body_site) == (side, "Knee")
    assert found.verified is agrees
    assert any("side" in line for line in found.explanation) is not agrees


def test_a_strength_is_a_dose_and_a_test_with_its_value_a_measurement() -> None:
    drug = _entity(Category="MEDICATION", Type="GENERIC_NAME", ICD10CMConcepts=[])
    found = _one(drug | {"Attributes": [_attribute("DOSAGE", "25 mg")]})
    assert found.dose is not None
    assert (found.dose.value, found.dose.unit) == (25, "mg")

    test = _entity(Category="TEST_TREATMENT_PROCEDURE", Type="TEST_NAME", ICD10CMConcepts=[])
    values = [_attribute("TEST_VALUE", "38.4"), _attribute("TEST_UNIT", "degC")]
    found = _one(test | {"Attributes": values})
    assert (found.kind, found.value, found.unit) == ("measurement", 38.4, "Cel")


def test_places_are_held_against_the_text() -> None:
    found = _one(_entity())
    assert found.span is not None
    assert TEXT[found.span.start : found.span.end] == "fever"

    parsed = _parse(_entity(BeginOffset=0, EndOffset=5))
    assert parsed.findings[0].span is None
    assert any("place" in note for note in parsed.notes)


def test_an_answer_to_another_text_is_refused() -> None:
    with pytest.raises(VendorProtocolBroken, match="no entity"):
        _parse(_entity(Text="rash"))


def test_a_next_page_or_a_broken_entity_is_partial() -> None:
    for parsed in (_parse(_entity(), PaginationToken="p2"), _parse(_entity(), _entity(Score=2))):
        assert parsed.completeness == parsed.findings[0].completeness == "partial"
    assert AWS.classify_answer(TOOL, _answer(_entity(Score=2))).answer_class == "protocol_broken"


def test_what_identifies_is_no_finding() -> None:
    phi = _entity(Category="PROTECTED_HEALTH_INFORMATION", Type="NAME")

    assert _parse(_entity(), phi).findings[0].code.code == "R50.9"
    assert len(_parse(_entity(), phi).findings) == 1


def test_a_low_confidence_mark_is_said() -> None:
    assert any(
        "low confidence" in line for line in _one(_entity("fever", "LOW_CONFIDENCE")).explanation
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_echo": "required"},
        {"request": {"operation": "DetectPHI"}},
        {"request": {"operation": "DetectEntitiesV2"}, "answer": {"kind": "coding"}},
    ],
)
def test_a_tool_file_that_promises_too_much_is_refused(changes: Json) -> None:
    with pytest.raises(ToolFileInvalid):
        AWS.check_tool(TOOL.model_copy(update=changes))
