"""From needs ∩ rights to FHIR searches: what nobody may receive is not asked for.

Pure: the same tools, decision and moment give the same searches in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import quote

from careweir.access import Decision, Rights
from careweir.access.elements import CODED_BY, TEXT_KINDS
from careweir.access.plan import CodeKey, PlannedNeed, plan
from careweir.minimise.moment import window_start
from careweir.source.judged import (
    CONSENT,
    IDENTITY,
    PATIENT,
    PEOPLE,
    SEARCHED,
    STUDY,
    Searched,
    base_name,
    written_out,
)
from careweir_kit.tool import Tool

TOKENS_MAX: Final = 60  # codes or ids in one search, so that its address stays short
# A date without a time is a day of the server's own zone, and for the minimiser one of UTC.
_ZONES: Final = timedelta(hours=12, seconds=1)
_OF_STUDY: Final = frozenset({"DiagnosticReport", "ImagingStudy", "Observation"})
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
_Item = TypeVar("_Item")
_SPECIAL: Final = str.maketrans({"\\": "\\\\", ",": "\\,", "|": "\\|", "$": "\\$"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server can do. ``lacks``: ``combo-code``, ``missing``. ``whole``: no ``_elements``."""

    count: int = 200
    lacks: frozenset[str] = frozenset()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """One GET: a search of a type, or with ``id`` the read of one resource."""

    resource: str
    params: tuple[tuple[str, str], ...]
    id: str | None = None

    @property
    def path(self) -> str:
        """Path and query below the base URL."""
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.params)
        place = self.resource if self.id is None else f"{self.resource}/{self.id}"
        return f"{place}?{query}" if query else place

    @property
    def asked(self) -> str:
        """What goes on the record: the type and the parameters' names, never their values."""
        place = self.resource if self.id is None else f"{self.resource}/[id]"
        return f"{place}?{'&'.join(name for name, _ in self.params)}"

    @property
    def scope(self) -> str:
        """The SMART v2 scope without which the server must refuse."""
        return f"system/{self.resource}.rs"


@dataclass(frozen=True, slots=True)
class _Opened:
    """One need of which something may leave; ``codes`` None: the type has no selecting code."""

    planned: PlannedNeed
    codes: frozenset[CodeKey] | None

    @property
    def kind(self) -> str:
        return self.planned.need.resource

    @property
    def text(self) -> bool:
        return any(way.element.kind in TEXT_KINDS for way in self.planned.ways)


def searches(
    tools: Iterable[Tool],
    decision: Decision,
    *,
    patient: str,
    as_of: datetime,
    study: str | None,
    dialect: Dialect | None = None,
) -> tuple[Search, ...]:
    """The searches for one question; empty when no tool may receive anything.

    Args:
        patient: the id of the Patient on the server, without ``Patient/``.
        as_of: the moment from which windows count back; with an offset.
        study: the ImagingStudy that the question is about, or None.
    """
    speak = dialect or Dialect()
    opened = [one for tool in tools for one in _opened(tool, decision)]
    if not opened:
        return ()
    text = any(one.text for one in opened)
    found = [_the_patient(opened, patient, speak, text=text)]
    found.append(_of("Consent", patient, (), CONSENT, speak))
    for kind in sorted({one.kind for one in opened} & set(SEARCHED)):
        mine = [one for one in opened if one.kind == kind]
        elements = _elements(mine, SEARCHED[kind], study, text=text)
        for filters in _filters(kind, mine, as_of, study, speak):
            found.append(_of(kind, patient, filters, elements, speak))
    kinds = {one.kind for one in opened}
    if study is not None and kinds & _OF_STUDY and "ImagingStudy" not in kinds:
        found.append(_of("ImagingStudy", patient, _by_study(study), STUDY, speak))
    if text:
        found.append(_of("RelatedPerson", patient, (), PEOPLE["RelatedPerson"], speak))
    return tuple(found)


def judging(
    targets: Mapping[str, Sequence[str]], *, patient: str, dialect: Dialect, text: bool
) -> tuple[Search, ...]:
    """The searches for what the fetched resources refer to: type -> ids.

    Their labels, codes and reasons decide whether what refers to them may leave.
    """
    found = []
    for kind in sorted(targets):
        people = kind in PEOPLE
        elements = PEOPLE[kind] if people else SEARCHED[kind].elements(text=text)
        for ids in _chunks(sorted(targets[kind])):
            filters = (("_id", ",".join(ids)),)
            whose = None if people and kind != "RelatedPerson" else patient
            found.append(_of(kind, whose, filters, elements, dialect))
    return tuple(found)


def _opened(tool: Tool, decision: Decision) -> Iterator[_Opened]:
    rights = decision.rights
    if decision.effect == "deny" or tool.region not in rights.regions.names:
        return
    for planned in plan(tool, rights):
        kind = planned.need.resource
        if not planned.ways or kind not in {*SEARCHED, "Patient"}:
            continue
        if kind not in CODED_BY:
            yield _Opened(planned, None)
        elif codes := frozenset(_sendable(planned, rights)):
            yield _Opened(planned, codes)


def _sendable(planned: PlannedNeed, rights: Rights) -> Iterator[CodeKey]:
    """The needed codes of which the role may send something. INVARIANT: no other is asked for."""
    vocabulary = rights.vocabulary
    assert vocabulary is not None
    for code in planned.codes or vocabulary.codes:
        known = vocabulary.codes.get(code)
        if known is None:
            continue
        classes = [
            way.data_class
            for way in planned.ways
            if not way.data_class.code_classes or known.code_class in way.data_class.code_classes
        ]
        if not classes:
            continue
        granted = frozenset.intersection(*(one.sensitivity for one in classes))
        about = vocabulary.sensitivities_of_code(*code)
        if about <= granted | rights.sensitivity | rights.confidentiality:
            yield code


def _the_patient(opened: Iterable[_Opened], patient: str, speak: Dialect, *, text: bool) -> Search:
    wanted = {
        base_name(way.path) for one in opened if one.kind == "Patient" for way in one.planned.ways
    }
    elements = wanted.union(PATIENT, IDENTITY if text else ())
    return Search("Patient", (("_elements", ",".join(written_out(elements))),), id=patient)


def _elements(
    opened: Iterable[_Opened], searched: Searched, study: str | None, *, text: bool
) -> frozenset[str]:
    wanted = {base_name(way.path) for one in opened for way in one.planned.ways}
    named = {"identifier"} if study is not None else set()
    return searched.elements(text=text) | wanted | named


def _of(
    kind: str,
    patient: str | None,
    filters: Iterable[tuple[str, str]],
    elements: Iterable[str],
    speak: Dialect,
) -> Search:
    params = [("patient", patient)] if patient is not None else []
    params += filters
    if not speak.whole or kind in PEOPLE:
        params.append(("_elements", ",".join(written_out(elements))))
    return Search(kind, (*params, ("_count", str(speak.count))))


def _filters(
    kind: str, opened: Sequence[_Opened], as_of: datetime, study: str | None, speak: Dialect
) -> Iterator[tuple[tuple[str, str], ...]]:
    """The filters of the searches of one type: the widest window first, each code once."""
    searched = SEARCHED[kind]
    one_study = _by_study(study) if kind == "ImagingStudy" and study is not None else ()
    waiting = sorted({_start(one, as_of) for one in opened})
    seen: frozenset[CodeKey] = frozenset()
    undated: frozenset[CodeKey] = frozenset()
    for start in waiting:
        mine = [one for one in opened if _start(one, as_of) == start]
        codes = frozenset().union(*(one.codes or () for one in mine)) - seen
        seen |= codes
        if searched.code is not None and not codes:
            continue
        undated |= codes if start > _ALWAYS else frozenset()
        for coded in _by_codes(searched, codes, speak):
            for dated in _by_dates(searched, start, as_of):
                yield (*one_study, *coded, *dated)
        if searched.code is None:
            return  # without codes the widest window holds all others
    if undated and searched.undated and "missing" not in speak.lacks:
        for coded in _by_codes(searched, undated, speak):
            yield (*coded, (f"{searched.dates[0]}:missing", "true"))


def _start(opened: _Opened, as_of: datetime) -> datetime:
    window = opened.planned.need.window
    if window is None or not SEARCHED[opened.kind].dates:
        return _ALWAYS
    return window_start(window, as_of).astimezone(UTC)


def _by_codes(
    searched: Searched, codes: frozenset[CodeKey], speak: Dialect
) -> Iterator[tuple[tuple[str, str], ...]]:
    if searched.code is None:
        yield ()
        return
    name = "code" if searched.code in speak.lacks else searched.code
    for some in _chunks(sorted(codes)):
        tokens = [
            f"{system.translate(_SPECIAL)}|{code.translate(_SPECIAL)}" for system, code in some
        ]
        yield ((name, ",".join(tokens)),)


def _by_dates(
    searched: Searched, start: datetime, as_of: datetime
) -> Iterator[tuple[tuple[str, str], ...]]:
    if start == _ALWAYS:
        yield ()
        return
    for name in searched.dates:
        yield ((name, f"ge{_second(start)}"), (name, f"le{_second(min(as_of, _LATEST) + _ZONES)}"))


def _second(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _by_study(study: str) -> tuple[tuple[str, str], ...]:
    """One study by its id; where the question names it otherwise, every study is looked at."""
    kind, _, number = study.partition("/")
    return (("_id", number),) if kind == "ImagingStudy" and number else ()


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), TOKENS_MAX):
        yield items[start : start + TOKENS_MAX]
