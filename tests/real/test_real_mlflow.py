"""A real MLflow scoring server behind the ``mlflow`` adapter. Opt-in: half a minute, 850 MB.

    python3 -m venv mlflow-venv && mlflow-venv/bin/pip install mlflow==3.17.2
    CAREWEIR_REAL_MLFLOW=$PWD/mlflow-venv/bin/python pytest tests/real/test_real_mlflow.py

With a server of your own: ``careweir adapter check mlflow --url URL --tool-file FILE``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir.rehearse import Rehearsal
from careweir_kit.adapter import VendorAnswer
from careweir_kit.conformance import check_adapter
from careweir_kit.registry import discover_adapters, replay
from support.real_server import free_port, python_of, serving

HERE = Path(__file__).resolve().parent
ADAPTER = discover_adapters()["mlflow"]
COLUMNS = ["age", "los_days", "prior_adm"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A trained model behind a real server."""
    python = python_of("CAREWEIR_REAL_MLFLOW", packages="mlflow==3.17.2")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}  # it starts uvicorn by its name
    train = [str(python), str(HERE / "train_mlflow.py"), str(folder / "model")]
    subprocess.run(train, cwd=folder, check=True, capture_output=True, env=environment)
    command = [
        *(str(python.parent / "mlflow"), "models", "serve", "-m", "model"),
        *("--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)),
    ]
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    with serving(command, health=f"{url}/ping", path=folder, log=log, environment=environment):
        yield url


def _post(url: str, value: Any) -> VendorAnswer:
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.post(f"{url}/invocations", json=value)
    headers = {name.lower(): text for name, text in answer.headers.items()}
    return VendorAnswer(answer.status_code, headers, answer.content)


def _frame(*row: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": COLUMNS[: len(row)], "data": [list(row)]}}


def test_the_real_server_passes_the_conformance_suite(server: str) -> None:
    report = check_adapter(ADAPTER, call=Rehearsal(), url=server)

    assert [check.name for check in report.checks if check.state == "fail"] == []
    assert report.passed


def test_its_prediction_is_one_risk(server: str) -> None:
    assert ADAPTER.example_tool is not None

    result = replay(ADAPTER, ADAPTER.example_tool, _post(server, _frame(66, 4, 2)))

    (finding,) = result["findings"]
    assert (result["outcome"], finding["kind"], finding["horizon"]) == ("ok", "risk", "P30D")
    assert 0.6 < finding["value"] < 0.8


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (_frame(66, 4), "bad_request"),
        (_frame(66, 4, "CANARY-31"), "bad_request"),
        (_frame(66, 4, None), "vendor_fault"),
        ({"nothing": 1}, "bad_request"),
    ],
)
def test_its_errors_quote_the_patient_and_ours_do_not(
    server: str, value: dict[str, Any], outcome: str
) -> None:
    assert ADAPTER.example_tool is not None

    answer = _post(server, value)
    result = replay(ADAPTER, ADAPTER.example_tool, answer)

    assert (answer.status, result["outcome"]) == (400, outcome)
    assert result["error"]["detail"] in ("HTTP status 400", "the model failed on the request")
    if "CANARY-31" in json.dumps(value):
        assert b"CANARY-31" in answer.body
