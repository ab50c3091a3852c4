"""Explain, diff, lint and decision tables on a policy that is small enough to say all of it."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from careweir.access import PolicySet
from careweir.access.decision_tables import Row, run_row
from careweir.access.diff import diff
from careweir.access.explain import explain
from careweir.access.lint import lint
from careweir_kit.tool import Tool
from minimise.charts import tool

SHIPPED = Path(__file__).resolve().parents[2] / "policies"
ROLES = """version: 1
roles:
  nurse: {title: Nurse}
  clerk: {title: Clerk}
grants:
  - role: nurse
    purpose: [TREAT, HQUALIMP]
    capability: sepsis-risk
    classes: [sex, age]
  - role: nurse
    purpose: TREAT
    capability: sepsis-risk
    sites: south
    classes: [laboratory]
    sensitivity: [HIV]
    confidentiality: [R]
  - role: nurse
    purpose: BTG
    capability: sepsis-risk
    classes: [sex]
    break_glass: true
forbids:
  - purpose: HMARKT
    reason: never sold
  - role: clerk
    sites: [south]
    capability: [sepsis-risk]
    reason: nothing here
"""
NO_CLASS = "no data class of the grant has this path"
ASKING = tool(
    {"resource": "Patient", "paths": ("gender", "birthDate", "photo"),
     "transforms": {"birthDate": "age_band"}},
    {"resource": "Observation", "paths": ("code", "valueQuantity", "component")},
)  # fmt: skip


@lru_cache(maxsize=64)
def small(roles: str = ROLES) -> PolicySet:
    """The shipped policy with other roles, grants and forbids."""
    with TemporaryDirectory() as folder:
        shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
        Path(folder, "roles.yaml").write_text(roles, encoding="utf-8")
        return PolicySet.load(Path(folder))


@pytest.fixture
def policies() -> PolicySet:
    return small()


def told(policies: PolicySet, *, of: Tool | None = None, **asked: Any) -> dict[str, Any]:
    question = {"role": "nurse", "purpose": "TREAT", "capability": "sepsis-risk", **asked}
    return explain(policies, tool=of, **question)


def test_a_permit_is_told_whole(policies: PolicySet) -> None:
    found = told(policies, of=ASKING)

    rule = "grant nurse/TREAT/sepsis-risk (roles.yaml:6)"
    assert found == {
        "revision": policies.revision,
        "effect": "permit",
        "denied_by": None,
        "break_glass": False,
        "because": [rule],
        "classes": [
            {"class": "age", "resource": "Patient", "paths": ["birthDate"], "codes": [],
             "transforms": ["age_band", "age_years"], "text": False, "rule": rule},
            {"class": "sex", "resource": "Patient", "paths": ["gender"], "codes": [],
             "transforms": [], "text": False, "rule": rule},
        ],
        "sensitivity": [],
        "regions": ["local"],
        "near": [],
        "tool": {
            "tool": "test-tool",
            "opened": {"Patient.birthDate": [rule], "Patient.gender": [rule]},
            "refused": {
                "Patient.photo": "no data class can name this path",
                "Observation.code": NO_CLASS,
                "Observation.valueQuantity": NO_CLASS,
                "Observation.component": NO_CLASS,
            },
        },
        "words": [
            f"nurse may ask for sepsis-risk for TREAT: {rule}.",
            "age opens Patient birthDate, only as age_band or age_years.",
            "sex opens Patient gender.",
            "test-tool may be sent Patient.birthDate, Patient.gender.",
            f"Observation.code is not opened to it: {NO_CLASS}.",
            f"Observation.component is not opened to it: {NO_CLASS}.",
            f"Observation.valueQuantity is not opened to it: {NO_CLASS}.",
            "Patient.photo is not opened to it: no data class can name this path.",
        ],
    }  # fmt: skip


def test_a_site_adds_its_own_grants_and_what_they_open(policies: PolicySet) -> None:
    found = told(policies, site="south")

    first = "grant nurse/TREAT/sepsis-risk (roles.yaml:6)"
    second = "grant nurse/TREAT/sepsis-risk (roles.yaml:10)"
    assert found["because"] == [first, second]
    assert {one["class"]: one["rule"] for one in found["classes"]} == {
        "age": first, "sex": first, "laboratory": second,
    }  # fmt: skip
    assert found["sensitivity"] == ["HIV"]
    assert found["words"][-1] == "Records under HIV are open too."
    assert "tool" not in found


def test_text_is_told_as_text() -> None:
    found = explain(
        PolicySet.load(SHIPPED), role="radiologist", purpose="TREAT",
        capability="chest-xray-findings",
    )  # fmt: skip

    by_name = {one["class"]: one for one in found["classes"]}
    assert by_name["report-text"]["text"] is True
    assert by_name["report-text"]["codes"] == ["chest-imaging"]
    assert (
        "report-text opens DiagnosticReport conclusion, presentedForm, with identifiers scrubbed."
    ) in found["words"]


def test_a_denial_is_told_whole(policies: PolicySet) -> None:
    found = told(policies, purpose="HPAYMT", of=ASKING)

    why = "no grant for nurse/HPAYMT/sepsis-risk"
    near = [
        "roles.yaml:6: purpose HQUALIMP, TREAT at *",
        "roles.yaml:10: purpose TREAT at south",
        "roles.yaml:17: purpose BTG at * with break-glass",
    ]
    assert (found["effect"], found["denied_by"], found["because"]) == ("deny", "purpose", [why])
    assert found["near"] == near
    assert found["classes"] == found["sensitivity"] == found["regions"] == []
    assert found["tool"] == {
        "tool": "test-tool",
        "opened": {},
        "refused": dict.fromkeys(
            ["Observation.code", "Observation.component", "Observation.valueQuantity",
             "Patient.birthDate", "Patient.gender", "Patient.photo"], why),
    }  # fmt: skip
    assert found["words"] == [
        f"nurse may not ask for sepsis-risk for HPAYMT: {why}.",
        *(f"A grant that nearly applies stands at {one}." for one in near),
    ]


@pytest.mark.parametrize(
    ("asked", "denied_by", "because"),
    [
        ({"role": "clerk"}, "role", "no grant for clerk/TREAT/sepsis-risk"),
        ({"role": "clerk", "site": "south"}, "forbid",
         "forbid clerk/TREAT/sepsis-risk: nothing here (roles.yaml:25)"),
        ({"purpose": "HMARKT"}, "forbid",
         "forbid nurse/HMARKT/sepsis-risk: never sold (roles.yaml:23)"),
        ({"purpose": "BTG"}, "purpose", "no grant for nurse/BTG/sepsis-risk"),
        ({"capability": "readmission-risk"}, "role", "no grant for nurse/TREAT/readmission-risk"),
        ({"role": "X", "purpose": "Y", "capability": "Z"}, "role",
         "no grant for (unknown)/(unknown)/(unknown)"),
    ],
)  # fmt: skip
def test_each_denial_says_what_was_wrong(
    policies: PolicySet, asked: dict[str, Any], denied_by: str, because: str
) -> None:
    found = told(policies, **asked)

    assert (found["denied_by"], found["because"]) == (denied_by, [because])


def test_an_override_opens_its_own_grant_and_no_other(policies: PolicySet) -> None:
    override = told(policies, purpose="BTG", break_glass=True)
    beside = told(policies, break_glass=True)

    assert override["because"] == ["grant nurse/BTG/sepsis-risk (roles.yaml:17)"]
    assert override["break_glass"] is True
    assert [one["class"] for one in override["classes"]] == ["sex"]
    assert beside["because"] == ["grant nurse/TREAT/sepsis-risk (roles.yaml:6)"]
    assert beside["break_glass"] is False


def change(old: str, new: str, *tools: Tool) -> list[dict[str, Any]]:
    assert old in ROLES
    before, after = small(), small(ROLES.replace(old, new, 1))
    found: list[dict[str, Any]] = diff(before, after, tools or [ASKING])["changes"]
    return found


def test_a_lost_class_is_lost_for_each_purpose_and_site_that_had_it() -> None:
    changes = change("classes: [sex, age]", "classes: [sex]")

    assert {(one["purpose"], one["site"]) for one in changes} == {
        (purpose, site) for purpose in ("TREAT", "HQUALIMP") for site in (None, "north", "south")
    }
    assert all(one["lost"] == ["Patient.birthDate as age_band"] for one in changes)
    assert all(one["gained"] == [] for one in changes)
    assert {(one["role"], one["capability"], one["tool"]) for one in changes} == {
        ("nurse", "sepsis-risk", "test-tool")
    }


def test_what_opens_at_one_site_is_a_change_there_alone() -> None:
    changes = change("classes: [laboratory]", "classes: [vital-signs]")

    assert [(one["purpose"], one["site"], one["break_glass"]) for one in changes] == [
        ("TREAT", "south", False)
    ]
    assert changes[0]["lost"] == [
        "Observation.code [laboratory]", "Observation.valueQuantity [laboratory]",
    ]  # fmt: skip
    assert changes[0]["gained"] == [
        "Observation.code [vital-signs]", "Observation.component.code [vital-signs]",
        "Observation.component.dataAbsentReason [vital-signs]",
        "Observation.component.valueInteger [vital-signs]",
        "Observation.component.valueQuantity [vital-signs]",
        "Observation.valueQuantity [vital-signs]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ("sensitivity: [HIV]", "sensitivity: []", ["sensitivity:HIV"]),
        ("confidentiality: [R]", "confidentiality: []", ["confidentiality:R"]),
    ],
)
def test_a_narrower_reach_into_sensitive_records_is_a_loss(
    old: str, new: str, lost: list[str]
) -> None:
    assert [(one["gained"], one["lost"]) for one in change(old, new)] == [([], lost)]


def test_a_lost_override_is_a_loss_under_the_override() -> None:
    (one,) = change("classes: [sex]\n    break_glass", "classes: [age]\n    break_glass")[:1]

    assert (one["purpose"], one["break_glass"]) == ("BTG", True)
    assert (one["gained"], one["lost"]) == (["Patient.birthDate as age_band"], ["Patient.gender"])


def test_what_a_tool_far_away_could_have_is_no_change() -> None:
    far = ASKING.model_copy(update={"region": "mars"})
    other = ASKING.model_copy(update={"capabilities": ("no-show-risk",)})

    assert change("classes: [sex, age]", "classes: [sex]", far, other) == []


def remarks(policies: PolicySet, *tools: Tool) -> set[tuple[str, str, str]]:
    found = lint(policies, tools)["remarks"]
    return {
        (one["rule"], one["at"], one["message"])
        for one in found
        if not one["at"].startswith("data_classes.yaml")
    }


def test_lint_of_the_small_policy_names_each_fault_with_its_place(policies: PolicySet) -> None:
    assert remarks(policies, ASKING) == {
        ("unsatisfiable-need", "tools/test-tool.yaml", "no role may send Patient.photo"),
        ("unsatisfiable-need", "tools/test-tool.yaml", "no role may send Observation.component"),
        ("unknown-path", "tools/test-tool.yaml", "Patient.photo is never sent"),
    }


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("    classes: [sex]\n    break_glass: true\n",
         "    classes: [sex]\n    break_glass: true\n"
         "  - {role: nurse, purpose: ETREAT, capability: sepsis-risk, classes: [age]}\n",
         ("repeated-grant", "roles.yaml:22", "says no more than roles.yaml:6")),
        ("    classes: [sex]\n    break_glass: true\n",
         "    classes: [sex]\n    break_glass: true\n"
         "  - {role: nurse, purpose: [TREAT, HQUALIMP], capability: sepsis-risk,"
         " classes: [sex, age]}\n",
         ("repeated-grant", "roles.yaml:22", "says no more than roles.yaml:6")),
        ("  - purpose: HMARKT\n    reason: never sold\n", "  - {role: nurse, reason: on leave}\n",
         ("unreachable-grant", "roles.yaml:6", "a forbid beats it wherever it applies")),
    ],
)  # fmt: skip
def test_lint_names_a_grant_that_is_too_many(
    old: str, new: str, fault: tuple[str, str, str]
) -> None:
    assert old in ROLES
    found = remarks(small(ROLES.replace(old, new, 1)), ASKING)

    assert fault in found
    others = {one for one in found if one[0] == fault[0]}
    assert fault[0] != "repeated-grant" or others == {fault}


@pytest.mark.parametrize(
    "grant",
    [
        "{role: nurse, purpose: TREAT, capability: sepsis-risk, classes: [sex, vital-signs]}",
        "{role: clerk, purpose: TREAT, capability: sepsis-risk, classes: [sex]}",
        "{role: nurse, purpose: HPAYMT, capability: sepsis-risk, classes: [sex]}",
        "{role: nurse, purpose: TREAT, capability: deterioration-risk, classes: [sex]}",
        "{role: nurse, purpose: TREAT, capability: sepsis-risk, classes: [sex],"
        " sensitivity: [PSY]}",
        "{role: nurse, purpose: TREAT, capability: sepsis-risk, classes: [sex],"
        " confidentiality: [V]}",
        "{role: nurse, purpose: TREAT, capability: sepsis-risk, classes: [laboratory],"
        " sites: [north]}",
        "{role: nurse, purpose: BTG, capability: sepsis-risk, classes: [age], break_glass: true}",
    ],
)
def test_a_grant_that_says_something_new_is_not_called_a_repetition(grant: str) -> None:
    roles = ROLES.replace("forbids:\n", f"  - {grant}\nforbids:\n", 1)

    found = remarks(small(roles), ASKING)

    assert "repeated-grant" not in {rule for rule, _, _ in found}


def test_a_grant_that_is_forbidden_in_one_place_of_two_is_reachable() -> None:
    roles = ROLES.replace("role: clerk\n    sites: [south]", "role: nurse\n    sites: [south]", 1)

    found = remarks(small(roles), ASKING)

    assert {at for rule, at, _ in found if rule == "unreachable-grant"} == {"roles.yaml:10"}


def test_lint_of_a_tool_that_is_too_far_or_that_nobody_may_ask(policies: PolicySet) -> None:
    far = ASKING.model_copy(update={"region": "mars", "needs": ASKING.needs[:0]})
    lonely = ASKING.model_copy(update={"capabilities": ("coding-suggestion",)})
    here = "tools/test-tool.yaml"

    assert ("closed-region", here, "no site may send to the region of this tool") in remarks(
        policies, far
    )
    assert remarks(policies, far.model_copy(update={"region": "us"})) == {
        one for one in remarks(policies, far) if one[0] != "closed-region"
    }
    assert remarks(policies, lonely) >= {
        ("unsatisfiable-tool", here, "no grant names a capability of this tool")
    }


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ({"expect": "permit"}, []),
        ({"expect": "deny"}, ["expected deny, got permit"]),
        ({"expect": "permit", "denied_by": "role"}, ["expected a refusal by role, got None"]),
        ({"expect": "permit", "sees": ["sex", "age"], "hides": ["laboratory"]}, []),
        ({"expect": "permit", "sees": ["laboratory"]}, ["does not see laboratory"]),
        ({"expect": "permit", "hides": ["sex"]}, ["sees sex"]),
        ({"expect": "permit", "sensitivity": []}, []),
        ({"expect": "permit", "sensitivity": ["HIV", "PSY"]},
         ["HIV is not open", "PSY is not open"]),
        ({"expect": "permit", "site": "south", "sensitivity": ["HIV"]}, []),
        ({"expect": "permit", "site": "south", "sensitivity": []}, ["sensitive records are open"]),
        ({"expect": "deny", "purpose": "HPAYMT", "denied_by": "purpose"}, []),
        ({"expect": "deny", "purpose": "HPAYMT", "denied_by": "role"},
         ["expected a refusal by role, got purpose"]),
        ({"expect": "permit", "purpose": "BTG", "break_glass": "true"}, []),
    ],
)  # fmt: skip
def test_a_row_says_what_is_other_than_expected(
    policies: PolicySet, expected: dict[str, Any], why: list[str]
) -> None:
    row = Row(**{"role": "nurse", "purpose": "TREAT", "capability": "sepsis-risk", **expected})

    found = run_row(policies, row)

    at = "@south" if row.site else ""
    because = told(policies, purpose=row.purpose, site=row.site)["because"] if why else []
    assert found == {
        "row": f"nurse/{row.purpose}/sepsis-risk{at}",
        "passed": not why,
        "why": [*why, *because],
    }
