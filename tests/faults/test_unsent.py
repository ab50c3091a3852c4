"""A vendor that tells what it was not sent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from careweir.minimise import read_chart
from careweir.question import Reply
from careweir.unsent import NOTE, flagged, told_unsent
from careweir_fhir.model import Coding, Finding
from support.vendors import Book, prepared

CHART = {
    "resourceType": "Bundle", "type": "collection",
    "entry": [{"resource": {
        "resourceType": "Patient", "id": "p1", "birthDate": "1950-01-01",
        "name": [{"family": "Gray", "given": ["Quillon"], "text": "Quillon Gray"}],
        "identifier": [{"system": "urn:mrn", "value": "MRN-778812"}],
        "telecom": [{"system": "phone", "value": "555-0147-22"}],
        "address": [{"city": "New York"}],
    }}],
}  # fmt: skip


def told(words: str, *, sent: dict[str, Any] | None = None) -> list[Reply]:
    one = prepared([], Book())
    one = replace(one, minimised=cast("Any", SimpleNamespace(payload=sent or {})))
    code = Coding(display="Summary")
    finding = Finding(tool="t", kind="document", code=code, value=words)
    reply = Reply("t", "1", "live", "answered", findings=(finding,))
    chart = read_chart(orjson.dumps(CHART), subject="Patient/p1")
    return flagged(chart, [one], [reply])


@pytest.mark.parametrize("words", ["Quillon Gray fell", "see mrn-778812",
                                   "call 555-0147-22", "call 555014722"])  # fmt: skip
def test_a_name_or_number_that_was_not_sent_is_flagged_and_what_was_sent_is_not(
    words: str,
) -> None:
    (reply,) = told(words)
    assert reply.notes == (NOTE,)
    assert told_unsent([reply]) == ["t"]
    assert reply.findings
    (same,) = told(words, sent={"entry": [words]})
    assert same.notes == ()


@pytest.mark.parametrize("words", ["gray matter", "travelled to New York", "", "born long ago"])
def test_words_that_anybody_may_say_are_not_flagged(words: str) -> None:
    (reply,) = told(words)

    assert reply.notes == ()
