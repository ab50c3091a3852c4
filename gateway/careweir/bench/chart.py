"""A synthetic chart of any size: seeded, about nobody, with the mix of a Synthea export.

By bytes, Synthea R4 bundles are one third ExplanationOfBenefit, one third Observation and one
seventh Claim; the rest is encounters, reports, immunisations, procedures, conditions. A tool
needs a few observations of the last day, so nearly everything here must be left out: that is the
work that minimisation does in a hospital.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from careweir.bench.size import SEED
from careweir.question import rfc3339
from careweir_fhir.model import LOINC, SNOMED, UCUM

AS_OF = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
PATIENT = "bench-1"
SUBJECT = f"Patient/{PATIENT}"

Json = dict[str, Any]

_ABOUT = {"reference": SUBJECT}
_MEASURED = (  # LOINC, unit, an unremarkable value
    ("8867-4", "/min", 96),
    ("9279-1", "/min", 22),
    ("8310-5", "Cel", 38.4),
    ("8480-6", "mm[Hg]", 108),
    ("59408-5", "%", 94),
    ("2524-7", "mmol/L", 2.6),
    ("6690-2", "10*3/uL", 13.1),
    ("2160-0", "mg/dL", 1.3),
    ("718-7", "g/dL", 13.2),
    ("2345-7", "mg/dL", 112),
    ("2093-3", "mg/dL", 188),
    ("29463-7", "kg", 78),
)
_LINES = "Seen in clinic, no acute distress, plan discussed with the patient and family. "


@lru_cache(maxsize=8)
def synthetic_chart(bytes_min: int) -> bytes:
    """A collection Bundle of at least ``bytes_min`` bytes, the same for the same size."""
    rng = random.Random(SEED)  # noqa: S311 - made-up charts, not secrets
    entries, size = [entry(patient())], 0
    for number, resource in enumerate(_resources(rng)):
        entries.append(entry(resource))
        size += len(orjson.dumps(entries[-1])) + 1
        if size >= bytes_min and number >= len(_MEASURED):
            break
    return orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


def small_chart() -> bytes:
    """About 2 kB: a patient and five observations, what a tool needs and no more."""
    rows = [patient() | {"address": []}]
    rows += [observation(number, 1, AS_OF - timedelta(minutes=20)) for number in (0, 1, 2, 3, 5)]
    for row in rows:
        for name in ("meta", "category", "issued", "identifier", "encounter"):
            row.pop(name, None)
    entries = [{"resource": row} for row in rows]
    return orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


def entry(resource: Json) -> Json:
    """One entry, with the URL that an export gives it."""
    kind, name = resource["resourceType"], resource["id"]
    return {"fullUrl": f"https://ehr.example/fhir/{kind}/{name}", "resource": resource,
            "request": {"method": "POST", "url": kind}}  # fmt: skip


def patient() -> Json:
    """A patient with everything that identifies one."""
    return {
        "resourceType": "Patient",
        "id": PATIENT,
        "identifier": [{"system": "urn:example:mrn", "value": "00012345"}],
        "name": [{"family": "Benchley", "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1957-03-03",
        "address": [{"line": ["1 Example Row"], "city": "Exampleton", "postalCode": "00000"}],
    }


def _resources(rng: random.Random) -> Iterator[Json]:
    """Visits without end, newest first: today's observations, then a week apart."""
    visit = 0
    while True:
        visit += 1
        at = AS_OF - timedelta(days=7 * (visit - 1), minutes=20)
        yield from (observation(number, visit, at) for number in range(len(_MEASURED)))
        yield _encounter(visit, at)
        yield _report(visit, at, rng)
        yield _benefit(visit, at, rng)
        yield _benefit(visit + 1_000_000, at, rng)
        yield from (_claim(visit * 10 + number, at, rng) for number in range(3))
        yield from (_event(kind, visit, at) for kind in ("Immunization", "Procedure", "Condition"))


def observation(number: int, visit: int, at: datetime) -> Json:
    """One measurement."""
    loinc, unit, value = _MEASURED[number]
    quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return {
        "resourceType": "Observation",
        "id": f"o{visit}-{number}",
        "meta": {
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-vital-signs"]
        },
        "status": "final",
        "category": [{"coding": [_coding("category", "vital-signs")]}],
        "code": {"coding": [_coding(LOINC, loinc)], "text": f"measurement {loinc}"},
        "subject": _ABOUT,
        "encounter": {"reference": f"Encounter/e{visit}"},
        "effectiveDateTime": rfc3339(at),
        "issued": rfc3339(at),
        "valueQuantity": quantity,
    }


def _coding(system: str, code: str) -> Json:
    return {"system": system, "code": code, "display": f"display of {code}"}


def _encounter(visit: int, at: datetime) -> Json:
    return {
        "resourceType": "Encounter",
        "id": f"e{visit}",
        "status": "finished",
        "class": _coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB"),
        "type": [{"coding": [_coding(SNOMED, "185345009")], "text": "Encounter for symptom"}],
        "subject": _ABOUT,
        "participant": [{"individual": {"reference": f"Practitioner/p{visit % 7}"}}],
        "period": {"start": rfc3339(at), "end": rfc3339(at + timedelta(minutes=15))},
        "serviceProvider": {"reference": "Organization/o1", "display": "Example Hospital"},
    }


def _claim(name: int, at: datetime, rng: random.Random) -> Json:
    return {
        "resourceType": "Claim",
        "id": f"c{name}",
        "status": "active",
        "type": {"coding": [_coding("claim-type", "institutional")]},
        "use": "claim",
        "patient": _ABOUT,
        "created": rfc3339(at),
        "provider": {"reference": "Organization/o1", "display": "Example Hospital"},
        "priority": {"coding": [_coding("processpriority", "normal")]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": "Example Plan"}}],
        "item": [_item(number, rng) for number in range(5)],
        "total": {"value": rng.randrange(10_000) / 100, "currency": "USD"},
    }


def _item(number: int, rng: random.Random) -> Json:
    return {
        "sequence": number + 1,
        "productOrService": {"coding": [_coding(SNOMED, str(rng.randrange(10**8)))]},
        "net": {"value": rng.randrange(100_000) / 100, "currency": "USD"},
    }


def _benefit(name: int, at: datetime, rng: random.Random) -> Json:
    """The heaviest resource of an export: items with a breakdown of every amount."""
    claim = _claim(name, at, rng)
    amount = {"category": {"coding": [_coding("adjudication", "deductible")]},
              "amount": {"value": 12.5, "currency": "USD"}}  # fmt: skip
    for item in claim["item"]:
        item["adjudication"] = [amount] * 5
    return claim | {
        "resourceType": "ExplanationOfBenefit",
        "id": f"b{name}",
        "outcome": "complete",
        "contained": [{"resourceType": "Coverage", "id": "coverage", "status": "active"}],
        "billablePeriod": {"start": rfc3339(at), "end": rfc3339(at + timedelta(days=365))},
    }


def _report(visit: int, at: datetime, rng: random.Random) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "id": f"r{visit}",
        "status": "final",
        "code": {"coding": [_coding(LOINC, "36643-5")]},
        "subject": _ABOUT,
        "effectiveDateTime": rfc3339(at),
        "conclusion": _LINES * rng.randrange(5, 15),
    }


def _event(kind: str, visit: int, at: datetime) -> Json:
    about = {"patient": _ABOUT} if kind == "Immunization" else {"subject": _ABOUT}
    return about | {
        "resourceType": kind,
        "id": f"{kind.lower()}{visit}",
        "status": "completed",
        "code": {"coding": [_coding(SNOMED, str(10_000_000 + visit))], "text": "an event"},
        "encounter": {"reference": f"Encounter/e{visit}"},
        "recordedDate": rfc3339(at),
    }
