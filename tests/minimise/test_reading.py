"""Reading resources by hand: when something was, what is void, and the tables that R4 gives."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from careweir.access.elements import ELEMENTS, REQUIRED
from careweir.minimise.reading import VOID, codings, items, void_reason, when
from minimise.charts import AS_OF, ROOT

TABLE = ROOT.parent / "shared" / "standards" / "data" / "r4_constraints.json"
DAY = datetime(2026, 3, 1, tzinfo=UTC)
NEXT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("resource", "found"),
    [
        ({}, (None, None)),
        ({"effectiveDateTime": "2026-03-01"}, (DAY, DAY)),
        ({"effectiveDateTime": "soon", "issued": "2026-03-01T00:00:00Z"}, (DAY, DAY)),
        ({"effectiveInstant": None, "authoredOn": "2026-03-01"}, (DAY, DAY)),
        ({"effectivePeriod": {"start": "2026-03-01", "end": "2026-03-02"}}, (DAY, NEXT)),
        ({"effectivePeriod": {"start": "2026-03-01"}}, (DAY, DAY)),
        ({"effectivePeriod": {"end": "2026-03-02"}}, (NEXT, NEXT)),
        ({"effectivePeriod": {"end": "later"}, "issued": "2026-03-01"}, (DAY, DAY)),
        ({"period": {"start": "2026-03-01"}}, (DAY, AS_OF)),  # a stay that is still going on
        ({"period": {"start": "2027-03-01"}}, (datetime(2027, 3, 1, tzinfo=UTC),) * 2),
        ({"period": {"start": "2026-03-01", "end": "2026-03-02"}}, (DAY, NEXT)),
    ],
)
def test_when_a_resource_was(resource: dict[str, Any], found: tuple[object, object]) -> None:
    assert when(resource, AS_OF) == found


@pytest.mark.parametrize("name", ["status", "docStatus"])
@pytest.mark.parametrize("status", sorted(VOID))
def test_what_is_void_says_why_and_what_stands_says_nothing(name: str, status: str) -> None:
    assert void_reason({name: status}) == "entered in error or cancelled"
    assert void_reason({name: "final"}) is None
    assert void_reason({name: [status]}) is None  # not FHIR: projected to nothing, see project.py


def test_a_diagnosis_that_was_refuted_is_void() -> None:
    def verified(code: str) -> dict[str, Any]:
        return {"verificationStatus": {"coding": [{"system": "s", "code": code}]}}

    assert void_reason(verified("refuted")) == "entered in error or refuted"
    assert void_reason(verified("confirmed")) is None


def test_codings_are_read_in_whatever_shape_they_come() -> None:
    coding = {"system": "s", "code": "c"}

    assert list(codings([{"coding": [coding, {"system": "s"}, "x"]}, coding, None, "x"])) == [
        ("s", "c"),
        ("s", "c"),
    ]
    assert items(None) == []
    assert items("x") == ["x"]
    assert items(["x"]) == ["x"]


@pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/standards/data")
def test_the_value_sets_and_the_required_elements_are_those_of_r4() -> None:
    types = json.loads(TABLE.read_text(encoding="utf-8"))["resources"]
    checked = 0
    for kind, paths in ELEMENTS.items():
        elements = types.get(kind, {}).get("elements", {})
        for path, element in paths.items():
            rule = elements.get(f"{kind}.{path}", {})
            if element.kind == "code" and rule:
                assert element.values == set(rule["codes"]), f"{kind}.{path}"
                checked += 1
            head, _, name = path.rpartition(".")
            place = f"{kind}.{head}" if head else kind
            if rule and "[x]" not in str(rule):
                required = name in REQUIRED.get(place, frozenset())
                assert required == (rule["min"] > 0), f"{kind}.{path}"
    assert checked == 10
