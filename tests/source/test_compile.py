"""What is asked for, before anything is: need of the tools ∩ right of the role, as searches."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from careweir.source import Dialect, Search, searches
from careweir.source.judged import SEARCHED, base_name
from careweir_kit.tool import Tool
from minimise.charts import AS_OF, CHEST, LABS, SEPSIS, VITALS, decision, policies, tool

PULSE = {"resource": "Observation", "paths": ("code", "valueQuantity"),
         "codes": {"loinc": ("8867-4",)}}  # fmt: skip


def compiled(*tools: Tool, **more: Any) -> tuple[Search, ...]:
    given = {"patient": "p1", "as_of": AS_OF, "study": None, **more}
    by = given.pop("by", None) or decision(of=tools[0])
    return searches(tools, by, **given)


def of_type(found: tuple[Search, ...], kind: str) -> list[dict[str, str]]:
    """The parameters of the searches of one type; the last of two equal names."""
    return [dict(search.params) for search in found if search.resource == kind]


def codes(found: tuple[Search, ...]) -> set[str]:
    tokens = [row.get("combo-code", row.get("code", "")) for row in of_type(found, "Observation")]
    return {one.rpartition("|")[2] for token in tokens for one in token.split(",")}


def test_a_need_becomes_codes_dates_elements_and_a_page_size() -> None:
    found = compiled(tool({**PULSE, "window": "PT24H"}), dialect=Dialect(count=77))

    assert [search.asked for search in found] == [
        "Patient/[id]?_elements",
        "Consent?patient&_elements&_count",
        "Observation?patient&combo-code&date&date&_elements&_count",
        "Observation?patient&combo-code&date:missing&_elements&_count",
    ]
    dated = found[2].params
    assert ("patient", "p1") in dated
    assert ("combo-code", "http://loinc.org|8867-4") in dated
    assert ("date", "ge2026-03-01T08:30:00Z") in dated
    assert ("date", "le2026-03-02T20:30:01Z") in dated
    assert ("_count", "77") in dated
    assert dict(found[0].params)["_elements"] == "id,meta"


def test_narrative_contained_and_extensions_are_never_asked_for() -> None:
    for of in (SEPSIS, CHEST):
        for search in compiled(of, study="ImagingStudy/s"):
            elements = set(dict(search.params)["_elements"].split(","))
            allowed = {"extension"} if search.resource == "Patient" and of is CHEST else set()
            assert elements & {"text", "contained", "extension"} <= allowed


def test_elements_have_their_base_names() -> None:
    paths = ("valueQuantity", "effectiveDateTime", "component.code", "valueset", "value", "status")

    assert [base_name(path) for path in paths] == [
        "value", "effective", "component", "valueset", "value", "status"
    ]  # fmt: skip


def test_codes_of_classes_without_a_right_are_not_asked_for() -> None:
    full = decision()
    vitals = tuple(p for p in full.rights.classes if p[0].name in ("vital-signs", "age"))
    narrow = replace(full, rights=replace(full.rights, classes=vitals))

    assert codes(compiled(SEPSIS)) >= {"8867-4", "2160-0"}
    assert codes(compiled(SEPSIS, by=narrow)) <= set(VITALS)
    assert not codes(compiled(SEPSIS, by=narrow)) & set(LABS)


def test_types_without_a_right_are_not_asked_for() -> None:
    wide = tool(
        PULSE,
        {"resource": "Condition", "paths": ("code",), "codes": {"icd10cm": ("B20", "I10")}},
        {"resource": "MedicationRequest", "paths": ("medicationCodeableConcept",)},
        {"resource": "DiagnosticReport", "paths": ("presentedForm",), "text": True},
        {"resource": "Claim", "paths": ("diagnosis",)},
        {"resource": "Appointment", "paths": ("start",)},
    )

    kinds = {search.resource for search in compiled(wide)}

    assert kinds == {"Patient", "Consent", "Observation"}


def test_a_sensitive_code_is_asked_for_only_with_the_right_to_it() -> None:
    pregnant = tool({"resource": "Condition", "paths": ("code",),
                     "codes": {"snomed": ("77386006",)}})  # fmt: skip
    full = decision()
    classes = tuple(
        (replace(one, sensitivity=frozenset()) if one.name == "pregnancy" else one, rule)
        for one, rule in full.rights.classes
    )
    without = replace(full, rights=replace(full.rights, classes=classes))

    assert of_type(compiled(pregnant), "Condition")[0]["code"] == "http://snomed.info/sct|77386006"
    assert compiled(pregnant, by=without) == ()


def test_codes_that_nobody_knows_are_not_asked_for() -> None:
    strange = tool({**PULSE, "codes": {"loinc": ("8867-4", "99999-9")}})

    assert codes(compiled(strange)) == {"8867-4"}


def test_a_denied_decision_or_a_closed_region_asks_for_nothing() -> None:
    assert compiled(SEPSIS, by=decision(role="scheduler")) == ()
    assert compiled(SEPSIS.model_copy(update={"region": "eu"})) == ()
    north = policies().decide(
        role="ed-physician", purpose="TREAT", capability="sepsis-risk", site="north"
    )
    assert compiled(SEPSIS.model_copy(update={"region": "us"}), by=north) != ()


def test_the_order_of_tools_and_needs_changes_nothing() -> None:
    needs = [need.model_dump() for need in SEPSIS.needs]
    expected = compiled(SEPSIS, tool(PULSE))

    for seed in range(10):
        shuffled = random.Random(seed).sample(needs, len(needs))
        pair = [tool(*shuffled), tool(PULSE)]
        assert compiled(*random.Random(seed).sample(pair, 2)) == expected


def test_equal_needs_are_merged_and_the_widest_window_holds_the_narrower() -> None:
    day, week = tool({**PULSE, "window": "PT24H"}), tool({**PULSE, "window": "P7D"})

    assert compiled(day, week) == compiled(week)
    assert len(of_type(compiled(day, tool(PULSE)), "Observation")) == 1
    both = tool({**PULSE, "window": "PT24H"}, {**PULSE, "codes": {"loinc": ("9279-1",)}})
    assert len(of_type(compiled(both), "Observation")) == 3  # all, dated, undated


def test_many_codes_are_split_over_several_searches() -> None:
    every = compiled(tool({"resource": "Observation", "paths": ("code", "valueQuantity")}))

    rows = of_type(every, "Observation")
    assert len(rows) > 1
    assert all(row["combo-code"].count(",") < 60 for row in rows)
    assert codes(every) == sendable()


def sendable() -> set[str]:
    """The codes of which the role may send the code or a quantity."""
    rights = decision().rights
    assert rights.vocabulary is not None
    classes = {
        name
        for one, _ in rights.of("Observation")
        if one.paths & {"code", "valueQuantity"}
        for name in one.code_classes
    }
    return {
        code
        for (_, code), known in rights.vocabulary.codes.items()
        if known.code_class in classes and known.sensitivity is None
    }


def test_a_server_that_lacks_a_parameter_is_not_asked_with_it() -> None:
    plain = Dialect(lacks=frozenset({"combo-code", "missing"}))

    found = compiled(tool({**PULSE, "window": "PT24H"}), dialect=plain)

    assert [search.asked for search in found][2:] == [
        "Observation?patient&code&date&date&_elements&_count"
    ]


def test_addresses_are_encoded_and_their_record_holds_no_value() -> None:
    (search,) = of_observation = [s for s in compiled(tool(PULSE)) if s.resource == "Observation"]

    assert "combo-code=http%3A%2F%2Floinc.org%7C8867-4" in search.path
    assert search.scope == "system/Observation.rs"
    for one in of_observation:
        assert not {"p1", "8867-4", "2026"} & set(one.asked.replace("&", "?").split("?"))


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 2, tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_moments_at_the_edge_of_time_do_not_fail(moment: datetime) -> None:
    assert compiled(tool({**PULSE, "window": "P30Y"}), as_of=moment)


def test_every_type_that_is_searched_can_be_judged() -> None:
    for kind, searched in SEARCHED.items():
        elements = searched.elements(text=False)
        assert {"meta", searched.subject} <= elements, kind
        assert not elements & {"text", "contained", "extension", "identifier"}, kind
