"""Which resources of a chart a tool may have: each is kept here by the first rule that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from careweir.access import Rights
from careweir.access.elements import CODED_BY
from careweir.access.plan import CodeKey, PlannedNeed, Way
from careweir.minimise.chart import Chart, Record
from careweir.minimise.consent import Asked, refusing_consent
from careweir.minimise.manifest import Refusal
from careweir.minimise.mask import Mask, Part, mask_of, ways_of
from careweir.minimise.moment import read_moment, window_start
from careweir.minimise.reading import codings, items, questionnaire_code, void_reason, when
from careweir.minimise.sensitive import sensitivities

_LAST: Final = datetime.min.replace(tzinfo=UTC)
# How far a resource got before it was kept here: the furthest reason is the one that is told.
_RANK: Final = (
    "not_needed_by_tool", "unknown_code", "role", "time_window", "sensitivity", "consent",
)  # fmt: skip


Codes = tuple[frozenset[CodeKey], frozenset[CodeKey]]  # known main codes, all component codes
_Merged = tuple[Mask, frozenset[CodeKey], frozenset[CodeKey]]


class Question(NamedTuple):
    """What of the question decides about resources."""

    as_of: datetime
    study: str | None
    purpose: str


class Selected(NamedTuple):
    """One resource that may leave, and by which mask.

    ``wanted`` holds the codes for which it was selected, ``components`` those under which its
    parts may leave.
    """

    record: Record
    mask: Mask
    wanted: frozenset[CodeKey]
    components: frozenset[CodeKey]


@dataclass(frozen=True, slots=True, eq=False)
class _Opening:
    """How the records of one group may leave for one need."""

    part: Part
    wanted: frozenset[CodeKey]
    components: frozenset[CodeKey]
    sensitivity: frozenset[str]  # what every class by which it leaves may be about


class _Candidate(NamedTuple):
    """A record that one need selects, before ``last`` and the resource itself are looked at."""

    record: Record
    opening: _Opening
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
        self._consented = asked_of_consents(chart, rights, question)

    def select(self, planned: Iterable[PlannedNeed]) -> Iterator[Selected]:
        """The resources that may leave: by the order of the needs, then of the chart."""
        by_type: dict[str, list[PlannedNeed]] = {}
        for need in planned:
            by_type.setdefault(need.need.resource, []).append(need)
        for kind, needs in by_type.items():
            yield from self._select_type(kind, needs)

    def _select_type(self, kind: str, needs: list[PlannedNeed]) -> Iterator[Selected]:
        groups = self._groups(kind)
        kept: dict[int, list[_Candidate]] = {}
        refused: dict[int, list[tuple[str, str]]] = {}
        of_group: dict[Codes, list[tuple[str, str]]] = {codes: [] for codes in groups}
        for need in needs:
            candidates = []
            for codes, records in groups.items():
                opening = self._judge(kind, codes, need)
                if isinstance(opening, tuple):
                    of_group[codes].append(opening)
                    continue
                for record in records:
                    moment = self._moment(record, need.need.window)
                    if isinstance(moment, str):
                        refused.setdefault(record.index, []).append(("time_window", moment))
                    else:
                        candidates.append(_Candidate(record, opening, moment))
            for candidate, refusal in self._newest(candidates, need.need.last):
                index = candidate.record.index
                if refusal is None:
                    kept.setdefault(index, []).append(candidate)
                else:
                    refused.setdefault(index, []).append(refusal)

        for codes, records in groups.items():
            common = max(of_group[codes], key=_furthest) if of_group[codes] else None
            for record in records:
                own = refused.get(record.index)
                if own is not None and record.index not in kept:
                    found = own if common is None else [common, *own]
                    self._refusals[(kind, *max(found, key=_furthest))] += 1
            if common is not None:
                alone = [r for r in records if r.index not in refused and r.index not in kept]
                self._refusals[(kind, *common)] += len(alone)
        merged: dict[tuple[_Opening, ...], _Merged] = {}
        for index in sorted(kept):
            openings = tuple(one.opening for one in kept[index])
            if openings not in merged:
                merged[openings] = self._merged(kind, openings)
            yield Selected(kept[index][0].record, *merged[openings])

    def _groups(self, kind: str) -> dict[Codes, list[Record]]:
        """The patient's records of one type by their codes; remembered for the other tools."""
        key = ("groups", kind, id(self._vocabulary))
        groups: dict[Codes, list[Record]] | None = self._chart.memo.get(key)
        if groups is None:
            written: dict[tuple[object, object], list[Record]] = {}
            groups = {}
            for record in self._chart.by_type.get(kind, ()):
                if not self._chart.is_ours(record):
                    continue
                if record.codes is None:
                    groups.setdefault(self._codes_of(record), []).append(record)
                else:
                    written.setdefault((record.codes, record.part_codes), []).append(record)
            for records in written.values():
                groups.setdefault(self._codes_of(records[0]), []).extend(records)
            self._chart.memo[key] = groups
        strangers = self._chart.counts[kind] - sum(map(len, groups.values()))
        rule = "does not say that it is about this patient"
        self._refusals[kind, "not_needed_by_tool", rule] += strangers
        return groups

    def _judge(self, kind: str, codes: Codes, need: PlannedNeed) -> _Opening | tuple[str, str]:
        """What codes and rights say of a group of records: how they may leave, or why not."""
        known, parts = codes
        coded = kind in CODED_BY
        if coded and not known:
            return "unknown_code", "code in no table"
        if need.codes and need.codes.isdisjoint(known) and need.codes.isdisjoint(parts):
            return "not_needed_by_tool", "code not needed"
        part = (need, frozenset({self._known[code].code_class for code in known}))
        ways = ways_of(*part)
        if not ways:
            return "role", "no data class of the grant has this"
        allowed = _code_classes(ways)
        return _Opening(
            part=part,
            wanted=self._of_classes(known & need.codes or known, allowed),
            components=self._of_classes(parts & need.codes or parts, allowed),
            sensitivity=frozenset.intersection(*(way.data_class.sensitivity for way in ways)),
        )

    def _merged(self, kind: str, openings: tuple[_Opening, ...]) -> _Merged:
        """What several needs that select the same record come to together."""
        return (
            mask_of(kind, [one.part for one in openings], self._rights),
            frozenset().union(*(one.wanted for one in openings)),
            frozenset().union(*(one.components for one in openings)),
        )

    def _newest(
        self, candidates: list[_Candidate], last: int | None
    ) -> Iterator[tuple[_Candidate, tuple[str, str] | None]]:
        """The newest ``last`` of each code that may leave; of equals, the later in the chart."""
        seen: Counter[frozenset[CodeKey]] = Counter()
        order = candidates
        if last is not None:
            order = sorted(candidates, key=lambda c: (c.moment, c.record.index))[::-1]
        for one in order:
            code = one.opening.wanted
            if last is not None and seen[code] >= last:
                yield one, ("not_needed_by_tool", "older than the last that the tool needs")
                continue
            refusal = self._inspect(one.record, one.opening.sensitivity)
            seen[code] += refusal is None
            yield one, refusal

    def _inspect(self, record: Record, granted: frozenset[str]) -> tuple[str, str] | None:
        """What only the decoded resource tells: why it stays here, or None."""
        resource = self._chart.resource(record)
        void = void_reason(resource)
        if void is None and b'"modifierExtension"' in record.raw:  # of a component, a series …
            void = "a part could mean something else by a rule that we do not know"
        if void is not None:
            return "not_needed_by_tool", void
        if not self._is_of_study(record, resource):
            return "not_needed_by_tool", "belongs to another study"
        found = sensitivities(self._chart, record, self._vocabulary)
        barred = found - granted - self._rights.sensitivity - self._rights.confidentiality
        if barred:
            return f"sensitivity:{min(barred)}", f"no grant for {min(barred)}"
        consent = refusing_consent(self._chart, record, self._consented)
        return None if consent is None else ("consent", consent)

    def _codes_of(self, record: Record) -> Codes:
        """The known codes of a record, and the codes of its components."""
        main, parts = self._all_codes_of(record)
        return frozenset(code for code in main if code in self._known), frozenset(parts)

    def _all_codes_of(self, record: Record) -> tuple[Iterable[CodeKey], Iterable[CodeKey]]:
        if record.codes is not None:
            return record.codes, record.part_codes
        path = CODED_BY.get(record.resource_type)
        if path is None:
            return (), ()
        resource = self._chart.resource(record)
        main = [resource.get(path)]
        if path == "questionnaire":
            asked = questionnaire_code(resource.get(path))
            return (() if asked is None else (asked,)), ()
        if record.resource_type == "ImagingStudy":
            series = items(resource.get("series"))
            main += [one.get("modality") for one in series if isinstance(one, dict)]
        parts = [part for part in items(resource.get("component")) if isinstance(part, dict)]
        return codings(main), codings([part.get("code") for part in parts])

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
            for item in items(resource.get(names.get(record.resource_type, "")))
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
            begin, end = when(self._chart.resource(record), as_of)
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


def asked_of_consents(chart: Chart, rights: Rights, question: Question) -> Asked:
    """What the patient's consents are asked."""
    assert rights.vocabulary is not None
    return Asked(
        purpose=question.purpose,
        as_of=question.as_of,
        purposes=rights.purposes,
        vocabulary=rights.vocabulary,
        when=lambda record: when(chart.resource(record), question.as_of)[0],
    )


def _code_classes(ways: Iterable[Way]) -> frozenset[str] | None:
    """The classes of codes that may leave by these ways; None: any."""
    found: set[str] = set()
    for way in ways:
        if not way.data_class.code_classes:
            return None
        found |= way.data_class.code_classes
    return frozenset(found)


def _furthest(refusal: tuple[str, str]) -> tuple[int, str, str]:
    return _RANK.index(refusal[0].partition(":")[0]), *refusal


def _study_references(chart: Chart, study: str | None) -> frozenset[str]:
    """Every reference that means the study of the question: by id, URL or DICOM identifier."""
    if study is None:
        return frozenset()
    found = {study}
    named = chart.find(study)
    for record in chart.by_type.get("ImagingStudy", ()):
        identifiers = items(chart.resource(record).get("identifier"))
        values = [one.get("value") for one in identifiers if isinstance(one, dict)]
        if record is named or study in values or f"urn:oid:{study}" in values:
            found.add(record.reference)
            found |= {record.full_url} if record.full_url else set()
            found |= {f"urn:uuid:{record.id}"} if record.id else set()
    return frozenset(found)
