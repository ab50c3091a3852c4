"""``_include`` and ``_revinclude`` bring along what the reader was given with it, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from careweir.api.fhir.result_types import INCLUDES, REVERSE, TYPES
from careweir_fhir import validate
from support.charts import sepsis
from support.inprocess import InProcess, bearer, run
from support.inprocess import gateway as in_process
from support.running import Served

Json = dict[str, Any]


def kinds(bundle: Json, mode: str) -> list[str]:
    return [one["resource"]["resourceType"] for one in bundle.get("entry", [])
            if one["search"]["mode"] == mode]  # fmt: skip


def references(bundle: Json, element: str) -> set[str]:
    found = [one["resource"].get(element, []) for one in bundle["entry"]
             if one["search"]["mode"] == "match"]  # fmt: skip
    each = [one for given in found for one in (given if isinstance(given, list) else [given])]
    return {one["reference"] for one in each}


def names(bundle: Json, mode: str) -> list[str]:
    return [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in bundle["entry"]
            if one["search"]["mode"] == mode]  # fmt: skip


def searched(gateway: Served, path: str, role: str = "ed-physician") -> Json:
    found: Json = gateway.get(f"/fhir/{path}", role=role).json()
    validate.check(found)
    return found


def test_a_search_brings_along_the_tools_and_who_made_what(gateway: Served) -> None:
    assert gateway.ask(sepsis()).status_code == 200
    asked = "RiskAssessment?_count=3&_total=accurate"
    wishes = "&_include=RiskAssessment:performer&_revinclude=Provenance:target"
    plain, more = searched(gateway, asked), searched(gateway, asked + wishes)

    assert kinds(plain, "include") == []
    assert names(more, "match") == names(plain, "match")
    assert more["total"] == plain["total"]
    assert set(kinds(more, "include")) == {"Device", "Provenance"}
    included = names(more, "include")
    assert len(included) == len(set(included))
    assert references(more, "performer") <= set(included)
    made = {target["reference"] for one in more["entry"]
            for target in one["resource"].get("target", [])}  # fmt: skip
    assert set(names(more, "match")) <= made
    links = {link["relation"]: link["url"] for link in more["link"]}
    assert all("_include=" in url and "_revinclude=" in url for url in links.values())


def test_the_next_page_brings_along_its_own(gateway: Served) -> None:
    assert gateway.ask(sepsis()).status_code == 200
    first = searched(gateway, "RiskAssessment?_count=1&_include=RiskAssessment:performer")
    path = next(one["url"] for one in first["link"] if one["relation"] == "next")
    second = searched(gateway, path.partition("/fhir/")[2])

    for page in (first, second):
        assert references(page, "performer") == set(names(page, "include"))


@pytest.mark.parametrize("kind", [kind for kind in TYPES if INCLUDES[kind] or REVERSE.get(kind)])
def test_what_is_told_can_be_asked_and_nothing_else(gateway: Served, kind: str) -> None:
    rows = gateway.get("/fhir/metadata").json()["rest"][0]["resource"]
    told = next(row for row in rows if row["type"] == kind)
    parameters = {one["name"] for one in told["searchParam"]}

    for value in told.get("searchInclude", []):
        assert value.partition(":")[2] in parameters
        searched(gateway, f"{kind}?_include={value}")
    for value in told.get("searchRevInclude", []):
        searched(gateway, f"{kind}?_revinclude={value}")
    strict = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}",
              "Prefer": "handling=strict"}  # fmt: skip
    for wrong in ("_include=Observation:subject", "_include=*", f"_include:iterate={kind}:device",
                  "_revinclude=AuditEvent:entity", "_include=Patient:link"):  # fmt: skip
        assert gateway.client.get(f"/fhir/{kind}?{wrong}", headers=strict).status_code == 400
        assert kinds(searched(gateway, f"{kind}?{wrong}"), "include") == []


def test_what_a_scope_does_not_open_is_not_brought_along(tmp_path: Path) -> None:
    """Three tokens of one application and role: only their scopes differ."""
    path = ("/fhir/RiskAssessment?_include=RiskAssessment:performer"
            "&_revinclude=Provenance:target")  # fmt: skip

    async def story(served: InProcess) -> dict[str, set[str]]:
        assert (await served.ask(sepsis())).status_code == 200
        found = {}
        for scope in ("capability/*.infer", "system/RiskAssessment.rs",
                      "system/RiskAssessment.rs system/Provenance.rs",
                      "system/RiskAssessment.rs system/Provenance.rs?recorded=lt2020"):  # fmt: skip
            bundle = (await served.client.get(path, headers=bearer(scope=scope))).json()
            assert kinds(bundle, "match")
            found[scope] = set(kinds(bundle, "include"))
        return found

    async def asked() -> dict[str, set[str]]:
        async with in_process(tmp_path / "data", {}) as served:
            return await story(served)

    whole, alone, both, conditioned = run(asked()).values()
    assert whole == both == {"Device", "Provenance"}
    assert alone == conditioned == {"Device"}
