"""What one tool may receive of one chart: need of the tool ∩ right of the role, and the manifest.

The stages of one resource, each of which may keep it here: subject, codes, rights, status, study,
sensitivity, time. What is left is projected element by element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from careweir.access import Decision
from careweir.access.elements import CODED_BY
from careweir.access.names import resource_name
from careweir.access.plan import CodeKey, PlannedNeed, Way, asked_paths, plan
from careweir.minimise.chart import Chart, Record
from careweir.minimise.consent import refusing_consent
from careweir.minimise.manifest import (
    BACKBONES,
    Manifest,
    Refusal,
    payload_paths,
    transformed_rows,
    withheld_rows,
)
from careweir.minimise.mask import Mask
from careweir.minimise.moment import shift_days
from careweir.minimise.project import Projector, generalised, masks, reference_to
from careweir.minimise.scrub import scrubber_of
from careweir.minimise.select import Question, Selected, Selector, asked_of_consents
from careweir_kit.tool import Tool

SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
# Beside SUBSETTED where a mark stands. Source: HL7 v3-ObservationValue: REDACTED is removed,
# MASKED is hidden and could be uncovered by who has the key.
REDACTED: Final = {"system": SUBSETTED["system"], "code": "REDACTED"}
_SUBJECTS: Final = frozenset({"subject", "patient", "beneficiary"})
_ANY: Final[frozenset[CodeKey]] = frozenset()
_OPAQUE: Final = frozenset({"Encounter", "ImagingStudy"})


@dataclass(frozen=True, slots=True)
class Minimised:
    """What leaves. ``payload`` is None when nothing that the tool needs may leave at all."""

    payload: dict[str, Any] | None
    manifest: Manifest


def minimise(
    chart: Chart,
    tool: Tool,
    decision: Decision,
    *,
    subject_pseudonym: str,
    pseudonyms: Callable[[str, str], str],
    as_of: datetime,
    study: str | None,
    purpose: str,
    role: str,
    site: str | None,
) -> Minimised:
    """Work out the payload and the manifest of one tool. Pure but for what the chart remembers.

    Args:
        subject_pseudonym: the id that stands for the patient.
        pseudonyms: kind and real reference (``Encounter``, ``Encounter/9``) to an opaque id.
            From it comes the shift of dates too, so that the shift is kept as long as the ids are.
        as_of: the moment from which windows and ages count back; with an offset.

    Raises:
        QuestionInvalid: a resource that the tool needs cannot be read.
    """
    refusals: Counter[Refusal] = Counter()
    transforms: set[tuple[str, str]] = set()
    payload: dict[str, Any] | None = None
    question = Question(as_of=as_of, study=study, purpose=purpose)
    barred = _barred(chart, tool, decision, question)
    if barred is not None:
        refusals.update((path, *barred) for path in asked_paths(tool))
    else:
        planned = plan(tool, decision.rights)
        _refuse_types(chart, tool, refusals)
        if any(need.ways for need in planned) or not planned:
            selected = Selector(chart, decision.rights, question, refusals).select(planned)
            projector = _projector(chart, decision, pseudonyms, as_of)
            masking = tuple(need for need in planned if need.need.mask)
            builder = _Builder(projector, subject_pseudonym, refusals, transforms, masking)
            payload = builder.bundle(selected)
        for refusal in _refused_paths(planned):
            refusals[refusal] = max(refusals[refusal], 1)

    manifest = Manifest(
        tool=tool.tool,
        tool_version=tool.version,
        policy_revision=decision.revision,
        purpose=purpose,
        role=role,
        site=site,
        asked=asked_paths(tool),
        sent=() if payload is None else payload_paths(payload),
        withheld=withheld_rows(refusals),
        transformed=transformed_rows(transforms),
    )
    return Minimised(payload=payload, manifest=manifest)


def _barred(
    chart: Chart, tool: Tool, decision: Decision, question: Question
) -> tuple[str, str] | None:
    """Why nothing at all may leave for this tool (reason and rule), or None."""
    if decision.effect == "deny":
        return "role" if decision.denied_by == "role" else "purpose", decision.because[0]
    regions = decision.rights.regions
    if tool.region not in regions.names:
        return "residency", f"the tool stands in a region that is not open to {regions.rule}"
    asked = asked_of_consents(chart, decision.rights, question)
    consent = refusing_consent(chart, None, asked)
    return None if consent is None else ("consent", consent)


def _projector(
    chart: Chart,
    decision: Decision,
    pseudonyms: Callable[[str, str], str],
    as_of: datetime,
) -> Projector:
    assert decision.rights.vocabulary is not None
    return Projector(
        chart=chart,
        vocabulary=decision.rights.vocabulary,
        granted=decision.rights.sensitivity,
        pseudonyms=pseudonyms,
        as_of=as_of,
        scrub=lambda text: scrubber_of(chart)(text),
        shift_days=shift_days(pseudonyms("Shift", chart.patient.reference)),
    )


def _refuse_types(chart: Chart, tool: Tool, refusals: Counter[Refusal]) -> None:
    needed = {need.resource for need in tool.needs}
    for kind, count in chart.counts.items():
        if kind not in needed:
            name = resource_name(kind)
            refusals[name, "not_needed_by_tool", "the tool needs nothing of this type"] += count
    if chart.skipped:
        refusals["Bundle.entry", "not_needed_by_tool", "entry without a resource"] += chart.skipped


def _refused_paths(planned: Iterable[PlannedNeed]) -> Iterator[Refusal]:
    """Asked paths that no right opens: said once each, whether or not the chart has them."""
    found = {
        (f"{need.need.resource}.{path}", reason, rule)
        for need in planned
        for path, reason, rule in need.refused
    }
    opened = {f"{need.need.resource}.{way.path}" for need in planned for way in need.ways}
    return (refusal for refusal in found if refusal[0] not in opened)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds the Bundle of one tool; ``refusals`` and ``transforms`` collect the manifest.

    ``masking`` are the needs that want marks; ``masked`` collects the records that have one.
    """

    projector: Projector
    subject: str
    refusals: Counter[Refusal]
    transforms: set[tuple[str, str]]
    masking: tuple[PlannedNeed, ...] = ()
    masked: set[int] = field(default_factory=set)

    def bundle(self, selected: Iterable[Selected]) -> dict[str, Any]:
        ordinals: Counter[str] = Counter()
        entries = []
        for one in selected:
            ordinals[one.record.resource_type] += 1
            resource = self._resource(one, ordinals[one.record.resource_type])
            if resource is not None:
                entries.append({"resource": resource})
            else:
                ordinals[one.record.resource_type] -= 1
        return {
            "resourceType": "Bundle",
            "type": "collection",
            "meta": {"tag": [SUBSETTED]},
            "entry": entries,
        }

    def _resource(self, one: Selected, ordinal: int) -> dict[str, Any] | None:
        source = self.projector.chart.resource(one.record)
        kind = one.record.resource_type
        body = self._elements(one, source)
        self._refuse_rest(one, source, body)
        if not body:
            return None
        body = body | self._masks(one, "", source, body)
        self.transforms.add((f"{kind}.id", "pseudonymise"))
        found: dict[str, Any] = {
            "resourceType": kind,
            "id": self._id(one.record, ordinal),
            "meta": {"tag": [SUBSETTED]},
        }
        if one.record.index in self.masked:
            found["meta"] = {"security": [REDACTED], "tag": [SUBSETTED]}
        for name in ("subject", "patient", "beneficiary"):
            if name in source and kind != "Patient":
                self.transforms.add((f"{kind}.{name}", "pseudonymise"))
                found[name] = {"reference": reference_to("Patient", self.subject)}
        return found | body

    def _id(self, record: Record, ordinal: int) -> str:
        kind = record.resource_type
        if kind == "Patient":
            return self.subject.removeprefix("Patient/")
        if kind in _OPAQUE:
            return self.projector.pseudonyms(kind, record.reference).removeprefix(f"{kind}/")
        return f"{kind[0].lower()}{ordinal}"

    def _elements(self, one: Selected, source: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        selecting = CODED_BY.get(one.record.resource_type)
        for way in one.mask.generalised:
            self._generalise(one, way, source, found)
        for way in one.mask.whole:
            name = way.path
            if name in source and name not in found:
                about = name == selecting or way.element.kind == "answers"
                wanted = one.wanted if about else _ANY
                value = self.projector.leaf(way, source[name], wanted)
                self._keep(one, way, name, value, found)
        for head, ways in one.mask.parts.items():
            parts = self._backbone(one, head, ways, source.get(head))
            if parts is not None:
                found[head] = parts
        return found

    def _keep(self, one: Selected, way: Way, name: str, value: Any, found: dict[str, Any]) -> None:
        if value is None:
            return
        found[name] = value
        path = f"{one.record.resource_type}.{way.path}"
        if way.element.kind in ("text", "attachment"):
            self.transforms.add((path, "redact_text"))
        elif way.element.kind == "reference":
            self.transforms.add((path, "pseudonymise"))
        elif way.transform is not None:
            self.transforms.add((path, way.transform))

    def _generalise(
        self, one: Selected, way: Way, source: Mapping[str, Any], found: dict[str, Any]
    ) -> None:
        parts = generalised(source, way, self.projector.as_of)
        for name, value in parts.items():
            if name == "extension" and name in found:
                value = [*found[name], *(item for item in value if item not in found[name])]
            found[name] = value
        if parts and way.transform is not None:
            self.transforms.add((f"{one.record.resource_type}.{way.path}", way.transform))

    def _backbone(
        self, one: Selected, head: str, ways: Mapping[str, Way], value: Any
    ) -> list[dict[str, Any]] | dict[str, Any] | None:
        items = value if isinstance(value, list) else [value]
        kept = []
        for item in items:
            if not isinstance(item, dict):
                continue
            if head == "component" and not self._component_allowed(one, item):
                continue
            part: dict[str, Any] = {}
            for name, way in ways.items():
                if name in item:
                    self._keep(one, way, name, self.projector.leaf(way, item[name], _ANY), part)
            if part:
                kept.append(part | self._masks(one, head, item, part))
        if not kept:
            return None
        return kept if isinstance(value, list) else kept[0]

    def _masks(
        self, one: Selected, head: str, item: Mapping[str, Any], kept: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The marks of a resource, or of one item of its backbone ``head``, for what rights keep.

        Sensitivity has none: it keeps whole resources here, and a mark would tell that there is
        one.
        """
        asked = self._maskable(one) if self.masking else frozenset()
        if not asked:
            return {}
        kind, prefix = one.record.resource_type, f"{head}." if head else ""
        names = [
            name
            for name, value in sorted(item.items())
            if value not in (None, "", [], {})
            and prefix + name in asked
            and one.mask.why(prefix + name)[0] == "role"
        ]
        found = masks(f"{kind}.{head}" if head else kind, names, kept)
        if found:
            self.masked.add(one.record.index)
        return found

    def _maskable(self, one: Selected) -> frozenset[str]:
        """The paths of the masking needs that ask for a resource like this."""
        codes = one.wanted | one.components
        return frozenset().union(
            *(
                need.need.paths
                for need in self.masking
                if need.need.resource == one.record.resource_type
                and one.mask.asked.issuperset(need.need.paths)
                and not (need.codes and need.codes.isdisjoint(codes))
            )
        )

    def _component_allowed(self, one: Selected, item: Mapping[str, Any]) -> bool:
        """A component leaves only under a known code that the need names and a class allows."""
        concept = self.projector.concept(item.get("code"), frozenset())
        codes: list[CodeKey] = [
            (coding["system"], coding["code"]) for coding in (concept or {}).get("coding", ())
        ]
        if not codes:
            self.refusals["Observation.component", "unknown_code", "code in no table"] += 1
            return False
        if not one.components.intersection(codes):
            self.refusals["Observation.component", "not_needed_by_tool", "code not needed"] += 1
            return False
        return True

    def _refuse_rest(
        self, one: Selected, source: Mapping[str, Any], body: Mapping[str, Any]
    ) -> None:
        """Count the elements of a selected resource that stay here, and say why."""
        mask, about_whom = one.mask, one.record.resource_type != "Patient"
        replaced = mask.replaced if "extension" in body else frozenset()
        for name, value in source.items():
            if name in ("resourceType", "id") or (about_whom and name in _SUBJECTS):
                continue
            if name in BACKBONES and name in body:
                self._refuse_children(mask, name, value)
            elif name not in body and name not in replaced:
                self.refusals[mask.refusal(name)] += 1

    def _refuse_children(self, mask: Mask, head: str, value: Any) -> None:
        for item in value if isinstance(value, list) else [value]:
            for child in item if isinstance(item, dict) else ():
                if f"{head}.{child}" not in mask.opened:
                    self.refusals[mask.refusal(child, head)] += 1
