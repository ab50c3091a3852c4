"""Reading files and writing answers, the same way in every command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from careweir.errors import QuestionInvalid
from careweir.question import parse_moment


class Refused(Exception):
    """A command that ends here, with its reason and its exit code."""

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def say(line: str) -> None:
    """Talk, for the person at the terminal: stderr."""
    sys.stderr.write(line + "\n")


def emit(value: Any, *, indent: bool = True) -> None:
    """Data, for the next program: JSON on stdout."""
    option = orjson.OPT_INDENT_2 if indent else 0
    sys.stdout.buffer.write(orjson.dumps(value, option=option) + b"\n")
    sys.stdout.buffer.flush()


def read_input(file: str) -> bytes:
    """A file, or standard input for ``-``; raises Refused (exit 2) when it cannot be read."""
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Refused(f"cannot read {file}: {error.strerror}") from None


def as_moment(text: str | None) -> Any:
    """``--as-of`` as a moment; raises Refused (exit 2)."""
    if text is None:
        return None
    try:
        return parse_moment(text, path="--as-of")
    except QuestionInvalid as error:
        raise Refused(f"--as-of: {error}") from None
