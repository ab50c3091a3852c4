"""A late result held against its answer and against what was said before. Pure.

Conflicts of a kept answer count over its findings, its ``earlier`` ones, and then, of each late
result, its findings and its ``earlier`` ones. The second reader counts over all own ones first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from careweir.adjudication import Reading
from careweir.jobs.kept import Json
from careweir_fhir.model import Conflict, Finding


@dataclass(frozen=True, slots=True)
class Places:
    """The own findings of a kept answer, late ones included, and where each of them stands."""

    own: tuple[Finding, ...]
    places: tuple[int, ...]
    earlier: tuple[tuple[Json, int], ...]  # rows that are shown already
    end: int

    @classmethod
    def of(cls, answer: Json) -> Places:
        """Of an answer as it is kept."""
        own: list[Finding] = []
        places: list[int] = []
        earlier: list[tuple[Json, int]] = []
        at = 0
        for part in (answer, *answer.get("late", ())):
            own += [Finding.model_validate(one) for one in part["findings"]]
            places += range(at, at + len(part["findings"]))
            at += len(part["findings"])
            earlier += [(row, at + n) for n, row in enumerate(part.get("earlier", ()))]
            at += len(part.get("earlier", ()))
        return cls(tuple(own), tuple(places), tuple(earlier), at)


@dataclass(frozen=True, slots=True)
class Looked:
    """The conflicts that a late result brings, and the earlier findings that they name anew."""

    conflicts: tuple[Conflict, ...]  # in public positions
    earlier: tuple[Json, ...]
    reading: Reading  # the same conflicts as the second reader counts


def looked(places: Places, new: Sequence[Finding], reading: Reading) -> Looked:
    """Only what the late findings have a part in; the rest was told with the answer."""
    first = len(places.own)
    mine = range(first, first + len(new))
    conflicts = tuple(c for c in reading.conflicts if any(at in mine for at in c.between))
    where = dict(enumerate((*places.places, *(places.end + n for n in range(len(new))))))
    rows: list[Json] = []
    known = {_named(row): at for row, at in places.earlier}
    for at, row in enumerate(reading.earlier, start=first + len(new)):
        if not any(at in c.between for c in conflicts):
            continue
        if _named(row) not in known:
            known[_named(row)] = places.end + len(new) + len(rows)
            rows.append(row)
        where[at] = known[_named(row)]
    public = tuple(
        c.model_copy(update={"between": tuple(where[at] for at in c.between)}) for c in conflicts
    )
    return Looked(public, tuple(rows), dataclasses.replace(reading, conflicts=conflicts))


def _named(row: Json) -> str:
    return f"{row['inference']} {sorted(row['finding'].items(), key=str)}"
