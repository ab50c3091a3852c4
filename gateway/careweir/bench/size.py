"""How much each benchmark does: the full size for figures, a tiny one to see that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SEED = 20260302


@dataclass(frozen=True, slots=True)
class Size:
    """Amounts of work; times are in seconds."""

    rounds: int  # repetitions of a pure measurement, of which the fastest counts
    chart_bytes: tuple[int, ...]
    audit_callers: int
    audit_appends: int  # each caller's, and of the one who waits for every commit
    verify_events: int  # entries of the record that is written, searched and verified
    conflict_findings: tuple[int, ...]
    fhir_findings: int
    requests_s: float  # how long each load on the gateway lasts
    concurrency: int
    alone: int  # requests sent one at a time, for the wall time
    faults: int  # swapped answers; a tenth of them for each other fault
    scratch: Path | None = None  # where temporary databases lie; None: the system's folder


FULL = Size(
    rounds=7,
    chart_bytes=(500_000, 5_000_000),
    audit_callers=64,
    audit_appends=60,
    verify_events=1_000_000,
    conflict_findings=(1_000, 10_000),
    fhir_findings=100,
    requests_s=1.0,
    concurrency=8,
    alone=40,
    faults=10_000,
)
QUICK = Size(
    rounds=1,
    chart_bytes=(20_000,),
    audit_callers=4,
    audit_appends=3,
    verify_events=50,
    conflict_findings=(50, 100),
    fhir_findings=4,
    requests_s=0.1,
    concurrency=2,
    alone=2,
    faults=100,
)
