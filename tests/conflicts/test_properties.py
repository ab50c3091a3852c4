"""Properties that hold for every set of findings (issue: the second reader)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careweir.conflicts import RuleBook, detect
from careweir.conflicts.case import Case
from careweir.conflicts.claims import Claims
from careweir.conflicts.rules import RULES
from careweir_fhir.model import ICD10CM, LOINC, Coding, Conflict, Dose, Finding

SEEDED = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TOOLS = ("acme", "lumen", "north")
WORDS = ("pneumothorax", "pleural effusion", "intracranial hemorrhage", "subdural hematoma",
         "hyperkalemia", "sepsis", "pregnancy", "solitary pulmonary nodule",
         "mild pulmonary edema", "severe pulmonary edema", "chronic subdural hematoma",
         "acute subdural hematoma", "large splenic cyst", "splenic cyst")  # fmt: skip
CODES = ("J93.9", "I62.00", "I60.9", "I50.22", "E10.9", "E11.9", "N18.2", "N18.5", "S72.001A",
         "S72.002A", "E87.5", "L89.153", "L89.154", "L89.214", "E11.40", "I62.03")  # fmt: skip
DRUGS = ("warfarin", "apixaban", "ibuprofen", "NSAIDs", "lisinopril", "spironolactone", "MRI brain",
         "MRI", "CT abdomen with contrast", "CT abdomen", "iodinated contrast")  # fmt: skip
STUDIES = (None, "ImagingStudy/s1", "ImagingStudy/s2")
TIMES = (
    None,
    "2026-03-02",
    "2026-03-03",
    "2026-03-02T08:00:00Z",
    "2026-03-02T08:20:00Z",
    "2026-03-04T08:00:00Z",
)


def _common() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "tool": st.sampled_from(TOOLS),
        "study": st.sampled_from(STUDIES),
        "effective": st.sampled_from(TIMES),
        "laterality": st.sampled_from([None, "left", "right", "bilateral"]),
        "subject_context": st.sampled_from([None, None, None, "history", "Patient/other"]),
    }


CODINGS = st.one_of(
    st.sampled_from(WORDS).map(lambda words: Coding(display=words)),
    st.sampled_from(CODES).map(lambda code: Coding(system=ICD10CM, code=code)),
)
POTASSIUM = Coding(system=LOINC, code="2823-3")
FINDINGS = st.one_of(
    st.builds(
        Finding,
        kind=st.sampled_from(["assertion", "coding"]),
        code=CODINGS,
        polarity=st.sampled_from(["present", "absent", "indeterminate"]),
        body_site=st.sampled_from([None, "RUL", "left lower lobe"]),
        **_common(),
    ),
    st.builds(
        Finding,
        kind=st.just("measurement"),
        code=st.just(POTASSIUM),
        value=st.sampled_from([0.41, 2.9, 4.1, 4.4, 6.3]),
        unit=st.sampled_from(["mmol/L", "meq/L", None]),
        **_common(),
    ),
    st.builds(
        Finding,
        kind=st.just("risk"),
        code=st.just(Coding(display="sepsis")),
        value=st.sampled_from([0.05, 0.3, 0.45, 0.9, 42]),
        unit=st.sampled_from([None, "%"]),
        horizon=st.sampled_from(["6h", "PT6H", "48h", None]),
        **_common(),
    ),
    st.builds(
        Finding,
        kind=st.sampled_from(["risk", "measurement"]),
        code=st.sampled_from(["NEWS2", "NEWS2 total score"]).map(lambda n: Coding(display=n)),
        value=st.sampled_from([2, 5, 9]),
        scale=st.sampled_from([None, "NEWS2"]),
        **_common(),
    ),
    st.builds(
        Finding,
        kind=st.just("recommendation"),
        code=st.sampled_from(DRUGS).map(lambda drug: Coding(display=drug)),
        action=st.sampled_from(["start", "stop", "avoid", "continue"]),
        dose=st.sampled_from([None, Dose(value=5, unit="mg"), Dose(value=0.05, unit="g")]),
        **_common(),
    ),
    st.builds(
        Finding,
        kind=st.just("triage"),
        code=st.just(Coding(display="triage level")),
        scale=st.sampled_from(["ESI", "MTS"]),
        value=st.sampled_from([1, 3, 5]),
        **_common(),
    ),
)
CASES = st.lists(FINDINGS, min_size=0, max_size=9)


def _named(findings: Sequence[Finding], conflicts: Sequence[Conflict]) -> set[object]:
    """Conflicts by what they name instead of by position, and by their words."""
    return {
        (
            c.type,
            c.severity,
            c.rule,
            c.reason,
            frozenset(findings[i].model_dump_json() for i in c.between),
        )
        for c in conflicts
    }


@SEEDED
@given(findings=CASES, data=st.data())
def test_order_of_findings_changes_only_positions(
    rules: RuleBook, findings: list[Finding], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(findings))

    straight = detect(findings, rules, patient="Patient/p1")
    mixed = detect(shuffled, rules, patient="Patient/p1")

    assert _named(findings, straight) == _named(shuffled, mixed)


@SEEDED
@given(findings=CASES)
def test_a_repeated_finding_adds_no_conflict(rules: RuleBook, findings: list[Finding]) -> None:
    once = detect(findings, rules, patient="Patient/p1")
    twice = detect([*findings, *findings], rules, patient="Patient/p1")

    assert once == twice


@SEEDED
@given(findings=CASES)
def test_names_of_tools_change_only_names(rules: RuleBook, findings: list[Finding]) -> None:
    other = {"acme": "zeta", "lumen": "alpha", "north": "mid"}
    renamed = [f.model_copy(update={"tool": other[f.tool]}) for f in findings]

    before = detect(findings, rules, patient="Patient/p1")
    after = detect(renamed, rules, patient="Patient/p1")

    assert [(c.type, c.between, c.severity) for c in before] == [
        (c.type, c.between, c.severity) for c in after
    ]


def _all_pairs(rules: RuleBook, findings: Sequence[Finding]) -> set[tuple[str, int, int]]:
    """The oracle: every rule on every pair of facts."""
    facts = Claims(findings, rules, "Patient/p1").facts()
    case = Case(rules, lambda: facts)
    return {
        (rule.name, a.position, b.position)
        for rule in RULES
        for at, a in enumerate(facts)
        for b in facts[at + 1 :]
        if a.kind in rule.kinds and b.kind in rule.kinds and rule.judge(a, b, case) is not None
    }


@SEEDED
@given(findings=CASES)
def test_buckets_find_what_all_pairs_find(rules: RuleBook, findings: list[Finding]) -> None:
    found = detect(findings, rules, patient="Patient/p1")

    assert {(c.type, *c.between) for c in found} == _all_pairs(rules, findings)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_buckets_find_what_all_pairs_find_in_a_long_stay(rules: RuleBook, seed: int) -> None:
    """Many different readings, studies, encounters and times, some of them not said."""
    rng = random.Random(seed)
    findings = [_of_a_stay(number, rng) for number in range(240)]

    found = detect(findings, rules, patient="Patient/p1")

    assert {(c.type, *c.between) for c in found} == _all_pairs(rules, findings)
    assert {c.type for c in found} >= {"measurement_discrepancy", "assertion_contradiction"}


def _of_a_stay(number: int, rng: random.Random) -> Finding:
    day = number // 4
    common: dict[str, Any] = {
        "tool": rng.choice(TOOLS),
        "effective": rng.choice([None, *[f"2026-0{1 + day % 6}-{1 + day % 27:02d}T08:00:00Z"] * 5]),
        "encounter": rng.choice([None, f"Encounter/{day}", f"Encounter/{day}"]),
        "study": rng.choice([None, f"ImagingStudy/{day}"]),
        "specimen": rng.choice([None, None, f"Specimen/{day}"]),
        "subject_context": rng.choice([None] * 30 + ["Patient/other"]),
    }
    if number % 3:
        value = round(rng.uniform(3, 6.5), 2)
        return Finding(kind="measurement", code=POTASSIUM, value=value, unit="mmol/L", **common)
    return Finding(
        kind="assertion",
        code=Coding(system=ICD10CM, code=rng.choice(CODES[:4])),
        polarity=rng.choice(["present", "present", "absent"]),
        laterality=rng.choice([None, "left", "right"]),
        **common,
    )


@SEEDED
@given(finding=FINDINGS)
def test_two_tools_that_say_the_same_never_conflict(rules: RuleBook, finding: Finding) -> None:
    other = finding.model_copy(update={"tool": "another"})

    assert detect([finding, other], rules, patient="Patient/p1") == ()


@SEEDED
@given(findings=CASES)
def test_what_conflicts_on_an_occasion_conflicts_where_none_is_named(
    rules: RuleBook, findings: list[Finding]
) -> None:
    """The detector asks first whether two claims could conflict on any occasion."""
    facts = Claims(findings, rules, "Patient/p1").facts()
    case, bare = Case(rules, lambda: facts), Case(rules, tuple)
    nowhere: dict[str, Any] = {
        "study": None,
        "specimen": None,
        "encounter": None,
        "at": None,
        "day": None,
    }

    for rule in RULES:
        for a, b in combinations([f for f in facts if f.kind in rule.kinds], 2):
            if not rule.binds_subject and rule.judge(a, b, case) is not None:
                assert rule.judge(a._replace(**nowhere), b._replace(**nowhere), bare) is not None


@SEEDED
@given(findings=CASES)
def test_every_judgement_is_symmetric(rules: RuleBook, findings: list[Finding]) -> None:
    facts = Claims(findings, rules, "Patient/p1").facts()
    case = Case(rules, lambda: facts)

    for rule in RULES:
        inside = [fact for fact in facts if fact.kind in rule.kinds]
        for at, a in enumerate(inside):
            for b in inside[at + 1 :]:
                assert rule.judge(a, b, case) == rule.judge(b, a, case)


def test_two_scales_are_named_alike_both_ways_round(rules: RuleBook) -> None:
    level = Coding(display="triage level")
    urgent = Finding(tool="acme", kind="triage", code=level, scale="ESI", value=1)
    calm = Finding(tool="lumen", kind="triage", code=level, scale="MTS", value="blue")

    [one], [other] = detect([urgent, calm], rules), detect([calm, urgent], rules)

    assert (one.rule, one.reason) == (other.rule, other.reason)


EQUAL_AMOUNTS = (
    ("2160-0", "mg/dL", "umol/L", 88.40168),
    ("2345-7", "mg/dL", "mmol/L", 1 / 18.0156),
    ("718-7", "g/dL", "g/L", 10.0),
    ("777-3", "10*9/L", "/uL", 1000.0),
    ("2823-3", "mmol/L", "meq/L", 1.0),
    ("17861-6", "mg/dL", "mmol/L", 10 / 40.078),
    ("8480-6", "mm[Hg]", "kPa", 1 / 7.500615758),
    ("10230-1", "%", "1", 0.01),
    ("29463-7", "kg", "[lb_av]", 1 / 0.45359237),
)


@SEEDED
@given(row=st.sampled_from(EQUAL_AMOUNTS), value=st.floats(min_value=0.5, max_value=500))
def test_agreement_after_unit_conversion_never_conflicts(
    rules: RuleBook, row: tuple[str, str, str, float], value: float
) -> None:
    code, unit, other, factor = row
    coding = Coding(system=LOINC, code=code)
    findings = [
        Finding(tool="acme", kind="measurement", code=coding, value=value, unit=unit),
        Finding(tool="lumen", kind="measurement", code=coding, value=value * factor, unit=other),
    ]

    assert detect(findings, rules) == ()


EQUAL_CODES = (
    (Coding(system=ICD10CM, code="J93.9"), Coding(system="http://radlex.org", code="RID5352")),
    (Coding(system=ICD10CM, code="J90"), Coding(display="Pleural effusion")),
    (Coding(system=ICD10CM, code="E119"), Coding(system=ICD10CM, code="E11.9")),
    (Coding(display="Pulmonary oedema"), Coding(display="pulmonary edema")),
    (Coding(system=ICD10CM, code="S72.001A"), Coding(system=ICD10CM, code="S72.001D")),
)


@pytest.mark.parametrize(("one", "two"), EQUAL_CODES)
def test_agreement_after_code_conversion_never_conflicts(
    rules: RuleBook, one: Coding, two: Coding
) -> None:
    findings = [
        Finding(tool="acme", kind="assertion", code=one, polarity="present"),
        Finding(tool="lumen", kind="assertion", code=two, polarity="present"),
    ]

    assert detect(findings, rules) == ()


def test_a_large_bucket_names_every_dissenter_in_linear_size(rules: RuleBook) -> None:
    coding = Coding(system=ICD10CM, code="J93.9")
    findings = [
        Finding(
            tool=f"tool-{number:04d}",
            kind="assertion",
            code=coding,
            polarity="present" if number % 2 else "absent",
            study="ImagingStudy/s1",
        )
        for number in range(400)
    ]

    conflicts = detect(findings, rules)

    assert {i for c in conflicts for i in c.between} == set(range(400))
    assert len(conflicts) <= 12 * len(findings)
