"""The OpenAPI document against the running gateway: no 5xx, nothing that it does not say.

What is left out: whether a request that fits the schema is accepted. That a chart is about its
subject, a cursor was given out or a verdict is one of this house cannot be said in a schema.

The suite runs the phases that enumerate (examples, coverage). CAREWEIR_TEST_FUZZ=100 runs all
phases with so many examples an operation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.running import Served

FUZZ = os.environ.get("CAREWEIR_TEST_FUZZ")
PROGRAM = shutil.which("schemathesis", path=str(Path(sys.executable).parent))

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs schemathesis (requirements-dev.in)")


@pytest.mark.parametrize("role", ["auditor", "ed-physician"] if FUZZ else ["auditor"])
def test_the_gateway_does_what_its_document_says(
    gateway: Served, role: str, tmp_path: Path
) -> None:
    assert PROGRAM is not None
    phases = ["--max-examples", FUZZ] if FUZZ else ["--phases", "examples,coverage"]

    run = subprocess.run(
        [PROGRAM, "run", f"{gateway.client.base_url}/openapi.json", "--seed", "1", "--no-color",
         "--header", f"Authorization: Bearer {gateway.tokens[role]}", "--continue-on-failure",
         "--suppress-health-check", "all", "--exclude-checks", "positive_data_acceptance", *phases],
        capture_output=True, text=True, check=False, timeout=1800, cwd=tmp_path,
    )  # fmt: skip

    assert run.returncode == 0, run.stdout[-6000:]
    assert " passed" in run.stdout
