"""Which resources of a chart a tool may have: each is kept here by the first rule that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from careweir.access import Rights
from careweir.access.elements import CODED_BY
from careweir.minimise.chart import Chart, Record
from careweir.minimise.manifest import Refusal
from careweir.minimise.moment import read_moment, window_start
from careweir.minimise.plan import CodeKey, PlannedNeed, Way
from careweir.minimise.sensitive import sensitivities

_VOID: Final = frozenset({"entered-in-error", "cancelled", "nullified", "refuted"})
_TIMES: Final = (
    "effectiveDateTime", "effectiveInstant", "effectivePeriod", "started", "performedDateTime",
    "performedPeriod", "onsetDateTime", "onsetPeriod", "authoredOn", "period", "start", "date",
    "occurrenceDateTime", "recordedDate", "issued", "created",
)  # fmt: skip
_LAST: Final = datetime.min.replace(tzinfo=UTC)
# How far a resource got before it was kept here: the furthest reason is the one that is told.
_RANK: Final = ("not_needed_by_tool", "unknown_code", "role", "sensitivity", "time_window")


class Question(NamedTuple):
    """What of the question decides about resources."""

    as_of: datetime
    study: str | None


@dataclass(frozen=True, slots=True)
class Selected:
    """One resource that may leave, and by which ways.

    ``wanted`` holds the codes for which it was selected, ``components`` those under which its
    parts may leave, ``asked`` the paths that the selecting needs ask for.
    """

    record: Record
    ways: tuple[Way, ...]
    wanted: frozenset[CodeKey]
    components: frozenset[CodeKey]
    asked: frozenset[str]
    refused: tuple[tuple[str, str, str], ...]  # asked paths that no right opens


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A resource that one need selects, before ``last`` is applied."""

    selected: Selected
    moment: datetime


class Selector:
    """Applies the needs of one tool to one chart; what stays here is counted in ``refusals``."""

    def __init__(
        self, chart: Chart, rights: Rights, question: Question, refusals: Counter[Refusal]
    ) -> None:
        assert rights.vocabulary is not None
        self._chart = chart
        self._rights = rights
        self._known = rights.vocabulary.codes
        self._vocabulary = rights.vocabulary
        self._question = question
        self._studies = _study_references(chart, question.study)
        self._refusals = refusals
        self._starts: dict[str, datetime] = {}
        self._opened: dict[tuple[int, frozenset[str]], tuple[Way, ...]] = {}

    def select(self, planned: Iterable[PlannedNeed]) -> Iterator[Selected]:
        """The resources that may leave: by the order of the needs, then of the chart."""
        by_type: dict[str, list[PlannedNeed]] = {}
        for need in planned:
            by_type.setdefault(need.need.resource, []).append(need)
        for kind, needs in by_type.items():
            yield from self._select_type(kind, needs)

    def _select_type(self, kind: str, needs: list[PlannedNeed]) -> Iterator[Selected]:
        kept: dict[int, list[Selected]] = {}
        refused: dict[int, list[tuple[str, str]]] = {}
        for need in needs:
            candidates = []
            for record in self._chart.by_type.get(kind, ()):
                judged = self._judge(record, need)
                if isinstance(judged, _Candidate):
                    candidates.append(judged)
                else:
                    refused.setdefault(record.index, []).append(judged)
            for selected, refusal in self._newest(candidates, need.need.last):
                if refusal is None:
                    kept.setdefault(selected.record.index, []).append(selected)
                else:
                    refused.setdefault(selected.record.index, []).append(refusal)

        for record in self._chart.by_type.get(kind, ()):
            if record.index in kept:
                yield _merged(kept[record.index])
            else:
                reason, rule = max(refused[record.index], key=_furthest)
                self._refusals[kind, reason, rule] += 1

    def _judge(self, record: Record, need: PlannedNeed) -> _Candidate | tuple[str, str]:
        """What codes, rights and time say, as far as possible without decoding the resource."""
        if not self._chart.is_ours(record):
            return "not_needed_by_tool", "does not say that it is about this patient"
        known, parts = self._codes_of(record)
        coded = record.resource_type in CODED_BY
        if coded and not known:
            return "unknown_code", "code in no table"
        if need.codes and need.codes.isdisjoint(known) and need.codes.isdisjoint(parts):
            return "not_needed_by_tool", "code not needed"
        ways = self._ways(need, known) if coded else need.ways
        if not ways:
            return "role", "no data class of the grant has this"
        moment = self._moment(record, need.need.window)
        if isinstance(moment, str):
            return "time_window", moment
        allowed = _code_classes(ways)
        selected = Selected(
            record=record,
            ways=ways,
            wanted=self._of_classes(known & need.codes or known, allowed),
            components=self._of_classes(parts & need.codes or parts, allowed),
            asked=frozenset(need.need.paths),
            refused=need.refused,
        )
        return _Candidate(selected, moment)

    def _newest(
        self, candidates: list[_Candidate], last: int | None
    ) -> Iterator[tuple[Selected, tuple[str, str] | None]]:
        """The newest ``last`` of each code that may leave; of equals, the later in the chart."""
        seen: Counter[frozenset[CodeKey]] = Counter()
        order = candidates
        if last is not None:
            order = sorted(candidates, key=lambda c: (c.moment, c.selected.record.index))[::-1]
        for one in order:
            selected = one.selected
            if last is not None and seen[selected.wanted] >= last:
                yield selected, ("not_needed_by_tool", "older than the last that the tool needs")
                continue
            refusal = self._inspect(selected.record)
            seen[selected.wanted] += refusal is None
            yield selected, refusal

    def _inspect(self, record: Record) -> tuple[str, str] | None:
        """What only the decoded resource tells: why it stays here, or None."""
        resource = self._chart.resource(record)
        void = _void(resource)
        if void is not None:
            return "not_needed_by_tool", void
        if not self._is_of_study(record, resource):
            return "not_needed_by_tool", "belongs to another study"
        found = sensitivities(self._chart, record, self._vocabulary)
        barred = found - self._rights.sensitivity - self._rights.confidentiality
        if barred:
            return f"sensitivity:{min(barred)}", f"no grant for {min(barred)}"
        return None

    def _codes_of(self, record: Record) -> tuple[frozenset[CodeKey], frozenset[CodeKey]]:
        """The known codes of a record, and the codes of its components."""
        key = ("codes", record.index, id(self._vocabulary))
        found: tuple[frozenset[CodeKey], frozenset[CodeKey]] | None = self._chart.memo.get(key)
        if found is None:
            main, parts = self._all_codes_of(record)
            found = frozenset(code for code in main if code in self._known), frozenset(parts)
            self._chart.memo[key] = found
        return found

    def _all_codes_of(self, record: Record) -> tuple[Iterable[CodeKey], Iterable[CodeKey]]:
        if record.codes is not None:
            return record.codes, record.part_codes
        path = CODED_BY.get(record.resource_type)
        if path is None:
            return (), ()
        resource = self._chart.resource(record)
        main = [resource.get(path)]
        if record.resource_type == "ImagingStudy":
            series = _items(resource.get("series"))
            main += [one.get("modality") for one in series if isinstance(one, dict)]
        parts = [part for part in _items(resource.get("component")) if isinstance(part, dict)]
        return _codings(main), _codings([part.get("code") for part in parts])

    def _ways(self, need: PlannedNeed, known: frozenset[CodeKey]) -> tuple[Way, ...]:
        classes = frozenset(self._known[code].code_class for code in known)
        key = (id(need), classes)
        found = self._opened.get(key)
        if found is None:
            found = tuple(
                way
                for way in need.ways
                if not way.data_class.code_classes or classes & way.data_class.code_classes
            )
            self._opened[key] = found
        return found

    def _of_classes(
        self, codes: frozenset[CodeKey], classes: frozenset[str] | None
    ) -> frozenset[CodeKey]:
        return frozenset(
            code
            for code in codes
            if code in self._known and (classes is None or self._known[code].code_class in classes)
        )

    def _is_of_study(self, record: Record, resource: dict[str, Any]) -> bool:
        if self._question.study is None:
            return True
        if record.resource_type == "ImagingStudy":
            return record.reference in self._studies
        names = {"DiagnosticReport": "imagingStudy", "Observation": "derivedFrom"}
        found = [
            item.get("reference")
            for item in _items(resource.get(names.get(record.resource_type, "")))
            if isinstance(item, dict)
        ]
        studies = {ref for ref in found if isinstance(ref, str) and self._is_study(ref)}
        return not studies or bool(studies & self._studies)

    def _is_study(self, reference: str) -> bool:
        record = self._chart.find(reference)
        if record is not None:
            return record.resource_type == "ImagingStudy"
        return "ImagingStudy/" in reference

    def _moment(self, record: Record, window: str | None) -> datetime | str:
        """When a resource was, or why its time keeps it here."""
        as_of = self._question.as_of
        begin = end = self._glanced(record)
        if begin is None:
            begin, end = _when(self._chart.resource(record), as_of)
        if begin is not None and begin > as_of:
            return "after the moment that is asked about"
        if window is not None and record.resource_type != "Patient":
            if begin is None or end is None:
                return "without a date"
            if end < self._window_start(window):
                return f"older than {window}"
        return begin or _LAST

    def _glanced(self, record: Record) -> datetime | None:
        if record.when is None:
            return None
        key = ("moment", record.when)
        if key not in self._chart.memo:
            self._chart.memo[key] = read_moment(record.when)
        found: datetime | None = self._chart.memo[key]
        return found

    def _window_start(self, window: str) -> datetime:
        if window not in self._starts:
            self._starts[window] = window_start(window, self._question.as_of)
        return self._starts[window]


def _code_classes(ways: Iterable[Way]) -> frozenset[str] | None:
    """The classes of codes that may leave by these ways; None: any."""
    found: set[str] = set()
    for way in ways:
        if not way.data_class.code_classes:
            return None
        found |= way.data_class.code_classes
    return frozenset(found)


def _void(resource: dict[str, Any]) -> str | None:
    status = resource.get("status")
    if isinstance(status, str) and status in _VOID:
        return "entered in error or cancelled"
    verification = resource.get("verificationStatus")
    if any(code in _VOID for _, code in _codings([verification])):
        return "entered in error or refuted"
    if resource.get("focus"):
        return "is about something else than the patient (focus)"
    return None


def _codings(concepts: Iterable[Any]) -> Iterator[CodeKey]:
    """System and code of every coding of CodeableConcepts, Codings, or lists of them."""
    for concept in concepts:
        for item in _items(concept):
            if not isinstance(item, dict):
                continue
            for coding in _items(item.get("coding")) if "coding" in item else [item]:
                if isinstance(coding, dict):
                    system, code = coding.get("system"), coding.get("code")
                    if isinstance(system, str) and isinstance(code, str):
                        yield system, code


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _when(resource: dict[str, Any], as_of: datetime) -> tuple[datetime | None, datetime | None]:
    """Begin and end of what a resource tells; a stay without an end is still going on."""
    for name in _TIMES:
        value = resource.get(name)
        if isinstance(value, dict):
            begin = read_moment(value.get("start"))
            end = read_moment(value.get("end"))
            if begin is not None and end is None:
                end = max(begin, as_of) if name == "period" else begin
            if begin is not None or end is not None:
                return begin or end, end
        elif value is not None:
            moment = read_moment(value)
            if moment is not None:
                return moment, moment
    return None, None


def _furthest(refusal: tuple[str, str]) -> tuple[int, str, str]:
    return _RANK.index(refusal[0].partition(":")[0]), *refusal


def _merged(found: list[Selected]) -> Selected:
    ways = {(way.path, way.transform): way for one in reversed(found) for way in one.ways}
    return Selected(
        record=found[0].record,
        ways=tuple(ways[key] for key in sorted(ways, key=lambda key: (key[0], key[1] or ""))),
        wanted=frozenset().union(*(one.wanted for one in found)),
        components=frozenset().union(*(one.components for one in found)),
        asked=frozenset().union(*(one.asked for one in found)),
        refused=tuple(row for one in found for row in one.refused),
    )


def _study_references(chart: Chart, study: str | None) -> frozenset[str]:
    """Every reference that means the study of the question: by id, URL or DICOM identifier."""
    if study is None:
        return frozenset()
    found = {study}
    named = chart.find(study)
    for record in chart.by_type.get("ImagingStudy", ()):
        identifiers = _items(chart.resource(record).get("identifier"))
        values = [one.get("value") for one in identifiers if isinstance(one, dict)]
        if record is named or study in values or f"urn:oid:{study}" in values:
            found.add(record.reference)
            found |= {record.full_url} if record.full_url else set()
            found |= {f"urn:uuid:{record.id}"} if record.id else set()
    return frozenset(found)
