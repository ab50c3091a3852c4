"""The gateway's MAC is HMAC-SHA-256, whatever the length of key and text."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from careweir.mac import mac_of


@given(key=st.binary(max_size=200), text=st.binary(max_size=5_000))
def test_it_is_the_hmac_of_the_standard_library(key: bytes, text: bytes) -> None:
    assert mac_of(key)(text) == hmac.digest(key, text, "sha256")


def test_a_key_serves_many_texts_and_none_leaves_a_trace() -> None:
    mac = mac_of(b"k" * 32)

    first = mac(b"Patient/1")

    assert mac(b"Patient/2") != first
    assert mac(b"Patient/1") == first
    assert mac_of(b"K" * 32)(b"Patient/1") != first
