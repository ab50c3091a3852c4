"""The tool file of a JSON API: what goes where, what an answer is, what becomes a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, Field

from careweir_adapters.rest.expression import compiles
from careweir_fhir.model import Coding, ConfidenceKind, FindingKind, Laterality, Polarity
from careweir_kit.adapter import AnswerClass
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, Band, read
from careweir_kit.tool import Tool

# Headers that belong to the transport or to ``auth``.
_RESERVED: Final = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "cookie",
     "accept-encoding", "expect", "te", "upgrade"}
)  # fmt: skip
_NAME: Final = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
_MEANINGS: Final = {
    "polarity": frozenset[str](get_args(Polarity)),
    "laterality": frozenset[str](get_args(Laterality)),
}
GIVEN: Final = frozenset({"subject", "request_id", "as_of"})


class NumberInput(BaseModel):
    """A number of the chart in ``unit`` (UCUM), plausible from ``low`` to ``high``."""

    model_config = MAPPING

    loinc: tuple[str, ...] = Field(min_length=1)
    unit: str
    low: float
    high: float
    required: bool = False
    max_age: str | None = Field(default=None, pattern=r"^P(\d+D)?(T(\d+H)?(\d+M)?)?$")


class PatientInput(BaseModel):
    """The age, or the administrative gender in the vendor's words; one that has none is missing."""

    model_config = MAPPING

    patient: Literal["age_years", "gender"]
    words: dict[str, str] = Field(default_factory=dict)
    required: bool = False


class TextInput(BaseModel):
    """The text of the newest report."""

    model_config = MAPPING

    text: Literal["newest_report"]
    required: bool = False


class StudyInput(BaseModel):
    """The pseudonym of the imaging study."""

    model_config = MAPPING

    study: Literal["first"]
    required: bool = False


class CodeRow(BaseModel):
    """A code of the chart and what the vendor calls it."""

    model_config = MAPPING

    system: str
    code: str
    name: str


class CodesInput(BaseModel):
    """A list: ``each`` filled for every row whose code the chart has; ``present`` where it stands.

    Inside ``each``, ``{{name}}`` is the vendor's name, ``{{presence}}`` is one of ``words``:
    ``present`` for what stands, ``absent`` for what is refuted or observed to be false.
    """

    model_config = MAPPING

    codes: tuple[CodeRow, ...] = Field(min_length=1)
    resources: tuple[Literal["Condition", "Observation"], ...] = ("Condition", "Observation")
    each: Any
    words: dict[Literal["present", "absent"], str] = Field(default_factory=dict)
    required: bool = False


Input = Annotated[
    NumberInput | PatientInput | TextInput | StudyInput | CodesInput,
    Field(union_mode="left_to_right"),
]


class Poll(BaseModel):
    """Where to ask again: ``{{name}}`` in ``path`` comes out of the answer by ``take``."""

    model_config = MAPPING

    path: str
    take: dict[str, str] = Field(default_factory=dict)
    every_s: float = Field(default=1.0, gt=0, le=60)


class Request(BaseModel):
    """``request`` in the tool file. A string ``{{name}}`` alone is replaced by the value itself;
    inside other words it is replaced by its text. What has no value is left out with its key.
    """

    model_config = MAPPING

    method: Literal["GET", "POST", "PUT"] = "POST"
    path: str
    inputs: dict[str, Input] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    poll: Poll | None = None


class Rule(BaseModel):
    """The first rule that matches says what an answer is. ``after``: seconds, or ``"1.5s"``."""

    model_config = MAPPING

    status: tuple[int, ...] = ()
    when: str | None = None
    answer: AnswerClass
    note: str = ""
    after: str | None = None


class Words(BaseModel):
    """A word of the vendor's, and what it means. A word that is not in the map breaks the answer
    unless ``other`` says what it means; one that is not there, unless ``missing`` does.
    """

    model_config = MAPPING

    path: str
    map: dict[str, str | None] = Field(min_length=1)
    other: str | None = None
    missing: str | None = None
    optional: bool = False


class Number(BaseModel):
    """A number from ``low`` to ``high``, divided by ``divide_by`` where its document says so."""

    model_config = MAPPING

    path: str
    low: float
    high: float
    divide_by: float = Field(default=1, gt=0)
    optional: bool = False


class Confidence(Number):
    """``of: present`` is the probability of presence: for an absent finding it is taken from 1."""

    kind: ConfidenceKind
    of: Literal["answer", "present"] = "answer"


class Lookup(BaseModel):
    """An item of another list of the answer: the one whose ``key`` is what ``by`` gives."""

    model_config = MAPPING

    list: str
    key: str
    by: str


class Code(BaseModel):
    """Which code a finding has: ``is``, or the vendor's words by ``map``, or codes of its own.

    ``codes`` is a list of strings that begin with one of ``prefixes`` (prefix to system). The
    first prefix in the order of the tool file that is found counts. ``display`` are the words.
    """

    model_config = MAPPING

    fixed: Coding | None = Field(default=None, alias="is")
    path: str | None = None
    map: dict[str, Coding] = Field(default_factory=dict)
    lookup: Lookup | None = None
    codes: str | None = None
    prefixes: dict[str, str] = Field(default_factory=dict)
    display: str | None = None


class SpanAt(BaseModel):
    """``start`` in code points; a vendor that leaves out zero says so with ``start_missing: 0``."""

    model_config = MAPPING

    quote: str
    start: str
    start_missing: int | None = None


class Prose(BaseModel):
    """Text of the vendor's own making, such as a section of a note: the value of a document."""

    model_config = MAPPING

    path: str
    chars_max: int = Field(default=20_000, gt=0, le=200_000)


class Extract(BaseModel):
    """One finding for each item of ``each``, or one for the whole answer without it."""

    model_config = MAPPING

    kind: FindingKind
    each: str | None = None
    optional: bool = False  # whether the list may be left out when it is empty
    code: Code
    number: Number | None = None
    word: Words | None = None
    prose: Prose | None = None
    unit: str | None = None
    scale: str | None = None
    horizon: str | None = None
    bands: tuple[Band, ...] = ()
    polarity: Words | Polarity | None = None
    laterality: Words | None = None
    confidence: Confidence | None = None
    span: SpanAt | None = None
    context: Words | None = None
    explanation: Words | None = None
    action: Words | None = None


class Answer(BaseModel):
    """``answer`` in the tool file; every path is JMESPath."""

    model_config = MAPPING

    rules: tuple[Rule, ...] = ()
    whole: str | None = None  # must be true of an answer that is read: the vendor's own success
    partial: str | None = None  # true where more would follow
    subject: str | None = None
    version: str | None = None
    model: str | None = None
    model_versions: tuple[str, ...] = ()
    findings: tuple[Extract, ...] = Field(min_length=1)


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a tool file that could not be used or understood. Raises ToolFileInvalid."""
    request, answer = request_of(tool), answer_of(tool)
    problems = [*_request_problems(request), *_answer_problems(tool, answer)]
    if problems:
        raise ToolFileInvalid(f"{tool.tool}.yaml: " + "; ".join(problems))


def names_in(template: Any) -> Iterator[str]:
    """Every ``{{name}}`` of a template."""
    if isinstance(template, str):
        yield from _NAME.findall(template)
    elif isinstance(template, dict):
        for value in template.values():
            yield from names_in(value)
    elif isinstance(template, list):
        for value in template:
            yield from names_in(value)


def _request_problems(request: Request) -> Iterator[str]:
    used = {*names_in(request.body), *names_in(request.path), *names_in(dict(request.headers))}
    for name in sorted(used - GIVEN - set(request.inputs)):
        yield f"request: {{{{{name}}}}} is no input"
    for name in sorted(set(request.inputs) - used):
        yield f"request.inputs.{name}: is used nowhere"
    if request.body is not None and request.method == "GET":
        yield "request.body: a GET has none"
    for path in (request.path, request.poll.path if request.poll else ""):
        if "://" in path or ".." in path.split("/"):
            yield "request: a path leads out of the endpoint"
    for header in request.headers:
        if header.lower() in _RESERVED:
            yield f"request.headers.{header}: belongs to auth or to the transport"
    if request.poll is not None:
        for name in sorted(set(names_in(request.poll.path)) - set(request.poll.take)):
            yield f"request.poll: {{{{{name}}}}} is not taken from the answer"


def _answer_problems(tool: Tool, answer: Answer) -> Iterator[str]:
    for place, expression in _expressions(answer, "answer"):
        if not compiles(expression):
            yield f"{place}: not a JMESPath expression"
    if tool.subject_echo == "required" and answer.subject is None:
        yield "answer.subject: is needed where the echo is required"
    for index, found in enumerate(answer.findings):
        place = f"answer.findings.{index}"
        if (found.code.fixed is None) == (found.code.path is None and found.code.codes is None):
            yield f"{place}.code: either is, or path or codes"
        if found.kind == "assertion" and found.polarity is None:
            yield f"{place}.polarity: an assertion needs it"
        if found.kind == "risk" and found.number is None and found.word is None:
            yield f"{place}: a risk needs a number or a word"
        if (found.kind == "document") != (found.prose is not None):
            yield f"{place}.prose: a document needs it, and nothing else may have it"
        number = found.number if found.kind == "risk" else None
        if number and not 0 <= number.low <= number.high <= number.divide_by:
            yield f"{place}.number: a risk lies within 0 to 1"
        if found.confidence is not None and found.confidence.kind == "none":
            yield f"{place}.confidence: needs its kind"
        for name, allowed in _MEANINGS.items():
            words = getattr(found, name)
            if isinstance(words, Words) and not _means(words) <= allowed:
                yield f"{place}.{name}: a word has no such meaning"


def _means(words: Words) -> set[str]:
    return {m for m in (*words.map.values(), words.other, words.missing) if m is not None}


_PATHS: Final = frozenset(
    {"when", "after", "whole", "partial", "subject", "version", "model", "path", "each", "list",
     "key", "by", "codes", "display", "quote", "start"}
)  # fmt: skip


def _expressions(part: BaseModel, place: str) -> Iterator[tuple[str, str]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if name in _PATHS and isinstance(value, str):
            yield f"{place}.{name}", value
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, BaseModel) and not isinstance(item, Coding):
                yield from _expressions(item, f"{place}.{name}")
