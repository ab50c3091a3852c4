"""The tasks that a tool file can give to a language model, and the JSON that each asks for.

A task fixes the form of the answer; the tool file fills in what is the institution's own: which
label is which code, which level of which scale, which section of a note. Everything that a model
claims about a text it must quote, because a quote can be checked and a claim cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from careweir_fhir.model import Coding
from careweir_kit import codes, icd10cm
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING
from careweir_kit.tool import Tool

Json = dict[str, Any]
Labels = Annotated[dict[str, Coding], Field(min_length=1)]
QUOTED_MAX = 4000


class Findings(BaseModel):
    """Findings on an image, as a report states them. Labels are in lower case."""

    model_config = MAPPING

    kind: Literal["findings"]
    labels: Labels


class Entities(BaseModel):
    """Problems, medications and the like, each with its assertion, whose it is, and when."""

    model_config = MAPPING

    kind: Literal["entities"]
    labels: dict[str, Coding] = Field(default_factory=dict)


class Codings(BaseModel):
    """Codes of one system that a text bears out, for a person to review."""

    model_config = MAPPING

    kind: Literal["codings"]
    system: str = Field(pattern=r"^(https?://|urn:)\S+$")
    known: dict[str, str] = Field(default_factory=dict)  # code -> our words for it


class Summary(BaseModel):
    """A summary in sections; every statement carries the words that it rests on."""

    model_config = MAPPING

    kind: Literal["summary"]
    sections: Labels  # what the model calls a section -> the document code of it


class Triage(BaseModel):
    """One level of one scale. ``levels``: the model's word -> the level as the scale calls it."""

    model_config = MAPPING

    kind: Literal["triage"]
    scale: str = Field(min_length=1)
    levels: dict[str, str] = Field(min_length=2)
    code: Coding


class Authorisation(BaseModel):
    """Whether the service that is asked for meets the payer's criteria; a person decides."""

    model_config = MAPPING

    kind: Literal["authorisation"]
    code: Coding  # the question, where the service is not known (a recording is replayed)


Task = Annotated[
    Findings | Entities | Codings | Summary | Triage | Authorisation, Field(discriminator="kind")
]


def check_task(task: Task, tool: Tool) -> None:
    """Refuse a task that could not be read, and get ready for codes. Raises ToolFileInvalid."""
    problem = ""
    match task:
        case Findings() | Entities():
            if any(label != label.strip().lower() for label in task.labels):
                problem = "labels: a label is not in lower case"
        case Codings():
            if any(codes.well_formed(task.system, code) is False for code in task.known):
                problem = "known: a code cannot be one of its system"
            icd10cm.warm()
        case Summary():
            if any(section.code is None for section in task.sections.values()):
                problem = "sections: a section has no code"
        case Triage() | Authorisation():
            pass
    if problem:
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer.task.{problem}")


def schema_of(task: Task, subject: str | None) -> Json:
    """The strict schema of the answer; the subject, where an echo is wanted, as a constant."""
    properties = _properties(task)
    if subject is not None:
        properties["subject"] = {"type": "string", "const": subject}
    return _object(properties)


def _properties(task: Task) -> Json:
    text: Json = {"type": "string"}
    yes_no: Json = {"type": "boolean"}
    match task:
        case Findings():
            side = {"enum": ["left", "right", "both", "none"]}
            item = {"label": text, "present": yes_no, "side": side, "quote": text}
            return {"findings": _list(item)}
        case Entities():
            item = {
                "label": text,
                "assertion": {"enum": ["present", "absent", "possible"]},
                "about": {"enum": ["patient", "family", "other"]},
                "when": {"enum": ["current", "history", "hypothetical"]},
                "quote": text,
            }
            return {"entities": _list(item)}
        case Codings():
            return {"codes": _list({"code": text, "display": text, "quote": text})}
        case Summary():
            statement = {"text": text, "quote": text}
            section = {"key": {"enum": list(task.sections)}, "statements": _list(statement)}
            return {"sections": _list(section)}
        case Triage():
            return {"triage": {"enum": list(task.levels)}, "why": text}
        case Authorisation():
            item = {"text": text, "met": yes_no, "quote": text}
            return {
                "decision": {"enum": ["approve", "deny", "review"]},
                "criteria": _list(item),
            }


def _list(properties: Mapping[str, Any]) -> Json:
    return {"type": "array", "items": _object(properties)}


def _object(properties: Mapping[str, Any]) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": dict(properties),
    }
