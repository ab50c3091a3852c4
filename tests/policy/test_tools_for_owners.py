"""For those who own the policy: decision tables, explain, diff, lint, reload, editor schemas."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from careweir.access import PolicySet
from careweir.access.decision_tables import Row, read_tables, run_row, run_tables
from careweir.access.diff import diff
from careweir.access.explain import explain
from careweir.access.lint import lint
from careweir.access.schema import FILES
from careweir.errors import PolicyInvalid
from careweir_kit.registry import discover_adapters, load_tools
from minimise.charts import CHEST, SEPSIS, tool

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
SHIPPED = PolicySet.load(POLICIES)
ROWS = [
    pytest.param(row, id=f"{table.name}:{index}")
    for table, file in read_tables(POLICIES)
    for index, row in enumerate(file.rows)
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped policy that a test may change."""
    return Path(shutil.copytree(POLICIES, tmp_path / "policies"))


def edit(directory: Path, name: str, old: str, new: str) -> PolicySet:
    path = directory / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return PolicySet.load(directory)


@pytest.mark.parametrize("row", ROWS)
def test_the_shipped_policy_answers_as_its_tables_say(row: Row) -> None:
    result = run_row(SHIPPED, row)

    assert result["passed"], result["why"]


def test_a_table_reports_passes_and_failures_with_their_lines(copy: Path) -> None:
    (copy / "tests" / "extra.yaml").write_text(
        "version: 1\nrows:\n"
        "  - {role: scheduler, purpose: TREAT, capability: sepsis-risk, expect: permit}\n"
        "  - {role: ed-physician, purpose: TREAT, capability: sepsis-risk, expect: permit, "
        "sees: [region], hides: [age], sensitivity: [HIV]}\n",
        encoding="utf-8",
    )

    report = run_tables(PolicySet.load(copy), copy)

    failed = [row for row in report["rows"] if not row["passed"]]
    assert report["failed"] == len(failed) == 2
    assert report["passed"] == len(ROWS)
    assert failed[0]["at"] == "tests/extra.yaml:3"
    assert failed[0]["why"][0] == "expected permit, got deny"
    assert failed[1]["why"][:3] == ["does not see region", "sees age", "HIV is not open"]


@pytest.mark.parametrize(
    "body", ["version: 1\nrows: []\n", "version: 1\nrows:\n  - {rol: x}\n", ""]
)
def test_a_faulty_table_is_refused(copy: Path, body: str) -> None:
    (copy / "tests" / "bad.yaml").write_text(body, encoding="utf-8")

    with pytest.raises(PolicyInvalid, match=r"^tests/bad\.yaml:"):
        read_tables(copy)


def test_explain_names_the_line_the_classes_and_the_forms() -> None:
    found = explain(
        SHIPPED, role="ed-physician", purpose="TREAT", capability="sepsis-risk", tool=SEPSIS
    )

    assert found["effect"] == "permit"
    assert "roles.yaml:" in found["because"][0]
    age = next(one for one in found["classes"] if one["class"] == "age")
    assert age["transforms"] == ["age_band", "age_years"]
    assert "Observation.valueQuantity" in found["tool"]["opened"]
    assert found["tool"]["refused"] == {}
    assert any("only as age_band or age_years" in line for line in found["words"])
    json.dumps(found)


def test_explain_says_of_a_denial_which_grant_nearly_applied() -> None:
    found = explain(
        SHIPPED, role="ed-physician", purpose="HPAYMT", capability="sepsis-risk", tool=SEPSIS
    )

    assert found["denied_by"] == "purpose"
    assert found["near"][0].startswith("roles.yaml:")
    assert found["near"][0].endswith("purpose TREAT at *")
    assert "Patient.birthDate" in found["tool"]["refused"]


def test_explain_flags_break_glass() -> None:
    found = explain(
        SHIPPED,
        role="ed-physician",
        purpose="BTG",
        capability="sepsis-risk",
        break_glass=True,
    )

    assert found["break_glass"] is True
    assert "ETHUD" in found["sensitivity"]
    assert any("are open too" in line for line in found["words"])


def test_a_policy_does_not_differ_from_itself() -> None:
    assert diff(SHIPPED, SHIPPED, [SEPSIS, CHEST])["changes"] == []


def test_diff_names_who_gains_and_who_loses_what(copy: Path) -> None:
    new = edit(
        copy,
        "data_classes.yaml",
        "    paths: [gender]\n",
        "    paths: [gender]\n    transforms: [year]\n",
    )

    changes = diff(SHIPPED, new, [SEPSIS])["changes"]
    assert {change["role"] for change in changes} == {
        "ed-physician",
        "hospitalist",
        "integration-engine",
    }
    assert all(change["lost"] == ["Patient.gender"] for change in changes)
    back = diff(new, SHIPPED, [SEPSIS])["changes"]
    assert all(change["gained"] == ["Patient.gender"] for change in back)


def test_diff_sees_a_wider_form_of_the_same_path(copy: Path) -> None:
    new = edit(
        copy, "roles.yaml", "classes: [age, sex", "sensitivity: [PSY]\n    classes: [age, sex"
    )

    changes = diff(SHIPPED, new, [SEPSIS])["changes"]

    assert {tuple(change["gained"]) for change in changes} == {("sensitivity:PSY",)}


def rules(found: dict[str, object]) -> set[tuple[str, str]]:
    remarks = found["remarks"]
    assert isinstance(remarks, list)
    return {(remark["rule"], remark["message"]) for remark in remarks}


def test_lint_finds_a_grant_that_a_forbid_beats(copy: Path) -> None:
    new = edit(
        copy, "roles.yaml", "forbids:\n", "forbids:\n  - {role: radiologist, reason: on leave}\n"
    )

    assert ("unreachable-grant", "a forbid beats it wherever it applies") in rules(lint(new, []))
    assert "unreachable-grant" not in {rule for rule, _ in rules(lint(SHIPPED, []))}


def test_lint_finds_a_grant_that_says_nothing_new(copy: Path) -> None:
    twin = (
        "grants:\n  - {role: radiologist, purpose: TREATDS, capability: chest-xray-findings, "
        "classes: [age]}\n"
    )
    new = edit(copy, "roles.yaml", "grants:\n", twin)

    assert "repeated-grant" in {rule for rule, _ in rules(lint(new, []))}
    assert "repeated-grant" not in {rule for rule, _ in rules(lint(SHIPPED, []))}


def test_lint_finds_rights_that_no_tool_needs_and_needs_that_no_right_opens() -> None:
    greedy = tool({"resource": "Patient", "paths": ("name", "nickname", "gender")})

    found = rules(lint(SHIPPED, [greedy, CHEST]))

    assert ("unsatisfiable-need", "no role may send Patient.name") in found
    assert ("unknown-path", "Patient.nickname is never sent") in found
    assert all(rule != "wider-than-needed" for rule, _ in found)


def test_lint_tells_what_is_meant_so_from_what_is_not(copy: Path) -> None:
    chest = "chest-xray-findings\n    classes: [age, sex, "
    new = edit(copy, "roles.yaml", chest, chest + "laboratory, birth-date, ")
    tools = [tool({"resource": "Patient", "paths": ("gender",)}, capability="chest-xray-findings")]

    found = lint(new, tools)

    wide = {one["message"] for one in found["remarks"] if one["rule"] == "wider-than-needed"}
    assert wide == {"no tool needs laboratory", "no tool needs birth-date"}
    meant = {(one["rule"], one["message"]) for one in found["notes"]}
    assert ("wider-than-needed", "no tool needs age") in meant
    assert ("wider-than-needed", "no tool needs sex") not in meant
    assert ("unserved", "no tool serves it yet") in meant
    assert any(rule == "never-granted" and "a site" in message for rule, message in meant)
    assert all("birth-date" not in one["at"] for one in found["notes"])


def test_a_class_that_nobody_grants_is_a_fault_unless_it_says_why(copy: Path) -> None:
    spare = "    spare: for a site whose tool cannot do with less\n"
    new = edit(copy, "data_classes.yaml", spare, "")

    assert ("never-granted", "no grant names this class") in rules(lint(new, []))
    assert all(rule != "never-granted" for rule, _ in rules(lint(SHIPPED, [])))


def test_lint_has_no_remark_about_what_is_shipped() -> None:
    tools = load_tools(POLICIES / "tools", discover_adapters())

    assert lint(SHIPPED, tools.values())["remarks"] == []


def test_a_scope_names_classes_that_are_declared(copy: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"capabilities\.yaml:\d+: .*'ages'"):
        edit(copy, "capabilities.yaml", "scope: [age, ", "scope: [ages, ")


def test_lint_finds_a_tool_that_nobody_can_use() -> None:
    lonely = SEPSIS.model_copy(update={"capabilities": ("astrology",)})
    far = SEPSIS.model_copy(update={"region": "mars"})

    assert any(rule == "unsatisfiable-tool" for rule, _ in rules(lint(SHIPPED, [lonely])))
    assert any(rule == "closed-region" for rule, _ in rules(lint(SHIPPED, [far])))


def test_lint_finds_codes_that_are_never_sent() -> None:
    odd = tool({"resource": "Observation", "paths": ("code",), "codes": {"loinc": ("1-1",)}})

    assert ("unknown-code", "loinc 1-1 is never sent") in rules(lint(SHIPPED, [odd]))


def test_the_schemas_describe_the_files_as_an_editor_reads_them() -> None:
    jsonschema = pytest.importorskip("jsonschema_rs", reason="needs jsonschema-rs")
    files = {f"{name}.yaml": name for name in FILES if name != "sensitivity"}
    files |= {f"sensitivity/{path.name}": "sensitivity" for path in POLICIES.glob("sensitivity/*")}

    for file, name in files.items():
        schema = json.loads((POLICIES / "schema" / f"{name}.json").read_text(encoding="utf-8"))
        content = yaml.safe_load((POLICIES / file).read_text(encoding="utf-8"))
        jsonschema.validate(schema, json.loads(json.dumps(content)))


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_schema_for_editors_is_the_one_that_the_loader_uses(name: str) -> None:
    path = POLICIES / "schema" / f"{name}.json"

    assert json.loads(path.read_text(encoding="utf-8")) == FILES[name].model_json_schema()
