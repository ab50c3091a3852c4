"""MLLP from a byte stream: whole messages or a clear end, never half of one."""

from __future__ import annotations

import asyncio

import pytest

from careweir.mllp import BadFrame, Limits, frames

LIMITS = Limits(bytes_max=200, frame_s=0.05, idle_s=0.05)


async def read(*chunks: bytes, ends: bool = True) -> list[bytes]:
    reader = asyncio.StreamReader(limit=65_536)
    for chunk in chunks:
        reader.feed_data(chunk)
    if ends:
        reader.feed_eof()
    return [message async for message in frames(reader, LIMITS)]


def test_messages_come_whole_however_they_were_cut() -> None:
    pieces = (b"\x0bMSH|a\r", b"PID|", b"b\r\x1c", b"\r\x0bMSH|c\r\x1c\r")

    assert asyncio.run(read(*pieces)) == [b"MSH|a\rPID|b\r", b"MSH|c\r"]


def test_a_sender_that_says_nothing_more_is_let_go() -> None:
    assert asyncio.run(read(b"\x0bMSH|a\r\x1c\r", ends=False)) == [b"MSH|a\r"]


@pytest.mark.parametrize(
    ("bytes_", "ends", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True, "no start"),
        (b"\x0bMSH|a\r", True, "half way"),
        (b"\x0bMSH|a\r", False, "half way"),
        (b"\x0bMSH|a\r\x1c", True, "half way"),
        (b"\x0b" + b"x" * 201 + b"\x1c\r", True, "longer"),
        (b"\x0b" + b"x" * 70_000 + b"\x1c\r", True, "longer"),
        (b"\x0bMSH|a\x0bMSH|b\x1c\r", True, "within"),
        (b"\x0bMSH|a\x1cMSH|b\x1c\r", True, "within"),
    ],
)
def test_what_is_no_whole_message_is_refused(bytes_: bytes, ends: bool, words: str) -> None:
    with pytest.raises(BadFrame, match=words):
        asyncio.run(read(bytes_, ends=ends))
