"""Resources of every R4 type in which every element holds a secret of its own.

The elements come from the R4B models of ``fhir.resources``: every path of every type, backbone and
datatype, the extension beside each primitive, extensions, contained resources and narrative.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class

from careweir.access.elements import ELEMENTS
from careweir.access.vocabulary import CodeKey
from careweir.minimise.reading import VOID
from minimise.charts import UCUM, Json, policies

DEPTH_MAX: Final = 5
# What any of these would say is that the resource must not be read as it stands; each has a test
# of its own. Labels too: an unknown one keeps the whole resource here.
LEFT_OUT: Final = frozenset(
    {"focus", "modifierExtension", "implicitRules", "doNotPerform", "security", "fhir_comments"}
)
ABOUT: Final = ("subject", "patient", "beneficiary")
_SECRET: Final = re.compile(r"zq[a-z]{5}q|7\d{6}\.5|\b1[5-8]\d\d-\d\d-\d\d")
# Codes that are known and tell nothing, one for each concept of a resource.
CODES: Final = [
    key for key, known in policies().vocabulary.codes.items() if known.code_class == "problem"
]
FORM: Final = "urn:careweir:questionnaire:symptoms"
TYPES: Final = {
    "bool": "boolean", "Date": "date", "DateTime": "date", "Instant": "date", "Integer": "number",
    "Decimal": "number", "PositiveInt": "number", "UnsignedInt": "number", "Base64Binary": "data",
}  # fmt: skip
_TYPE: Final = re.compile(rf"\b({'|'.join(TYPES)})\b")


@dataclass(slots=True)
class Planted:
    """One resource: ``body``, and which secrets and known codes stand below which path."""

    body: Json
    secrets: dict[str, str] = field(default_factory=dict)  # secret -> path
    codes: dict[CodeKey, str] = field(default_factory=dict)  # known code -> path

    def allowed(self, path: str) -> set[str]:
        """The secrets that leave when this path may: the value itself, none of its siblings."""
        kind = ELEMENTS[self.body["resourceType"]][path].kind
        ends = {
            "text": [path], "date": [path], "number": [path], "quantity": [f"{path}.value"],
            "period": [f"{path}.start", f"{path}.end"], "attachment": [f"{path}.data"],
            "answers": [f"{path}.answer.valueInteger"],  # of all choices at once the first
        }.get(kind, [])  # fmt: skip
        return {secret for secret, at in self.secrets.items() if at in ends}


def found_in(texts: str) -> set[str]:
    """Every secret that stands in a text."""
    return set(_SECRET.findall(texts))


def plant(kind: str, start: int = 0) -> Planted:
    """A resource of this type about p1; ``start`` sets its secrets apart from others'."""
    planted = Planted({"resourceType": kind})
    grower = _Grower(kind, planted, count(start), iter(CODES))
    planted.body.update(grower.grow(get_fhir_model_class(kind), "", (kind,)))
    for name in ABOUT:
        if name in planted.body and isinstance(planted.body[name], dict):
            planted.body[name]["reference"] = "Patient/p1"
    if kind == "Appointment":
        planted.body["participant"][0]["actor"]["reference"] = "Patient/p1"
    return planted


def _letters(number: int) -> str:
    """Five letters: digits would look like an identifier to the scrubber."""
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(5))


@dataclass(slots=True)
class _Grower:
    kind: str
    planted: Planted
    numbers: Iterator[int]
    known: Iterator[CodeKey]

    def grow(self, model: Any, place: str, above: tuple[str, ...]) -> Json:
        found: Json = {}
        for name, info in model.model_fields.items():
            if name in LEFT_OUT or name.removesuffix("__ext") in LEFT_OUT:
                continue
            key = info.alias or name
            path = f"{place}.{key}" if place else key
            value = self._value(str(info.annotation), path, above)
            if value is not None:
                many = "List[" in str(info.annotation)
                found[key] = [value] if many else value
        return found

    def _value(self, annotation: str, path: str, above: tuple[str, ...]) -> Any:
        nested = re.search(r"abc\.(\w+)Type\b", annotation)
        value = self._complex(nested[1], path, above) if nested else self._simple(annotation, path)
        return self._readable(path, value)

    def _complex(self, name: str, path: str, above: tuple[str, ...]) -> Any:
        if name in ("FHIRPrimitiveExtension", "Extension"):
            url, text = self._secret(f"{path}.url"), self._secret(f"{path}.valueString")
            extension = {"url": url, "valueString": text}
            return extension if name == "Extension" else {"extension": [extension]}
        if name in ("Resource", "Element"):
            return {"resourceType": "Basic", "id": self._secret(f"{path}.id")}
        if above.count(name) > 1 or len(above) > DEPTH_MAX:
            return None
        return self.grow(get_fhir_model_class(name), path, (*above, name))

    def _simple(self, annotation: str, path: str) -> Any:
        named = _TYPE.search(annotation)
        form = TYPES[named[1]] if named else "text"
        if form == "boolean":
            return True
        if form == "number":
            number = 7_000_000 + next(self.numbers) + 0.5
            return self._note(number, str(number), path)
        if form == "date":
            day = date(1500, 1, 1) + timedelta(days=next(self.numbers) % 140_000)
            return self._note(day.isoformat(), day.isoformat(), path)
        if form == "data":
            secret = self._secret(path)
            return base64.b64encode(secret.encode()).decode()
        return self._secret(path)

    def _secret(self, path: str) -> str:
        secret = f"zq{_letters(next(self.numbers))}q"
        return str(self._note(secret, secret, path))

    def _note(self, value: Any, secret: str, path: str) -> Any:
        self.planted.secrets[secret] = path
        return value

    def _readable(self, path: str, value: Any) -> Any:
        """The value made such that it could leave: every kind refuses what it cannot read."""
        element = ELEMENTS.get(self.kind, {}).get(path)
        match element.kind if element is not None else "":
            case "code":
                assert element is not None
                return next(one for one in sorted(element.values) if one not in VOID)
            case "concept":
                value["coding"][0].update(self._code(path))
            case "coding":
                value.update(self._code(path))
            case "quantity":
                value.update(system=UCUM, code="mm[Hg]", comparator="<")
            case "reference":
                target = "Encounter" if path == "encounter" else "ImagingStudy"
                value["reference"] = f"{target}/{value['reference']}"
            case "attachment":
                value["contentType"] = "text/plain"
            case "canonical":
                return FORM
            case "answers":
                value["linkId"] = "severity"
        return value

    def _code(self, path: str) -> Mapping[str, str]:
        key = next(self.known)
        self.planted.codes[key] = path
        return {"system": key[0], "code": key[1]}
