"""Need of the tool ∩ right of the role: which ways are open, and what each other path is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from careweir.access import PolicySet
from careweir.access.plan import asked_paths, plan
from careweir.access.rights import DataClass, Rights
from minimise.charts import tool

SHIPPED = PolicySet.load(Path(__file__).resolve().parents[2] / "policies")
NO_CLASS = "no data class of the grant has this path"


def rights(*classes: DataClass) -> Rights:
    permit = SHIPPED.decide(
        role="ed-physician", purpose="TREAT", capability="sepsis-risk", site=None
    )
    pairs = tuple((one, f"rule of {one.name}") for one in classes)
    return replace(permit.rights, classes=pairs, plans={}, masks={})


def klass(resource: str, *paths: str, **more: Any) -> DataClass:
    return DataClass(name="it", resource=resource, paths=frozenset(paths), **more)


def opened(
    resource: str, path: str, *classes: DataClass, form: str | None = None, text: bool = False
) -> tuple[list[tuple[str, str | None]], list[tuple[str, str, str]]]:
    """The ways of one asked path as path and transform, and the paths that are refused."""
    need = {"resource": resource, "paths": (path,), "text": text,
            "transforms": {} if form is None else {path: form}}  # fmt: skip
    (planned,) = plan(tool(need), rights(*classes))
    return [(way.path, way.transform) for way in planned.ways], list(planned.refused)


@pytest.mark.parametrize(
    ("form", "demanded", "open_"),
    [
        (None, (), True), (None, ("age_band",), False), ("age_band", ("age_band",), True),
        ("age_years", ("age_band",), False), ("age_years", ("age_band", "age_years"), True),
        ("age_band", (), True), ("year", (), True), ("shift_dates", (), False),
        ("postal_3", (), False), (None, ("shift_dates",), False),
    ],
)  # fmt: skip
def test_a_birth_date_leaves_only_in_a_form_that_its_class_allows(
    form: str | None, demanded: tuple[str, ...], open_: bool
) -> None:
    it = klass("Patient", "birthDate", transforms=frozenset(demanded))

    ways, refused = opened("Patient", "birthDate", it, form=form)

    assert ways == ([("birthDate", form)] if open_ else [])
    assert refused == ([] if open_ else [("birthDate", "role", NO_CLASS)])


@pytest.mark.parametrize(
    ("resource", "path", "form", "demanded", "open_"),
    [
        ("Observation", "issued", None, (), True),
        ("Observation", "issued", "year", (), True),
        ("Observation", "issued", "shift_dates", (), True),
        ("Observation", "issued", "age_band", (), False),
        ("Observation", "issued", None, ("shift_dates",), False),
        ("Observation", "issued", "shift_dates", ("shift_dates",), True),
        ("Observation", "issued", "lead_days", (), False),
        ("Appointment", "start", "lead_days", (), True),
        ("Appointment", "start", None, ("lead_days",), False),
        ("Appointment", "end", "lead_days", (), False),
        ("Appointment", "status", None, ("lead_days",), True),
        ("Observation", "effectivePeriod", "shift_dates", (), True),
        ("Observation", "effectivePeriod", "year", (), False),
        ("Observation", "code", None, ("shift_dates",), True),
        ("Observation", "code", None, ("year",), False),
        ("Observation", "code", "year", (), False),
        ("Patient", "address.postalCode", None, (), False),
        ("Patient", "address.postalCode", "postal_3", (), True),
        ("Patient", "address.postalCode", "postal_3", ("postal_3",), True),
    ],
)
def test_a_form_fits_the_kind_of_its_element(
    resource: str, path: str, form: str | None, demanded: tuple[str, ...], open_: bool
) -> None:
    it = klass(resource, path, transforms=frozenset(demanded))

    assert opened(resource, path, it, form=form)[0] == ([(path, form)] if open_ else [])


@pytest.mark.parametrize(
    ("needs_text", "class_text", "open_", "reason"),
    [
        (True, True, True, None),
        (True, False, False, ("conclusion", "role", NO_CLASS)),
        (False, True, False, ("conclusion", "not_needed_by_tool",
                              "the tool file does not say that it needs text")),
        (False, False, False, ("conclusion", "not_needed_by_tool",
                               "the tool file does not say that it needs text")),
    ],
)  # fmt: skip
def test_text_needs_both_the_tool_and_the_class(
    needs_text: bool, class_text: bool, open_: bool, reason: tuple[str, str, str] | None
) -> None:
    it = klass("DiagnosticReport", "conclusion", text=class_text)

    ways, refused = opened("DiagnosticReport", "conclusion", it, text=needs_text)

    assert bool(ways) is open_
    assert refused == ([] if reason is None else [reason])


def test_a_backbone_named_whole_opens_the_children_that_are_granted() -> None:
    parts = klass("Observation", "component.code", "component.valueQuantity", "code")

    assert opened("Observation", "component", parts) == (
        [("component.code", None), ("component.valueQuantity", None)], [],
    )  # fmt: skip
    assert opened("Observation", "component.code", parts)[0] == [("component.code", None)]
    assert opened("Observation", "comp", parts) == (
        [], [("comp", "role", "no data class can name this path")],
    )  # fmt: skip
    assert opened("Observation", "component", klass("Observation", "code")) == (
        [], [("component", "role", NO_CLASS)],
    )  # fmt: skip


def test_a_class_of_another_type_or_of_a_path_in_no_table_opens_nothing() -> None:
    assert opened("Patient", "gender", klass("Observation", "code")) == (
        [], [("gender", "role", NO_CLASS)],
    )  # fmt: skip
    assert opened("Patient", "photo", klass("Patient", "photo"))[0] == []
    assert opened("Flag", "status", klass("Flag", "status")) == (
        [], [("status", "role", "no data class can name this path")],
    )  # fmt: skip


def test_each_class_is_a_way_of_its_own_with_its_rule() -> None:
    need = {"resource": "Patient", "paths": ("gender",)}
    one, other = klass("Patient", "gender"), replace(klass("Patient", "gender"), name="other")

    (planned,) = plan(tool(need), rights(one, other))

    assert [way.rule for way in planned.ways] == ["rule of it", "rule of other"]
    assert [way.data_class for way in planned.ways] == [one, other]


SHIFTED = {"resource": "Observation", "paths": ("effectiveDateTime",),
           "transforms": {"effectiveDateTime": "shift_dates"}}  # fmt: skip
TRUE = "a true date beside shifted ones would tell the shift"


@pytest.mark.parametrize(
    ("resource", "path", "form", "open_"),
    [
        ("Observation", "issued", None, False), ("Observation", "issued", "year", False),
        ("Observation", "issued", "shift_dates", True), ("Observation", "code", None, True),
        ("Observation", "effectivePeriod", None, False), ("Patient", "birthDate", None, False),
        ("Patient", "birthDate", "year", True), ("Patient", "birthDate", "age_years", True),
        ("Appointment", "start", "lead_days", True), ("Appointment", "start", None, False),
    ],
)  # fmt: skip
def test_beside_a_shifted_date_no_true_one_leaves(
    resource: str, path: str, form: str | None, open_: bool
) -> None:
    need = {"resource": resource, "paths": (path,),
            "transforms": {} if form is None else {path: form}}  # fmt: skip
    both = rights(klass(resource, path), klass("Observation", "effectiveDateTime"))

    _, planned = plan(tool(SHIFTED, need), both)
    (alone,) = plan(tool(need), replace(both, plans={}))

    assert bool(planned.ways) is open_
    assert planned.refused == (() if open_ else ((path, "role", TRUE),))
    assert alone.ways


def test_codes_are_those_of_the_need_by_the_url_of_their_system() -> None:
    need = {"resource": "Observation", "paths": ("code",),
            "codes": {"loinc": ("8867-4", "1-1"), "urn:x": ("y",)}}  # fmt: skip

    (planned,) = plan(tool(need), rights(klass("Observation", "code")))

    assert planned.codes == {
        ("http://loinc.org", "8867-4"), ("http://loinc.org", "1-1"), ("urn:x", "y"),
    }  # fmt: skip


def test_what_a_tool_asks_for_is_listed_once_and_sorted() -> None:
    twice = {"resource": "Patient", "paths": ("gender", "birthDate")}

    assert asked_paths(tool(twice, twice, SHIFTED)) == (
        "Observation.effectiveDateTime", "Patient.birthDate", "Patient.gender",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("granted", "asked", "covered"),
    [
        ("TREAT", "TREAT", True), ("TREAT", "ETREAT", True), ("ETREAT", "TREAT", False),
        ("BTG", "BTG", True), ("TREAT", "BTG", False), ("ETREAT", "BTG", False),
        ("BTG", "TREAT", False), ("BTG", "ETREAT", False), ("HPAYMT", "TREAT", False),
        ("HPAYMT", "nonsense", False), ("HOPERAT", "CAREMGT", True),
    ],
)  # fmt: skip
def test_a_purpose_covers_those_below_it_and_an_override_only_itself(
    granted: str, asked: str, covered: bool
) -> None:
    assert SHIPPED.purposes.covers(granted, asked) is covered


def test_a_forbid_of_a_purpose_forbids_the_override_below_it_too() -> None:
    assert "TREAT" in SHIPPED.purposes.lineage("BTG")
    assert SHIPPED.purposes.lineage("nonsense") == {"nonsense"}
