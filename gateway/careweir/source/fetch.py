"""Pulls one chart: the compiled searches, then what their resources refer to, as one Bundle."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from careweir.access import Decision
from careweir.errors import QuestionInvalid
from careweir.source.client import Budget
from careweir.source.compile import Search, judging, searches
from careweir.source.config import Source
from careweir.source.errors import ChartTooLarge, SourceUnavailable
from careweir.source.judged import PEOPLE, SEARCHED
from careweir.source.page import Item
from careweir_kit.tool import Tool

AT_ONCE_MAX: Final = 4  # searches in flight at one server for one question
ROUNDS_MAX: Final = 5  # how far references are followed before the chart counts as too large
_PATIENT: Final = re.compile(r"^Patient/([A-Za-z0-9\-.]{1,64})$")
_LOCAL: Final = re.compile(r"^([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})$")
# Of the Patient too: who else a text about the patient may name.
_PATIENTS_PEOPLE: Final = ("generalPractitioner", "managingOrganization")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A collection Bundle, and what was asked to get it: types and parameter names, no values."""

    bundle: bytes
    asked: tuple[str, ...]
    pages: int


async def fetch_chart(
    source: Source,
    tools: Iterable[Tool],
    decision: Decision,
    *,
    subject: str,
    as_of: datetime,
    study: str | None,
    deadline: float,
) -> Fetched:
    """Fetch no more than the tools need and the decision lets leave, and what judging that takes.

    Args:
        subject: ``Patient/<id>``, the id being the server's.
        deadline: a moment of the running loop's clock, in seconds.

    Raises:
        QuestionInvalid: no such patient; ChartTooLarge; SubjectMismatch.
        SourceUnavailable: no answer in time, or none that can be used.
    """
    found = _PATIENT.match(subject)
    if found is None:
        raise QuestionInvalid("a source needs a subject of the form Patient/id", path="subject")
    patient = found.group(1)
    first = searches(
        tools, decision, patient=patient, as_of=as_of, study=study, dialect=source.dialect
    )
    try:
        async with asyncio.timeout_at(deadline):
            return await _Pull(source, patient, first).chart()
    except TimeoutError:
        raise SourceUnavailable("the FHIR server did not answer in time") from None


class _Pull:
    """One question's visits to one server."""

    def __init__(self, source: Source, patient: str, first: tuple[Search, ...]) -> None:
        self._source = source
        self._patient = patient
        self._first = first
        self._base = source.client.base.url
        self._budget = Budget(source.file.pages_max, source.file.resources_max,
                              source.file.bytes_max)  # fmt: skip
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._text = any(search.resource in PEOPLE for search in first)
        self._items: dict[str, Item] = {}
        self._looked_for: set[str] = set()
        self._asked: list[str] = []

    async def chart(self) -> Fetched:
        """Round by round until nothing that judging needs is missing."""
        await self._round(self._first)
        for _ in range(ROUNDS_MAX):
            missing = self._missing()
            if not missing:
                break
            await self._round(judging(missing, patient=self._patient,
                                      dialect=self._source.dialect, text=self._text))  # fmt: skip
        else:
            raise ChartTooLarge("the chart's references lead further than a pull may follow")
        return Fetched(
            bundle=self._bundle(),
            asked=tuple(dict.fromkeys(self._asked)),
            pages=self._source.file.pages_max - self._budget.pages,
        )

    async def _round(self, wanted: Sequence[Search]) -> None:
        scope = " ".join(sorted({search.scope for search in wanted}))
        self._asked += [search.asked for search in wanted]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run(search, scope)) for search in wanted]
        except BaseExceptionGroup as failed:
            raise _first_of(failed) from None
        for task in tasks:
            for item in task.result():
                self._items.setdefault(item.reference, item)

    async def _run(self, search: Search, scope: str) -> Sequence[Item]:
        patient = frozenset({f"Patient/{self._patient}", f"{self._base}/Patient/{self._patient}"})
        async with self._room:
            return await self._source.client.run(
                search, scope=scope, patient=patient, budget=self._budget
            )

    def _missing(self) -> dict[str, list[str]]:
        """Type -> ids of what is referred to, was not fetched and was not looked for before."""
        missing: dict[str, list[str]] = {}
        for item in self._items.values():
            for target in _judged_targets(item.data, text=self._text):
                local = target.removeprefix(f"{self._base}/").partition("/_history/")[0]
                named = _LOCAL.match(local)
                if named is None or local in self._items or local in self._looked_for:
                    continue
                if named[1] in SEARCHED or (self._text and named[1] in PEOPLE):
                    self._looked_for.add(local)
                    missing.setdefault(named[1], []).append(named[2])
        return missing

    def _bundle(self) -> bytes:
        """The resources as they came, each under its address on the server."""
        entries: list[dict[str, Any]] = [
            {"fullUrl": f"{self._base}/{item.reference}", "resource": msgspec.Raw(item.raw)}
            for item in self._items.values()
        ]
        if not self._first:  # nothing may leave, so nothing was asked: a Patient without content
            entries = [{"resource": {"resourceType": "Patient", "id": self._patient}}]
        return msgspec.json.encode(
            {"resourceType": "Bundle", "type": "collection", "entry": entries}
        )


def _judged_targets(resource: dict[str, Any], *, text: bool) -> Iterator[str]:
    """The references of a resource that decide about it, and with text those that name people."""
    kind = str(resource["resourceType"])
    searched = SEARCHED.get(kind)
    if searched is not None:
        names = (*searched.links, *(searched.named if text else ()))
    elif kind == "Consent":
        names = ("provision",)
    else:
        names = _PATIENTS_PEOPLE if kind == "Patient" and text else ()
    for name in names:
        yield from _targets(resource.get(name))


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        target = value.get("reference")
        if isinstance(target, str):
            yield target
        for item in value.values():
            yield from _targets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _targets(item)


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first refusal of several searches; they would all say much the same."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
