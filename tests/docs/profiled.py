"""What each resource of the gateway promises beyond R4, as a table: ``profiles.py`` writes it out.

A rule is one element of one profile: how often it stands there, and what it then is. Each is a
promise of ``docs/fhir/README.md``; the tests hold the emitted resources to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from careweir.api.cds.cards import OVERRIDE_REASONS, OVERRIDE_SYSTEM
from careweir_fhir import systems

HL7: Final = "http://hl7.org/fhir/"
CARD: Final = {"coding": [{"system": systems.AI_INPUTS, "code": "AIModelCard"}]}


@dataclass(frozen=True)
class Rule:
    """One element. ``value`` is a name and a value: ``fixedCode`` or ``patternCoding``."""

    path: str
    says: str
    low: int | None = None
    high: str | None = None
    targets: tuple[str, ...] = ()
    value: tuple[str, Any] | None = None
    codes: str | None = None  # a value set of VALUE_SETS


@dataclass(frozen=True)
class Profile:
    """The rules of one type."""

    kind: str
    title: str
    says: str
    rules: tuple[Rule, ...]
    name: str = ""  # where a type has several


@dataclass(frozen=True)
class Own:
    """An extension of our own: a simple one has a type, another one has named parts."""

    url: str
    says: str
    on: tuple[str, ...]
    kind: str = ""
    parts: tuple[tuple[str, str, bool], ...] = ()  # name, type, whether it must be there
    modifier: bool = False


VALUE_SETS: Final = {
    "unsigned-status": ("observation-status", ("preliminary", "cancelled", "entered-in-error")),
    "proposal-status": ("request-status", ("draft", "revoked", "entered-in-error")),
    "review-status": ("task-status", ("requested", "cancelled", "entered-in-error")),
    "document-status": ("document-reference-status", ("current", "superseded", "entered-in-error")),
    "flag-status": ("flag-status", ("active", "inactive", "entered-in-error")),
    "guidance-status": ("guidance-response-status", ("success", "entered-in-error")),
}
CODE_SYSTEMS: Final = {OVERRIDE_SYSTEM: OVERRIDE_REASONS}
_DEVICE = (f"{HL7}StructureDefinition/Device",)
_PATIENT = (f"{HL7}StructureDefinition/Patient",)


def _unsigned(path: str = "status", codes: str = "unsigned-status") -> Rule:
    return Rule(path, "Nothing that a machine says is final.", codes=codes)


def _about(path: str = "subject", target: tuple[str, ...] = _PATIENT) -> Rule:
    return Rule(path, "Whom it is about, as the caller named them.", low=1, targets=target)


def _by(path: str, says: str = "The tool, in its version.") -> Rule:
    return Rule(path, says, low=1, targets=_DEVICE)


PROFILES: Final = (
    Profile("RiskAssessment", "Risk, as a tool or a published score gives it",
            "A probability is a percentage; points of a score are never one.", (
                _unsigned(),
                Rule("method", "Which tool or published score, in words.", low=1),
                Rule("code", "What the risk is of.", low=1),
                _about(),
                Rule("occurrence[x]", "When it was assessed.", low=1),
                _by("performer"),
                Rule("prediction", "One prediction a resource.", low=1, high="1"),
                Rule("prediction.outcome", "What is predicted.", low=1),
            )),
    Profile("Observation", "Finding or measurement of a tool",
            "A Device makes it and never performs it: R4 does not let it.", (
                _unsigned(),
                _about(),
                Rule("effective[x]", "The time it is about; left out if R4 cannot hold it."),
                Rule("issued", "When the gateway gave it.", low=1),
                Rule("performer", "No person stands behind it yet.", high="0"),
                Rule("method", "Which tool, in words.", low=1),
                _by("device"),
            )),
    Profile("DiagnosticReport", "All that one tool sees in one picture",
            "Nobody has interpreted it: it is preliminary until a person has.", (
                Rule("status", "Nothing that a machine says is final.",
                     value=("fixedCode", "preliminary")),
                _about(),
                Rule("performer", "No person stands behind it yet.", high="0"),
                Rule("resultsInterpreter", "Nobody has interpreted it.", high="0"),
                Rule("result", "The Observations.", low=1),
            )),
    Profile("DocumentReference", "Draft text of a tool", "Plain text, to be read and signed.", (
                _unsigned(codes="document-status"),
                Rule("docStatus", "Never signed here.", low=1,
                     value=("fixedCode", "preliminary")),
                _about(),
                Rule("author", "The tool, and nobody else.", low=1, high="1", targets=_DEVICE),
                Rule("authenticator", "Nobody vouches for it.", high="0"),
                Rule("content", "One text.", high="1"),
                Rule("content.attachment.contentType", "Plain text, without markup.", low=1,
                     value=("fixedCode", "text/plain; charset=utf-8")),
                Rule("content.attachment.data", "The text itself.", low=1),
                Rule("content.attachment.url", "It leads nowhere else.", high="0"),
            )),
    Profile("DocumentReference", "What is set up here of an AI tool",
            "About no patient, and not its maker's own model card.", (
                Rule("type", "A model card.", low=1, value=("patternCodeableConcept", CARD)),
                Rule("subject", "It is about no patient.", high="0"),
                Rule("author", "The gateway wrote it.", low=1, high="1", targets=_DEVICE),
                Rule("content", "One text.", high="1"),
                Rule("content.attachment.contentType", "Markdown.", low=1,
                     value=("fixedCode", "text/markdown; charset=utf-8")),
                Rule("content.attachment.data", "The text itself.", low=1),
            ), "model-card"),
    Profile("ServiceRequest", "Order that a tool proposes",
            "A proposal and a draft: no order is placed by it.", (
                _unsigned(codes="proposal-status"),
                Rule("intent", "A proposal, never an order.", value=("fixedCode", "proposal")),
                Rule("code", "What is proposed.", low=1),
                _about(),
                _by("requester"),
                Rule("performer", "Nobody is told to do it.", high="0"),
            )),
    Profile("GuidanceResponse", "Recommendation that is no order, or a tool that named nothing",
            "What was proposed stands in an extension and in words.", (
                Rule("module[x]", "The question that was asked.", low=1),
                _unsigned(codes="guidance-status"),
                _about(),
                _by("performer"),
            )),
    Profile("Flag", "Urgency, in the words of its own scale", "Scales are never translated.", (
                _unsigned(codes="flag-status"),
                _about(),
                _by("author"),
            )),
    Profile("Task", "Code or decision that waits for a person",
            "It counts for nothing until a person has completed it.", (
                _unsigned(codes="review-status"),
                Rule("intent", "A proposal.", value=("fixedCode", "proposal")),
                Rule("code", "What is to be reviewed.", low=1),
                _about("for"),
                _by("requester"),
                Rule("performerType", "Who is to review it.", low=1),
                Rule("owner", "Nobody has it yet.", high="0"),
                Rule("output", "What the tool proposes.", low=1),
            )),
    Profile("DetectedIssue", "Tools that contradict each other",
            "It names every result it is between, and no winner.", (
                Rule("code", "Our code first; one of HL7 beside it where one fits.", low=1),
                Rule("code.coding", "At least our own.", low=1),
                Rule("severity", "How much it matters.", low=1),
                _about("patient"),
                _by("author", "The gateway."),
                Rule("implicated", "All the results that cannot be right together.", low=2),
                Rule("evidence", "The rule that fired.", low=1),
                Rule("detail", "Why, in words.", low=1),
            )),
    Profile("Provenance", "Who made which results, and under which policy",
            "The author is a tool, the assembler the gateway.", (
                Rule("target", "The results, all of one tool.", low=1),
                Rule("policy", "The revision of the policies.", low=1),
                Rule("activity", "They were made.", low=1),
                Rule("agent", "Author and assembler.", low=2),
                Rule("agent.type", "In which part.", low=1),
            )),
    Profile("Device", "A tool in one version, or the gateway", "One for each version.", (
                Rule("deviceName", "What people call it.", low=1),
                Rule("type", "An AI tool, a published score, or the gateway.", low=1),
                Rule("patient", "It belongs to nobody.", high="0"),
            )),
    Profile("AuditEvent", "Entry of the record",
            "Beside what IHE BALP asks of a disclosure.", (
                Rule("outcome", "How it ended.", low=1),
                Rule("source.observer", "The gateway.", low=1),
                Rule("entity", "What it is about, with the hash of the entry.", low=1),
            )),
    Profile("Bundle", "One answer", "All results, their tools, and what is missing.", (
                Rule("type", "A collection: nothing is to be done with it.",
                     value=("fixedCode", "collection")),
                Rule("entry.fullUrl", "Each resource has an address in the answer.", low=1),
                Rule("entry.search", "It is no search.", high="0"),
                Rule("entry.request", "Nothing is to be done with it.", high="0"),
            )),
)  # fmt: skip
_RESULTS = ("RiskAssessment", "Observation", "GuidanceResponse", "ServiceRequest", "Task", "Flag",
            "DocumentReference")  # fmt: skip
EXTENSIONS: Final = (
    Own(systems.CONFIDENCE_KIND, "What kind of confidence stands beside it.", _RESULTS, "code"),
    Own(systems.VENDOR_CONFIDENCE, "Confidence on the vendor's own scale, no probability.",
        _RESULTS, "decimal"),
    Own(systems.LATERALITY, "The side of a body site.", ("CodeableConcept",), "CodeableConcept"),
    Own(systems.SUBJECT_CONTEXT, "Whom or when it is about, if not this patient now.",
        _RESULTS, "string", modifier=True),
    Own(systems.CODE_UNVERIFIED, "The code could not be checked.", ("Coding",), "boolean"),
    Own(systems.INTERVAL, "The bounds that a tool gave.",
        ("Observation", "RiskAssessment.prediction"), "Range"),
    Own(systems.TEXT_SPAN, "Where in the text it stands, in code points, half-open.", _RESULTS,
        parts=(("start", "integer", True), ("end", "integer", True), ("text", "string", False))),
    Own(systems.EXPLANATION, "The tool's reasons, where the type has no note.", ("Flag",),
        "string"),
    Own(systems.PROPOSED_ACTION, "What a tool proposes.", ("GuidanceResponse",),
        parts=(("action", "string", False), ("target", "CodeableConcept", False),
               ("dose", "Quantity", False))),
)  # fmt: skip
