"""The console's pure parts: filters, time, bars, stories and cells."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from careweir.audit import Entry, Receipt, Report, Stored
from careweir.audit.formats import harmless
from careweir.console.pages import ago, by_question
from careweir.console.ports import read_checkpoint
from careweir.console.search import Search, read_search, with_patient
from careweir.console.story import story_of
from careweir.console.timeline import BARS_MAX, HEIGHT, WIDTH, timeline_of
from careweir.console.verifying import Verification
from careweir.console.words import Names, flags, sentence, tone

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NAMES = Names({"ed-physician": "Emergency physician"}, {"sepsis-risk": "Risk of sepsis"})


def row(position: int, kind: str, *, after_s: float = 0, **facts: Any) -> Stored:
    moment = (NOW + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Stored(position, Receipt("w", position, "00"), moment, Entry(type=kind, **facts))


def test_a_search_written_into_an_address_reads_back_the_same() -> None:
    search = Search(
        patient="0" * 32, actor="Practitioner/1 & co", tool="acme", type="intent",
        outcome="answered", inference="inf_1", since=NOW, until=NOW + timedelta(days=1),
        everything=True,
    )  # fmt: skip
    again, wrong = read_search(dict(parse_qsl(urlsplit(search.url(after=7)).query)))

    assert not wrong
    assert again.after == 7
    assert again.url() == search.url()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patient", "Patient/1"), ("patient", "0" * 31), ("actor", "Patient/1"), ("tool", "A b"),
        ("type", "X"), ("outcome", "a-b"), ("inference", "<x>"), ("since", "soon"),
        ("since", "1066-10-14"), ("until", "9999-12-31"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_named_and_not_used(name: str, value: str) -> None:
    search, wrong = read_search({name: value})

    assert list(wrong) == [name]
    assert value not in wrong[name]
    assert getattr(search, name) is None


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "9" * 40, "²"])
def test_a_place_that_is_no_place_is_the_beginning(value: str) -> None:
    assert read_search({"after": value})[0].after is None


def test_a_bare_day_ends_at_its_end() -> None:
    search, _ = read_search({"since": "2026-03-02", "until": "2026-03-02"})

    assert search.since == datetime(2026, 3, 2, tzinfo=UTC)
    assert search.until == datetime(2026, 3, 3, tzinfo=UTC)


def test_only_the_hash_of_a_patient_becomes_part_of_a_search() -> None:
    asked: list[str] = []

    def key(reference: str) -> str:
        asked.append(reference)
        return "a" * 32

    found = [with_patient(Search(), given, key) for given in ("7", " Patient/7 ", "urn:uuid:7")]

    assert asked == ["Patient/7", "Patient/7", "urn:uuid:7"]
    assert {search.patient for search in found} == {"a" * 32}
    assert "aaaa" in found[0].named()
    with pytest.raises(ValueError, match="too long"):
        with_patient(Search(), "x" * 201, key)


@pytest.mark.parametrize("span_s", [0, 1, 59, 3600, 86_400, 90 * 86_400, 20 * 365 * 86_400])
def test_bars_stay_few_and_inside_the_drawing(span_s: int) -> None:
    rows = [row(n, "intent", after_s=span_s * n / 9) for n in range(10)]

    timeline = timeline_of(rows, cut=False)

    assert timeline is not None
    assert sum(one.total for one in timeline.stretches) == timeline.total == 10
    assert len(timeline.stretches) <= BARS_MAX
    for part in (part for one in timeline.stretches for part in one.parts):
        assert 0 <= part.x < part.x + part.width <= WIDTH
        assert 0 <= part.y < part.y + part.height <= HEIGHT + 0.01
    assert timeline_of([], cut=False) is None


def test_neighbours_of_one_question_stand_together() -> None:
    rows = [
        row(5, "answer", inference="b"), row(4, "read"), row(3, "read"),
        row(2, "answer", inference="a"), row(1, "decision", inference="a"),
    ]  # fmt: skip

    assert [[one.position for one in group] for group in by_question(rows)] == [
        [5],
        [4],
        [3],
        [2, 1],
    ]


def test_sentences_say_what_happened() -> None:
    body = {"role": "ed-physician", "capability": "sepsis-risk", "purpose": "TREAT"}
    asked = Entry(type="decision", body=body, outcome="permit")
    sent = Entry(
        type="intent", tool="acme",
        body={"attempt": 2, "manifest": {"sent": ["a", "b"], "withheld": [{"path": "c"}]}},
    )  # fmt: skip

    assert sentence(asked, NAMES) == (
        "Emergency physician asked: Risk of sepsis, for TREAT (treatment): allowed"
    )
    assert sentence(sent, NAMES) == "Sent 2 fields to acme, withheld 1, attempt 2"
    assert sentence(Entry(type="key_rotated"), NAMES) == "Key rotated."
    assert sentence(Entry(type="answer", body={"tools": "damaged"}), NAMES).startswith("Answered")


def test_what_must_not_be_overlooked_is_flagged() -> None:
    body = {"purpose": "BTG", "conflicts": [{"type": "x"}]}

    found = flags(row(1, "answer", body=body, outcome="degraded"))

    assert found == [("break-glass", "bad"), ("degraded", "warn"), ("1 conflict", "warn")]
    assert tone("vendor_unavailable") == "warn"
    assert tone("wrong_patient") == "bad"


def test_a_story_without_an_outcome_does_not_invent_one() -> None:
    story = story_of([
        row(1, "decision", inference="i", outcome="permit"),
        row(2, "intent", inference="i", tool="acme", disclosure="d", body={"attempt": 1}),
    ])  # fmt: skip

    assert story.answer is None
    assert story.compared == 0
    assert not story.shares[0].is_certain
    assert story.shares[0].outcome is None
    assert story.shares[0].attempts[0].after_ms is None


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless(f"a{cell}") == f"a{cell}"


def test_ages_are_in_words() -> None:
    assert ago(NOW, NOW) == "just now"
    assert ago(NOW - timedelta(minutes=1), NOW) == "1 minute ago"
    assert ago(NOW - timedelta(hours=5), NOW) == "5 hours ago"
    assert ago(NOW + timedelta(hours=5), NOW) == "just now"


def test_a_verification_that_fails_is_a_result_and_never_a_clean_one() -> None:
    def broken() -> Report:
        raise OSError("no such disk")

    async def press() -> Verification:
        verification = Verification(broken, lambda: NOW)
        await verification.press()
        return verification

    verification = asyncio.run(press())

    assert verification.last is not None
    assert verification.last.status == "failed"
    assert verification.last.report is None
    assert verification.since is None


def test_a_checkpoint_is_read_and_what_is_none_is_not() -> None:
    note = "careweir-audit\n120\nQUJD\n\n— careweir-audit c2ln\n"

    found = read_checkpoint(note)

    assert found is not None
    assert (found.size, found.root, found.note) == (120, "QUJD", note)
    assert read_checkpoint(None) is None
    assert read_checkpoint("x\ny\nz\n") is None


def test_one_answer_alone_is_no_agreement() -> None:
    tools = [{"tool": "a", "status": "answered"}, {"tool": "b", "status": "timed_out"}]

    story = story_of([row(1, "answer", inference="i", body={"tools": tools, "conflicts": []})])

    assert story.compared == 1


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (Entry("key", {"which": "signing"}),
         "A new key was announced: the one that signs checkpoints"),
        (Entry("key", {"which": "mac"}),
         "A new key was announced: the one that authenticates entries"),
        (Entry("archive", {"from": 10, "to": 52, "file": "a.ndjson"}),
         "42 entries put aside in the archive a.ndjson"),
    ],
)  # fmt: skip
def test_rotation_and_archive_are_told_in_words(entry: Entry, told: str) -> None:
    assert sentence(entry, NAMES) == told
