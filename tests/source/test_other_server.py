"""The same theorem against a FHIR server that is not ours (sekmet-fhir from PyPI), where it is.

It is not among the project's requirements: install it in an environment of its own and name its
command in CAREWEIR_TEST_SEKMET.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from minimise.charts import SEPSIS, Json, blood_pressure, bundle, observation, patient, run, tool
from source.pulling import answers, entries, pull
from source.server import Server

COMMAND = os.environ.get("CAREWEIR_TEST_SEKMET") or shutil.which("sekmet")
pytestmark = pytest.mark.skipif(
    COMMAND is None, reason="needs the command of sekmet-fhir 0.1.1 in CAREWEIR_TEST_SEKMET"
)


class Foreign(Server):
    """A server of which only the address is known."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("sekmet")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Foreign(probe.getsockname()[1])
    (folder / "settings.yaml").write_text(
        json.dumps({"base_url": server.base_url, "port": server.port, "data_dir": str(folder)})
    )
    assert COMMAND is not None
    process = subprocess.Popen(
        [COMMAND, "serve", "--host", "127.0.0.1", "--port", str(server.port)],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(server.base_url)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/metadata", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError("the server did not start within 30 s")


def test_the_answer_over_a_chart_pulled_from_it_is_the_answer_over_the_chart(
    foreign: Server,
) -> None:
    chart: list[Json] = [
        patient(),
        *(observation("8867-4", 60 + n, id=f"o{n}") for n in range(5)),
        observation("8867-4", 99, id="old", at="2025-03-02T08:00:00Z"),
        observation("8867-4", 98, id="noted", note=[{"text": "seen in the HIV clinic"}]),
        observation("718-7", 13.5, "g/dL", id="not-needed"),
        blood_pressure(id="bp"),
    ]
    for one in chart:
        url = f"{foreign.base_url}/{one['resourceType']}/{one['id']}"
        httpx.put(url, json=one, trust_env=False).raise_for_status()
    paths = ("code", "effectiveDateTime", "valueQuantity", "component.code",
             "component.valueQuantity")  # fmt: skip
    pulse = tool({"resource": "Observation", "paths": paths, "window": "PT24H",
                  "codes": {"loinc": ("8867-4", "85354-9", "8480-6")}})  # fmt: skip

    for of in (SEPSIS, pulse):
        found = pull(foreign, of, file={"page_count": 2})
        rows, sent = answers(run(found.bundle, of))
        assert (rows, sent) == answers(run(bundle(*chart), of))
        assert sum('"Observation"' in row for row in rows) == 6
        assert not {"not-needed", "old"} & {one["id"] for one in entries(found)}
