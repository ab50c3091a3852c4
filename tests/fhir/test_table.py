"""``r4.yaml`` against the R4 definitions, where a copy of their facts is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_fhir.table import DATATYPES, Node, table

FACTS = Path(__file__).parents[3] / "shared" / "standards" / "data" / "r4_constraints.json"
EMITTED = sorted(set(table()) - DATATYPES)


def facts(kind: str) -> dict[str, dict[str, Any]]:
    """Element path below the type -> what the definitions say."""
    if not FACTS.is_file():
        pytest.skip("needs ../shared/standards/data/r4_constraints.json")
    elements = json.loads(FACTS.read_text("utf-8"))["resources"][kind]["elements"]
    return {path.removeprefix(f"{kind}."): element for path, element in elements.items()}


def rules(node: Node, prefix: str = "") -> dict[str, Any]:
    """Every rule of a node and of its backbone elements by path."""
    flat: dict[str, Any] = {}
    for name, rule in node.rules.items():
        flat[prefix + name] = rule
        if rule.children is not None and rule.datatype != "Same":
            flat |= rules(rule.children, f"{prefix}{name}.")
    return flat


def required(node: Node, prefix: str = "") -> set[str]:
    """Every required element of a node and of its backbone elements."""
    found = {prefix + name for name in node.required}
    for name, rule in node.rules.items():
        if rule.children is not None and rule.datatype != "Same":
            found |= required(rule.children, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("kind", EMITTED)
def test_required_elements_are_those_of_the_definitions(kind: str) -> None:
    expected = {path for path, e in facts(kind).items() if e["min"] and "[x]" not in path}

    assert required(table()[kind]) == expected


@pytest.mark.parametrize("kind", EMITTED)
def test_required_bindings_are_those_of_the_definitions(kind: str) -> None:
    expected = {path: set(e["codes"]) for path, e in facts(kind).items() if e.get("codes")}

    found = {p: set(r.codes) for p, r in rules(table()[kind]).items() if r.codes is not None}

    assert found == expected


@pytest.mark.parametrize("kind", EMITTED)
def test_reference_targets_are_those_of_the_definitions(kind: str) -> None:
    expected = {
        path.replace("[x]", "Reference"): set(e["targets"])
        for path, e in facts(kind).items()
        if "Reference" in e.get("types", ()) and "Resource" not in e.get("targets", ["Resource"])
    }

    found = {p: set(r.targets) for p, r in rules(table()[kind]).items() if r.targets is not None}

    assert found == expected


@pytest.mark.parametrize("kind", EMITTED)
def test_element_with_the_rules_of_another_has_them(kind: str) -> None:
    for path, element in facts(kind).items():
        if "ref" in element and path not in ("entry.link",):
            assert rules(table()[kind])[path].children is not None
