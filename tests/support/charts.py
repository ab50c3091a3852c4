"""Questions for tests, about the synthetic patients of the demonstration."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from careweir.demo import patients


def question(capability: str, chart: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of ``POST /v1/inferences`` for a chart of ``careweir.demo.patients``."""
    return {
        "capability": capability,
        "subject": f"Patient/{chart['id']}",
        "purpose": "TREAT",
        "inputs": chart,
        "context": {"encounter": "Encounter/e1", "site": "north"},
        "deadline_ms": 3000,
    } | changes


def sepsis(**changes: Any) -> dict[str, Any]:
    """A clearly septic patient."""
    return question("sepsis-risk", patients.septic(datetime.now(UTC)), **changes)


def chest(**changes: Any) -> dict[str, Any]:
    """A chest X-ray report that is easy to misread."""
    return question("chest-xray-findings", patients.chest_x_ray(datetime.now(UTC)), **changes)
