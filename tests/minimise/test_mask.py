"""Marks for what rights keep back: only where a need says ``mask``, with nothing of the chart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from careweir.access import Decision
from careweir.access.elements import ELEMENTS, REQUIRED
from careweir.access.names import element_name
from careweir.minimise.project import masks
from careweir_fhir.validate import problems
from minimise.charts import (
    LOINC,
    MARK,
    WHY,
    Json,
    blood_pressure,
    bundle,
    everything,
    observation,
    patient,
    policies,
    quantity,
    reasons,
    report,
    resources,
    run,
    tool,
    with_classes,
)

OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
SUBSETTED = {"system": OBSERVATION_VALUE, "code": "SUBSETTED"}
REDACTED = {"system": OBSERVATION_VALUE, "code": "REDACTED"}
PATHS = ("status", "code", "effectiveDateTime", "valueQuantity", "interpretation")


def without(*paths: str, name: str = "vital-signs") -> Decision:
    """A permit for a class that does not have these paths."""
    found = policies().classes[name]
    return with_classes(replace(found, paths=found.paths - set(paths)))


def asking(*paths: str, mask: bool = True, kind: str = "Observation", **extra: Any) -> Any:
    return tool({"resource": kind, "paths": paths or PATHS, "mask": mask, **extra})


def only(body: bytes, of: Any, by: Decision, kind: str = "Observation") -> Json:
    (found,) = resources(run(body, of, by=by), kind)
    return found


RATE = bundle(patient(), observation("8867-4", 80))


def test_a_value_that_rights_keep_back_is_said_to_be_masked() -> None:
    found = run(RATE, asking(), by=without("valueQuantity"))

    (sent,) = resources(found, "Observation")
    assert sent["dataAbsentReason"] == WHY
    assert "valueQuantity" not in sent
    assert sent["meta"] == {"security": [REDACTED], "tag": [SUBSETTED]}
    assert "/min" not in everything(found)
    assert reasons(found)["Observation.valueQuantity"] == {"role"}
    assert "Observation.dataAbsentReason" in found.manifest.sent


def test_without_mask_it_is_merely_absent() -> None:
    sent = only(RATE, asking(mask=False), without("valueQuantity"))

    assert sent.keys().isdisjoint({"dataAbsentReason", "valueQuantity"})
    assert sent["meta"] == {"tag": [SUBSETTED]}


def test_a_reason_never_stands_beside_a_value() -> None:
    two = bundle(patient(), observation("8867-4", 80, valueInteger=81))
    reason = {"coding": [{"system": WHY["coding"][0]["system"], "code": "error"}]}
    own = bundle(patient(), observation("8867-4", dataAbsentReason=reason, valueInteger=81))
    of = asking("status", "code", "valueQuantity", "valueInteger", "dataAbsentReason")
    by = without("valueInteger")

    assert "dataAbsentReason" not in only(two, of, by)
    assert only(two, of, by)["valueQuantity"]["value"] == 80
    assert only(own, of, by)["dataAbsentReason"]["coding"][0]["code"] == "error"


def test_elements_that_fhir_requires_keep_their_place() -> None:
    found = run(RATE, asking(), by=without("status", "code"))

    (sent,) = resources(found, "Observation")
    assert sent["_status"] == MARK
    assert sent["code"] == MARK
    assert "status" not in sent
    assert {"Observation.status.extension", "Observation.code.extension"} <= set(
        found.manifest.sent
    )
    assert not {"Observation.status", "Observation.code"} & set(found.manifest.sent)
    # R4 takes the extension of a primitive for its value; our own table looks for the value.
    assert {one.path for one in problems(sent)} == {"Observation.status"}


def test_what_fhir_does_not_require_has_no_mark() -> None:
    sent = only(RATE, asking(), without("effectiveDateTime"))

    assert "_effectiveDateTime" not in sent
    assert sent["meta"] == {"tag": [SUBSETTED]}


@pytest.mark.parametrize(
    "extra",
    [
        {"valueQuantity": quantity(80, "furlong")},
        {"valueQuantity": None},
        {"status": "nonsense", "valueQuantity": {"value": "80"}},
    ],
)
def test_what_is_kept_here_for_another_reason_than_rights_has_no_mark(extra: Json) -> None:
    sent = only(
        bundle(patient(), observation("8867-4", **extra)), asking(), with_classes("vital-signs")
    )

    assert sent.keys().isdisjoint({"dataAbsentReason", "_status"})
    assert sent["meta"] == {"tag": [SUBSETTED]}


def test_what_the_need_does_not_ask_for_or_the_chart_does_not_have_has_no_mark() -> None:
    unasked = only(RATE, asking("code", "effectiveDateTime"), without("status", "valueQuantity"))
    bare = only(bundle(patient(), observation("8867-4")), asking(), without("valueQuantity"))
    empty = bundle(patient(), {**observation("8867-4"), "valueQuantity": None})
    null = only(empty, asking(), without("valueQuantity"))

    for sent in (unasked, bare, null):
        assert sent.keys().isdisjoint({"dataAbsentReason", "_status"})


def test_text_that_the_tool_does_not_say_it_needs_has_no_mark() -> None:
    body = bundle(patient(), observation("8867-4", valueString="eighty"))
    of = asking("status", "code", "valueString")

    assert "dataAbsentReason" not in only(body, of, with_classes("vital-signs"))


@pytest.mark.parametrize("value", [False, 0])
def test_a_value_that_is_no_or_nought_is_a_value(value: Any) -> None:
    name = "valueBoolean" if value is False else "valueInteger"
    body = bundle(patient(), {**observation("8867-4"), name: value})

    sent = only(body, asking("status", "code", name), without(name))

    assert sent["dataAbsentReason"] == WHY


def test_a_component_has_its_own_mark() -> None:
    of = asking("status", "code", "component.code", "component.valueQuantity")
    sent = only(bundle(patient(), blood_pressure()), of, without("component.valueQuantity"))

    assert [part["dataAbsentReason"] for part in sent["component"]] == [WHY, WHY]
    assert all("valueQuantity" not in part for part in sent["component"])
    assert "dataAbsentReason" not in sent
    assert sent["meta"]["security"] == [REDACTED]
    codeless = only(bundle(patient(), blood_pressure()), of, without("component.code"))
    assert [part["code"] for part in codeless["component"]] == [MARK, MARK]
    assert codeless["component"][0]["valueQuantity"]["value"] == 118
    assert problems(sent) == problems(codeless) == ()


def test_a_resource_of_which_nothing_may_leave_is_not_sent_as_a_mark() -> None:
    body = bundle(patient(), observation("8867-4", 80))
    of = asking("status", "code", "valueQuantity", "issued")
    by = without("status", "code", "valueQuantity")

    assert resources(run(body, of, by=by), "Observation") == []


def test_what_sensitivity_keeps_back_has_no_mark_at_all() -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                           "code": "HIV"}]}  # fmt: skip
    body = bundle(patient(), observation("8867-4", 80, meta=label))

    assert resources(run(body, asking(), by=without("status")), "Observation") == []


def test_only_the_need_that_says_so_masks() -> None:
    of = tool(
        {"resource": "Observation", "paths": PATHS, "codes": {"loinc": ("8867-4",)}},
        {"resource": "Observation", "paths": PATHS, "codes": {"loinc": ("9279-1",)}, "mask": True},
    )
    body = bundle(patient(), observation("8867-4", 80), observation("9279-1", 16))

    heart, breath = resources(run(body, of, by=without("valueQuantity")), "Observation")
    assert "dataAbsentReason" not in heart
    assert breath["dataAbsentReason"] == WHY
    assert heart["code"]["coding"][0]["code"] == "8867-4"


def test_a_need_masks_what_it_asks_for_itself_and_where_it_selects() -> None:
    asks = {"resource": "Observation", "paths": ("status", "code", "effectiveDateTime")}
    beside = tool(asks, {**asks, "paths": ("code", "valueQuantity"), "mask": True})
    newer = tool(asks, {**asks, "paths": ("status", "issued"), "mask": True, "window": "PT1H"})
    other = tool(asks, {**asks, "resource": "DiagnosticReport", "mask": True})
    by = without("status", "valueQuantity")
    old = bundle(patient(), observation("8867-4", 80, at="2026-03-01T08:00:00Z"))

    marked = only(RATE, beside, by)
    assert "_status" not in marked
    assert marked["dataAbsentReason"] == WHY
    assert only(RATE, newer, by)["_status"] == MARK
    assert "_status" not in only(old, newer, by)
    assert "_status" not in only(RATE, other, by)


def test_a_mark_never_replaces_what_is_kept() -> None:
    assert masks("Observation", ["code", "status"], {"code": {}}) == {"_status": MARK}


def test_other_types_keep_their_required_elements_too() -> None:
    of = tool(
        {"resource": "DiagnosticReport", "paths": ("status", "code", "presentedForm"),
         "text": True, "mask": True},
        capability="chest-xray-findings",
    )  # fmt: skip
    found = run(bundle(patient(), report("Clear.")), of, by=with_classes("report-text"))

    (sent,) = resources(found, "DiagnosticReport")
    assert (sent["_status"], sent["code"]) == (MARK, MARK)
    assert sent["meta"]["security"] == [REDACTED]


def test_every_required_element_is_one_that_a_policy_can_name() -> None:
    for place, names in REQUIRED.items():
        kind, _, head = place.partition(".")
        for name in names:
            assert (f"{head}.{name}" if head else name) in ELEMENTS[kind]
            assert element_name(place, name) == name


def test_the_marks_of_a_masked_resource_are_loinc_and_nothing_else_of_the_chart() -> None:
    canary = "CANARY-11fe"
    extra = {"status": canary, "valueQuantity": {"value": 80, "unit": canary}, canary: canary}
    code = {"coding": [{"system": LOINC, "code": "8867-4", "display": canary}], "text": canary}
    body = bundle(patient(), observation("8867-4", code=code, **extra))

    found = run(body, asking(*PATHS, canary), by=without("status", "code", "valueQuantity"))

    (sent,) = resources(found, "Observation")
    assert (sent["_status"], sent["code"], sent["dataAbsentReason"]) == (MARK, MARK, WHY)
    assert canary not in str(found.payload)
