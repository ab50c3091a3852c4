"""Synthetic patients for the demonstration; invented here, about nobody.

Every chart holds more than any tool needs (a psychiatric diagnosis, an address, a note, a social
security number), so that what is withheld can be seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from careweir.question import rfc3339
from careweir_fhir.model import LOINC, SNOMED, UCUM

_VITALS = {
    "heart rate": ("8867-4", "/min"),
    "respiratory rate": ("9279-1", "/min"),
    "temperature": ("8310-5", "Cel"),
    "systolic": ("8480-6", "mm[Hg]"),
    "diastolic": ("8462-4", "mm[Hg]"),
    "SpO2": ("59408-5", "%"),
    "oxygen flow": ("3151-8", "L/min"),
    "leukocytes": ("6690-2", "10*3/uL"),
    "lactate": ("2524-7", "mmol/L"),
    "creatinine": ("2160-0", "mg/dL"),
}
_ALERT = {"system": SNOMED, "code": "248234008", "display": "Mentally alert"}


def chart(patient: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    """A collection Bundle of one patient."""
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "id": patient, "entry": entries}


def person(patient: str, family: str, birth_date: str, gender: str) -> dict[str, Any]:
    """A Patient with everything that identifies somebody."""
    return {
        "resourceType": "Patient",
        "id": patient,
        "identifier": [
            {"system": "urn:demo:mrn", "value": f"MRN-{patient}"},
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-00-4321"},
        ],
        "name": [{"family": family, "given": ["Robin", "Sam"]}],
        "telecom": [{"system": "phone", "value": "555-0100"}],
        "gender": gender,
        "birthDate": birth_date,
        "address": [{"line": ["7 Weir Lane"], "city": "Northbank", "postalCode": "01234"}],
    }


def measured(patient: str, number: int, what: str, value: float, when: datetime) -> dict[str, Any]:
    """One vital sign or laboratory result."""
    code, unit = _VITALS[what]
    return {
        "resourceType": "Observation",
        "id": f"{patient}-o{number}",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}], "text": what},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": rfc3339(when),
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
        "note": [{"text": "taken at the bedside, patient asked for privacy"}],
    }


def alert(patient: str, when: datetime) -> dict[str, Any]:
    """Level of consciousness: alert."""
    return {
        "resourceType": "Observation",
        "id": f"{patient}-acvpu",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "67775-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": rfc3339(when),
        "valueCodeableConcept": {"coding": [_ALERT]},
    }


def depression(patient: str) -> dict[str, Any]:
    """A psychiatric diagnosis, which no tool of the demonstration needs."""
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F33.1",
              "display": "Major depressive disorder, recurrent, moderate"}  # fmt: skip
    return {
        "resourceType": "Condition",
        "id": f"{patient}-c1",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [coding], "text": "recurrent depression"},
    }


def vitals(patient: str, values: dict[str, float], now: datetime) -> list[dict[str, Any]]:
    """The measurements of the last hour, newest last."""
    taken = now - timedelta(minutes=20)
    rows = [measured(patient, i, what, value, taken) for i, (what, value) in
            enumerate(values.items())]  # fmt: skip
    return [*rows, alert(patient, taken)]


def septic(now: datetime) -> dict[str, Any]:
    """Clearly septic: both models and NEWS2 should say so."""
    values = {"heart rate": 124, "respiratory rate": 28, "temperature": 39.2, "systolic": 92,
              "diastolic": 50, "SpO2": 91, "oxygen flow": 4, "leukocytes": 18.4, "lactate": 4.1,
              "creatinine": 2.1}  # fmt: skip
    rows = [person("demo-septic", "Okafor-Lind", "1951-03-02", "female"), depression("demo-septic")]
    return chart("demo-septic", rows + vitals("demo-septic", values, now))


def ambiguous(now: datetime) -> dict[str, Any]:
    """A fast heart and raised lactate without fever: where two models part company."""
    values = {"heart rate": 118, "respiratory rate": 19, "temperature": 36.9, "systolic": 118,
              "diastolic": 70, "SpO2": 97, "oxygen flow": 0, "leukocytes": 8.1, "lactate": 3.4,
              "creatinine": 0.9}  # fmt: skip
    rows = [person("demo-unclear", "Marsh", "1984-11-19", "male"), depression("demo-unclear")]
    return chart("demo-unclear", rows + vitals("demo-unclear", values, now))


def chest_x_ray(now: datetime) -> dict[str, Any]:
    """A report whose negation and side are easy to misread."""
    text = (
        "Chest X-ray of Robin Okafor, two views. No pleural effusion or pneumothorax. "
        "In contrast to the right base, there is consolidation at the left base. "
        "Heart size is normal."
    )
    report = {
        "resourceType": "DiagnosticReport",
        "id": "demo-film-r1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "36643-5"}], "text": "XR Chest 2 Views"},
        "subject": {"reference": "Patient/demo-film"},
        "effectiveDateTime": rfc3339(now - timedelta(hours=1)),
        "conclusion": text,
    }
    rows = [person("demo-film", "Okafor", "1968-06-30", "male"), depression("demo-film"), report]
    return chart("demo-film", rows)
