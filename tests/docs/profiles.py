"""The profile set as FHIR: ``python -m docs.profiles`` writes ``docs/fhir/profiles`` anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pkgutil import iter_modules
from typing import Any, Final, get_args

from careweir_fhir import systems
from careweir_fhir.context import ToolStatus
from docs.profiled import CODE_SYSTEMS, EXTENSIONS, HL7, PROFILES, VALUE_SETS, Own, Profile, Rule
from support.paths import ROOT

FOLDER: Final = ROOT / "docs" / "fhir" / "profiles"
DATE: Final = "2026-11-21"
Json = dict[str, Any]


def address(what: str, name: str) -> str:
    """The canonical address of one of ours."""
    return f"urn:careweir:{what}:{name}"


def kebab(kind: str) -> str:
    """``RiskAssessment`` as ``risk-assessment``."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in kind).lstrip("-")


def _head(resource: str, url: str, name: str, title: str, **more: Any) -> Json:
    return {
        "resourceType": resource, "id": name, "url": url, "version": "1.0.0",
        "name": "Careweir" + "".join(part.capitalize() for part in name.split("-")),
        "title": title, "status": "active", "date": DATE, **more,
    }  # fmt: skip


def profile(one: Profile) -> Json:
    """The StructureDefinition of one type."""
    name = one.name or kebab(one.kind)
    return _head(
        "StructureDefinition", address("profile", name), name, one.title, description=one.says,
        fhirVersion="4.0.1", kind="resource", abstract=False, type=one.kind,
        baseDefinition=f"{HL7}StructureDefinition/{one.kind}", derivation="constraint",
        differential={"element": [{"id": one.kind, "path": one.kind, "short": one.title},
                                  *(_element(one.kind, rule) for rule in one.rules)]},
    )  # fmt: skip


def _element(kind: str, rule: Rule) -> Json:
    path = f"{kind}.{rule.path}"
    found: Json = {"id": path, "path": path, "short": rule.says}
    if rule.low is not None:
        found["min"] = rule.low
    if rule.high is not None:
        found["max"] = rule.high
    if rule.targets:
        found["type"] = [{"code": "Reference", "targetProfile": list(rule.targets)}]
    if rule.value is not None:
        found[rule.value[0]] = rule.value[1]
    if rule.codes is not None:
        found["binding"] = {"strength": "required", "valueSet": address("value-set", rule.codes)}
    return found


def extension(one: Own) -> Json:
    """The StructureDefinition of one extension."""
    name = one.url.rpartition(":")[2]
    root: Json = {"id": "Extension", "path": "Extension", "short": one.says}
    if one.modifier:
        root |= {"isModifier": True, "isModifierReason": "It says that this is about somebody or "
                 "some time else, so that the value is not the patient's now."}  # fmt: skip
    return _head(
        "StructureDefinition", one.url, f"extension-{name}", one.says, fhirVersion="4.0.1",
        kind="complex-type", abstract=False,
        context=[{"type": "element", "expression": place} for place in one.on],
        type="Extension", baseDefinition=f"{HL7}StructureDefinition/Extension",
        derivation="constraint", differential={"element": [root, *_inside(one)]},
    )  # fmt: skip


def _inside(one: Own) -> Iterator[Json]:
    if one.parts:
        yield {"id": "Extension.extension", "path": "Extension.extension",
               "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "closed"},
               "min": sum(needed for _, _, needed in one.parts)}  # fmt: skip
    for name, kind, needed in one.parts:
        at = f"Extension.extension:{name}"
        yield {"id": at, "path": "Extension.extension", "sliceName": name, "min": int(needed),
               "max": "1"}  # fmt: skip
        yield {"id": f"{at}.url", "path": "Extension.extension.url", "fixedUri": name}
        yield {"id": f"{at}.value[x]", "path": "Extension.extension.value[x]", "min": 1,
               "type": [{"code": kind}]}  # fmt: skip
    if not one.parts:
        yield {"id": "Extension.extension", "path": "Extension.extension", "max": "0"}
    yield {"id": "Extension.url", "path": "Extension.url", "fixedUri": one.url}
    value: Json = {"id": "Extension.value[x]", "path": "Extension.value[x]"}
    yield value | ({"max": "0"} if one.parts else {"min": 1, "type": [{"code": one.kind}]})


def value_set(name: str) -> Json:
    """Those codes of one HL7 system that may stand there."""
    system, codes = VALUE_SETS[name]
    include = {"system": HL7 + system, "concept": [{"code": code} for code in codes]}
    title = f"What the {system.replace('-', ' ')} of a result may be"
    return _head("ValueSet", address("value-set", name), name, title,
                 compose={"include": [include]})  # fmt: skip


def code_system(url: str, codes: dict[str, str]) -> Json:
    """All codes of a system of our own."""
    name = url.rpartition(":")[2]
    concepts = [{"code": code, "display": words} for code, words in codes.items()]
    return _head("CodeSystem", url, name, f"{name.replace('-', ' ').capitalize()} of careweir",
                 caseSensitive=True, content="complete", concept=concepts)  # fmt: skip


def code_systems() -> dict[str, dict[str, str]]:
    """Our systems, with what the code itself says their codes are."""
    rules = sorted(one.name for one in iter_modules(
        [str(ROOT / "gateway" / "careweir" / "conflicts" / "rules")]))  # fmt: skip
    return {
        **CODE_SYSTEMS,
        systems.CONFLICT_TYPE: {one.replace("_", "-"): one.replace("_", " ").capitalize()
                                for one in rules},
        systems.TOOL_STATUS: {one.replace("_", "-"): one.replace("_", " ").capitalize()
                              for one in get_args(ToolStatus)},
    }  # fmt: skip


def everything() -> dict[str, Json]:
    """File name -> resource."""
    made = [
        *map(profile, PROFILES), *map(extension, EXTENSIONS), *map(value_set, VALUE_SETS),
        *(code_system(url, codes) for url, codes in code_systems().items()),
    ]  # fmt: skip
    return {f"{kebab(one['resourceType'])}-{one['id']}.json": one for one in made}


def text(resource: Json) -> str:
    """As the file has it."""
    return json.dumps(resource, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.json"):
        file.unlink()
    for name, resource in everything().items():
        (FOLDER / name).write_text(text(resource), encoding="utf-8")


if __name__ == "__main__":
    write()
