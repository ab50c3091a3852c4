"""Two validators that share no code with ours, over everything that a running gateway emits.

Opt-in, as tests/fhir/test_npm_oracle.py says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from support.emitted import Emitting
from support.paths import ROOT

FOLDER = os.environ.get("CAREWEIR_NPM_ORACLE")
SCRIPT = ROOT / "tests" / "fhir" / "npm_oracle.cjs"

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="set CAREWEIR_NPM_ORACLE (see test_npm_oracle.py)"),
    pytest.mark.skipif(shutil.which("node") is None, reason="needs node"),
]


def test_foreign_validators_find_no_error_in_anything_emitted(emitted: Emitting) -> None:
    assert FOLDER is not None
    names = list(emitted.resources)

    run = subprocess.run(
        ["node", str(SCRIPT), FOLDER], input=json.dumps(list(emitted.resources.values())),
        capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip

    grave = [one for one in json.loads(run.stdout) if one["severity"] in ("error", "fatal")]
    assert [(names[one["index"]], one["validator"], one["text"]) for one in grave] == []
