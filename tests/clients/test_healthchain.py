"""healthchain's sandbox as an EHR, unmodified, against a running gateway. Opt-in.

    python3 -m venv healthchain-venv
    healthchain-venv/bin/pip install healthchain==0.16.1
    CAREWEIR_TEST_HEALTHCHAIN=$PWD/healthchain-venv/bin/python pytest tests/clients

It knows no authorization, so a forwarder on loopback adds the token, as an engine in front would.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from careweir.demo import patients
from support.running import Served

PYTHON = os.environ.get("CAREWEIR_TEST_HEALTHCHAIN")
SCRIPT = Path(__file__).parent / "healthchain_client.py"

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="set CAREWEIR_TEST_HEALTHCHAIN to a python with healthchain (see the file)"
)


@contextmanager
def forwarding(gateway: Served, token: str) -> Iterator[str]:
    """A forwarder that adds the token and changes nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            answer = gateway.client.post(self.path, content=body, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_its_sandbox_reads_the_cards(gateway: Served, tmp_path: Path) -> None:
    assert PYTHON is not None
    chart = patients.septic(datetime.now(UTC))
    services = gateway.client.get("/cds-services").json()["services"]
    templates = next(one for one in services if one["id"] == "sepsis-risk")["prefetch"]
    prefetch = {}
    for key, query in templates.items():
        kind, _, search = query.partition("?")
        mine = [e for e in chart["entry"]
                if e["resource"]["resourceType"] == kind.partition("/")[0]]  # fmt: skip
        found = {"resourceType": "Bundle", "type": "searchset",
                 "entry": [{"resource": e["resource"]} for e in mine]}  # fmt: skip
        prefetch[key] = found if search else mine[0]["resource"]
    (tmp_path / "prefetch.json").write_text(json.dumps(prefetch))

    with forwarding(gateway, gateway.tokens["ed-physician"]) as url:
        run = subprocess.run(
            [PYTHON, str(SCRIPT), f"{url}/cds-services/sepsis-risk",
             str(tmp_path / "prefetch.json"), chart["id"]],
            capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        )  # fmt: skip

    assert run.returncode == 0, run.stderr[-3000:]
    (answer,) = json.loads(run.stdout.partition("ANSWERS")[2])
    assert {card["source"]["label"] for card in answer["cards"]}
    assert all(len(card["summary"]) <= 140 for card in answer["cards"])
