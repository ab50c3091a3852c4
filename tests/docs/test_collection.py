"""The collection for Postman and Bruno is the OpenAPI document, request by request."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from docs.collection import FILE, made
from support.running import Served


def requests() -> list[dict[str, Any]]:
    whole = json.loads(FILE.read_bytes())
    return [one["request"] for folder in whole["item"] for one in folder["item"]]


def test_the_file_is_what_the_contract_makes() -> None:
    assert FILE.read_text("utf-8") == made(), "run: python -m docs.collection"


def test_every_operation_is_in_it_once(demo: Served) -> None:
    document = demo.client.get("/openapi.json").json()
    wanted = {(m.upper(), p) for p, methods in document["paths"].items() for m in methods}
    found = [(one["method"], "/" + "/".join(
        f"{{{part[1:]}}}" if part.startswith(":") else part for part in one["url"]["path"]))
        for one in requests()]  # fmt: skip

    assert len(found) == len(set(found))
    assert set(found) == wanted


@pytest.mark.parametrize("role", ["ed-physician", "auditor"])
def test_every_request_of_it_is_understood(demo: Served, role: str) -> None:
    """With its variables set: nothing is a 5xx, an unknown route or a wrong method."""
    token = {"Authorization": f"Bearer {demo.tokens[role]}"}
    for one in requests():
        url = one["url"]["raw"].replace("{{base_url}}", "")
        for variable in one["url"]["variable"]:
            url = url.replace(f":{variable['key']}", variable["value"] or "none")
        free = one.get("auth", {}).get("type") == "noauth"
        headers = {h["key"]: h["value"] for h in one["header"] if not h.get("disabled")}
        answer: httpx.Response = demo.client.request(
            one["method"], url, headers=headers | ({} if free else token),
            content=one.get("body", {}).get("raw"),
        )  # fmt: skip
        assert answer.status_code < 500, url
        assert answer.status_code not in (401, 405, 406, 415), url
        assert answer.status_code != 404 or ":" in one["url"]["raw"], url


def test_the_first_question_is_answered(demo: Served) -> None:
    (asks,) = [one for one in requests() if one["url"]["raw"] == "{{base_url}}/v1/inferences"
               and one["method"] == "POST"]  # fmt: skip

    headers = {"Authorization": f"Bearer {demo.tokens['ed-physician']}"}
    answer = demo.client.post("/v1/inferences", content=asks["body"]["raw"], headers=headers)

    assert answer.status_code == 200
