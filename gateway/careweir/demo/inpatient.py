"""A synthetic patient of whom every shipped tool can say something: for drills."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from careweir.demo.patients import chart, measured, person, vitals
from careweir.question import rfc3339
from careweir_fhir.model import LOINC, SNOMED

Json = dict[str, Any]
PATIENT: Final = "demo-inpatient"
NOTE: Final = (
    "Cough and shortness of breath for four days. Denies chest pain. Chest X-ray: consolidation at "
    "the left base, no pneumothorax. Assessment: pneumonia. Plan: antibiotics, oxygen as needed."
)
# Who asks each question, and for which purpose.
ASKED_BY: Final[Mapping[str, tuple[str, str]]] = {
    "deterioration-risk": ("hospitalist", "TREAT"),
    "readmission-risk": ("hospitalist", "TREAT"),
    "clinical-entities": ("hospitalist", "TREAT"),
    "coding-suggestion": ("coder", "HPAYMT"),
    "prior-auth": ("utilisation-review", "HPAYMT"),
    "symptom-triage": ("hospitalist", "TREAT"),
    "note-summary": ("hospitalist", "TREAT"),
    "no-show-risk": ("scheduler", "HOPERAT"),
}
_VALUES: Final = {
    "heart rate": 112, "respiratory rate": 24, "temperature": 38.6, "systolic": 102,
    "diastolic": 62, "SpO2": 92, "oxygen flow": 2, "leukocytes": 14.8, "lactate": 2.6,
    "creatinine": 1.4,
}  # fmt: skip
_ABOUT: Final = {"reference": f"Patient/{PATIENT}"}
_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def inpatient(now: datetime) -> Json:
    """Admitted three days ago, with vital signs, a note, a report, an order and appointments."""
    rows = [
        person(PATIENT, "Harrowgate", "1949-07-21", "female"),
        *vitals(PATIENT, _VALUES, now),
        _haemoglobin(now),
        _stay("before", now - timedelta(days=120), days=3),
        _stay("present", now - timedelta(days=3), days=None),
        _note(now - timedelta(hours=2)),
        _report(now - timedelta(hours=3)),
        _complaint("breath", "267036007"),
        _complaint("chest", "29857009"),
        {"resourceType": "ServiceRequest", "id": f"{PATIENT}-order", "status": "active",
         "intent": "order", "subject": _ABOUT, "code": _coded(SNOMED, "609588000")},
        _appointment("booked", now + timedelta(days=18)),
        _appointment("noshow", now - timedelta(days=90)),
        _appointment("fulfilled", now - timedelta(days=150)),
    ]  # fmt: skip
    return chart(PATIENT, rows)


def _coded(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _haemoglobin(now: datetime) -> Json:
    row = measured(PATIENT, 90, "creatinine", 10.2, now - timedelta(minutes=30))
    quantity = row["valueQuantity"] | {"unit": "g/dL", "code": "g/dL"}
    return row | {"code": _coded(LOINC, "718-7"), "valueQuantity": quantity}


def _stay(name: str, start: datetime, *, days: int | None) -> Json:
    period = {"start": rfc3339(start)}
    if days is not None:
        period["end"] = rfc3339(start + timedelta(days=days))
    return {"resourceType": "Encounter", "id": f"{PATIENT}-{name}", "subject": _ABOUT,
            "status": "in-progress" if days is None else "finished",
            "class": {"system": _ACT, "code": "IMP"}, "period": period}  # fmt: skip


def _note(written: datetime) -> Json:
    data = base64.b64encode(NOTE.encode()).decode("ascii")
    return {"resourceType": "DocumentReference", "id": f"{PATIENT}-note", "status": "current",
            "type": _coded(LOINC, "34111-5"), "subject": _ABOUT, "date": rfc3339(written),
            "content": [{"attachment": {"contentType": "text/plain", "data": data}}]}  # fmt: skip


def _report(read: datetime) -> Json:
    return {"resourceType": "DiagnosticReport", "id": f"{PATIENT}-report", "status": "final",
            "code": _coded(LOINC, "36643-5"), "subject": _ABOUT,
            "effectiveDateTime": rfc3339(read), "conclusion": NOTE}  # fmt: skip


def _complaint(name: str, code: str) -> Json:
    active = _coded(_CLINICAL, "active")
    return {"resourceType": "Condition", "id": f"{PATIENT}-{name}", "subject": _ABOUT,
            "clinicalStatus": active, "code": _coded(SNOMED, code)}  # fmt: skip


def _appointment(status: str, start: datetime) -> Json:
    return {"resourceType": "Appointment", "id": f"{PATIENT}-{status}", "status": status,
            "start": rfc3339(start), "created": rfc3339(start - timedelta(days=60)),
            "participant": [{"actor": _ABOUT, "status": "accepted"}]}  # fmt: skip
