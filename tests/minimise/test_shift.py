"""Shifted dates: one shift for all dates of a disclosure, and nothing beside them that tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from careweir.ids import Pseudonyms
from careweir.minimise.moment import shift_days, shifted
from careweir_kit.payload import standing_observations
from careweir_kit.tool import Tool
from minimise.charts import (
    Json,
    bundle,
    everything,
    observation,
    patient,
    policies,
    reasons,
    report,
    resources,
    run,
    tool,
    with_classes,
)

DAYS = shift_days("shift-10x")  # of the pseudonyms that the charts of the tests have
PATHS = ("status", "code", "effectiveDateTime", "issued", "effectivePeriod", "valueQuantity")
DATES = ("effectiveDateTime", "issued", "effectivePeriod")
ALL = {path: "shift_dates" for path in DATES}


def vitals(transforms: Json, paths: tuple[str, ...] = PATHS) -> Tool:
    return tool({"resource": "Observation", "paths": paths, "transforms": transforms})


def sent(of: Tool, *, by: Any = None, **extra: Any) -> Json:
    found = run(bundle(patient(), observation("8867-4", 80, **extra)), of, by=by)
    (only,) = resources(found, "Observation")
    return only


def days_between(first: str, second: str) -> int:
    return (date.fromisoformat(second[:10]) - date.fromisoformat(first[:10])).days


@pytest.mark.parametrize(
    "written",
    ["2026-03-02", "2026-03-02T23:59:59.123456789+05:30", "2024-02-29T00:00:00Z", "1931-01-01",
     "2026-03-02T08:30Z"],
)  # fmt: skip
@pytest.mark.parametrize("days", [-1, -59, -365])
def test_a_shift_moves_the_day_and_keeps_time_offset_and_precision(written: str, days: int) -> None:
    moved = shifted(written, days)

    assert moved is not None
    assert days_between(written, moved) == days
    assert moved[10:] == written[10:]


@pytest.mark.parametrize(
    "written", ["2026", "2026-03", "0001-01-01", "2026-02-30", "late", "", None, 2026]
)
def test_what_days_cannot_move_is_not_sent(written: Any) -> None:
    assert shifted(written, -300) is None


def test_the_shift_is_one_to_365_days_back_and_spread_over_all_of_them() -> None:
    found = {shift_days(f"s{number}") for number in range(5000)}

    assert found == set(range(-365, 0))


def test_the_dates_of_a_disclosure_move_together_and_the_manifest_says_so() -> None:
    times = {
        "effectiveDateTime": "2026-03-02T08:00:00Z",
        "issued": "2026-03-02T08:05:00.5+01:00",
        "effectivePeriod": {"start": "2026-03-01", "end": "2026-03-02T01:00:00Z"},
    }
    found = run(bundle(patient(), observation("8867-4", 80, **times)), vitals(ALL))

    (only,) = resources(found, "Observation")
    assert only["effectiveDateTime"] == shifted(times["effectiveDateTime"], DAYS)
    assert only["issued"] == shifted(times["issued"], DAYS)
    assert only["effectivePeriod"] == {
        "start": shifted("2026-03-01", DAYS),
        "end": shifted("2026-03-02T01:00:00Z", DAYS),
    }
    assert {(f"Observation.{path}", "shift_dates") for path in DATES} <= {
        (row.path, row.transform) for row in found.manifest.transformed
    }
    assert "2026-03-0" not in everything(found)


def test_another_tool_patient_or_question_has_another_shift() -> None:
    def start(inference: str, name: str, person: str, key: bytes = b"k" * 32) -> str:
        of = vitals(ALL).model_copy(update={"tool": name})
        about = {"reference": f"Patient/{person}"}
        body = bundle(patient(id=person), observation("8867-4", 80, subject=about))
        found = run(
            body,
            of,
            subject=f"Patient/{person}",
            pseudonyms=Pseudonyms(key, inference=inference, tool=name),
        )
        return str(resources(found, "Observation")[0]["effectiveDateTime"])

    one = start("inf_1", "first", "p1")

    assert start("inf_1", "first", "p1") == one
    assert start("inf_1", "second", "p1") != one
    assert start("inf_2", "first", "p1") != one
    assert start("inf_1", "first", "p2") != one
    assert start("inf_1", "first", "p1", b"j" * 32) != one


@pytest.mark.parametrize("plain", [{}, {"issued": "year"}])
def test_a_true_date_never_leaves_beside_a_shifted_one(plain: dict[str, str]) -> None:
    issued = {"issued": "2026-03-02T08:00:00Z"}
    of = vitals({"effectiveDateTime": "shift_dates", **plain})
    found = run(bundle(patient(), observation("8867-4", 80, **issued)), of)

    assert "issued" not in resources(found, "Observation")[0]
    assert reasons(found)["Observation.issued"] == {"role"}
    assert "2026-03-02" not in everything(found)
    assert sent(vitals(plain), **issued)["issued"].startswith("2026")


def test_a_true_period_never_leaves_beside_a_shifted_date() -> None:
    period = {"effectivePeriod": {"start": "2026-03-01T08:00:00Z", "end": "2026-03-02"}}

    assert "effectivePeriod" not in sent(vitals({"effectiveDateTime": "shift_dates"}), **period)
    assert sent(vitals({}), **period)["effectivePeriod"] == period["effectivePeriod"]


def test_what_one_need_shifts_no_other_need_of_the_tool_sends_unshifted() -> None:
    of = tool(
        {"resource": "Observation", "paths": ("code", "effectiveDateTime"),
         "transforms": {"effectiveDateTime": "shift_dates"}},
        {"resource": "Observation", "paths": ("code", "effectiveDateTime", "valueQuantity")},
        {"resource": "Patient", "paths": ("birthDate", "gender")},
    )  # fmt: skip
    by = with_classes("vital-signs", "birth-date", "sex")
    found = run(bundle(patient(), observation("8867-4", 80)), of, by=by)

    moved = resources(found, "Observation")[0]["effectiveDateTime"]
    assert moved == shifted("2026-03-02T08:00:00Z", DAYS)
    assert "birthDate" not in resources(found, "Patient")[0]
    assert "2026-03-02" not in everything(found)


def test_a_birth_date_is_never_shifted_and_an_age_is_the_true_one() -> None:
    aged = tool(
        {"resource": "Patient", "paths": ("birthDate", "gender"),
         "transforms": {"birthDate": "age_years"}},
        {"resource": "Observation", "paths": PATHS, "transforms": ALL},
    )  # fmt: skip
    odd = tool(
        {"resource": "Patient", "paths": ("birthDate", "gender"),
         "transforms": {"birthDate": "shift_dates"}}
    )  # fmt: skip
    every = with_classes("age", "birth-year", "birth-date", "sex")

    (person,) = resources(run(bundle(patient(), observation("8867-4", 80)), aged), "Patient")
    assert person["extension"] == [{"url": "urn:careweir:age-years", "valueInteger": 68}]
    (other,) = resources(run(bundle(patient()), odd, by=every), "Patient")
    assert other.keys() == {"resourceType", "id", "meta", "gender"}


@pytest.mark.parametrize(
    "period",
    [{"start": "2026-03-01", "end": "2026"}, {"start": "2026-03"}, {"end": "2026"}, {},
     {"start": "2026-03-01", "end": None}, "2026-03-01"],
)  # fmt: skip
def test_a_period_of_which_one_end_cannot_move_is_not_sent_half(period: Any) -> None:
    assert "effectivePeriod" not in sent(vitals(ALL), effectivePeriod=period)


def test_a_period_without_an_end_stays_without_one() -> None:
    found = sent(vitals(ALL), effectivePeriod={"start": "2026-03-01"})

    assert found["effectivePeriod"] == {"start": shifted("2026-03-01", DAYS)}


def test_a_class_can_demand_the_shift_and_then_a_true_date_does_not_leave() -> None:
    demands = frozenset({"shift_dates"})
    by = with_classes(replace(policies().classes["vital-signs"], transforms=demands))

    shy = sent(vitals(ALL), by=by)
    assert shy["effectiveDateTime"] == shifted("2026-03-02T08:00:00Z", DAYS)
    assert shy["valueQuantity"]["value"] == 80
    plain = sent(vitals({}), by=by)
    assert plain["valueQuantity"]["value"] == 80
    assert not {"effectiveDateTime", "effectivePeriod", "issued"} & plain.keys()


def test_a_demand_for_a_shift_opens_neither_a_birth_date_nor_what_has_another_form() -> None:
    both = replace(
        policies().classes["birth-date"],
        paths=frozenset({"birthDate", "gender"}),
        transforms=frozenset({"shift_dates", "age_years"}),
    )
    of = tool({"resource": "Patient", "paths": ("birthDate", "gender")})

    assert run(bundle(patient()), of, by=with_classes(both)).payload is None


def test_a_window_counts_back_from_the_true_dates() -> None:
    need = {"resource": "Observation", "paths": PATHS, "transforms": ALL, "window": "PT24H"}
    body = bundle(
        patient(), observation("8867-4", 80), observation("9279-1", 16, at="2026-02-27T08:00:00Z")
    )

    assert len(resources(run(body, tool(need)), "Observation")) == 1


def test_nothing_shifted_counts_as_future_for_the_kit() -> None:
    found = run(bundle(patient(), observation("8867-4", 80)), vitals(ALL))

    assert found.payload is not None
    assert len(list(standing_observations(found.payload, as_of="2026-03-02T08:30:00Z"))) == 1


def test_the_dates_in_a_text_do_not_tell_the_shift() -> None:
    of = tool(
        {"resource": "DiagnosticReport", "paths": ("code", "effectiveDateTime", "presentedForm"),
         "text": True, "transforms": {"effectiveDateTime": "shift_dates"}},
        capability="chest-xray-findings",
    )  # fmt: skip
    by = with_classes("imaging-reports", "report-text")
    found = run(bundle(patient(), report("Seen 2026-03-02, compared to 1 March 2026.")), of, by=by)

    assert len(resources(found, "DiagnosticReport")) == 1
    assert "2026" not in everything(found)
