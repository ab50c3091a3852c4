"""Whatever a tool says, what leaves is valid R4."""

from __future__ import annotations

import json
from typing import Any, get_args

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle
from careweir_fhir.context import ToolStatus
from careweir_fhir.model import (
    LOINC,
    SNOMED,
    Coding,
    Completeness,
    ConfidenceKind,
    Conflict,
    Dose,
    Finding,
    FindingKind,
    Laterality,
    Polarity,
    Severity,
    Span,
)
from careweir_fhir.stored import stored_resources
from careweir_fhir.validate import problems

TEXT = st.text(
    st.characters(exclude_categories=("Cs",), max_codepoint=0x1F64F)
    | st.sampled_from(" <>&\x00\n"),
    max_size=12,
)
NUMBER = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0, 1)
    | st.integers(-(10**30), 10**30)
    | st.integers(-3, 20)
)
REFERENCE = TEXT | st.sampled_from(
    ["ImagingStudy/1", "Encounter/9", "Observation/a.b-1", "Specimen/s", "urn:uuid:x", "1.2.840.1"]
)
CODING = st.builds(
    Coding,
    system=st.none() | TEXT | st.sampled_from([SNOMED, LOINC, "urn:x:y"]),
    code=st.none() | TEXT,
    display=st.none() | TEXT,
)
TIME = TEXT | st.sampled_from(
    [
        "2026-03-02",
        "2026-02-30",
        "2026-03-02T08:15:00Z",
        "2026-03-02T08:15:00",
        "2026",
        "0000-01-01",
    ]
)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


FINDING = st.builds(
    Finding,
    tool=st.sampled_from(["live", "score"]),
    tool_version=optional(TEXT),
    kind=st.sampled_from(get_args(FindingKind)),
    code=CODING,
    value=optional(NUMBER | TEXT | st.sampled_from(["high", "Low"])),
    unit=optional(TEXT | st.sampled_from(["1", "%", "mmol/L", "10*3/uL"])),
    polarity=optional(st.sampled_from(get_args(Polarity))),
    laterality=optional(st.sampled_from(get_args(Laterality))),
    body_site=optional(TEXT | CODING),
    confidence=optional(st.floats(0, 1)),
    confidence_kind=st.sampled_from(get_args(ConfidenceKind)),
    horizon=optional(TEXT | st.sampled_from(["PT6H", "30d", "3mo", "P9999Y", "99999999999h"])),
    study=optional(REFERENCE),
    encounter=optional(REFERENCE),
    specimen=optional(REFERENCE),
    effective=optional(TIME),
    action=optional(TEXT | st.sampled_from(["order", "avoid", "start", "deny"])),
    target=optional(CODING),
    span=optional(
        st.builds(Span, start=st.integers(0, 10**10), end=st.integers(0, 10**10), text=TEXT)
    ),
    explanation=st.lists(TEXT, max_size=3).map(tuple),
    completeness=st.sampled_from(get_args(Completeness)),
    fallback=st.booleans(),
    scale=optional(TEXT | st.sampled_from(["NEWS2", "ESI", "0-100"])),
    threshold_band=optional(TEXT | st.sampled_from(["high", "medium"])),
    interval=optional(st.tuples(NUMBER.map(float), NUMBER.map(float))),
    dose=optional(st.builds(Dose, value=NUMBER.map(float), unit=TEXT)),
    subject_context=optional(TEXT | st.sampled_from(["family", "history"])),
    status=optional(TEXT | st.sampled_from(["superseded", "entered-in-error"])),
    id=optional(TEXT),
    replaces=optional(TEXT),
    verified=optional(st.booleans()),
)
CONTEXT = st.builds(
    ResultContext,
    inference=st.sampled_from(["inf_01H", "x" * 80, "a/b"]),
    capability=st.sampled_from(["sepsis-risk", "chest-xray-findings", "note-summary"]),
    subject=TEXT
    | st.sampled_from(["Patient/123", "https://ehr.example.org/fhir/Patient/1", "urn:uuid:1-2"]),
    encounter=optional(REFERENCE),
    study=optional(REFERENCE),
    as_of=st.just("2026-03-02T08:15:00+01:00"),
    recorded=st.just("2026-03-02T08:15:02.123Z"),
    policy_revision=st.just("sha256:0"),
)
STATUS = st.sampled_from(get_args(ToolStatus))
WITHOUT = st.lists(st.sampled_from(["lactate", "age"]), max_size=2).map(tuple)
TOOLS = st.tuples(
    st.builds(
        ToolOutcome,
        st.just("live"),
        TEXT,
        TEXT,
        optional(TEXT),
        STATUS,
        optional(st.just("deadline passed")),
        st.just("live"),
        WITHOUT,
    ),
    st.builds(
        ToolOutcome,
        st.just("score"),
        TEXT,
        TEXT,
        optional(TEXT),
        STATUS,
        st.none(),
        st.sampled_from(["live", "fallback"]),
        WITHOUT,
    ),
)


@st.composite
def conflicts(draw: st.DrawFn, count: int) -> list[Conflict]:
    """Conflicts between findings that are there."""
    if count < 2:
        return []
    positions = st.lists(st.integers(0, count - 1), min_size=2, max_size=3).map(tuple)
    one = st.builds(
        Conflict,
        type=st.sampled_from(["assertion_contradiction", "drug_interaction", "novel"]),
        between=positions,
        severity=st.sampled_from(get_args(Severity)),
        reason=TEXT,
        rule=TEXT,
    )
    return draw(st.lists(one, max_size=2))


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.data())
def test_any_findings_make_a_valid_bundle(data: st.DataObject) -> None:
    found = data.draw(st.lists(FINDING, max_size=3))

    bundle = result_bundle(
        data.draw(CONTEXT), found, data.draw(conflicts(len(found))), data.draw(TOOLS)
    )

    sent = json.loads(orjson.dumps(bundle))
    assert problems(sent) == ()
    assert [problems(resource) for resource in stored_resources(sent)] == [()] * len(sent["entry"])
    for entry in sent["entry"]:
        notes = entry["resource"].get("note", [])
        assert not any("<" in note["text"] for note in notes)
