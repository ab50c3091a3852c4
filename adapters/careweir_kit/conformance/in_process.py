"""What a published score must keep: whole inputs or none, never a guess, always a fallback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.conformance.model import Check, Subject
from careweir_kit.conformance.questions import spoiled_charts
from careweir_kit.conformance.recordings import JSON, computed
from careweir_kit.conformance.spoil import json_of, spoiled_answers

CHARTS_MAX: Final = 500  # of one recording


def check_scores(subject: Subject, asks: Sequence[Ask]) -> list[Check]:
    """The bronze checks of an adapter that computes in process."""
    return [
        _empty(subject),
        _marked(subject, asks),
        _never_crashes(subject, list(_spoiled_once(asks)), "one spoiled element"),
    ]


def check_any_charts(subject: Subject, asks: Sequence[Ask]) -> list[Check]:
    """The gold check: charts with many elements spoiled at once."""
    charts = [(ask, chart) for ask in asks for chart in spoiled_charts(ask.payload)]
    return [_never_crashes(subject, charts, "charts spoiled at random")]


def _empty(subject: Subject) -> Check:
    """An empty chart gives no score but the names of what is missing."""
    empty = Ask("nobody", "check", {"resourceType": "Bundle", "entry": []}, "2026-01-01T00:00:00Z")
    try:
        missing = computed(subject.adapter, subject.tool, empty).get("missing")
    except Exception as error:
        return Check("an empty chart is refused", False, type(error).__name__)
    return Check("an empty chart is refused", bool(missing), f"{len(missing or ())} inputs named")


def _marked(subject: Subject, asks: Sequence[Ask]) -> Check:
    """Every finding says that it is a fallback, and from which table it comes."""
    findings: list[dict[str, Any]] = []
    for ask in asks:
        findings += computed(subject.adapter, subject.tool, ask).get("findings", ())
    plain = [f for f in findings if not f["fallback"]]
    silent = [f for f in findings if not any("Source:" in line for line in f["explanation"])]
    detail = f"{len(findings)} findings, {len(plain)} unmarked, {len(silent)} without a source"
    marked = bool(findings) and not plain and not silent
    return Check("every finding says that it is a fallback, with its source", marked, detail)


def _spoiled_once(asks: Sequence[Ask]) -> Iterator[tuple[Ask, dict[str, Any]]]:
    for ask in asks:
        chart = VendorAnswer(200, JSON, json.dumps(ask.payload).encode())
        for one in spoiled_answers(chart, count_max=CHARTS_MAX):
            value = json_of(one.answer)
            if isinstance(value, dict):
                yield ask, value


def _never_crashes(
    subject: Subject, charts: Sequence[tuple[Ask, dict[str, Any]]], what: str
) -> Check:
    crashes, scored = 0, 0
    for ask, payload in charts:
        spoiled = Ask(ask.subject, ask.request_id, payload, ask.as_of)
        try:
            scored += "findings" in computed(subject.adapter, subject.tool, spoiled)
        except Exception:
            crashes += 1
    refused = len(charts) - scored - crashes
    detail = f"{len(charts)} charts: {scored} scored, {refused} refused, {crashes} crashes"
    return Check(f"{what}: scored or refused, never a crash", bool(charts) and not crashes, detail)
