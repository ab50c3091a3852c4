"""The conflict detector on 10³ and 10⁴ findings of one patient.

The findings are assertions, risks and measurements of eight tools over many studies, of which
none, a few or many contradict each other, as in a long stay. The baseline puts the same findings
into buckets by study and code and does nothing else: no detector that compares like with like can
do less. What is above it with no conflict is the reading of every field that could make a
difference; what is above that is finding and wording the conflicts (about 20 us each). The last
figure is growth: time per finding at the largest size over that at the smallest; a detector that
compared all pairs would show about ten there.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from careweir.bench.figure import Budget, Figure, fastest_s
from careweir.bench.size import SEED, Size
from careweir.conflicts import RuleBook, detect, load_rules
from careweir.paths import policies_dir
from careweir_fhir.model import LOINC, SNOMED, Coding, Finding

TOOLS = 8
DISAGREES = (0.0, 0.002, 0.02)  # share of findings that differ from what the other tools say
_SEEN = (("60046008", "Pleural effusion"), ("36118008", "Pneumothorax"), ("233604007", "Pneumonia"))
_SEPSIS = Coding(system=SNOMED, code="91302008", display="Sepsis")
_LACTATE = Coding(system=LOINC, code="2524-7", display="Lactate")


def measure(size: Size) -> Iterator[Figure]:
    """A figure for each number of findings, then the growth between them."""
    rules = load_rules(policies_dir(None) / "conflicts")
    figures: list[Figure] = []
    for disagrees in DISAGREES:
        figures = [
            _figure(findings(count, disagrees), rules, size.rounds)
            for count in size.conflict_findings
        ]
        yield from figures
    yield Figure(
        benchmark="conflicts",
        what=f"time a finding, {size.conflict_findings[-1]} findings, many conflicts",
        value=figures[-1].value,
        unit="ms/1000",
        baseline=figures[0].value,
        baseline_what=f"the same at {size.conflict_findings[0]}",
        budget=Budget(2, "ratio", note="linear is 1"),
    )


def _figure(found: Sequence[Finding], rules: RuleBook, rounds: int) -> Figure:
    ours, bare = fastest_s(
        lambda: detect(found, rules, patient="Patient/bench-1"),
        lambda: bucketed(found),
        rounds=rounds,
    )
    per_thousand = 1e6 / len(found)  # seconds a run to milliseconds per 1 000
    return Figure(
        benchmark="conflicts",
        what=f"{len(found)} findings, {len(detect(found, rules))} conflicts",
        value=ours * per_thousand,
        unit="ms/1000",
        baseline=bare * per_thousand,
        baseline_what="buckets only",
        budget=Budget(0.5, "value"),
    )


def bucketed(found: Sequence[Finding]) -> dict[tuple[str | None, str | None], list[Finding]]:
    """The baseline: the findings by study and code."""
    buckets: dict[tuple[str | None, str | None], list[Finding]] = defaultdict(list)
    for finding in found:
        buckets[finding.study, finding.code.code].append(finding)
    return buckets


def findings(count: int, disagrees: float = DISAGREES[-1]) -> list[Finding]:
    """Findings of eight tools about one patient; the same for the same arguments."""
    rng = random.Random(SEED)  # noqa: S311 - made-up findings, not secrets
    return [_finding(number, rng, disagrees) for number in range(count)]


def _finding(number: int, rng: random.Random, disagrees: float) -> Finding:
    """Eight tools say the same of each study, but for a few that do not."""
    tool, topic = f"tool-{number % TOOLS}", number // TOOLS
    odd = rng.random() < disagrees
    at = f"2026-{1 + topic // 600 % 12:02d}-{1 + topic // 24 % 28:02d}T{topic % 24:02d}:00:00Z"
    if topic % 3 == 0:
        code, display = _SEEN[topic // 3 % len(_SEEN)]
        return Finding(
            tool=tool, kind="assertion", effective=at, study=f"ImagingStudy/s{topic}",
            code=Coding(system=SNOMED, code=code, display=display),
            polarity="absent" if odd else "present", laterality="left",
        )  # fmt: skip
    if topic % 3 == 1:
        return Finding(
            tool=tool, kind="risk", effective=at, encounter=f"Encounter/e{topic}", code=_SEPSIS,
            value=0.9 if odd else 0.1, unit="1", horizon="PT6H",
        )  # fmt: skip
    return Finding(
        tool=tool, kind="measurement", effective=at, code=_LACTATE,
        value=9.9 if odd else 2.0 + topic % 5 / 10, unit="mmol/L",
    )  # fmt: skip
