"""Lines that come from anywhere: lenient where nothing is guessed, clear where it would be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from careweir.cli.conflicts import app
from careweir.conflicts import RuleBook, detect_lines, evaluate
from careweir.conflicts.reader import read_finding
from careweir_fhir.model import Finding


def _line(**case: Any) -> bytes:
    return json.dumps(case).encode()


def _assertion(tool: str, polarity: str, **more: Any) -> dict[str, Any]:
    return {
        "tool": tool,
        "kind": "assertion",
        "code": {"display": "pneumothorax"},
        "polarity": polarity,
        **more,
    }


DISAGREE = [_assertion("acme", "present"), _assertion("lumen", "absent")]


def test_a_case_gives_pairs_with_reason_and_rule(rules: RuleBook) -> None:
    [answer] = detect_lines([_line(id="a", patient="Patient/1", findings=DISAGREE)], rules)

    [conflict] = answer["conflicts"]
    assert answer["id"] == "a"
    assert set(conflict) == {"type", "between", "severity", "reason", "rule"}
    assert conflict["between"] == [0, 1]
    assert "acme says pneumothorax present" in conflict["reason"]


def test_label_fields_change_nothing(rules: RuleBook) -> None:
    plain = _line(id=1, findings=DISAGREE)
    told = _line(id=1, findings=DISAGREE, title="no conflict", reason="x", tags=[], expected=[])

    assert list(detect_lines([plain], rules)) == list(detect_lines([told], rules))


def test_unknown_keys_and_missing_ones_are_fine(rules: RuleBook) -> None:
    findings = [_assertion("acme", "present", vendor_blob={"a": [1]}), DISAGREE[1]]

    [answer] = detect_lines([_line(id="a", findings=findings)], rules)

    assert len(answer["conflicts"]) == 1


def test_a_bad_line_is_named_and_the_stream_goes_on(rules: RuleBook) -> None:
    lines = [b'{"id": "x", "id": "y"}', b"CANARY not json", b"[]", _line(id="z")]

    answers = list(detect_lines([*lines, b"\n", _line(id="ok", findings=DISAGREE)], rules))

    assert [a["error"]["code"] for a in answers[:4]] == [
        "not_json",
        "not_json",
        "not_a_case",
        "no_findings",
    ]
    assert "CANARY" not in json.dumps(answers)
    assert answers[4]["conflicts"]


def test_a_bad_finding_keeps_the_positions_of_the_others(rules: RuleBook) -> None:
    findings = ["CANARY", DISAGREE[0], {"kind": "CANARY", "code": {}}, DISAGREE[1]]

    [answer] = detect_lines([_line(id="a", findings=findings)], rules)

    assert [c["between"] for c in answer["conflicts"]] == [[1, 3]]
    assert [(u["at"], u["code"]) for u in answer["unreadable"]] == [
        (0, "not_a_finding"),
        (2, "finding_invalid"),
    ]
    assert "CANARY" not in json.dumps(answer)


def test_a_number_with_two_readings_is_said_to_be_in_doubt(rules: RuleBook) -> None:
    reading = {"tool": "acme", "kind": "measurement", "code": {"display": "platelets"},
               "value": "1,234", "unit": "/uL"}  # fmt: skip

    [answer] = detect_lines([_line(id="a", findings=[reading])], rules)

    assert answer["unreadable"][0]["code"] == "value_in_doubt"
    assert answer["conflicts"] == []


def test_evaluation_counts_pairs_severity_and_false_alarms(rules: RuleBook) -> None:
    hit = {"type": "assertion_contradiction", "between": [1, 0], "severity": "moderate"}
    lines = [
        _line(id="hit", findings=DISAGREE, expected=[hit]),
        _line(id="false-alarm", findings=DISAGREE, expected=[]),
        _line(id="miss", findings=DISAGREE[:1], expected=[{**hit, "between": [0, 1]}]),
        b"broken",
    ]

    report = evaluate(lines, rules)

    assert (report["tp"], report["fp"], report["fn"]) == (1, 1, 1)
    assert report["false_alarms_per_100"] == 100
    assert report["severity_exact"] == 0
    assert report["severity_within_step"] == 1
    assert report["unreadable_lines"] == 1
    assert report["types"]["assertion_contradiction"]["f1"] == 0.5


def test_evaluate_gives_json_to_programs_and_a_table_a_type_to_people(tmp_path: Path) -> None:
    hit = {"type": "assertion_contradiction", "between": [0, 1], "severity": "moderate"}
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_bytes(_line(id="hit", findings=DISAGREE, expected=[hit]))

    shown = CliRunner().invoke(app, ["evaluate", str(labelled)])

    assert json.loads(shown.stdout)["types"]["assertion_contradiction"]["tp"] == 1
    assert "assertion_contradict" in shown.stderr
    assert "severe recall 1.000" in shown.stderr


def test_a_case_of_more_than_half_a_million_values_is_read(rules: RuleBook) -> None:
    """A hundred thousand findings are one case: no limit of a request's body holds for a file."""
    full = dict.fromkeys((f"k{number}" for number in range(1, 26)), 0)
    findings = [_assertion("acme", "present", study="ImagingStudy/1", **full)] * 20_000

    [answer] = detect_lines([_line(id="a", findings=[*findings, DISAGREE[1]])], rules)

    assert [conflict["between"] for conflict in answer["conflicts"]] == [[0, 20_000]]


def test_a_finding_as_the_contract_has_it_reads_as_one_that_must_be_guessed_at() -> None:
    """The quick way in and the patient one end at the same finding."""
    written = {
        **_assertion("acme", "present", laterality="left", effective="2026-03-02T08:00:00Z"),
        "confidence": 0.8, "confidence_kind": "detection", "unit": None, "value": 3,
        "explanation": ["x"], "fallback": True, "body_site": {"display": "left lung"},
        "dose": {"value": 5, "unit": "mg"}, "interval": [0.1, 0.2],
    }  # fmt: skip
    spelt = {**written, "polarity": "POSITIVE", "laterality": "LT", "value": 3, "id": None}
    quick = {**written, "interval": None}

    assert read_finding(written) == read_finding(spelt)
    assert read_finding(quick) == read_finding({**quick, "polarity": "positive"})
    assert not read_finding(quick).fallback


def test_of_several_codings_one_that_the_tables_know_is_taken() -> None:
    snomed = {"system": "http://snomed.info/sct", "code": "36118008"}
    icd = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J93.9"}
    concept = {"coding": [snomed, icd], "text": "Collapsed lung"}

    code = read_finding({**DISAGREE[0], "code": concept}).code

    assert (code.code, code.display) == ("J93.9", "Collapsed lung")
    assert read_finding({**DISAGREE[0], "code": {"coding": [snomed]}}).code.code == "36118008"
    assert read_finding({**DISAGREE[0], "code": {"coding": ["x", None]}}).code.code is None


@pytest.mark.parametrize(
    "odd",
    [
        {"kind": "Assertion"},
        {"code": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J93.9"}]},
        {"body_site": [{"display": "chest"}]},
        {"polarity": "POSITIVE"},
        {"confidence": "0,9"},
        {"effective": {"start": "2026-03-02T08:00:00Z"}},
        {"study": {"reference": "ImagingStudy/1"}},
        {"status": {"coding": [{"code": "final"}]}},
        {"value": [1]},
        {"tool": None},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_an_oddly_written_finding_is_compared(rules: RuleBook, odd: dict[str, Any]) -> None:
    one, other = ({**finding, "study": "ImagingStudy/1"} for finding in DISAGREE)

    [answer] = detect_lines([_line(id="a", findings=[{**one, **odd}, other])], rules)

    assert [conflict["between"] for conflict in answer["conflicts"]] == [[0, 1]]
    assert "unreadable" not in answer


def test_a_finding_of_nothing_stops_no_comparison(rules: RuleBook) -> None:
    """A side and a place without a code are of no concept; others of the case are compared."""
    sided = [_assertion(tool, "present", laterality=side)
             for tool, side in (("acme", "left"), ("lumen", "right"))]  # fmt: skip
    nothing = {"tool": "acme", "kind": "coding", "laterality": "left", "body_site": "RUL"}
    nodule = {"display": "solitary pulmonary nodule"}
    single = [_assertion(tool, "present", code=nodule, body_site=place)
              for tool, place in (("acme", "RUL"), ("lumen", "LLL"))]  # fmt: skip

    [answer] = detect_lines([_line(id="a", findings=[*sided, nothing, *single])], rules)

    assert [conflict["between"] for conflict in answer["conflicts"]] == [[0, 1], [3, 4]]


PLAUSIBLE = (
    DISAGREE[0],
    {**DISAGREE[1], "laterality": "left"},
    {"tool": "acme", "kind": "measurement", "code": {"display": "potassium"}, "value": 6.8,
     "unit": "mmol/L"},
    {"tool": "lumen", "kind": "measurement", "code": {"display": "potassium"}, "value": 4.1,
     "unit": "mmol/L"},
    {"tool": "acme", "kind": "risk", "code": {"display": "sepsis"}, "value": 0.1, "horizon": "6h"},
    {"tool": "lumen", "kind": "risk", "code": {"display": "sepsis"}, "value": 0.9, "horizon": "6h"},
    {"tool": "acme", "kind": "recommendation", "code": {"display": "warfarin"}, "action": "start"},
    {"tool": "lumen", "kind": "triage", "code": {"display": "triage"}, "scale": "ESI", "value": 5},
    {"tool": "acme", "kind": "coding", "code": {"code": "E11.9"}},
)  # fmt: skip
ODD = (
    None, "", 0, -1, 1e308, True, "left", "P", "%", "{}", "?", "1,5", "/", "a|b", "urn:",
    "2026-13-45", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", [], [None, None],
    ["1", "2"], {}, {"code": None}, {"coding": [{}]}, {"value": 0, "unit": "mg"}, "no ", "risk of ",
    "L ", "NEWS2", "I10", "\u0000", {"display": "CT with contrast"}, {"code": "S72.001A"},
)  # fmt: skip
FIELDS = st.sampled_from(sorted(set(Finding.model_fields) - {"kind"}))


@settings(max_examples=300, derandomize=True, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    odd=st.lists(
        st.tuples(
            st.sampled_from(PLAUSIBLE),
            st.dictionaries(FIELDS, st.sampled_from(ODD), max_size=3),
        ),
        max_size=10,
    )
)
def test_no_odd_value_stops_the_detector(
    rules: RuleBook, odd: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    findings = [{**plausible, **changed} for plausible, changed in odd]

    [answer] = detect_lines([_line(id="a", patient="Patient/1", findings=findings)], rules)

    assert "error" not in answer
