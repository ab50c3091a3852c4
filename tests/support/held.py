"""Holds a resource to one of the profiles of ``docs/fhir``: how often, which codes, which targets.

It reads the published StructureDefinition, as a stranger's validator does, and knows no more of it
than what these profiles use. HL7's validator says the same, where it is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from support.paths import ROOT

PROFILES = ROOT / "docs" / "fhir" / "profiles"
Json = dict[str, Any]


@cache
def published() -> dict[str, Json]:
    """Every published resource by its address."""
    found = (json.loads(file.read_text("utf-8")) for file in PROFILES.glob("*.json"))
    return {one["url"]: one for one in found}


def profile_of(resource: Json) -> str | None:
    """The profile that a resource of the gateway is to hold; None where it has none."""
    kind = resource["resourceType"]
    if kind == "Bundle" and resource["type"] != "collection":
        return None
    if kind == "Task" and resource["intent"] != "proposal":
        return None  # work of a person, not a tool's proposal
    if kind == "Provenance" and not _names_a_device(resource["agent"][0]["who"]):
        return None  # a person's step
    if kind == "DocumentReference" and resource["id"].startswith("card-"):
        return "urn:careweir:profile:model-card"
    name = re.sub(r"(?<!^)([A-Z])", r"-\1", kind).lower()
    url = f"urn:careweir:profile:{name}"
    return url if url in published() else None


def _names_a_device(who: Json) -> bool:
    return who.get("reference", "").startswith(("Device/", "urn:uuid:"))


def broken(resource: Json, url: str) -> list[str]:
    """The paths at which a resource is not what the profile says, with why."""
    elements = published()[url]["differential"]["element"][1:]
    return [f"{one['path']}: {why}" for one in elements for why in _wrong(resource, one)]


def _wrong(resource: Json, element: Json) -> Iterator[str]:
    *above, last = element["path"].split(".")[1:]
    for parent in _nodes(resource, above):
        found = list(_children(parent, last))
        if len(found) < element.get("min", 0):
            yield "too few"
        if len(found) > int(element.get("max", "99999")):
            yield "too many"
        for value in found:
            if "fixedCode" in element and value != element["fixedCode"]:
                yield "another code"
            if "binding" in element and value not in _codes(element["binding"]["valueSet"]):
                yield "a code that may not be there"
            if not _leads_to(value, element.get("type", [])):
                yield "another target"


def _nodes(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
        return
    for child in _children(value, path[0]):
        yield from _nodes(child, path[1:])


def _children(value: Json, name: str) -> Iterator[Any]:
    stem = name.removesuffix("[x]")
    for key, child in value.items():
        chosen = name.endswith("[x]") and key.startswith(stem) and key[len(stem) :][:1].isupper()
        if key == name or chosen:
            yield from child if isinstance(child, list) else (child,)


@cache
def _codes(url: str) -> frozenset[str]:
    (include,) = published()[url]["compose"]["include"]
    return frozenset(one["code"] for one in include["concept"])


def _leads_to(value: Any, types: list[Json]) -> bool:
    """A reference by type and id says where it leads; one by ``urn:uuid`` is not looked up here."""
    targets = [url.rpartition("/")[2] for one in types for url in one.get("targetProfile", ())]
    reference = value.get("reference", "") if isinstance(value, dict) else ""
    kind, _, _ = reference.partition("/")
    return not targets or "/" not in reference or "://" in reference or kind in targets
