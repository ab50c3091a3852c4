"""From an Observation of the service to assertions and measurements.

The service codes almost every Observation as a generic clinical finding; what it is stands in a
component. Its own examples label codes with the wrong system and use concept ids that fail
SNOMED's check digit, so a component is known by its code or by its words.

Source: Azure/azure-rest-api-specs, SuccessfulRadiologyInsightsResponse.json (2024-10-01). The
SNOMED CT codes of presence are from general knowledge: their check digits hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from careweir_adapters.azure_radiology_insights.wire import coding_of, components
from careweir_fhir.model import SNOMED, Coding, Finding, Laterality, Polarity
from careweir_kit.codes import verified
from careweir_kit.units import unit_of

_GENERIC: Final = "404684003"  # clinical finding
_WHAT: Final = "131195008"  # subject of information
_WHERE: Final = "722871000000108"  # anatomy
_SIDE_CODES: Final = frozenset({"45651917", "272741003"})
_PRESENCE: Final = "705057003"
_SIDES: Final[Mapping[str, Laterality]] = {
    "7771000": "left",
    "24028007": "right",
    "51440002": "bilateral",
}
_PRESENT: Final[Mapping[str, Polarity]] = {
    "52101004": "present",
    "2667000": "absent",
    "60022001": "indeterminate",  # possible diagnosis
    "82334004": "indeterminate",
}
_SPELLED: Final = {"MILLIMETER": "mm", "CENTIMETER": "cm", "MILLIMETERS": "mm", "CENTIMETERS": "cm"}

Known = Mapping[tuple[str, str], str | None]


def side_of(concept: object) -> Laterality | None:
    """The side that a concept names by its SNOMED code."""
    said = coding_of(concept)
    return _SIDES.get(said.code or "") if said and said.system == SNOMED else None


def findings_of(base: Finding, observation: Mapping[str, Any], known: Known) -> Iterator[Finding]:
    """The assertion of one Observation, and a measurement for each size; nothing without a code."""
    code = coding_of(observation.get("code"))
    if code is not None and code.code == _GENERIC:
        code = None
    update: dict[str, Any] = {"polarity": "present"}
    sizes: list[Mapping[str, Any]] = []
    for said, component in components(observation):
        value = component.get("valueCodeableConcept")
        if said.code == _WHAT:
            code = coding_of(value) or code
        elif said.code == _WHERE:
            update["body_site"] = coding_of(value) or update.get("body_site")  # the last is nearest
        elif said.code in _SIDE_CODES or "LATERALITY" in (said.display or "").upper():
            update["laterality"] = side_of(value) or "unknown"
        elif said.code == _PRESENCE:
            update["polarity"] = _PRESENT.get(getattr(coding_of(value), "code", None) or "",
                                              "indeterminate")  # fmt: skip
        if isinstance(component.get("valueQuantity"), Mapping):
            sizes.append(component["valueQuantity"])
    if code is None:
        return
    stated = base.model_copy(update=update | {"code": code, "verified": verified(code, known)})
    yield stated
    for size in sizes:
        yield from _measured(stated, size)


def _measured(stated: Finding, size: Mapping[str, Any]) -> Iterator[Finding]:
    value, unit = size.get("value"), size.get("unit")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    known = _SPELLED.get(unit.upper()) if isinstance(unit, str) else None
    known = known or unit_of(size)
    if known is not None:
        yield stated.model_copy(
            update={"kind": "measurement", "value": value, "unit": known, "polarity": None}
        )


def words_of(coding: Coding | None) -> str | None:
    """The words of a coding, for composing a target's words."""
    return coding.display if coding else None
