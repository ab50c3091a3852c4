"""Synthetic charts and tools for the tests; every person and number is made up."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from careweir.access import Decision, PolicySet
from careweir.access.rights import DataClass
from careweir.minimise import Minimised, minimise, read_chart
from careweir_kit.tool import Need, Tool

ROOT = Path(__file__).resolve().parents[2]
SYNTHEA = ROOT.parent / "shared" / "data" / "patients" / "synthea_r4"
AS_OF = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
# The marks of masking: in place of a required element, and of a value.
MARK = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
WHY = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "masked",
            "display": "Masked",
        }
    ]
}

Json = dict[str, Any]


@lru_cache(maxsize=1)
def policies() -> PolicySet:
    """The shipped policy."""
    return PolicySet.load(ROOT / "policies")


def patient(**extra: Any) -> Json:
    """A patient with everything that identifies one."""
    return {
        "resourceType": "Patient",
        "id": "p1",
        "gender": "female",
        "birthDate": "1957-03-03",
        "name": [{"family": "Quillfeather", "given": ["Marisol", "Io"]}],
        "identifier": [
            {"system": "urn:hospital:mrn", "value": "MRN-4471902"},
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "987-65-4321"},
        ],
        "telecom": [{"system": "phone", "value": "555-201-7788"}],
        "address": [
            {"line": ["14 Tanglewood Crescent"], "city": "Brackenholm", "postalCode": "48226"}
        ],
        **extra,
    }


def quantity(value: float, unit: str) -> Json:
    """A UCUM quantity."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def observation(
    loinc: str,
    value: Any = None,
    unit: str = "/min",
    *,
    at: str = "2026-03-02T08:00:00Z",
    **extra: Any,
) -> Json:
    """A final observation of p1 under one LOINC code."""
    found: Json = {
        "resourceType": "Observation",
        "id": f"obs-{loinc}-{at[:16].replace(':', '')}",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": loinc, "display": "WORDS"}], "text": "WORDS"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": at,
    }
    if value is not None:
        found["valueQuantity"] = quantity(value, unit)
    return {**found, **extra}


def blood_pressure(high: float = 118, low: float = 71, **extra: Any) -> Json:
    """A panel with its two components."""
    component = [
        {
            "code": {"coding": [{"system": LOINC, "code": code}]},
            "valueQuantity": quantity(value, "mm[Hg]"),
        }
        for code, value in (("8480-6", high), ("8462-4", low))
    ]
    return observation("85354-9", component=component, **extra)


def report(text: str = "Clear lungs.", **extra: Any) -> Json:
    """A chest X-ray report with its text as an attachment."""
    return {
        "resourceType": "DiagnosticReport",
        "id": "rep1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "36643-5"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-03-02T07:40:00Z",
        "presentedForm": [
            {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
        ],
        **extra,
    }


def bundle(*resources: Json, **extra: Any) -> bytes:
    """A collection Bundle as bytes."""
    entries = [{"fullUrl": f"urn:uuid:{i}", "resource": r} for i, r in enumerate(resources)]
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": entries, **extra}
    ).encode()


def tool(*needs: Json, capability: str = "sepsis-risk") -> Tool:
    """A tool with these needs and nothing else."""
    return Tool(
        tool="test-tool",
        vendor="v",
        product="p",
        version="1.0.0",
        adapter="a",
        capabilities=(capability,),
        needs=tuple(Need.model_validate(need) for need in needs),
    )


VITALS = ("8867-4", "9279-1", "8310-5", "8331-1", "8480-6", "8462-4", "59408-5", "2708-6")
LABS = ("6690-2", "2524-7", "32693-4", "2160-0", "38483-4", "777-3")
SEPSIS = tool(
    {
        "resource": "Patient",
        "paths": ("birthDate", "gender"),
        "transforms": {"birthDate": "age_years"},
    },
    {
        "resource": "Observation",
        "paths": (
            "status", "code", "effectiveDateTime", "valueQuantity", "component.code",
            "component.valueQuantity", "encounter",
        ),
        "codes": {"loinc": VITALS},
        "window": "PT24H",
    },
    {
        "resource": "Observation",
        "paths": ("status", "code", "effectiveDateTime", "valueQuantity"),
        "codes": {"loinc": LABS},
        "window": "P7D",
        "last": 2,
    },
)  # fmt: skip
CHEST = tool(
    {
        "resource": "Patient",
        "paths": ("birthDate", "gender"),
        "transforms": {"birthDate": "age_band"},
    },
    {
        "resource": "DiagnosticReport",
        "paths": (
            "status", "code", "effectiveDateTime", "conclusion", "presentedForm", "imagingStudy",
        ),
        "text": True,
    },
    {"resource": "ImagingStudy", "paths": ("started", "modality", "series.modality")},
    capability="chest-xray-findings",
)  # fmt: skip


def decision(role: str = "ed-physician", purpose: str = "TREAT", of: Tool = SEPSIS) -> Decision:
    """The shipped policy's decision."""
    return policies().decide(role=role, purpose=purpose, capability=of.capabilities[0], site=None)


def with_classes(*classes: DataClass | str) -> Decision:
    """A permit for exactly these data classes, the shipped ones by name."""
    permit = decision()
    found = (policies().classes[one] if isinstance(one, str) else one for one in classes)
    rights = replace(permit.rights, classes=tuple((one, "rule") for one in found), plans={})
    return replace(permit, rights=rights)


def run(
    body: bytes,
    of: Tool = SEPSIS,
    *,
    by: Decision | None = None,
    as_of: datetime = AS_OF,
    study: str | None = None,
    subject: str | None = "Patient/p1",
    pseudonyms: Callable[[str, str], str] = lambda kind, real: f"{kind.lower()}-{len(real)}x",
) -> Minimised:
    """Minimise one body for one tool under the shipped policy."""
    return minimise(
        read_chart(body, subject=subject),
        of,
        by or decision(of=of),
        subject_pseudonym="px",
        pseudonyms=pseudonyms,
        as_of=as_of,
        study=study,
        purpose="TREAT",
        role="ed-physician",
        site=None,
    )


def resources(found: Minimised, kind: str) -> list[Json]:
    """The resources of one type in a payload."""
    assert found.payload is not None
    return [
        entry["resource"]
        for entry in found.payload["entry"]
        if entry["resource"]["resourceType"] == kind
    ]


def reasons(found: Minimised) -> dict[str, set[str]]:
    """Path -> reasons of what was withheld."""
    rows: dict[str, set[str]] = {}
    for row in found.manifest.withheld:
        rows.setdefault(row.path, set()).add(row.reason)
    return rows


def leaves(value: Any) -> list[str]:
    """Every text below a value; attachments decoded."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        found = [leaf for item in value.values() for leaf in leaves(item)]
        if isinstance(value.get("data"), str):
            found.append(base64.b64decode(value["data"]).decode())
        return found
    return []


def everything(found: Minimised) -> str:
    """The payload and the manifest as one text, attachments decoded."""
    manifest = found.manifest.model_dump(mode="json")
    return "\n".join([json.dumps(found.payload), *leaves(found.payload), json.dumps(manifest)])
