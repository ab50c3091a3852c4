"""What a verification found, in words that do not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["clean", "tampered", "incomplete"]

PROBLEMS: dict[str, str] = {
    "body_changed": "an entry says something else than when it was recorded",
    "hash_mismatch": "the stored hash of an entry was changed",
    "mac_mismatch": "an entry was not written by a holder of the key: a chain computed anew",
    "sequence_gap": "entries of a writer are missing, repeated or out of order",
    "chain_broken": "an entry does not follow the one before it",
    "column_mismatch": "a searchable column disagrees with the recorded entry",
    "index_mismatch": "an index disagrees with the entries: a search would lie",
    "missing_tail": "the end of a chain, or all of it, is gone: a later writer knew of more",
    "file_changed": "bytes of a closed database file that belong to no entry were changed",
    "checkpoint_mismatch": "the entries are not those that a signed checkpoint covers",
    "key_unknown": "a key was announced for which no trusted key vouches",
    "archive_unrecorded": "entries are gone that no archive on the record has put aside",
    "receipt_unknown": "an entry that a receipt was given for is gone, or another one",
    "unreadable": "a part of the file cannot be read",
    "schema_changed": "the tables, indexes or triggers are not those that careweir made",
    "schema_unknown": "a schema that this careweir does not know",
    "intent_without_outcome": "a disclosure whose outcome was never recorded",
    "spool_waiting": "entries wait in the spool that are not on the record yet",
    "torn_log": "the write-ahead log ends in a frame that was not written in full",
    "export_cut": "the export ends before its last line",
    "no_trail": "there is no audit trail here",
}
INCOMPLETE = frozenset(
    {
        "schema_unknown",
        "intent_without_outcome",
        "spool_waiting",
        "torn_log",
        "export_cut",
        "no_trail",
    }
)
EXIT_CODES: Mapping[Status, int] = {"clean": 0, "tampered": 1, "incomplete": 2}
PROBLEMS_KEPT_MAX = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad place. ``writer`` and ``seq`` are None where no entry can be named."""

    problem: str
    writer: str | None = None
    seq: int | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        assert self.problem in PROBLEMS


@dataclass(frozen=True, slots=True)
class WriterHead:
    """How far a writer's chain goes. ``closed``: it ended in an orderly way."""

    writer: str
    seq: int
    hash: str
    closed: bool
    alive: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The result of ``verify``. ``problems`` holds the first 200 of ``problem_count``.

    ``mac_checked`` is False when no key was given: then a chain that was computed anew by
    somebody who can write to the database is not found.
    """

    status: Status
    entries: int
    writers: int
    problems: tuple[Problem, ...]
    problem_count: int
    open_intents: int
    sealed: int
    mac_checked: bool
    heads: tuple[WriterHead, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 clean, 1 tampered, 2 incomplete."""
        return EXIT_CODES[self.status]

    @property
    def first_bad(self) -> Problem | None:
        """The first problem of the worst kind that there is, one that names an entry if any."""
        tampered = [p for p in self.problems if p.problem not in INCOMPLETE]
        named = [p for p in tampered if p.seq is not None]
        return next(iter(named or tampered or self.problems), None)

    @property
    def entries_per_s(self) -> float:
        """Entries checked per second."""
        return self.entries / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, object]:
        """For ``--json`` and the API."""
        return {
            "status": self.status,
            "exit_code": self.exit_code,
            "first_bad": asdict(self.first_bad) if self.first_bad else None,
            **{key: value for key, value in asdict(self).items() if key != "status"},
            "entries_per_s": round(self.entries_per_s),
        }


class Findings:
    """Collects problems as they turn up, and keeps the list short."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.count = 0
        self.tampered = False

    def add(self, problem: Problem) -> None:
        """Note a problem; tampering is never pushed out by anything else."""
        self.count += 1
        worse = problem.problem not in INCOMPLETE
        if len(self.kept) < PROBLEMS_KEPT_MAX or (worse and not self.tampered):
            self.kept.append(problem)
        self.tampered = self.tampered or worse

    def status(self) -> Status:
        """The one word."""
        if self.tampered:
            return "tampered"
        return "incomplete" if self.count else "clean"
