"""Every adapter that is discovered earns the tier that it claims; a bad one is shown up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careweir.rehearse import Rehearsal
from careweir_kit.adapter import VendorAnswer
from careweir_kit.conformance import check_adapter
from careweir_kit.registry import discover_adapters, replay

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
def test_every_adapter_earns_the_tier_that_it_claims(name: str) -> None:
    report = check_adapter(ADAPTERS[name], call=Rehearsal())

    failed = [f"{check.name}: {check.detail}" for check in report.checks if check.state == "fail"]
    assert (report.passed, report.tier) == (True, report.claimed), failed
    assert report.claimed in ("silver", "gold")


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_exemption_names_a_check_and_a_reason(name: str) -> None:
    exemptions = ADAPTERS[name].manifest.exemptions
    names = {check.name for check in check_adapter(ADAPTERS[name]).checks} if exemptions else set()

    assert set(exemptions) <= names
    assert all(len(reason.split()) >= 4 for reason in exemptions.values())


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
