"""Logs by allow-list: declared facts are there, everything else is dropped and counted."""

from __future__ import annotations

import io
import json
import logging

import pytest

from careweir.log import alarms, configure, log

CANARY = "CANARY Robin Okafor MRN-4711"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_declared_facts_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    log.info("vendor answered", tool="acme-sepsis", elapsed_ms=41)

    assert lines(capsys)[0]["tool"] == "acme-sepsis"


def test_undeclared_keys_and_free_text_are_dropped_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()

    log.info("vendor answered", patient=CANARY, reason=CANARY + "\né", tool="acme-sepsis")

    (line,) = lines(capsys)
    assert line["dropped_keys"] == 2
    assert "CANARY" not in json.dumps(line)


def test_a_line_goes_to_standard_error_as_it_is_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as earlier:
        gone = io.StringIO()
        earlier.setattr("sys.stderr", gone)
        configure()
        gone.close()

    log.info("vendor answered", tool="acme-sepsis")
    logging.getLogger("uvicorn.error").error("starting")

    assert [line["event"] for line in lines(capsys)] == ["vendor answered", "library message"]


def test_an_exception_becomes_its_type_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    def fails() -> None:
        secret = CANARY
        raise ValueError(secret)

    try:
        fails()
    except ValueError as error:
        log.error("request failed", exc_info=error)

    (line,) = lines(capsys)
    assert line["error_type"] == "ValueError"
    assert str(line["error_at"]).startswith("test_log.py:")
    assert "CANARY" not in json.dumps(line)


def test_lines_of_other_libraries_lose_their_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure()

    logging.getLogger("uvicorn.error").error("GET /x?name=%s", CANARY)

    (line,) = lines(capsys)
    assert line["logger"] == "uvicorn.error"
    assert "CANARY" not in json.dumps(line)


def test_warnings_and_errors_are_counted_by_their_words_and_nothing_else_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()
    before = dict(alarms())

    log.error("tool held", tool="acme-sepsis")
    log.warning("event loop lagged")
    log.info("gateway ready")
    log.error(CANARY + "\né")

    grown = {name: count - before.get(name, 0) for name, count in alarms().items()}
    assert grown["tool held"] == grown["event loop lagged"] == grown["unnamed"] == 1
    assert "gateway ready" not in grown
    assert "CANARY" not in json.dumps(grown)
    assert len(lines(capsys)) == 4
