"""The adapter contract: three pure functions and a manifest for one wire format.

An adapter is a folder with ``manifest.yaml`` and ``adapter.py``. The module has no state and does
no I/O; the gateway's transport owns the socket, the deadline, the retries and the record of each
attempt. A tool is a file that names an adapter and fills in its mapping (``tool.py``).

    build_request(tool, ask)            minimised chart  ->  one HTTP request
    classify_answer(tool, answer)       HTTP answer      ->  what kind of answer it is
    parse_findings(tool, ask, answer)   an ``ok`` or ``partial`` answer -> findings and echo

An adapter whose manifest says ``transport: in_process`` has one function instead:

    compute(tool, ask)                  minimised chart  ->  findings, without any disclosure

A vendor that sends results by itself is read by two functions more: see ``push.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from careweir_fhir.model import Completeness, Finding
from careweir_kit.tool import Tool

AnswerClass = Literal[
    "ok",  # a whole answer in the vendor's format
    "pending",  # accepted, not ready: ask again with ``follow_up``
    "partial",  # an answer that is cut short or misses documents: never "no finding"
    "throttled",  # wait ``retry_after_s``
    "refused",  # the tool declined on content or for want of inputs
    "unauthorised",  # our credentials or entitlement
    "bad_request",  # our request was wrong
    "vendor_fault",  # the vendor's own failure; may pass
    "protocol_broken",  # not the promised format
]


class AdapterManifest(BaseModel):
    """``manifest.yaml``: facts about one wire format, no behaviour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str = Field(pattern=r"^[a-z][a-z0-9_]*$")  # = folder name
    title: str
    protocol: str  # the standard or API that it speaks, with its version
    source: str  # where the format is defined
    transport: Literal["http", "in_process"] = "http"
    content_type: str = "application/json"  # of its answers, and of its recordings
    pushes: tuple[str, ...] = ()  # media types that it reads when the vendor sends by itself
    quality: Literal["bronze", "silver", "gold"] = "bronze"
    codeowners: tuple[str, ...] = Field(min_length=1)
    limits: tuple[str, ...] = ()  # what it does not do, in plain words
    exemptions: dict[str, str] = Field(default_factory=dict)  # a check's name -> why not kept


@dataclass(frozen=True, slots=True)
class Ask:
    """What an adapter may know about one question: the minimised chart and opaque references.

    ``payload`` is a FHIR R4 Bundle (a dict) in which the patient, encounter and study carry
    pseudonyms. ``subject`` is the pseudonym that the answer must echo. ``request_id`` is unique
    for the attempt. ``as_of`` is RFC 3339: the moment that the answer is for.
    """

    subject: str
    request_id: str
    payload: Mapping[str, Any]
    as_of: str
    deadline_ms: int = 0


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """One HTTP request; ``path`` is joined to the configured endpoint, never absolute.

    ``without`` names, for people, the inputs that the tool wants and the chart did not have.
    """

    method: Literal["GET", "POST", "PUT"]
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    accept: tuple[str, ...] = ("application/json",)  # content types that may be parsed
    without: tuple[str, ...] = ()
    request_id: str = ""  # of the attempt; the gateway fills it in, for the record


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """One HTTP answer, whole and within the byte cap; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case; empty when absent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What kind of answer it is. ``note`` is our own words, safe to log and to show.

    ``follow_up`` is where to ask again while it is pending; where a later answer does not say it,
    the one before holds.
    """

    answer_class: AnswerClass
    note: str = ""
    retry_after_s: float | None = None
    follow_up: VendorRequest | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """The findings of one answer.

    ``echoes`` holds every patient reference found in the answer, as given; the gateway refuses
    the answer unless each equals the pseudonym it sent (and there is one, where the tool file
    says ``subject_echo: required``). ``model_version`` is what the vendor says answered, or None.
    """

    findings: tuple[Finding, ...]
    echoes: tuple[str, ...] = ()
    model_name: str | None = None
    model_version: str | None = None
    completeness: Completeness = "full"
    notes: tuple[str, ...] = ()  # our words: unmapped labels, ungrounded quotes, dropped spans


class HttpAdapter(Protocol):
    """The module of a folder in ``careweir_adapters`` (``transport: http``)."""

    def check_tool(self, tool: Tool) -> None:
        """Refuse a tool file whose mapping this adapter cannot use. Raises ToolFileInvalid."""
        ...

    def build_request(self, tool: Tool, ask: Ask) -> VendorRequest:
        """Map the minimised chart to one request. Raises InputsMissing."""
        ...

    def classify_answer(self, tool: Tool, answer: VendorAnswer) -> Verdict:
        """Say what kind of answer this is; never raises."""
        ...

    def parse_findings(self, tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
        """Read findings from an answer classed ok or partial. Raises VendorProtocolBroken.

        ``ask`` is None when a recording is replayed: what needs the question (spans, echo against
        the pseudonym) is then left unchecked and noted.
        """
        ...


class InProcessAdapter(Protocol):
    """A published score computed in this process: nothing is disclosed to anyone."""

    def check_tool(self, tool: Tool) -> None:
        """Refuse a tool file whose mapping this adapter cannot use. Raises ToolFileInvalid."""
        ...

    def compute(self, tool: Tool, ask: Ask) -> Parsed:
        """Compute findings from the minimised chart. Raises InputsMissing."""
        ...
