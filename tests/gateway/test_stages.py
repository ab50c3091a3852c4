"""The pure stages: what a finding is said to be about, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from careweir.question import Reply
from careweir.stages import attributed, satisfied
from careweir_fhir.model import Coding, Finding
from careweir_kit.tool import Tool

AS_OF = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
THEN = "2025-11-20T07:00:00Z"


def tool(**transforms: str) -> Tool:
    need = {"resource": "Observation", "paths": ("effectiveDateTime",), "transforms": transforms}
    return Tool.model_validate(
        {"tool": "t", "vendor": "v", "product": "p", "version": "1", "adapter": "a",
         "capabilities": ("c",), "needs": (need,)}
    )  # fmt: skip


def case(one: Tool) -> Any:
    question = SimpleNamespace(study="ImagingStudy/1", encounter="Encounter/2")
    return SimpleNamespace(
        question=question, as_of=AS_OF, house=SimpleNamespace(tools={one.tool: one})
    )


def reply(status: str = "answered", mode: str = "live") -> Reply:
    finding = Finding(
        tool="what the adapter wrote", kind="risk", code=Coding(display="x"), effective=THEN,
        study="ImagingStudy/of-the-vendor", encounter="Encounter/of-the-vendor",
    )  # fmt: skip
    return Reply("t", "2.0", mode, status, findings=(finding,))  # type: ignore[arg-type]


def test_study_encounter_and_tool_come_from_the_question_never_from_the_vendor() -> None:
    (finding,) = attributed(case(tool()), [reply()])

    assert (finding.tool, finding.tool_version) == ("t", "2.0")
    assert (finding.study, finding.encounter) == ("ImagingStudy/1", "Encounter/2")
    assert finding.effective == THEN


def test_a_tool_that_got_shifted_dates_cannot_say_when_a_finding_was() -> None:
    (finding,) = attributed(case(tool(effectiveDateTime="shift_dates")), [reply()])

    assert finding.effective == "2026-03-02T08:00:00Z"


def test_a_fallback_and_a_partial_answer_say_so_in_every_finding() -> None:
    (stood_in,) = attributed(case(tool()), [reply(mode="fallback")])
    (cut,) = attributed(case(tool()), [reply("partial")])

    assert stood_in.fallback
    assert cut.completeness == "partial"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "coding"}, "preliminary"),
        ({"kind": "coding", "status": "superseded"}, "superseded"),
        ({"kind": "recommendation", "action": "deny"}, "preliminary"),
        ({"kind": "recommendation", "action": "order"}, None),
        ({}, None),
    ],
)
def test_what_waits_for_a_person_says_so(change: dict[str, Any], status: str | None) -> None:
    given = reply()
    changed = replace(given, findings=(given.findings[0].model_copy(update=change),))

    (finding,) = attributed(case(tool()), [changed])

    assert finding.status == status


@pytest.mark.parametrize(
    ("statuses", "strategy", "enough"),
    [
        (["answered", "answered"], "all", True),
        (["answered", "partial"], "all", False),
        (["answered", "unknown"], "first", True),
        (["timed_out", "answered"], "primary", True),
        (["timed_out"], "first", False),
        ([], "all", False),
    ],
)
def test_nothing_stands_in_when_the_strategy_got_what_it_waits_for(
    statuses: list[str], strategy: Any, enough: bool
) -> None:
    assert satisfied([reply(status) for status in statuses], strategy) is enough
