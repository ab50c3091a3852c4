"""What ``audit verify`` says of how far it has come, whatever the size of a batch."""

from __future__ import annotations

import pytest

from careweir.cli.audit import _progress


def test_each_quarter_of_a_million_is_told_once_though_no_batch_ends_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = _progress("checked")
    for done in range(937, 1_000_001, 1_000):
        told(done, 999_937)

    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"checked {n} of 999937" for n in (250_937, 500_937, 750_937)]


def test_what_takes_longer_than_the_entries_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = _progress("checked")
    for done in (1_000, 1_900, 1_900, 1_900):
        told(done, 1_900)

    (line,) = capsys.readouterr().err.splitlines()
    assert "all 1900 entries" in line
    assert "indexes" in line
