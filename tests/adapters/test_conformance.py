"""Every adapter that is discovered keeps the contract; a bad one is shown up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careweir_kit.adapter import AdapterManifest, Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.conformance import Check, check_adapter
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.registry import LoadedAdapter, discover_adapters, replay
from careweir_kit.tool import Tool

ADAPTERS = discover_adapters()
# The words of the wire formats, so that generated answers come near to real ones.
KEYS = st.sampled_from(
    [
        *("cards", "summary", "indicator", "source", "label", "suggestions", "actions"),
        *("model_name", "outputs", "name", "shape", "datatype", "data", "id", "extension"),
        *("choices", "message", "content", "finish_reason", "model", "refusal", "error"),
    ]
)


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_keeps_the_contract(name: str) -> None:
    checks = check_adapter(ADAPTERS[name])

    assert checks
    assert [f"{check.name}: {check.detail}" for check in checks if not check.passed] == []


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_says_what_it_is_and_what_it_does_not_do(name: str) -> None:
    adapter = ADAPTERS[name]

    assert adapter.folder.joinpath("README.md").is_file()
    assert adapter.manifest.limits
    assert adapter.example_tool is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
    status=st.integers(100, 599),
)
def test_whatever_a_vendor_sends_is_classed_and_never_crashes(body: bytes, status: int) -> None:
    for adapter in ADAPTERS.values():
        assert adapter.example_tool is not None
        answer = VendorAnswer(status, {"content-type": "application/json"}, body)

        result = replay(adapter, adapter.example_tool, answer)

        assert set(result) == {"outcome", "completeness", "findings", "model", "error"}
        assert (result["error"] or {}).get("code") != "adapter_crashed"


class BadModule(ModuleType):
    """An adapter that trusts its vendor in every way that it can."""

    def check_tool(self, tool: Tool) -> None:
        """Accept anything."""

    def build_request(self, tool: Tool, ask: Ask) -> VendorRequest:
        """Ask anything."""
        return VendorRequest("POST", "x")

    def classify_answer(self, tool: Tool, answer: VendorAnswer) -> Verdict:
        """Take every status for an answer and repeat the vendor."""
        return Verdict("ok", answer.body.decode("utf-8", "replace"))

    def parse_findings(self, tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
        """Chain the vendor's bytes into an error, or crash."""
        try:
            value = json.loads(answer.body)
        except ValueError as error:
            raise VendorProtocolBroken(answer.body.decode("utf-8", "replace")) from error
        return Parsed(findings=tuple(value["findings"]))


def _bad_adapter(folder: Path) -> LoadedAdapter:
    (folder / "cassettes").mkdir(parents=True)
    (folder / "golden").mkdir()
    body = json.dumps({"findings": [{"score": 0.5}]})
    (folder / "cassettes" / "ok.json").write_text(json.dumps({"status": 200, "body": body}))
    (folder / "golden" / "ok.json").write_text("{}")
    manifest = AdapterManifest(
        adapter="other_name", title="bad", protocol="none", source="none", codeowners=("nobody",)
    )
    tool = Tool(
        tool="bad",
        vendor="Bad (simulated)",
        product="Bad",
        version="1",
        adapter="bad",
        capabilities=("sepsis-risk",),
    )
    return LoadedAdapter("bad", manifest, BadModule("bad"), folder, tool)


@pytest.fixture
def bad_checks(tmp_path: Path) -> dict[str, Check]:
    return {check.name: check for check in check_adapter(_bad_adapter(tmp_path / "bad"))}


@pytest.mark.parametrize(
    "name",
    [
        "manifest names its folder",
        "recordings give their golden findings",
        "broken bodies are protocol_broken",
        "every HTTP status has a class",
        "spoiled fields never crash",
        "no vendor words in notes and tracebacks",
        "the echo of the patient is reported",
    ],
)
def test_a_bad_adapter_fails_each_check(name: str, bad_checks: dict[str, Check]) -> None:
    assert not bad_checks[name].passed


def test_an_adapter_without_an_example_tool_is_shown_up(tmp_path: Path) -> None:
    bad = replace(_bad_adapter(tmp_path / "bad"), example_tool=None)

    checks = check_adapter(bad)

    assert not checks[-1].passed
    assert checks[-1].name == "example tool can be used"
