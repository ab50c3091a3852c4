"""What a vendor sends by itself is read by the same rules and bound to what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.push import Push, Receipt, json_reply, message_id_of
from careweir_kit.registry import discover_adapters, load_tools
from support import minimised as charts

ADAPTERS = discover_adapters()
TOOLS = load_tools(Path(__file__).resolve().parents[2] / "policies" / "tools", ADAPTERS)
SEPSIS = TOOLS["acme-sepsis"]
OIP = ADAPTERS["oip_v2"].push
JSON = {"content-type": "application/json"}


def _push(headers: dict[str, str] | None = None, **changes: Any) -> Push:
    value = {
        "model_name": SEPSIS.request["model"],
        "model_version": SEPSIS.version,
        "id": f"{charts.SUBJECT}~att-01",
        "outputs": [{"name": "proba", "shape": [1, 2], "datatype": "FP64", "data": [0.7, 0.3]}],
    } | changes
    return Push(JSON | (headers or {}), json.dumps(value).encode())


def test_an_adapter_that_takes_no_pushes_says_so() -> None:
    assert ADAPTERS["published_score"].push is None
    assert OIP is not None


def test_a_late_inference_is_bound_by_its_id() -> None:
    assert OIP is not None
    pushed = OIP.parse_push(SEPSIS, _push({"webhook-id": "msg-7"}))

    assert pushed.parsed.findings[0].value == 0.3
    assert pushed.parsed.echoes == (charts.SUBJECT,)
    assert (pushed.binding.request_id, pushed.binding.message_id) == ("att-01", "msg-7")


def test_an_inference_without_an_id_is_bound_to_nothing() -> None:
    assert OIP is not None
    pushed = OIP.parse_push(SEPSIS, _push(id=None))

    assert (pushed.parsed.echoes, pushed.binding.request_id) == ((), None)


@pytest.mark.parametrize("body", [b"", b"{}", b"not JSON", b'{"id": 1, "id": 2}'])
def test_a_broken_push_is_refused_in_our_words(body: bytes) -> None:
    assert OIP is not None
    with pytest.raises(VendorProtocolBroken) as raised:
        OIP.parse_push(SEPSIS, Push(JSON, body))
    assert raised.value.__cause__ is None
    assert str(raised.value)


def test_the_same_message_has_the_same_id_and_another_has_another() -> None:
    one = _push()

    assert message_id_of(one) == message_id_of(_push())
    assert message_id_of(one) != message_id_of(_push(id="other"))
    assert message_id_of(_push({"idempotency-key": "k1"})) == "k1"
    assert message_id_of(_push({"idempotency-key": "k" * 201})) == message_id_of(one)


@pytest.mark.parametrize("receipt", get_args(Receipt))
def test_every_receipt_has_a_reply(receipt: Receipt) -> None:
    reply = json_reply(receipt)

    assert json.loads(reply.body) == {"receipt": receipt}
    assert (reply.status == 200) == (receipt == "accepted")
