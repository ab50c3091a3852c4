"""A real MLServer behind the ``oip_v2`` adapter. Opt-in: half a minute, 530 MB.

    python3 -m venv mlserver-venv
    mlserver-venv/bin/pip install mlserver==1.7.1 mlserver-sklearn==1.7.1
    CAREWEIR_REAL_MLSERVER=$PWD/mlserver-venv/bin/python pytest tests/real/test_real_mlserver.py

With a server of your own: ``careweir adapter check oip_v2 --url URL --tool-file FILE``.
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
from careweir_kit.tool import Tool
from support.real_server import free_port, python_of, serving

HERE = Path(__file__).resolve().parent
ADAPTER = discover_adapters()["oip_v2"]
INFER = "v2/models/readmit30/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A trained model behind a real server."""
    python = python_of("CAREWEIR_REAL_MLSERVER", packages="mlserver==1.7.1 mlserver-sklearn==1.7.1")
    folder, port = tmp_path_factory.mktemp("mlserver"), free_port()
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}
    train = [str(python), str(HERE / "train_mlserver.py"), str(folder / "model"), str(port)]
    subprocess.run(train, cwd=folder, check=True, capture_output=True, env=environment)
    command = [str(python.parent / "mlserver"), "start", str(folder / "model")]
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    with serving(
        command, health=f"{url}/v2/health/ready", path=folder, log=log, environment=environment
    ):
        yield url


def _tool() -> Tool:
    """The example tool, with the name that scikit-learn's runtime gives its probabilities."""
    assert ADAPTER.example_tool is not None
    value = ADAPTER.example_tool.model_dump(mode="json")
    value["request"]["outputs"] = ["predict_proba"]
    value["answer"]["findings"][0]["output"] = "predict_proba"
    return Tool.model_validate(value)


def _post(url: str, value: Any, path: str = INFER) -> VendorAnswer:
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.post(f"{url}/{path}", json=value)
    headers = {name.lower(): text for name, text in answer.headers.items()}
    return VendorAnswer(answer.status_code, headers, answer.content)


def _row(*data: Any) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [1, len(data)], "datatype": "FP64", "data": list(data)}
    return {"id": "psn-4k2m~a", "inputs": [tensor], "outputs": [{"name": "predict_proba"}]}


def test_the_real_server_answers_the_recorded_question(server: str) -> None:
    report = check_adapter(ADAPTER, tool=_tool(), call=Rehearsal(), url=server, up_to="silver")

    states = {check.name: check.state for check in report.checks}
    assert states["a real server answers"] == "pass"
    assert states["a deadline of 1 ms is kept with it"] == "pass"


def test_its_probability_is_one_risk_of_the_version_that_it_names(server: str) -> None:
    result = replay(ADAPTER, _tool(), _post(server, _row(74, 10.4, 133, 1.6)))

    (finding,) = result["findings"]
    assert (result["outcome"], finding["kind"], finding["horizon"]) == ("ok", "risk", "P30D")
    assert 0.5 < finding["value"] < 0.8
    assert result["model"] == {"name": "readmit30", "version": "3.0.1"}


@pytest.mark.parametrize(
    ("value", "path", "status", "outcome"),
    [
        (_row(74, 10.4, 133), INFER, 500, "vendor_fault"),
        ({"id": "CANARY-52"}, INFER, 422, "bad_request"),
        (_row(74, 10.4, 133, 1.6) | {"outputs": [{"name": "no"}]}, INFER, 400, "bad_request"),
        (_row(74, 10.4, 133, 1.6), "v2/models/none/infer", 404, "bad_request"),
    ],
)
def test_its_errors_have_their_class_and_repeat_nothing(
    server: str, value: dict[str, Any], path: str, status: int, outcome: str
) -> None:
    answer = _post(server, value, path)

    result = replay(ADAPTER, _tool(), answer)

    assert (answer.status, result["outcome"]) == (status, outcome)
    assert "CANARY-52" not in json.dumps(result)
    if status == 422:
        assert b"CANARY-52" in answer.body
