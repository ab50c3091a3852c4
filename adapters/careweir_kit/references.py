"""Patients and words in the FHIR resources of an answer, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_MARKUP = re.compile(r"<[A-Za-z/!?]")


def plain(text: str | None) -> str | None:
    """Text without markup as it is, text with markup not at all."""
    return None if text is None or _MARKUP.search(text) else text


def patient_references(value: Any) -> Iterator[str]:
    """Every reference in subject and patient elements, at any depth.

    A reference that is not to a Patient is given as it stands: it cannot be this patient.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("subject", "patient", "for", "beneficiary") and isinstance(item, dict):
                reference = item.get("reference")
                if isinstance(reference, str):
                    start = max(0, reference.rfind("Patient/"))
                    yield reference[start:].partition("/_history")[0]
            yield from patient_references(item)
    elif isinstance(value, list):
        for item in value:
            yield from patient_references(item)
