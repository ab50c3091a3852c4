"""A stand-in hides no fault of the resource that it stands in for.

It may be judged harder: ``fhir.resources`` takes ``"0"`` for a truth value, and R4 does not.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from careweir_fhir.stand_in import NoStandIn, stand_in

GOLDEN = Path(__file__).parent / "golden"
RESOURCES = [
    entry["resource"]
    for file in sorted(GOLDEN.glob("*.json"))
    for entry in json.loads(file.read_text("utf-8"))["entry"]
]
LEAF = (
    st.text(max_size=6)
    | st.text(" ab-.:T0123456789Z+", max_size=22)
    | st.from_regex(
        r"\A(1|2)\d{3}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?\Z"
    )
    | st.sampled_from(["", " ", "x y", "x  y", "\n", "2026-02-30", "12:30:00", "urn:uuid:x", "a/b"])
    | st.integers(-(2**33), 2**33)
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.none()
)
NODE = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(st.sampled_from(["code", "x"]), LEAF)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in list(pairs):
        if key != "resourceType":
            yield value, key
        if isinstance(below, dict | list):
            yield from places(below)


def judged(resource: Any) -> set[tuple[int | str, ...]]:
    """Where ``fhir.resources`` finds fault."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        return {item["loc"] for item in error.errors()}
    return set()


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.data())
def test_stand_in_hides_no_fault_of_the_resource(data: st.DataObject) -> None:
    resource = copy.deepcopy(data.draw(st.sampled_from(RESOURCES)))
    container, key = data.draw(st.sampled_from(list(places(resource))))
    container[key] = data.draw(NODE)

    try:
        double = stand_in(resource)
    except NoStandIn:
        return

    assert judged(resource) <= judged(double)


def test_stand_in_holds_no_value_of_the_resource() -> None:
    resource = {
        "resourceType": "Flag",
        "code": {"text": "CANARY"},
        "id": "c-1",
        "n": [-4, 1.5, 3.0],
    }

    assert stand_in(resource) == {
        "resourceType": "Flag",
        "code": {"text": "x"},
        "id": "x",
        "n": [-7, 0.5, 7.0],
    }


@pytest.mark.parametrize(
    "odd",
    [{"data": "YQ=="}, {"x": 2**40}, {"x": "a\u00a0b"}, {"x": float("nan")}, {"x": "12:30:99"}],
)
def test_what_is_looked_at_closely_has_no_stand_in(odd: dict[str, Any]) -> None:
    with pytest.raises(NoStandIn):
        stand_in(odd)
