"""The tool file of a source of DICOM structured reports."""

from __future__ import annotations

import re

from pydantic import BaseModel, Field

from careweir_fhir.model import ConfidenceKind
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, KnownCodes, read
from careweir_kit.tool import Tool


class Request(BaseModel):
    """``request`` in the tool file. ``filters`` narrow the search to this tool's own reports."""

    model_config = MAPPING

    filters: dict[str, str] = Field(default_factory=dict)


class Answer(KnownCodes):
    """``answer`` in the tool file."""

    certainty_kind: ConfidenceKind = "class_probability"  # of DCM 111012, certainty of finding


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    answer_of(tool)
    for name in request_of(tool).filters:
        if not re.fullmatch(r"[A-Z][A-Za-z]{1,63}", name) or name in ("PatientID", "Modality"):
            raise ToolFileInvalid(
                f"{tool.tool}.yaml: request.filters: not an attribute to filter by"
            )
