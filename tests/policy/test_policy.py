"""Decisions of the shipped policy, and what a policy directory must be to be loaded at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from careweir.access import PolicySet
from careweir.access.plan import plan
from careweir.access.policy import DECISIONS_KEPT_MAX
from careweir.errors import PolicyInvalid
from minimise.charts import SEPSIS

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
SHIPPED = PolicySet.load(POLICIES)

Ruin = Callable[[str, str, str], Path]


@pytest.fixture
def changed(tmp_path: Path) -> Ruin:
    """A copy of the shipped policy with one piece of one file replaced."""

    def change(name: str, old: str, new: str) -> Path:
        directory = tmp_path / "policies"
        shutil.copytree(POLICIES, directory, dirs_exist_ok=True)
        path = directory / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return directory

    return change


def effect(role: str, purpose: str, capability: str) -> tuple[str, str | None]:
    decision = SHIPPED.decide(role=role, purpose=purpose, capability=capability, site="north")
    return decision.effect, decision.denied_by


@pytest.mark.parametrize(
    ("role", "purpose", "capability", "expected"),
    [
        ("ed-physician", "TREAT", "sepsis-risk", ("permit", None)),
        ("ed-physician", "TREAT", "chest-xray-findings", ("permit", None)),
        ("hospitalist", "TREAT", "sepsis-risk", ("permit", None)),
        ("hospitalist", "TREAT", "chest-xray-findings", ("permit", None)),
        ("radiologist", "TREAT", "chest-xray-findings", ("permit", None)),
        ("radiologist", "TREAT", "sepsis-risk", ("deny", "role")),
        ("integration-engine", "TREAT", "sepsis-risk", ("permit", None)),
        ("integration-engine", "TREAT", "chest-xray-findings", ("permit", None)),
        ("scheduler", "TREAT", "sepsis-risk", ("deny", "role")),
        ("scheduler", "HOPERAT", "sepsis-risk", ("deny", "role")),
        ("auditor", "TREAT", "sepsis-risk", ("deny", "role")),
        ("auditor", "HOPERAT", "chest-xray-findings", ("deny", "role")),
        ("nobody", "TREAT", "sepsis-risk", ("deny", "role")),
        ("ed-physician", "TREAT", "no-such", ("deny", "role")),
        ("ed-physician", "NONSENSE", "sepsis-risk", ("deny", "purpose")),
        ("ed-physician", "HPAYMT", "sepsis-risk", ("deny", "purpose")),
        ("ed-physician", "HMARKT", "sepsis-risk", ("deny", "forbid")),
        ("ed-physician", "MLTRAINING", "sepsis-risk", ("deny", "forbid")),
        ("ed-physician", "ETREAT", "sepsis-risk", ("permit", None)),
        ("ed-physician", "ERTREAT", "sepsis-risk", ("permit", None)),
        ("ed-physician", "TREATDS", "sepsis-risk", ("permit", None)),
    ],
)
def test_the_shipped_policy_decides(
    role: str, purpose: str, capability: str, expected: tuple[str, str | None]
) -> None:
    assert effect(role, purpose, capability) == expected


def test_a_decision_names_the_line_of_its_rule() -> None:
    decision = SHIPPED.decide(
        role="ed-physician", purpose="TREAT", capability="sepsis-risk", site=None
    )
    lines = (POLICIES / "roles.yaml").read_text(encoding="utf-8").splitlines()

    (because,) = decision.because
    line = int(because.rpartition(":")[2].removesuffix(")"))
    assert because.startswith("grant ed-physician/TREAT/sepsis-risk (roles.yaml:")
    assert lines[line - 1] == "  - role: [ed-physician, hospitalist, integration-engine]"


def test_a_purpose_that_is_granted_does_not_cover_break_glass() -> None:
    plain = SHIPPED.decide(
        role="radiologist", purpose="BTG", capability="chest-xray-findings", site=None
    )

    assert plain.effect == "deny"
    assert not SHIPPED.purposes.covers("TREAT", "BTG")
    assert not SHIPPED.purposes.covers("ETREAT", "BTG")
    assert not SHIPPED.purposes.covers("BTG", "TREAT")
    assert SHIPPED.purposes.covers("BTG", "BTG")


def test_a_decision_never_repeats_words_that_the_policy_does_not_know() -> None:
    for role, purpose, capability in (
        ("CANARY", "TREAT", "sepsis-risk"),
        ("ed-physician", "CANARY", "sepsis-risk"),
        ("ed-physician", "TREAT", "CANARY"),
        ("auditor", "HMARKT", "CANARY"),
    ):
        decision = SHIPPED.decide(role=role, purpose=purpose, capability=capability, site="CANARY")
        assert decision.effect == "deny"
        assert "CANARY" not in " ".join(decision.because)


def test_decisions_that_are_remembered_are_bounded() -> None:
    policies = PolicySet.load(POLICIES)
    for number in range(DECISIONS_KEPT_MAX + 10):
        policies.decide(role="x", purpose="TREAT", capability="y", site=str(number))

    assert len(policies._decisions) == DECISIONS_KEPT_MAX


def test_a_denial_carries_no_rights() -> None:
    decision = SHIPPED.decide(
        role="scheduler", purpose="TREAT", capability="sepsis-risk", site=None
    )

    assert decision.rights.classes == ()
    assert decision.rights.sensitivity == frozenset()


def test_a_forbid_beats_every_grant_and_says_why(changed: Ruin) -> None:
    directory = changed(
        "roles.yaml",
        "forbids:\n",
        "forbids:\n  - {role: ed-physician, purpose: TREAT, reason: under review}\n",
    )

    policies = PolicySet.load(directory)
    for purpose in ("TREAT", "ERTREAT", "BTG"):
        decision = policies.decide(
            role="ed-physician", purpose=purpose, capability="sepsis-risk", site=None
        )
        assert (decision.effect, decision.denied_by) == ("deny", "forbid")
        assert "under review (roles.yaml:" in decision.because[0]


def test_a_grant_for_one_site_holds_at_that_site_only(changed: Ruin) -> None:
    directory = changed(
        "roles.yaml",
        "    capability: sepsis-risk\n",
        "    capability: sepsis-risk\n    sites: [north]\n",
    )
    policies = PolicySet.load(directory)

    def at(site: str | None) -> str:
        return policies.decide(
            role="ed-physician", purpose="TREAT", capability="sepsis-risk", site=site
        ).effect

    assert [at(site) for site in ("north", "south", None)] == ["permit", "deny", "deny"]


def test_grants_of_one_role_add_up_and_their_order_does_not_matter(changed: Ruin) -> None:
    extra = (
        "grants:\n  - {role: radiologist, purpose: TREAT, capability: chest-xray-findings, "
        "classes: [stays], sensitivity: [PSY]}\n"
    )
    wide = PolicySet.load(changed("roles.yaml", "grants:\n", extra))

    decision = wide.decide(
        role="radiologist", purpose="TREAT", capability="chest-xray-findings", site=None
    )

    assert "stays" in {data_class.name for data_class, _ in decision.rights.classes}
    assert "report-text" in {data_class.name for data_class, _ in decision.rights.classes}
    assert decision.rights.sensitivity == {"PSY"}
    assert len(decision.because) == 2


def test_the_revision_follows_every_byte_of_every_file_and_nothing_else(changed: Ruin) -> None:
    same = changed("roles.yaml", "version: 1", "version: 1")
    revision = PolicySet.load(same).revision

    (same / "notes.txt").write_text("not policy", encoding="utf-8")
    (same / "tests" / "more.yaml").write_text("not: policy", encoding="utf-8")
    assert PolicySet.load(same).revision == revision

    (same / "tools" / "new.yaml").parent.mkdir(exist_ok=True)
    (same / "tools" / "new.yaml").write_text("tool: new", encoding="utf-8")
    assert PolicySet.load(same).revision != revision
    assert revision.startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("roles.yaml", "role: [ed-physician", "role: [ed-phisician", "grants.0.role"),
        ("roles.yaml", "purpose: TREAT", "purpose: TREET", "grants.0.purpose"),
        ("roles.yaml", "capability: sepsis-risk", "capability: sepsis", "grants.0.capability"),
        ("roles.yaml", "classes: [age,", "classes: [aged,", "grants.0.classes"),
        ("roles.yaml", "purpose: HMARKT", "purpose: MARKET", "forbids.0.purpose"),
        ("roles.yaml", "version: 1", "version: 2", "version"),
        ("roles.yaml", "version: 1", "version: 1\nextra: 1", "extra"),
        ("roles.yaml", "    purpose: TREAT\n", "    purpose: TREAT\n    purpos: TREAT\n", "purpos"),
        ("roles.yaml", "    purpose: TREAT\n", "    purpose: TREAT\n    purpose: TREAT\n", "twice"),
        ("roles.yaml", "classes: [age", "sensitivity: [SECRET]\n    classes: [age", "SECRET"),
        ("roles.yaml", "classes: [age", "confidentiality: [N]\n    classes: [age", "confidential"),
        ("roles.yaml", "classes: [age", "break_glass: true\n    classes: [age", "BTG go together"),
        ("roles.yaml", "purpose: TREAT", "purpose: BTG", "BTG go together"),
        ("roles.yaml", "version: 1", "version: [", "not valid YAML"),
        ("roles.yaml", "version: 1", "version: 1\n---\nversion: 1", "not valid YAML"),
        ("roles.yaml", "version: 1", "version: &a 1\nx: *a", "anchors"),
        ("purposes.yaml", "  HMARKT: []", "  HMARKT: [HMARKT]", "loop"),
        ("purposes.yaml", "  HMARKT: []", "  HMARKT: [MARKET]", "MARKET"),
        ("data_classes.yaml", "paths: [gender]", "paths: [sex]", "classes.sex.paths"),
        ("data_classes.yaml", "paths: [gender]", "paths: [name]", "classes.sex.paths"),
        ("data_classes.yaml", "codes: [laboratory]", "codes: [lab]", "classes.laboratory.codes"),
        ("data_classes.yaml", "    text: true\n", "", "text: true"),
        ("data_classes.yaml", "    transforms: [postal_3]\n", "", "only generalised"),
        ("data_classes.yaml", "[year]", "[decade]", "transforms"),
        ("data_classes.yaml", "[year]", "[shift_dates]", "none of its paths is a date"),
        ("data_classes.yaml", "Patient\n    paths: [gender]", "Patients\n    paths: [gender]",
         "resource"),
        ("codes.yaml", "system: dcm", "system: dicom", "system"),
        ("codes.yaml", "      CR: Computed", "      CR: Computed\n      CR: Computed", "twice"),
        ("codes.yaml", "      9279-1: R", "      2524-7: Lactate\n      9279-1: R", "two groups"),
        ("codes.yaml", "  mmHg: mm[Hg]", "  mmHg: mmHG", "unit_synonyms"),
        ("sensitivity/hiv.yaml", "sensitivity: HIV", "sensitivity: AIDS", "sensitivity"),
        ("sensitivity/hiv.yaml", "  icd10cm:", "  icd11:", "codes"),
        ("sensitivity/hiv.yaml", "words:", "word:", "word"),
        ("sensitivity/hiv.yaml", "words: [", "words: [x, ", "two letters"),
        ("sensitivity/violence.yaml", "icd10cm: [", "icd10cm: [T74, ", "two places"),
        ("sensitivity/violence.yaml", "icd10cm: [", "icd10cm: [T73-T74, ", "two places"),
        ("sensitivity/violence.yaml", "icd10cm: [", "icd10cm: [T74-S74, ", "no range"),
        ("sensitivity/violence.yaml", "icd10cm: [", "icd10cm: [T73-R74, ", "no range"),
        ("sensitivity/violence.yaml", "icd10cm: [", "icd10cm: [T10.1-T10.9, ", "no range"),
        ("codes.yaml", "by_category: [", "by_category: [icd11, ", "by_category"),
        ("codes.yaml", "other_names:", "other_names:\n  icd11: [urn:x]", "other_names"),
        ("sites.yaml", "default: [local]", "default: [moon]", "moon"),
        ("sites.yaml", "south: [local]", "south: [moon]", "sites.south"),
        ("data_classes.yaml", "sensitivity: [PREGNANT]", "sensitivity: [PREGNANCY]", "pregnancy"),
    ],
)  # fmt: skip
def test_a_faulty_policy_is_refused_with_file_line_and_rule(
    changed: Ruin, name: str, old: str, new: str, says: str
) -> None:
    directory = changed(name, old, new)

    with pytest.raises(PolicyInvalid) as refused:
        PolicySet.load(directory)

    file, line, _ = str(refused.value).split(":", 2)
    assert file == name
    assert int(line) >= 1
    assert says in str(refused.value)


def test_the_line_of_a_refusal_is_the_line_of_the_fault(changed: Ruin) -> None:
    directory = changed("roles.yaml", "capability: sepsis-risk", "capability: sepsis")
    text = (directory / "roles.yaml").read_text(encoding="utf-8").splitlines()

    with pytest.raises(PolicyInvalid) as refused:
        PolicySet.load(directory)

    line = int(str(refused.value).split(":")[1])
    assert text[line - 1].strip() == "capability: sepsis"


@pytest.mark.parametrize("body", ["", "# nothing\n", "- a\n", "just text\n", "null\n"])
def test_an_empty_or_shapeless_file_is_refused(changed: Ruin, body: str) -> None:
    directory = changed("roles.yaml", "version: 1", "version: 1")
    (directory / "roles.yaml").write_text(body, encoding="utf-8")

    with pytest.raises(PolicyInvalid, match=r"^roles\.yaml:1"):
        PolicySet.load(directory)


def test_a_missing_file_or_directory_is_refused(changed: Ruin, tmp_path: Path) -> None:
    directory = changed("roles.yaml", "version: 1", "version: 1")
    (directory / "codes.yaml").unlink()

    with pytest.raises(PolicyInvalid, match=r"^codes\.yaml:1: the file is missing"):
        PolicySet.load(directory)
    with pytest.raises(PolicyInvalid):
        PolicySet.load(tmp_path / "nowhere")


def test_bytes_that_are_not_utf_8_are_refused(changed: Ruin) -> None:
    directory = changed("roles.yaml", "version: 1", "version: 1")
    (directory / "roles.yaml").write_bytes(b"version: \xff")

    with pytest.raises(PolicyInvalid, match="UTF-8"):
        PolicySet.load(directory)


def test_codes_stay_text_as_written() -> None:
    assert ("http://loinc.org", "2951-2") in SHIPPED.vocabulary.codes
    assert all(isinstance(code, str) for _, code in SHIPPED.vocabulary.codes)
    assert "1" in SHIPPED.vocabulary.units


def test_the_hierarchy_holds_the_purposes_of_the_standard() -> None:
    assert SHIPPED.purposes.lineage("ERTREAT") == {"ERTREAT", "ETREAT", "TREAT"}
    assert SHIPPED.purposes.lineage("ELIGVER") == {"ELIGVER", "COVERAGE", "HPAYMT"}
    assert len(SHIPPED.purposes.parents) == 62


def test_every_role_of_the_contract_is_declared() -> None:
    assert set(SHIPPED.roles) == {
        "ed-physician", "hospitalist", "radiologist", "coder", "scheduler", "utilisation-review",
        "integration-engine", "auditor", "privacy-officer", "governance-board", "operator",
        "vendor",
    }  # fmt: skip


def test_a_plan_is_kept_for_its_own_tool_and_rights_only() -> None:
    permit = SHIPPED.decide(
        role="ed-physician", purpose="TREAT", capability="sepsis-risk", site=None
    )
    fewer = replace(permit.rights, classes=permit.rights.classes[:1])

    full = plan(SEPSIS, permit.rights)

    assert plan(SEPSIS, permit.rights) is full
    assert [one.ways for one in plan(SEPSIS, fewer)] != [one.ways for one in full]
    again = plan(SEPSIS, permit.rights)
    assert [(one.need, one.ways) for one in again] == [(one.need, one.ways) for one in full]
    assert plan(SEPSIS.model_copy(update={"needs": ()}), permit.rights) == ()
