"""What a manifest says of what stays: the path, how often, the reason and the rule, exactly."""

from __future__ import annotations

from typing import Any

import pytest

from careweir.minimise import Minimised
from minimise.charts import (
    CHEST,
    LOINC,
    Json,
    blood_pressure,
    bundle,
    decision,
    observation,
    quantity,
    report,
    resources,
    run,
    tool,
    with_classes,
)

Row = tuple[str, int, str, str]
PERSON = {"resourceType": "Patient", "id": "p1"}
RATE = tool(
    {
        "resource": "Observation",
        "paths": ("status", "code", "effectiveDateTime", "valueQuantity"),
        "codes": {"loinc": ("8867-4", "2524-7")},
        "window": "PT24H",
        "last": 1,
    }
)
LABEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
VOID = "entered in error or cancelled"
OTHER_RULE = "could mean something else by a rule that we do not know"


def rows(found: Minimised) -> set[Row]:
    return {(row.path, row.count, row.reason, row.rule) for row in found.manifest.withheld}


def of(*others: Json, by: Any = None, asked: Any = RATE, study: str | None = None) -> set[Row]:
    return rows(run(bundle(PERSON, *others), asked, by=by, study=study)) - {
        ("Patient", 1, "not_needed_by_tool", "the tool needs nothing of this type")
    }


def test_of_what_leaves_whole_nothing_is_said_to_stay() -> None:
    assert of(observation("8867-4", 80)) == set()


@pytest.mark.parametrize(
    ("extra", "reason", "rule"),
    [
        ({"code": {"text": "rate"}}, "unknown_code", "code in no table"),
        ({"code": {"coding": [{"system": LOINC, "code": "9279-1"}]}}, "not_needed_by_tool",
         "code not needed"),
        ({"status": "entered-in-error"}, "not_needed_by_tool", VOID),
        ({"status": "nullified"}, "not_needed_by_tool", VOID),
        ({"verificationStatus": {"coding": [{"system": "x", "code": "refuted"}]}},
         "not_needed_by_tool", "entered in error or refuted"),
        ({"focus": [{"reference": "Patient/fetus"}]}, "not_needed_by_tool",
         "is about something else than the patient (focus)"),
        ({"doNotPerform": True}, "not_needed_by_tool", "says what must not be done"),
        ({"doNotPerform": 0}, "not_needed_by_tool", "says what must not be done"),
        ({"modifierExtension": []}, "not_needed_by_tool", OTHER_RULE),
        ({"implicitRules": None}, "not_needed_by_tool", OTHER_RULE),
        ({"referenceRange": [{"modifierExtension": [{"url": "x"}]}]}, "not_needed_by_tool",
         "a part could mean something else by a rule that we do not know"),
        ({"effectiveDateTime": "2026-03-02T08:31:00Z"}, "time_window",
         "after the moment that is asked about"),
        ({"effectiveDateTime": None}, "time_window", "without a date"),
        ({"effectiveDateTime": "2026-02-01"}, "time_window", "older than PT24H"),
        ({"meta": {"security": [{"system": LABEL, "code": "V"}]}}, "sensitivity:V",
         "no grant for V"),
        ({"note": [{"text": "HIV and alcohol"}]}, "sensitivity:ETHUD", "no grant for ETHUD"),
        ({"subject": {"display": "her"}}, "not_needed_by_tool",
         "does not say that it is about this patient"),
    ],
)  # fmt: skip
def test_a_whole_resource_that_stays_is_one_row_with_its_rule(
    extra: Json, reason: str, rule: str
) -> None:
    assert of(observation("8867-4", 80, **extra)) == {("Observation", 1, reason, rule)}


def test_without_a_class_for_it_a_resource_and_its_asked_paths_stay_by_right() -> None:
    why = ("role", "no data class of the grant has this")
    missing = ("role", "no data class of the grant has this path")

    found = of(observation("8867-4", 80), observation("2524-7", 2), by=with_classes("sex"))

    assert found == {
        (f"Observation.{path}", 1, *missing)
        for path in ("status", "code", "effectiveDateTime", "valueQuantity")
    }  # of a tool that may have nothing of the type, nothing is looked at
    both = tool(
        {"resource": "Patient", "paths": ("gender",)},
        {"resource": "Observation", "paths": ("code",)},
    )
    assert of(observation("8867-4", 80), by=with_classes("sex", "laboratory"), asked=both) == {
        ("Observation", 1, *why)
    }


def test_each_of_several_is_counted_and_the_newest_wins() -> None:
    rates = [observation("8867-4", n, at=f"2026-03-02T0{n}:00:00Z") for n in (5, 7, 6, 4)]

    found = run(bundle(PERSON, *rates), RATE)

    (sent,) = resources(found, "Observation")
    assert sent["valueQuantity"]["value"] == 7
    older = "older than the last that the tool needs"
    assert rows(found) >= {("Observation", 3, "not_needed_by_tool", older)}


def test_of_two_at_the_same_moment_the_later_in_the_chart_is_the_newest() -> None:
    body = bundle(PERSON, observation("8867-4", 71, id="a"), observation("8867-4", 72, id="b"))

    (sent,) = resources(run(body, RATE), "Observation")

    assert sent["valueQuantity"]["value"] == 72


def test_what_leaves_keeps_the_order_of_the_chart() -> None:
    rates = [observation("8867-4", n, at=f"2026-03-02T0{n}:00:00Z") for n in (5, 7, 6, 4)]
    need = {"resource": "Observation", "paths": ("code", "valueQuantity"), "last": 3}

    sent = resources(run(bundle(PERSON, *rates), tool(need)), "Observation")

    assert [one["valueQuantity"]["value"] for one in sent] == [5, 7, 6]
    assert [one["id"] for one in sent] == ["o1", "o2", "o3"]


def test_of_several_reasons_the_furthest_is_told() -> None:
    """One need does not want it, another would but it is too old: the second is the reason."""
    late = {"resource": "Observation", "paths": ("code",), "codes": {"loinc": ("8867-4",)},
            "window": "PT1H"}  # fmt: skip
    never = {"resource": "Observation", "paths": ("code",), "codes": {"loinc": ("2524-7",)}}
    old = observation("8867-4", 80, at="2026-03-01")

    for asked in (tool(late, never), tool(never, late)):
        assert of(old, asked=asked) == {("Observation", 1, "time_window", "older than PT1H")}


def test_what_one_need_takes_is_not_said_to_stay_for_another() -> None:
    late = {"resource": "Observation", "paths": ("code",), "window": "PT1H"}
    any_time = {"resource": "Observation", "paths": ("status",)}
    old = observation("8867-4", 80, at="2026-03-01")

    found = run(bundle(PERSON, old), tool(late, any_time))

    assert len(resources(found, "Observation")) == 1
    assert not [row for row in rows(found) if row[0] == "Observation"]


def test_types_and_entries_that_nobody_asks_for_are_counted() -> None:
    others = ({"resourceType": kind} for kind in ("Goal", "Goal", "Diary"))
    body = bundle(PERSON, *others).replace(b"]}", b', {"fullUrl": "x"}, {}]}', 1)

    found = rows(run(body, RATE))

    nothing = ("not_needed_by_tool", "the tool needs nothing of this type")
    assert found == {
        ("Patient", 1, *nothing),
        ("Goal", 2, *nothing),
        ("(unknown)", 1, *nothing),
        ("Bundle.entry", 2, "not_needed_by_tool", "entry without a resource"),
    }


def test_elements_of_what_leaves_are_counted_with_their_reasons() -> None:
    observed = observation(
        "8867-4",
        80,
        "furlongs",
        note=[{"text": "calm"}],
        mood="calm",
        _status={"id": "x"},
        bodySite={"text": "arm"},
    )

    assert of(observed) == {
        ("Observation.valueQuantity", 1, "unknown_code", "no code, unit or form that we know"),
        ("Observation.note", 1, "not_needed_by_tool", "the tool does not ask for it"),
        ("Observation.bodySite", 1, "not_needed_by_tool", "the tool does not ask for it"),
        ("Observation.(unknown)", 1, "not_needed_by_tool", "the tool does not ask for it"),
        ("Observation.status", 1, "unknown_code", "no code, unit or form that we know"),
    }


PANEL = {
    "resource": "Observation",
    "paths": ("code", "component.code", "component.valueQuantity", "component.interpretation"),
    "codes": {"loinc": ("85354-9", "8480-6", "8462-4")},
}


def test_components_and_their_children_are_counted_each() -> None:
    panel = blood_pressure()
    panel["component"][0]["interpretation"] = [{"text": "high"}]
    panel["component"][1]["dataAbsentReason"] = {"text": "x"}
    panel["component"] += [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity(1, "%")}
        for code in ("8478-0", "8478-0", "0-0", "0-1", "0-2")
    ]
    panel["component"].append("nonsense")

    found = of(panel, asked=tool(PANEL))

    other = ("not_needed_by_tool", "the tool does not ask for it")
    assert found == {
        ("Observation.component", 2, "not_needed_by_tool", "code not needed"),
        ("Observation.component", 3, "unknown_code", "code in no table"),
        ("Observation.component.interpretation", 1, "role", "no data class can name this path"),
        ("Observation.component.dataAbsentReason", 1, *other),
        ("Observation.status", 1, *other),
        ("Observation.effectiveDateTime", 1, *other),
    }  # fmt: skip


def test_of_a_denied_question_every_asked_path_stays_by_the_rule_that_denied() -> None:
    found = run(bundle(PERSON, observation("8867-4", 80)), RATE, by=decision("scheduler"))

    assert found.payload is None
    assert rows(found) == {
        (f"Observation.{path}", 1, "role", "no grant for scheduler/TREAT/sepsis-risk")
        for path in ("status", "code", "effectiveDateTime", "valueQuantity")
    }


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        (decision("ed-physician", "HPAYMT"), "purpose"),
        (decision("ed-physician", "HMARKT"), "purpose"),
        (decision("auditor"), "role"),
    ],
)
def test_a_refusal_says_whether_role_or_purpose_was_wrong(by: Any, reason: str) -> None:
    assert {row[2] for row in of(by=by)} == {reason}


def test_another_study_keeps_a_report_here() -> None:
    found = of(
        report(imagingStudy=[{"reference": "ImagingStudy/other"}]), asked=CHEST, study="1.2.3"
    )

    assert (
        "DiagnosticReport", 1, "not_needed_by_tool", "belongs to another study",
    ) in found  # fmt: skip


def test_text_without_the_word_text_in_the_tool_file_stays_and_says_so() -> None:
    need = {"resource": "DiagnosticReport", "paths": ("code", "conclusion")}

    found = of(report(conclusion="Clear."), asked=tool(need, capability="chest-xray-findings"))

    assert (
        "DiagnosticReport.conclusion", 1, "not_needed_by_tool",
        "the tool file does not say that it needs text",
    ) in found  # fmt: skip


def test_a_path_that_no_class_could_ever_name_says_so() -> None:
    asked = tool({"resource": "Patient", "paths": ("gender", "photo")})
    photo = {"resourceType": "Patient", "id": "p1", "photo": [{}], "gender": "male"}

    assert rows(run(bundle(photo), asked)) == {
        ("Patient.photo", 1, "role", "no data class can name this path")
    }


def test_the_pseudonym_and_what_was_put_in_place_are_named() -> None:
    asked = tool(
        {"resource": "Patient", "paths": ("birthDate",), "transforms": {"birthDate": "age_years"}},
        {"resource": "Observation", "paths": ("code", "encounter"),
         "codes": {"loinc": ("8867-4",)}},
        {"resource": "Encounter", "paths": ("status",)},
    )  # fmt: skip
    stay = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "subject": {"reference": "Patient/p1"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    }
    person = {**PERSON, "birthDate": "1957-03-03"}
    observed = observation("8867-4", 80, encounter={"reference": "Encounter/e1"})

    found = run(
        bundle(person, observed, stay), asked, by=with_classes("age", "vital-signs", "stays"),
        pseudonyms=lambda kind, real: f"{kind}/for-{real.rpartition('/')[2]}",
    )  # fmt: skip

    assert {(row.path, row.transform) for row in found.manifest.transformed} == {
        ("Patient.id", "pseudonymise"),
        ("Patient.birthDate", "age_years"),
        ("Observation.id", "pseudonymise"),
        ("Observation.subject", "pseudonymise"),
        ("Observation.encounter", "pseudonymise"),
        ("Encounter.id", "pseudonymise"),
        ("Encounter.subject", "pseudonymise"),
    }
    (sent,), (where,) = resources(found, "Observation"), resources(found, "Encounter")
    assert sent["encounter"] == {"reference": "Encounter/for-e1"}
    assert (where["id"], where["subject"]) == ("for-e1", {"reference": "Patient/px"})
    (person_sent,) = resources(found, "Patient")
    assert person_sent["id"] == "px"
    assert "subject" not in person_sent


def test_a_patient_that_claims_a_subject_leaves_without_one() -> None:
    asked = tool({"resource": "Patient", "paths": ("gender",)})
    odd = {**PERSON, "gender": "male", "subject": {"reference": "Patient/p1"}}

    found = run(bundle(odd), asked)

    assert "subject" not in resources(found, "Patient")[0]
    assert ("Patient.(unknown)", 1, "not_needed_by_tool", "the tool does not ask for it") in rows(
        found
    )


@pytest.mark.parametrize("name", ["subject", "patient", "beneficiary"])
def test_each_way_to_name_the_patient_leaves_under_the_pseudonym(name: str) -> None:
    asked = tool({"resource": "Coverage", "paths": ("status",)})
    cover = {"resourceType": "Coverage", "status": "active", name: {"reference": "Patient/p1"}}

    found = run(bundle(PERSON, cover), asked, by=with_classes("coverage"))

    (sent,) = resources(found, "Coverage")
    assert sent[name] == {"reference": "Patient/px"}
    assert not [row for row in rows(found) if row[0].startswith("Coverage.")]
