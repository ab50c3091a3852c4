"""From what a model wrote to findings: quotes are looked up, codes are checked, nothing is guessed.

A finding whose quote is not in the text is held back, since nobody can tell it from invention; the
answer is then partial. A model has no confidence in what it says, and none is made up for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from careweir_fhir.model import Coding, Completeness, Finding, Laterality, Polarity, Span
from careweir_kit import codes
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.language.content import (
    AnyContent,
    AuthorisationContent,
    CodingsContent,
    EntitiesContent,
    Entity,
    FindingsContent,
    SummaryContent,
    TriageContent,
)
from careweir_kit.language.task import (
    Authorisation,
    Codings,
    Entities,
    Findings,
    Summary,
    Task,
    Triage,
)
from careweir_kit.mapping import marked
from careweir_kit.spans import ground

UNGROUNDED: Final = "a finding was held back: its quote is not in the text"
AMBIGUOUS: Final = "a quote occurs more than once in the text; its place is not given"
UNCHECKED: Final = "no source text: quotes could not be checked"
_SIDES: Final[dict[str, Laterality]] = {"left": "left", "right": "right", "both": "bilateral"}
_POLARITIES: Final[dict[str, Polarity]] = {
    "present": "present",
    "absent": "absent",
    "possible": "indeterminate",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a finding takes from the question: ``text`` is None when a recording is replayed.

    ``reads_text`` is False for a tool that reads coded facts alone: it has nothing to quote.
    """

    tool: str
    version: str
    text: str | None = None
    effective: str | None = None
    service: Coding | None = None
    reads_text: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """Findings, whose patient they are about, and how whole they are."""

    findings: tuple[Finding, ...]
    subject: str | None
    completeness: Completeness
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Reader:
    """One reading: findings as they are made, and what must be said about them."""

    about: About
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    held: int = 0

    def grounded(self, quote: str) -> tuple[bool, Span | None]:
        """Whether what rests on a quote may be said, and where the quote stands."""
        if not self.about.reads_text and not quote.strip():
            return True, None
        found = ground(quote, self.about.text)
        if found.place == "none":
            self.notes.append(UNGROUNDED)
            self.held += 1
        elif found.place == "several":
            self.notes.append(AMBIGUOUS)
        return found.place != "none", found.span

    def add(self, **said: Any) -> None:
        """A finding of this tool, of the time of the text."""
        about = self.about
        self.findings.append(
            Finding(tool=about.tool, tool_version=about.version, effective=about.effective, **said)
        )


def read_content(task: Task, value: Any, about: About) -> Reading:
    """Read what a model wrote by its task. Raises VendorProtocolBroken."""
    reader = _Reader(about)
    if about.text is None and about.reads_text:
        reader.notes.append(UNCHECKED)
    match task:
        case Findings():
            subject = _findings(task, _checked(FindingsContent, value), reader)
        case Entities():
            subject = _entities(task, _checked(EntitiesContent, value), reader)
        case Codings():
            subject = _codings(task, _checked(CodingsContent, value), reader)
        case Summary():
            subject = _summary(task, _checked(SummaryContent, value), reader)
        case Triage():
            subject = _triage(task, _checked(TriageContent, value), reader)
        case Authorisation():
            subject = _authorisation(task, _checked(AuthorisationContent, value), reader)
    completeness: Completeness = "partial" if reader.held else "full"
    findings = marked(reader.findings, completeness)
    return Reading(findings, subject, completeness, tuple(reader.notes))


def check_content(task: Task, value: Any) -> None:
    """Refuse what is not in the form of its task. Raises VendorProtocolBroken."""
    read_content(task, value, About(tool="", version="", reads_text=False))


def _checked(model: type[AnyContent], value: Any) -> AnyContent:
    try:
        return model.model_validate(value)
    except ValidationError:
        raise VendorProtocolBroken("the model did not keep to the schema of its task") from None


def _findings(task: Findings, content: FindingsContent, reader: _Reader) -> str | None:
    for item in content.findings:
        said, span = reader.grounded(item.quote)
        if said:
            code = task.labels.get(item.label.strip().lower())
            reader.add(
                kind="assertion",
                code=code or Coding(display=item.label),
                polarity="present" if item.present else "absent",
                laterality=_SIDES.get(item.side),
                span=span,
                verified=code is not None,
            )
    return content.subject


def _entities(task: Entities, content: EntitiesContent, reader: _Reader) -> str | None:
    for entity in content.entities:
        said, span = reader.grounded(entity.quote)
        if said:
            code = task.labels.get(entity.label.strip().lower())
            reader.add(
                kind="assertion",
                code=code or Coding(display=entity.label),
                polarity=_POLARITIES[entity.assertion],
                subject_context=_context(entity),
                span=span,
                verified=code is not None,
            )
    return content.subject


def _context(entity: Entity) -> str | None:
    """Whom or when it is about, if not this patient now; another person goes before a time."""
    if entity.about != "patient":
        return entity.about
    return None if entity.when == "current" else entity.when


def _codings(task: Codings, content: CodingsContent, reader: _Reader) -> str | None:
    known = {(task.system, code): words for code, words in task.known.items()}
    for item in content.codes:
        said, span = reader.grounded(item.quote)
        if said:
            coding = Coding(
                system=task.system, code=item.code.strip(), display=item.display.strip() or None
            )
            if codes.well_formed(task.system, item.code.strip()) is False:
                reader.notes.append("a code cannot be one of its system; it is marked as unchecked")
            reader.add(
                kind="coding", code=coding, span=span, verified=codes.verified(coding, known)
            )
    return content.subject


def _summary(task: Summary, content: SummaryContent, reader: _Reader) -> str | None:
    for section in content.sections:
        code = task.sections.get(section.key)
        if code is None:
            raise VendorProtocolBroken("the model named a section that it was not asked for")
        lines = [s.text.strip() for s in section.statements if reader.grounded(s.quote)[0]]
        if lines:
            reader.add(kind="document", code=code, value="\n".join(lines), verified=True)
    return content.subject


def _triage(task: Triage, content: TriageContent, reader: _Reader) -> str | None:
    level = task.levels.get(content.triage)
    if level is None:
        raise VendorProtocolBroken("the model named a level that the scale does not have")
    reader.add(
        kind="triage",
        code=task.code,
        value=level,
        scale=task.scale,
        explanation=(content.why.strip(),) if content.why.strip() else (),
        verified=True,
    )
    return content.subject


def _authorisation(
    task: Authorisation, content: AuthorisationContent, reader: _Reader
) -> str | None:
    criteria = [
        f"{'met' if one.met else 'not met'}: {one.text.strip()}"
        for one in content.criteria
        # One that rests on a coded fact has no words to quote.
        if not one.quote.strip() or reader.grounded(one.quote)[0]
    ]
    decision = content.decision
    if reader.held and decision != "review":
        reader.notes.append("a decision that rests on words that are not there is for a person")
        decision = "review"
    reader.add(
        kind="recommendation",
        code=reader.about.service or task.code,
        target=reader.about.service,
        action=None if decision == "review" else decision,
        value=decision,
        explanation=tuple(criteria),
        verified=reader.about.service is not None,
    )
    return content.subject
