"""How well the rules do on labelled cases: pairs and types exact, severity beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from careweir.conflicts.reader import answer_case
from careweir.conflicts.rulebook import RuleBook
from careweir_kit.strict_json import JsonRefused, decode

_STEPS = ("low", "moderate", "high")


def evaluate(lines: Iterable[bytes], rules: RuleBook) -> dict[str, Any]:
    """Precision, recall and F1 over (type, unordered pair), per type, with false alarms.

    ``false_alarms_per_100`` counts conflicts reported in cases that expect none. A conflict that
    names more than two findings is counted as each of its pairs.
    """
    counts: dict[str, Counter[str]] = {}
    total = Counter[str]()
    wrong: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        case = _labelled(line)
        if case is None:
            total["unreadable_lines"] += 1
            continue
        found = _pairs(answer_case(case.get("id"), case, rules)["conflicts"])
        expected = _pairs(case["expected"])
        _count(found, expected, counts, total)
        if set(found) != set(expected):
            wrong.append(str(case.get("id")))
    return _report(counts, total, wrong)


def _labelled(line: bytes) -> dict[str, Any] | None:
    try:
        case = decode(line.strip())
    except JsonRefused:
        return None
    if not isinstance(case, dict) or not isinstance(case.get("findings"), list):
        return None
    return case if isinstance(case.get("expected"), list) else None


Pair = tuple[str, int, int]


def _pairs(conflicts: list[dict[str, Any]]) -> dict[Pair, str]:
    pairs: dict[Pair, str] = {}
    for conflict in conflicts:
        positions = sorted(conflict["between"])
        for at, first in enumerate(positions):
            for second in positions[at + 1 :]:
                pairs[conflict["type"], first, second] = conflict.get("severity", "")
    return pairs


def _count(
    found: dict[Pair, str],
    expected: dict[Pair, str],
    counts: dict[str, Counter[str]],
    total: Counter[str],
) -> None:
    total["cases"] += 1
    if not expected:
        total["conflict_free"] += 1
        total["false_alarms"] += len(found)
    for pair in found.keys() | expected.keys():
        verdict = "tp" if pair in found and pair in expected else "fp" if pair in found else "fn"
        counts.setdefault(pair[0], Counter())[verdict] += 1
        total[verdict] += 1
        if expected.get(pair) == "high":
            total["severe"] += 1
            total["severe_found"] += verdict == "tp"
        if verdict == "tp":
            apart = _apart(found[pair], expected[pair])
            total["severity_exact"] += apart == 0
            total["severity_within_step"] += apart <= 1


def _apart(a: str, b: str) -> int:
    if a not in _STEPS or b not in _STEPS:
        return len(_STEPS)
    return abs(_STEPS.index(a) - _STEPS.index(b))


def _report(
    counts: dict[str, Counter[str]], total: Counter[str], wrong: list[str]
) -> dict[str, Any]:
    tp = total["tp"]
    return {
        "cases": total["cases"],
        "conflict_free": total["conflict_free"],
        **_scores(total),
        "severe_recall": _share(total["severe_found"], total["severe"]),
        "false_alarms_per_100": 100 * total["false_alarms"] / max(total["conflict_free"], 1),
        "severity_exact": _share(total["severity_exact"], tp),
        "severity_within_step": _share(total["severity_within_step"], tp),
        "unreadable_lines": total["unreadable_lines"],
        "types": {name: _scores(counts[name]) for name in sorted(counts)},
        "wrong": wrong,
    }


def _scores(counts: Counter[str]) -> dict[str, float]:
    tp, fp, fn = counts["tp"], counts["fp"], counts["fn"]
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
    }


def _share(part: int, whole: int) -> float:
    """A share, 1.0 of nothing."""
    return part / whole if whole else 1.0
