"""Mapping and checking an answer as FHIR, for each resource that it adds.

Timed is the whole of ``result_bundle``: mapping to plain dicts, structure, required bindings and
references. The baseline is the least that any server does with those resources, ``orjson.dumps``
of the finished Bundle.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from careweir.bench.conflicts import TOOLS, findings
from careweir.bench.figure import Budget, Figure, fastest_s
from careweir.bench.size import Size
from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle

_CONTEXT = ResultContext(
    inference="inf_bench",
    capability="bench",
    subject="Patient/bench-1",
    encounter=None,
    study=None,
    as_of="2026-03-02T08:30:00Z",
    recorded="2026-03-02T08:30:00Z",
    policy_revision="sha256:0",
)


def measure(size: Size) -> Iterator[Figure]:
    """One figure: time for each resource of the answer."""
    found = findings(size.fhir_findings)
    tools = [
        ToolOutcome(f"tool-{n}", "a vendor", "a product", None, "answered", None, "live")
        for n in range(TOOLS)
    ]
    bundle = result_bundle(_CONTEXT, found, (), tools)
    ours, bare = fastest_s(
        lambda: result_bundle(_CONTEXT, found, (), tools),
        lambda: orjson.dumps(bundle),
        rounds=size.rounds,
    )
    resources = len(bundle["entry"])
    yield Figure(
        benchmark="fhir",
        what=f"a resource, in an answer of {resources}",
        value=ours / resources * 1e6,
        unit="µs",
        baseline=bare / resources * 1e6,
        baseline_what="orjson.dumps",
        budget=Budget(100, "value"),
    )
