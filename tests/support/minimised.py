"""Small synthetic charts as the minimiser hands them to an adapter."""

from __future__ import annotations

import base64
from typing import Any

from careweir_kit.adapter import Ask

SUBJECT = "psn-7q2x"
AS_OF = "2026-03-02T08:30:00Z"
TAKEN = "2026-03-02T08:00:00Z"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"

Resource = dict[str, Any]


def number(
    loinc: str, value: float, unit: str, *, at: str | None = TAKEN, status: str = "final"
) -> Resource:
    """An Observation with a UCUM quantity."""
    found: Resource = {
        "resourceType": "Observation",
        "id": "1",
        "status": status,
        "code": {"coding": [{"system": LOINC, "code": loinc}]},
        "subject": {"reference": f"Patient/{SUBJECT}"},
        "valueQuantity": quantity(value, unit),
    }
    return found if at is None else found | {"effectiveDateTime": at}


def quantity(value: float, unit: str) -> Resource:
    """A UCUM quantity."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def coded(loinc: str, system: str, code: str, *, at: str = TAKEN) -> Resource:
    """An Observation with a coded answer."""
    return {
        "resourceType": "Observation",
        "id": "2",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": loinc}]},
        "effectiveDateTime": at,
        "valueCodeableConcept": {"coding": [{"system": system, "code": code}]},
    }


def pressure(systolic: float, diastolic: float = 70, *, at: str = TAKEN) -> Resource:
    """A blood pressure panel with its two components."""
    components = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": value}
        for code, value in (
            ("8480-6", quantity(systolic, "mm[Hg]")),
            ("8462-4", quantity(diastolic, "mm[Hg]")),
        )
    ]
    return {
        "resourceType": "Observation",
        "id": "3",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
        "effectiveDateTime": at,
        "component": components,
    }


def report(text: str, *, at: str = TAKEN, status: str = "final") -> Resource:
    """A report whose text is its conclusion."""
    return {
        "resourceType": "DiagnosticReport",
        "id": "4",
        "status": status,
        "effectiveDateTime": at,
        "conclusion": text,
    }


def patient(age_years: int | None) -> Resource:
    """The patient as minimised: a pseudonym and an age."""
    found: Resource = {"resourceType": "Patient", "id": SUBJECT}
    if age_years is not None:
        age = {"url": "urn:careweir:age-years", "valueInteger": age_years}
        found["extension"] = [age]
    return found


def appointments(lead_days: int = 30, missed: int = 2, kept: int = 3) -> tuple[Resource, ...]:
    """One appointment ahead and earlier ones, as an administrative tool gets them."""
    lead = [{"url": "urn:careweir:lead-days", "valueInteger": lead_days}]
    ahead: Resource = {"resourceType": "Appointment", "id": "a1", "status": "booked"}
    statuses = ["noshow"] * missed + ["fulfilled"] * kept
    before = [{"resourceType": "Appointment", "id": "a2", "status": one} for one in statuses]
    return (ahead | {"extension": lead}, *before)


def stay(start: str, end: str | None, *, kind: str = "IMP") -> Resource:
    """A stay, with its kind by HL7 ActCode; one without an end is still going on."""
    period = {"start": start} | ({"end": end} if end else {})
    return {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished" if end else "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": kind},
        "period": period,
    }


def note(text: str, *, at: str = TAKEN, status: str = "current") -> Resource:
    """A clinical note as plain text."""
    data = base64.b64encode(text.encode()).decode()
    return {
        "resourceType": "DocumentReference",
        "id": "n1",
        "status": status,
        "type": {"coding": [{"system": LOINC, "code": "34111-5"}]},
        "date": at,
        "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": data}}],
    }


def condition(
    code: str,
    display: str = "",
    *,
    system: str = "http://hl7.org/fhir/sid/icd-10-cm",
    clinical: str = "active",
    verification: str = "confirmed",
) -> Resource:
    """A problem."""
    return {
        "resourceType": "Condition",
        "id": "c1",
        "code": {"coding": [{"system": system, "code": code, "display": display}]},
        "clinicalStatus": {"coding": [{"system": "urn:x", "code": clinical}]},
        "verificationStatus": {"coding": [{"system": "urn:x", "code": verification}]},
    }


def order(
    code: str = "609588000", display: str = "Total knee replacement", *, status: str = "active"
) -> Resource:
    """An order for one service."""
    return {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": status,
        "intent": "order",
        "code": {"coding": [{"system": SNOMED, "code": code, "display": display}]},
        "subject": {"reference": f"Patient/{SUBJECT}"},
    }


def age_band(band: str = "60-69") -> Resource:
    """A patient of whom only the age band is known."""
    extension = [{"url": "urn:careweir:age-band", "valueString": band}]
    return {"resourceType": "Patient", "id": SUBJECT, "extension": extension}


def bundle(*resources: Resource, age_years: int | None = 64) -> Resource:
    """A minimised chart."""
    entries = [{"resource": one} for one in (patient(age_years), *resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def ask(*resources: Resource, age_years: int | None = 64, as_of: str = AS_OF) -> Ask:
    """A question about such a chart."""
    return Ask(SUBJECT, "att-01", bundle(*resources, age_years=age_years), as_of)


def _observed(
    pulse: float, respiration: float, temperature: float, systolic: float, *more: float
) -> tuple[Resource, ...]:
    spo2, leukocytes, lactate, creatinine = more
    return (
        number("8867-4", pulse, "/min"),
        number("9279-1", respiration, "/min"),
        number("8310-5", temperature, "Cel"),
        pressure(systolic),
        number("59408-5", spo2, "%"),
        number("6690-2", leukocytes, "10*3/uL"),
        number("2524-7", lactate, "mmol/L"),
        number("2160-0", creatinine, "mg/dL"),
    )


def septic() -> tuple[Resource, ...]:
    """Bedside observations and laboratory values of a plainly septic patient."""
    return _observed(126, 29, 39.4, 84, 90, 21.5, 4.8, 2.3)


def well() -> tuple[Resource, ...]:
    """The same of a plainly well patient."""
    return _observed(74, 14, 36.8, 124, 98, 7.1, 1.0, 0.9)
