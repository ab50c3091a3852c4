"""``policy test``: decision tables in ``policies/tests/*.yaml``, every row a question."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from careweir.access.policy import PolicySet
from careweir.access.rights import Decision
from careweir.access.schema import Flag, Version
from careweir.access.source import Source, parse, read_source
from careweir.errors import PolicyInvalid

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Row(BaseModel):
    """One question and the answer that the policy must give.

    ``sees`` and ``hides`` are data classes, ``sensitivity`` sensitivity codes that must be open;
    an empty list there means that none may be.
    """

    model_config = _STRICT

    role: str
    purpose: str
    capability: str
    site: str | None = None
    break_glass: Flag = "false"
    expect: Literal["permit", "deny"]
    denied_by: Literal["role", "purpose", "forbid"] | None = None
    sees: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    sensitivity: tuple[str, ...] | None = None


class TableFile(BaseModel):
    """One file of ``policies/tests``."""

    model_config = _STRICT

    version: Version
    rows: tuple[Row, ...] = Field(min_length=1)


def read_tables(directory: Path) -> tuple[tuple[Source, TableFile], ...]:
    """Every table below ``directory/tests``, by name. Raises PolicyInvalid."""
    found = []
    for path in sorted((directory / "tests").glob("*.yaml")):
        try:
            body = path.read_bytes()
        except OSError:
            raise PolicyInvalid(f"tests/{path.name}:1: cannot be read") from None
        source = read_source(f"tests/{path.name}", body)
        found.append((source, parse(source, TableFile)))
    return tuple(found)


def run_tables(policies: PolicySet, directory: Path) -> dict[str, Any]:
    """``{"passed", "failed", "rows": [{"at", "row", "passed", "why"}]}``."""
    rows = [
        {"at": source.at(("rows", index)), **run_row(policies, row)}
        for source, table in read_tables(directory)
        for index, row in enumerate(table.rows)
    ]
    passed = sum(1 for row in rows if row["passed"])
    return {"passed": passed, "failed": len(rows) - passed, "rows": rows}


def run_row(policies: PolicySet, row: Row) -> dict[str, Any]:
    """Ask one row: ``{"row", "passed", "why"}``; ``why`` says what was other than expected."""
    decision = policies.decide(
        role=row.role,
        purpose=row.purpose,
        capability=row.capability,
        site=row.site,
        break_glass=row.break_glass == "true",
    )
    why = _differences(row, decision)
    title = f"{row.role}/{row.purpose}/{row.capability}" + (f"@{row.site}" if row.site else "")
    return {"row": title, "passed": not why, "why": [*why, *decision.because] if why else []}


def _differences(row: Row, decision: Decision) -> list[str]:
    classes = {data_class.name for data_class, _ in decision.rights.classes}
    opened = decision.rights.sensitivity
    found = []
    if decision.effect != row.expect:
        found.append(f"expected {row.expect}, got {decision.effect}")
    if row.denied_by is not None and decision.denied_by != row.denied_by:
        found.append(f"expected a refusal by {row.denied_by}, got {decision.denied_by}")
    found += [f"does not see {name}" for name in row.sees if name not in classes]
    found += [f"sees {name}" for name in row.hides if name in classes]
    if row.sensitivity is not None:
        found += [f"{code} is not open" for code in row.sensitivity if code not in opened]
        if not row.sensitivity and opened:
            found.append("sensitive records are open")
    return found
