"""From the conflicts of one answer to disputes: pure, so that each has its name at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from careweir.adjudication.dispute import Dispute, Event, Side, dispute_id, gravest, grouped
from careweir.adjudication.memory import Answered, Seen
from careweir.adjudication.policy import AdjudicationPolicy
from careweir.question import rfc3339
from careweir_fhir.model import Conflict, ConflictInput, Finding, WithheldInput


@dataclass(frozen=True, slots=True)
class Compared:
    """The findings that were compared, in the order that conflicts count in: own, then earlier."""

    findings: tuple[Finding, ...]
    answers: tuple[Answered, ...]  # the answer that each finding stands in
    own: int  # how many of the findings are of the present answer

    @property
    def earlier(self) -> list[dict[str, object]]:
        """The earlier findings that stand behind the own ones, as the answer shows them."""
        rest = zip(self.findings[self.own :], self.answers[self.own :], strict=True)
        return [
            {"inference": answer.inference, "capability": answer.capability, "at": answer.at,
             "finding": finding.model_dump(mode="json")}
            for finding, answer in rest
        ]  # fmt: skip


def gathered(own: Sequence[Finding], answer: Answered, earlier: Sequence[Answered]) -> Compared:
    """The findings of this answer and of earlier ones in one list."""
    findings, answers = list(own), [answer] * len(own)
    for one in earlier:
        models = one.models()
        findings += models
        answers += [one] * len(models)
    return Compared(tuple(findings), tuple(answers), len(own))


def fresh(conflicts: Sequence[Conflict], compared: Compared) -> list[Conflict]:
    """The conflicts that this answer is part of: those between earlier ones are known already."""
    return [c for c in conflicts if any(index < compared.own for index in c.between)]


def trimmed(conflicts: Sequence[Conflict], compared: Compared) -> tuple[list[Conflict], Compared]:
    """Only the earlier findings that a conflict names: nothing else of them is shown."""
    named = sorted({i for c in conflicts for i in c.between if i >= compared.own})
    kept = [*range(compared.own), *named]
    place = {old: new for new, old in enumerate(kept)}
    moved = [
        c.model_copy(update={"between": tuple(place[index] for index in c.between)})
        for c in conflicts
    ]
    return moved, Compared(
        tuple(compared.findings[index] for index in kept),
        tuple(compared.answers[index] for index in kept),
        compared.own,
    )


def explained(conflict: Conflict, compared: Compared) -> Conflict:
    """The conflict with what each tool saw: versions, times, and inputs kept from one of them."""
    sides = [(compared.findings[i], compared.answers[i]) for i in conflict.between]
    seen = [answer.seen.get(finding.tool) for finding, answer in sides]
    inputs = tuple(
        ConflictInput(
            tool=finding.tool,
            tool_version=finding.tool_version,
            effective=finding.effective,
            inference=answer.inference,
            without=tuple(
                WithheldInput(path=path, reason=reason)
                for path, reason in _without(own, [s for s in seen if s is not own])
            ),
        )
        for (finding, answer), own in zip(sides, seen, strict=True)
    )
    told = "; ".join(
        f"{one.tool} did not see {', '.join(f'{w.path} ({w.reason})' for w in one.without[:4])}"
        + (f" and {len(one.without) - 4} more" if len(one.without) > 4 else "")
        for one in inputs
        if one.without
    )
    reason = f"{conflict.reason}; {told}, which the other saw" if told else conflict.reason
    return conflict.model_copy(update={"inputs": inputs, "reason": reason})


def _without(own: Seen | None, others: Sequence[Seen | None]) -> list[tuple[str, str]]:
    """Paths that another tool of the conflict got and this one did not, with our reason."""
    if own is None:
        return []
    got = {path for other in others if other is not None for path in other.sent}
    missing = sorted(got - set(own.sent))
    return [(path, own.withheld.get(path, "not_needed_by_tool")) for path in missing]


@dataclass(frozen=True, slots=True)
class Opener:
    """Names disputes and makes them."""

    policy: AdjudicationPolicy
    key: bytes

    def named(
        self, conflicts: Sequence[Conflict], compared: Compared, *, patient_key: str
    ) -> tuple[Conflict, ...]:
        """Each conflict with the id under which it is settled, in the order given."""
        ids: dict[tuple[str, tuple[int, ...]], str] = {}
        for group in grouped(conflicts):
            name = self._id(group, compared, patient_key)
            ids.update(((c.type, c.between), name) for c in group)
        return tuple(c.model_copy(update={"id": ids[c.type, c.between]}) for c in conflicts)

    def _id(self, group: Sequence[Conflict], compared: Compared, patient_key: str) -> str:
        return dispute_id(
            self.key,
            patient_key=patient_key,
            site=compared.answers[0].site,
            kind=group[0].type,
            findings=[compared.findings[index] for c in group for index in c.between],
        )

    def disputes(
        self,
        conflicts: Sequence[Conflict],
        compared: Compared,
        *,
        subject: str,
        patient_key: str,
        now: datetime,
    ) -> list[Dispute]:
        """One dispute for each id, open, with its queue and its time."""
        by_id: dict[str, list[Conflict]] = {}
        for conflict in conflicts:
            assert conflict.id is not None
            by_id.setdefault(conflict.id, []).append(conflict)
        return [
            self._dispute(name, group, compared, subject, patient_key, now)
            for name, group in by_id.items()
        ]

    def _dispute(
        self,
        name: str,
        group: Sequence[Conflict],
        compared: Compared,
        subject: str,
        patient_key: str,
        now: datetime,
    ) -> Dispute:
        positions = sorted({index for conflict in group for index in conflict.between})
        findings = [compared.findings[index] for index in positions]
        answers = [compared.answers[index] for index in positions]
        severity = gravest(conflict.severity for conflict in group)
        override = any(answer.override for answer in answers)
        queue = self.policy.queue_of(group[0].type, override=override).name
        without = _by_tool(group)
        return Dispute(
            id=name,
            type=group[0].type,
            severity=severity,
            rule=group[0].rule,
            reasons=tuple(dict.fromkeys(conflict.reason for conflict in group)),
            subject=subject,
            patient_key=patient_key,
            site=compared.answers[0].site,
            encounter=next((f.encounter for f in findings if f.encounter), None),
            study=next((f.study for f in findings if f.study), None),
            sides=tuple(
                Side(f.model_dump(mode="json"), a.inference, a.capability, without.get(f.tool, ()))
                for f, a in zip(findings, answers, strict=True)
            ),
            askers=tuple(dict.fromkeys(answer.asker for answer in answers)),
            override=override,
            opened=rfc3339(now),
            due=rfc3339(now + timedelta(minutes=self.policy.escalate_after_min[severity])),
            queue=queue,
            first_queue=queue,
            history=(Event(rfc3339(now), "opened"),),
        )


def _by_tool(group: Sequence[Conflict]) -> Mapping[str, tuple[tuple[str, str], ...]]:
    found: dict[str, dict[str, str]] = {}
    for conflict in group:
        for one in conflict.inputs:
            found.setdefault(one.tool, {}).update({w.path: w.reason for w in one.without})
    return {tool: tuple(sorted(paths.items())) for tool, paths in found.items()}
