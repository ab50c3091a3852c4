"""A secret at any path of any R4 type is on the wire only if a grant and a need name that path."""

from __future__ import annotations

from typing import Any

import pytest

from careweir.access.elements import CODED_BY, ELEMENTS
from careweir.access.names import NAMES, RESOURCE_TYPES
from careweir.access.rights import DataClass
from careweir.minimise import Minimised
from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.tool import Tool
from minimise.charts import (
    ROOT,
    Json,
    bundle,
    everything,
    patient,
    policies,
    resources,
    run,
    tool,
    with_classes,
)
from minimise.planted import Planted, found_in, plant

MODELLED = sorted(RESOURCE_TYPES - {"Bundle"})
FORMS = {"birthdate": "age_years", "postal": "postal_3"}
TOOLS = load_tools(ROOT / "policies" / "tools", discover_adapters())


PLANTED = {kind: plant(kind) for kind in MODELLED}
NAMED = [(kind, path) for kind, paths in sorted(ELEMENTS.items()) for path in sorted(paths)]


def person(of: Planted) -> Json:
    """The patient of the chart; where the patient is what is planted, that."""
    if of.body["resourceType"] != "Patient":
        return patient()
    body: Json = of.body | {"id": "p1", "birthDate": "1957-03-03"}
    addresses: list[Json] = body["address"]
    body["address"] = [addresses[0] | {"postalCode": "48226"}]
    return body


def chart_of(of: Planted) -> bytes:
    others = () if of.body["resourceType"] == "Patient" else (of.body,)
    return bundle(person(of), *others)


def ask(of: Planted, *paths: str) -> Minimised:
    """Grant and need these paths of the type, and nothing else."""
    kind = of.body["resourceType"]
    forms = {
        path: FORMS[ELEMENTS[kind][path].kind]
        for path in paths
        if ELEMENTS.get(kind, {}).get(path, (None,))[0] in FORMS
    }
    need = {"resource": kind, "paths": paths, "text": True, "transforms": forms}
    classes = [
        DataClass(
            name=path,
            resource=kind,
            paths=frozenset({path}),
            transforms=frozenset({forms[path]}) if path in forms else frozenset(),
            text=True,
        )
        for path in paths
    ]
    return run(chart_of(of), tool(need), by=with_classes(*classes))


def secrets(found: Minimised) -> set[str]:
    return found_in(everything(found))


def codes(found: Minimised, of: Planted) -> set[str]:
    """The paths of the planted codes that are in a payload."""
    kept: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            at = of.codes.get((str(value.get("system")), str(value.get("code"))))
            kept.update({at} if at else ())
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(found.payload)
    return kept


def has(resource: Json, path: str) -> bool:
    head, _, tail = path.partition(".")
    value = resource.get(head)
    items = value if isinstance(value, list) else [value]
    return any(item is not None and (not tail or has(item, tail)) for item in items)


def test_the_sweep_covers_every_type_of_r4_and_many_thousand_paths() -> None:
    assert len(PLANTED) >= 135
    assert set(ELEMENTS) <= set(PLANTED)
    assert sum(len(one.secrets) for one in PLANTED.values()) > 100_000


@pytest.mark.parametrize(("kind", "path"), NAMED, ids=[f"{kind}.{path}" for kind, path in NAMED])
def test_of_all_that_is_planted_only_what_is_named_leaves(kind: str, path: str) -> None:
    of = PLANTED[kind]
    found = ask(of, path)

    (sent,) = resources(found, kind)
    assert secrets(found) == of.allowed(path)
    expected = {"concept", "coding"} & {ELEMENTS[kind][path].kind}
    assert codes(found, of) == ({path} if expected else set())
    if ELEMENTS[kind][path].kind not in FORMS:
        assert has(sent, path)
    else:
        assert "extension" in sent or "address" in sent


@pytest.mark.parametrize("kind", sorted(ELEMENTS))
def test_all_that_can_be_named_leaves_and_nothing_beside_it(kind: str) -> None:
    of, paths = PLANTED[kind], sorted(ELEMENTS[kind])

    assert secrets(ask(of, *paths)) == set().union(*(of.allowed(path) for path in paths))


@pytest.mark.parametrize("kind", MODELLED)
def test_what_the_policy_cannot_name_never_leaves(kind: str) -> None:
    of = PLANTED[kind]
    others = [name for name in of.body if name not in ELEMENTS.get(kind, {})]

    found = ask(of, *others)

    assert secrets(found) == set()
    assert found.payload is None or resources(found, kind) == []


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_of_a_chart_of_all_types_a_tool_gets_the_paths_that_it_and_a_grant_name(name: str) -> None:
    asked = TOOLS[name]
    for grant in policies().grants:
        for capability in grant.capabilities & set(asked.capabilities):
            for role in grant.roles:
                _check(asked, role, min(grant.purposes), capability, grant.break_glass)


def _check(asked: Tool, role: str, purpose: str, capability: str, break_glass: bool) -> None:
    decision = policies().decide(
        role=role, purpose=purpose, capability=capability, site=None, break_glass=break_glass
    )
    assert decision.effect == "permit"
    named = {
        f"{one.resource}.{path}" for one, _ in decision.rights.classes for path in one.paths
    } & {f"{need.resource}.{path}" for need in asked.needs for path in need.paths}
    for kind, of in PLANTED.items():
        allowed = {
            secret
            for path in ELEMENTS.get(kind, {})
            if f"{kind}.{path}" in named
            for secret in of.allowed(path)
        }
        assert secrets(run(chart_of(of), asked, by=decision)) <= allowed


@pytest.mark.parametrize("kind", sorted(ELEMENTS))
def test_the_tables_name_what_r4_names(kind: str) -> None:
    body = PLANTED[kind].body

    for path in ELEMENTS[kind]:
        assert has(body, path), path
    assert has(body, CODED_BY.get(kind, "id"))
    names = {name.removeprefix("_") for name in body} - {"resourceType"}
    named = NAMES.get(kind, frozenset())
    missing = {"focus", "modifierExtension", "implicitRules", "doNotPerform"}
    assert names - {"fhir_comments"} <= named
    assert named - names <= missing
