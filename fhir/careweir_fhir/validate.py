"""Check what is about to leave: nothing that is not valid FHIR R4 goes out.

Three passes over one resource, each finding what the others cannot:

    structure     ``fhir.resources.R4B``: names, datatypes, counts, formats
    table         ``r4.yaml``: required elements, required bindings, reference targets
    invariants    ``invariants.py``: the rules that R4 writes in FHIRPath

``fhir.resources`` alone lets through unknown codes of required bindings, empty lists, foreign
reference targets, ids that are too long and every invariant. Source: HL7 FHIR R4 (4.0.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import orjson
from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel, ValidationError

from careweir_fhir.elements import is_moment
from careweir_fhir.invariants import DATATYPE_RULES, RESOURCE_RULES, bundle_breaches
from careweir_fhir.stand_in import NoStandIn, stand_in
from careweir_fhir.table import DATATYPES, Node, Rule, table

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # Source: FHIR R4 datatypes, id
_LITERAL = re.compile(
    r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)  # Source: FHIR R4 references, literal reference
_NO_RULES = Node()
_NOTHING: tuple[Any, ...] = (None, "", [], {})
_PRIMITIVES: Mapping[str, Callable[[Any], bool]] = {
    "date": lambda value: is_moment(value) and "T" not in value,
    "dateTime": lambda value: is_moment(value),
    "instant": lambda value: is_moment(value) and "T" in value,
    "boolean": lambda value: value.__class__ is bool,
    "decimal": lambda value: value.__class__ in (int, float),
    "integer": lambda value: value.__class__ is int,
    "unsignedInt": lambda value: value.__class__ is int,
    "positiveInt": lambda value: value.__class__ is int,
}  # fhir.resources takes a number as a date and a string as a number or a truth value


@dataclass(frozen=True, slots=True)
class Problem:
    """One breach: where, which rule, and our own words; never a value."""

    path: str
    rule: str
    text: str


class FhirInvalid(Exception):
    """A resource that must not leave: a defect of ours, not of the caller or the vendor."""

    def __init__(self, found: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.rule}: {p.text}" for p in found))
        self.problems = found


def check(resource: Mapping[str, Any]) -> None:
    """Raise FhirInvalid unless the resource has no problem."""
    if found := problems(resource):
        raise FhirInvalid(found)


def preload() -> None:
    """Read the table and import the models now, so that the first answer need not wait (0.2 s)."""
    for kind in table().keys() - DATATYPES:
        _model(kind)


def problems(resource: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Find every breach of R4 in a resource; for a Bundle, in each of its entries as well.

    Knows the types that careweir emits; any other type is itself a problem. References by
    ``urn:uuid:`` are followed inside a Bundle and must resolve there.
    """
    if resource.get("resourceType") != "Bundle":
        return tuple(_resource_problems(resource, _path(resource), None))
    return tuple(_bundle_problems(resource))


def _bundle_problems(bundle: Mapping[str, Any]) -> Iterator[Problem]:
    stated = bundle.get("entry", [])
    entries = [e for e in stated if isinstance(e, dict)] if isinstance(stated, list) else []
    shell = {name: value for name, value in bundle.items() if name != "entry"}
    if not all(map(_is_plain, entries)):
        shell["entry"] = [_without_resource(entry) for entry in entries]
    if "entry" in bundle and (not entries or len(entries) != len(stated)):
        yield Problem("Bundle.entry", "ele-1", "not a list of entries")
    yield from _resource_problems(shell, "Bundle", None)
    yield from (Problem(*breach) for breach in bundle_breaches(bundle))
    held = {
        str(entry.get("fullUrl")): str(entry["resource"].get("resourceType"))
        for entry in entries
        if isinstance(entry.get("resource"), dict)
    }
    for index, entry in enumerate(entries):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            path = f"Bundle.entry[{index}].resource"
            if resource.get("resourceType") == "Bundle":
                yield Problem(path, "type-unknown", "a Bundle inside a Bundle is not emitted")
            else:
                yield from _resource_problems(resource, path, held)


def _is_plain(entry: Mapping[str, Any]) -> bool:
    """An entry of a fullUrl and a resource: what there is to check is checked elsewhere."""
    return (
        entry.keys() == {"fullUrl", "resource"}
        and isinstance(entry["fullUrl"], str)
        and isinstance(entry["resource"], dict)
    )


def _without_resource(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry whose resource is checked by itself; the rest of it is left for the Bundle."""
    rest = {name: value for name, value in entry.items() if name != "resource"}
    return rest or {"fullUrl": "urn:uuid:00000000-0000-0000-0000-000000000000"}


def _path(resource: Mapping[str, Any]) -> str:
    return str(resource.get("resourceType", "Resource"))


def _resource_problems(
    resource: Mapping[str, Any], path: str, held: Mapping[str, str] | None
) -> Iterator[Problem]:
    kind = str(resource.get("resourceType"))
    node = table().get(kind) if kind not in DATATYPES else None
    if node is None:
        yield Problem(path, "type-unknown", "not a resource type that careweir emits")
        return

    found: list[Problem] = []
    _Walk(found, held, _contained(resource), table()).node(resource, node, path)
    if "id" in resource and not _ID.fullmatch(str(resource["id"])):
        found.append(Problem(f"{path}.id", "id", "not 1 to 64 letters, digits, '-' or '.'"))
    rules = RESOURCE_RULES.get(kind, ()) + RESOURCE_RULES["Resource"]
    found += [Problem(path + at, name, text) for rule in rules for at, name, text in rule(resource)]
    yield from found
    named = {problem.path for problem in found}
    below = (Problem(path + p.path, p.rule, p.text) for p in _structure(kind, resource))
    yield from (problem for problem in below if problem.path not in named)


def _contained(resource: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"#{inner.get('id')}": str(inner.get("resourceType"))
        for inner in resource.get("contained", ())
        if isinstance(inner, dict)
    }


@cache
def _model(kind: str) -> type[BaseModel]:
    """The R4B model of a type, imported at first use (about 0.1 s for the first one)."""
    return get_fhir_model_class(kind)


def _structure(kind: str, resource: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What ``fhir.resources`` says, with paths below the resource."""
    try:
        form = orjson.dumps(stand_in(resource))
    except (NoStandIn, TypeError):
        return _judged(kind, resource)
    return _judged_form(kind, form)


@lru_cache(maxsize=2048)
def _judged_form(kind: str, form: bytes) -> tuple[Problem, ...]:
    return _judged(kind, orjson.loads(form))


def _judged(kind: str, resource: Mapping[str, Any]) -> tuple[Problem, ...]:
    try:
        _model(kind).model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return tuple(
            Problem(_join(item["loc"]), "structure", item["type"].replace("_", " "))
            for item in found
        )
    return ()


def _join(steps: tuple[int | str, ...]) -> str:
    """A path in FHIR's way; ``root`` is pydantic's own step, not an element."""
    named = (step for step in steps if step != "root")
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in named)


@dataclass(slots=True)
class _Walk:
    """One walk over one resource; appends to ``found``.

    ``held`` maps the fullUrls of the Bundle to resource types (None outside a Bundle).
    """

    found: list[Problem]
    held: Mapping[str, str] | None
    contained: Mapping[str, str]
    types: Mapping[str, Node]

    def node(self, element: Mapping[str, Any], node: Node, path: str) -> None:
        """Check one object against its rules, then everything below it."""
        for name in node.required:
            if element.get(name) in _NOTHING:
                self._say(f"{path}.{name}", "required", "a required element is missing")
        for name, value in element.items():
            rule = node.rules.get(name)
            if value.__class__ is not list:
                self._value(value, rule, path, name, None)
                continue
            if not value:
                self._say(f"{path}.{name}", "ele-1", "an empty list")
            for index, item in enumerate(value):
                self._value(item, rule, path, name, index)

    def _value(
        self, value: Any, rule: Rule | None, path: str, name: str, index: int | None
    ) -> None:
        if isinstance(value, dict):
            here = f"{path}.{name}" if index is None else f"{path}.{name}[{index}]"
            self._object(value, rule, here)
        elif value is None or value == "":
            self._say(f"{path}.{name}", "ele-1", "an empty value")
        elif rule is None:
            return
        elif rule.codes is not None and value not in rule.codes:
            self._say(f"{path}.{name}", "binding", "not a code of the required value set")
        elif (fits := _PRIMITIVES.get(rule.datatype)) and not fits(value):
            self._say(f"{path}.{name}", "format", f"not a {rule.datatype} of R4")

    def _object(self, value: Mapping[str, Any], rule: Rule | None, here: str) -> None:
        if not value:
            self._say(here, "ele-1", "an empty object")
            return
        datatype = rule.datatype if rule else ""
        if datatype == "Reference" and rule is not None:
            self._reference(value, rule, here)
        for check_datatype in DATATYPE_RULES.get(datatype, ()):
            for at, name, text in check_datatype(value):
                self._say(here + at, name, text)
        children = rule.children if rule else None
        self.node(value, children or self.types.get(datatype, _NO_RULES), here)

    def _reference(self, reference: Mapping[str, Any], rule: Rule, here: str) -> None:
        text = reference.get("reference")
        if text is None:
            target = reference.get("type")
        elif not isinstance(text, str):
            return
        elif text.startswith("#"):
            target = self.contained.get(text)
            if target is None:
                self._say(here, "ref-1", "a local reference that is not contained")
        elif text.startswith("urn:"):
            target = self._bundled(text, reference.get("type"), here)
        elif literal := _LITERAL.fullmatch(text):
            target = literal[1]
        else:
            self._say(here, "reference-shape", "not a literal reference to a resource")
            return
        if target is not None and rule.targets is not None and target not in rule.targets:
            self._say(here, "reference-target", "a resource type that may not stand here")

    def _bundled(self, url: str, stated: str | None, here: str) -> str | None:
        if self.held is None:
            return stated
        target = self.held.get(url, stated)
        if target is None:
            self._say(here, "reference-unresolved", "names no entry of this Bundle")
        return target

    def _say(self, path: str, rule: str, text: str) -> None:
        self.found.append(Problem(path, rule, text))
