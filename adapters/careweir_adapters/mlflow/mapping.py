"""The tool file of a model behind MLflow: which value fills which column, and what comes back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from careweir_kit.errors import ToolFileInvalid
from careweir_kit.features import Element
from careweir_kit.mapping import MAPPING, Risk, check_bands, read, unique
from careweir_kit.tool import Tool


class Request(BaseModel):
    """``request`` in the tool file.

    ``nulls`` says that the model takes a null for a column without a value; without it every
    column must be required, because nothing is ever filled in.
    """

    model_config = MAPPING

    columns: tuple[Element, ...] = Field(min_length=1)
    form: Literal["dataframe_split", "dataframe_records", "instances", "inputs"] = "dataframe_split"
    path: str = Field(default="invocations", pattern=r"^[A-Za-z0-9._/-]+$")
    nulls: bool = False
    inputs_min: int = Field(default=0, ge=0)  # columns with a value, below which nobody is asked
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    preliminary: bool = False


class Probability(BaseModel):
    """A probability in the row: by position in a list of ``width``, by key, or the row itself.

    ``per_cent`` is for a model that is documented to give 0 to 100.
    """

    model_config = MAPPING

    kind: Literal["risk"]
    risk: Risk
    index: int | None = Field(default=None, ge=0)
    width: int | None = Field(default=None, ge=1)
    key: str | None = None
    per_cent: bool = False


class Label(BaseModel):
    """A class without a probability: what the model names -> the band that it stands for."""

    model_config = MAPPING

    kind: Literal["label"]
    risk: Risk
    bands: dict[str, str] = Field(min_length=1)
    key: str | None = None


Output = Annotated[Probability | Label, Field(discriminator="kind")]


class Answer(BaseModel):
    """``answer`` in the tool file. The order of classes is known for the tool's version only."""

    model_config = MAPPING

    findings: tuple[Output, ...] = Field(min_length=1)


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used or understood. Raises ToolFileInvalid."""
    request, answer = request_of(tool), answer_of(tool)
    problems = []
    if not unique(column.name for column in request.columns):
        problems.append("request.columns: a name occurs twice")
    if not request.nulls and not all(column.required for column in request.columns):
        problems.append("request.columns: without nulls every column is required")
    for output in answer.findings:
        if isinstance(output, Label):
            continue
        check_bands(output.risk, tool=tool, part="answer.findings")
        if (output.index is None) != (output.width is None):
            problems.append("answer.findings: index and width belong together")
        elif output.index is not None and (
            output.key is not None or output.index >= (output.width or 0)
        ):
            problems.append("answer.findings: index lies outside width, or stands with a key")
    if tool.subject_echo != "none":
        problems.append("subject_echo: an answer names nobody; say none")
    if problems:
        raise ToolFileInvalid(f"{tool.tool}.yaml: " + "; ".join(problems))
