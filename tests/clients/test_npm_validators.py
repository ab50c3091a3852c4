"""Two validators that share no code with ours, over everything that a running gateway serves.

Opt-in, as tests/fhir/test_npm_oracle.py says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from support.charts import chest, sepsis
from support.paths import ROOT
from support.running import Served

FOLDER = os.environ.get("CAREWEIR_NPM_ORACLE")
SCRIPT = ROOT / "tests" / "fhir" / "npm_oracle.cjs"

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="set CAREWEIR_NPM_ORACLE (see test_npm_oracle.py)"),
    pytest.mark.skipif(shutil.which("node") is None, reason="needs node"),
]


def served(gateway: Served) -> dict[str, Any]:
    """One of each: what is told, found, read, counted, refused and answered badly."""
    as_fhir = {"Accept": "application/fhir+json"}
    found = {"a complete answer": gateway.ask(sepsis(), headers=as_fhir).json()}
    gateway.fault("acme-sepsis", "http_500")
    found["a degraded answer"] = gateway.ask(sepsis(), headers=as_fhir).json()
    gateway.fault("beacon-sepsis", "http_500")
    found["one by published scores"] = gateway.ask(sepsis(), headers=as_fhir).json()
    gateway.heal()
    found["a conflicting answer"] = gateway.ask(chest(), role="radiologist", headers=as_fhir).json()
    for kind in [
        one["type"] for one in gateway.get("/fhir/metadata").json()["rest"][0]["resource"]
    ]:
        role = "auditor" if kind == "AuditEvent" else "ed-physician"
        for more in ("?_count=20&_total=accurate", "?_summary=count", "?unknown=1"):
            found[f"{kind}{more}"] = gateway.get(f"/fhir/{kind}{more}", role=role).json()
        found[f"no {kind}"] = gateway.get(f"/fhir/{kind}/none", role=role).json()
    for path in ("metadata", "OperationDefinition/infer", "Nothing", "AuditEvent?date=x"):
        found[path] = gateway.get(f"/fhir/{path}").json()
    found["401"] = gateway.client.get("/fhir/AuditEvent").json()
    found["405"] = gateway.client.delete("/fhir/AuditEvent").json()
    return found


def test_foreign_validators_find_no_error_in_anything_served(gateway: Served) -> None:
    assert FOLDER is not None
    found = served(gateway)
    assert len(found) > 40

    run = subprocess.run(
        ["node", str(SCRIPT), FOLDER], input=json.dumps(list(found.values())),
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip

    names = list(found)
    grave = [one for one in json.loads(run.stdout) if one["severity"] in ("error", "fatal")]
    assert [(names[one["index"]], one["validator"], one["text"]) for one in grave] == []
