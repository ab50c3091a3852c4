"""fhir-kit-client and Medplum's client, unmodified, against a running gateway. Opt-in.

Needs node and a folder with ``fhir-kit-client`` 2.0.3 and ``@medplum/core`` 4.5.2 (``npm install``
them there), named by CAREWEIR_TEST_NPM_CLIENTS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.charts import sepsis
from support.running import Served

SCRIPT = Path(__file__).parent / "npm_clients.mjs"
FOLDER = os.environ.get("CAREWEIR_TEST_NPM_CLIENTS")

pytestmark = [
    pytest.mark.skipif(
        not FOLDER,
        reason="set CAREWEIR_TEST_NPM_CLIENTS to a folder with node_modules (see the file)",
    ),
    pytest.mark.skipif(shutil.which("node") is None, reason="needs node"),
]


def test_both_clients_read_search_page_and_understand_refusals(gateway: Served) -> None:
    assert FOLDER is not None
    assert gateway.ask(sepsis()).status_code == 200
    token = gateway.tokens["ed-physician"]

    run = subprocess.run(
        ["node", str(SCRIPT), FOLDER, str(gateway.client.base_url).rstrip("/"), token],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr[-3000:]
    found: dict[str, Any] = json.loads(run.stdout)
    assert {"RiskAssessment", "AuditEvent", "Device"} <= set(found["kitTypes"])
    assert found["kitRead"] == found["medplumRead"] == found["kitFirst"]
    assert found["kitSecond"] != found["kitFirst"]
    assert found["kitMissing"] == [404, "OperationOutcome"]
    assert found["medplumMissing"] == "not-found"
    assert found["medplumSearch"][0] == found["kitFirst"]
    assert found["kitTokenUrl"].endswith("/demo/token")
