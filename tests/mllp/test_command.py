"""``careweir mllp`` listens only where somebody said who may send."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.running import careweir, environment


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("s\n")
    return file


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--host", "0.0.0.0"], "who may send"),
        (["--host", "hl7.example"], "who may send"),
        (["--peers", "everybody"], "not a list of networks"),
        (["--certificate", "missing.pem"], "--key"),
        (["--certificate", "missing.pem", "--key", "missing.pem"], "cannot be used"),
        (["--secret", "missing"], "cannot be read"),
    ],
)
def test_a_listener_that_could_not_be_right_does_not_start(
    secret: Path, more: list[str], words: str
) -> None:
    arguments = ["mllp", "--tool", "relay-cxr", "--secret", str(secret), "--port", "0", *more]

    done = careweir(*arguments)

    assert done.returncode == 2
    assert words in done.stderr.decode()


def test_it_says_where_it_listens_and_ends_when_told_to(secret: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "careweir", "mllp", "--tool", "relay-cxr",
         "--secret", str(secret), "--port", "0"],
        stderr=subprocess.PIPE, env=environment(),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        process.send_signal(signal.SIGTERM)
        ended = process.wait(timeout=60)

    assert line.startswith("listening on 127.0.0.1:")
    assert ended == 0
