"""The decoder of every edge: what two readers could read differently is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careweir_kit.strict_json import JsonRefused, decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


@given(JSON)
def test_every_json_document_is_read_as_it_was_written(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"patient":"A","patient":"B"}', "twice"),
        (b'{"x":[{"a":1,"b":2,"a":1}]}', "twice"),
        (b"[NaN]", "valid JSON"),
        (b"[Infinity]", "valid JSON"),
        (b"[1e999]", "out of range"),
        (b'{"a":{"b":[0,-1e400]}}', "out of range"),
        (b"1" + b"0" * 400 + b".0", "out of range"),
        (b"[" * 65 + b"]" * 65, "deeply"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "deeply"),
        (b'"\xff"', "valid"),
        (b'"\\ud800"', "valid"),
        (b"{} {}", "valid JSON"),
        (b"", "valid JSON"),
        (b"{", "valid JSON"),
        (b"{'a':1}", "valid JSON"),
    ],
)
def test_what_is_ambiguous_or_broken_is_refused_without_quoting_it(
    body: bytes, reason: str
) -> None:
    with pytest.raises(JsonRefused, match=reason) as refusal:
        decode(body)

    assert refusal.value.__cause__ is None


def test_the_limit_itself_is_allowed() -> None:
    assert decode(b"[" * 64 + b"]" * 64)
    assert decode(b"[1e99]") == [1e99]
    assert decode(b"7") == 7
