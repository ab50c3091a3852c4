"""The rule of the Mirth example: what repeating can mend is queued, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from support.paths import ROOT

SCRIPT = ROOT / "docs" / "examples" / "mirth-response-transformer.js"
CASES = {
    "SENT": [(200, '{"outcome": "degraded"}'), (202, '{"status": "running"}'),
             (502, '{"outcome": "failed"}'), (503, '{"outcome": "failed"}')],
    "QUEUED": [(429, '{"code": "rate_exceeded"}'), (503, '{"code": "audit_unavailable"}'),
               (408, '{"code": "body_too_slow"}'), (409, '{"code": "idempotency_key_in_use"}'),
               (502, "<html>Bad Gateway</html>"), (504, "")],
    "ERROR": [(401, '{"code": "not_authenticated"}'), (403, '{"code": "access_denied"}'),
              (409, '{"code": "idempotency_key_reused"}'), (413, '{"code": "body_too_large"}'),
              (422, '{"code": "question_invalid"}'), (500, '{"code": "internal_error"}')],
}  # fmt: skip


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_what_repeating_can_mend_is_queued_and_nothing_else() -> None:
    cases = [case for rows in CASES.values() for case in rows]
    told = f"{SCRIPT.read_text()}\nconst cases = {json.dumps(cases)};\n"
    told += "console.log(JSON.stringify(cases.map((c) => fate(c[0], c[1]))));"

    run = subprocess.run(["node", "-e", told], capture_output=True, text=True, check=True)

    assert json.loads(run.stdout) == [fate for fate, rows in CASES.items() for _ in rows]
