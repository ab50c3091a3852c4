"""Cards say what each tool said, what is missing and what contradicts, and nothing comes alive."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from careweir.api.cds.cards import SUMMARY_MAX, cards, headline
from careweir.audit import Receipt
from careweir.question import Answer, Question, Reply
from careweir.stages import House
from careweir.wiring.house import load_house
from careweir_fhir.context import ResultContext
from careweir_fhir.model import Coding, Conflict, Finding

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SEPSIS = Coding(system="http://snomed.info/sct", code="91302008", display="Sepsis")


@pytest.fixture(scope="module")
def house() -> House:
    return load_house(None)


def risk(tool: str, value: float, band: str | None = None, **more: Any) -> Finding:
    return Finding(tool=tool, kind="risk", code=SEPSIS, value=value, threshold_band=band,
                   horizon="PT6H", **more)  # fmt: skip


def reply(tool: str, *findings: Finding, status: str = "answered", **more: Any) -> Reply:
    return Reply(tool, "4.1.0", more.pop("mode", "live"), status,  # type: ignore[arg-type]
                 findings=findings, disclosure="dis_1", **more)  # fmt: skip


def answer(*replies: Reply, outcome: str = "complete", conflicts: Any = ()) -> Answer:
    question = Question("sepsis-risk", "Patient/p1", "TREAT", b"", None, None, None, None, None,
                        "all", 4000)  # fmt: skip
    moment = "2026-03-02T08:00:00Z"
    context = ResultContext(
        "inf_1", "sepsis-risk", "Patient/p1", None, None, moment, moment, "sha256:0"
    )
    findings = tuple(finding for one in replies for finding in one.findings)
    return Answer("inf_1", question, NOW, outcome, 200, findings,  # type: ignore[arg-type]
                  tuple(conflicts), replies, "sha256:0", (), False,
                  Receipt("w", 7, "00"), context)  # fmt: skip


def test_each_tool_has_a_card_of_its_own_with_version_record_and_disclosure(house: House) -> None:
    acme = reply("acme-sepsis", risk("acme-sepsis", 0.82, "high"))
    beacon = reply("beacon-sepsis", risk("beacon-sepsis", 0.1, "low"))
    shown = cards(house, answer(acme, beacon))

    first, second = shown
    assert first["summary"] == "Acme Sepsis 6h: Sepsis 82% (high) within 6 h"
    assert (first["indicator"], second["indicator"]) == ("warning", "info")
    assert first["source"]["label"].endswith("4.1.0")
    assert first["extension"] == {"org.careweir.inference": "inf_1",
                                  "org.careweir.tool": "acme-sepsis",
                                  "org.careweir.disclosure": "dis_1"}  # fmt: skip
    assert "w/7" in first["detail"]
    assert len({card["uuid"] for card in shown}) == 2


def test_a_conflict_comes_first_and_names_who_disagrees_and_why(house: House) -> None:
    conflict = Conflict(type="risk_divergence", between=(0, 1), severity="high",
                        reason="82% against 10%", rule="risk_divergence/bands")  # fmt: skip
    shown = cards(house, answer(reply("acme-sepsis", risk("acme-sepsis", 0.82)),
                                reply("beacon-sepsis", risk("beacon-sepsis", 0.1)),
                                conflicts=[conflict]))  # fmt: skip

    assert shown[0]["indicator"] == "warning"
    assert "contradict" in shown[0]["summary"]
    assert "Acme Sepsis 6h" in shown[0]["summary"]
    assert "82% against 10%" in shown[0]["detail"]


def test_a_fallback_says_so_and_what_is_missing_has_a_card(house: House) -> None:
    shown = cards(house, answer(reply("acme-sepsis", status="timed_out", reason="no whole answer"),
                                reply("news2", risk("news2", 0.5), mode="fallback"),
                                outcome="degraded"))  # fmt: skip

    assert "(fallback)" in shown[0]["summary"]
    assert "not the answer of an AI tool" in shown[0]["detail"]
    assert "timed out (no whole answer)" in shown[1]["detail"]
    assert shown[1]["indicator"] == "info"


def test_no_answer_at_all_is_a_card_and_never_silence(house: House) -> None:
    (shown,) = cards(house, answer(reply("acme-sepsis", status="unavailable"), outcome="failed"))

    assert "no tool gave an answer" in shown["summary"]


def test_a_tool_that_found_nothing_is_not_a_tool_that_was_not_there(house: House) -> None:
    (shown,) = cards(house, answer(reply("acme-sepsis")))

    assert "found nothing to report" in shown["detail"]


def test_a_page_that_was_cut_is_told(house: House) -> None:
    shown = cards(
        house, answer(reply("acme-sepsis", risk("acme-sepsis", 0.8))), cut=["observation"]
    )

    assert "first page of observation" in shown[-1]["detail"]


def test_a_summary_is_always_short_enough_and_says_how_much_more_there_is(house: House) -> None:
    for count in (1, 2, 5, 40):
        many = [risk("acme-sepsis", 0.5).model_copy(
                    update={"code": Coding(display="A finding with a long name " * width)})
                for width in (1, 4) for _ in range(count)]  # fmt: skip
        (shown,) = cards(house, answer(reply("acme-sepsis", *many)))
        assert len(shown["summary"]) <= SUMMARY_MAX
        assert shown["summary"].endswith("more") or "…" in shown["summary"]


def test_markup_in_a_vendors_words_is_dead_and_small_numbers_stay(house: House) -> None:
    evil = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=1>"
    finding = Finding(
        tool="acme-sepsis", kind="assertion", code=Coding(display=evil), polarity="present",
        explanation=("nodule <2 mm", evil),
    )  # fmt: skip
    text = json.dumps(cards(house, answer(reply("acme-sepsis", finding))), ensure_ascii=False)

    assert "<script" not in text
    assert "<img" not in text
    assert "](javascript" not in text
    assert "nodule &lt;2 mm" in text


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ({"kind": "assertion", "polarity": "absent", "laterality": "left"}, "left Sepsis absent"),
        ({"kind": "measurement", "value": 6.5, "unit": "mm"}, "Sepsis 6.5 mm"),
        ({"kind": "recommendation", "action": "start", "target": Coding(display="antibiotic")},
         "start antibiotic"),
        ({"kind": "coding"}, "code 91302008 Sepsis"),
        ({"kind": "triage", "value": 2, "scale": "ESI"}, "Sepsis 2 on ESI"),
        ({"kind": "risk", "value": "high"}, "Sepsis high"),
        ({"kind": "risk", "value": 0.998}, "Sepsis >99%"),
        ({"kind": "risk", "value": 0.002}, "Sepsis <1%"),
        ({"kind": "risk", "value": 0.1, "horizon": "P30D"}, "Sepsis 10% within 30 days"),
        ({"kind": "risk", "value": 0.1, "horizon": "P3M"}, "Sepsis 10% within 3 months"),
        ({"kind": "document", "value": "text"}, "draft text, to be read and signed: Sepsis"),
        ({"kind": "assertion", "polarity": "present", "subject_context": "family"},
         "Sepsis present (family)"),
    ],
)  # fmt: skip
def test_each_kind_of_finding_has_plain_words(finding: dict[str, Any], said: str) -> None:
    assert headline(Finding(tool="t", code=SEPSIS, **finding)) == said


def test_what_is_not_about_the_patient_now_is_no_warning(house: House) -> None:
    here = Finding(tool="acme-sepsis", kind="assertion", code=SEPSIS, polarity="present")
    family = here.model_copy(update={"subject_context": "family"})

    (warned,) = cards(house, answer(reply("acme-sepsis", here)))
    (told,) = cards(house, answer(reply("acme-sepsis", family)))

    assert (warned["indicator"], told["indicator"]) == ("warning", "info")


def test_nothing_to_say_is_no_card(house: House) -> None:
    assert cards(house, answer()) == []
    assert cards(house, answer(reply("acme-sepsis"))) != []
