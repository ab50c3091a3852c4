"""The tool file of an Open Inference Protocol model: which value fills which tensor, and back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from careweir_fhir.model import Coding, Laterality
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.features import Element
from careweir_kit.mapping import MAPPING, Risk, check_bands, read, unique
from careweir_kit.tool import Tool

FLOATS = ("FP16", "FP32", "FP64")


class Numbers(BaseModel):
    """A tensor of shape [1, n] with one number an element.

    ``absent`` is what the vendor documents for an element without a value. It is accepted only
    together with a mask tensor, by which the model can tell it from a measured value.
    """

    model_config = MAPPING

    name: str
    datatype: Literal["FP32", "FP64"] = "FP64"
    elements: tuple[Element, ...] = Field(min_length=1)
    absent: float | None = None


class Mask(BaseModel):
    """A BOOL tensor of the same shape: true where the element of ``mask_of`` has a value."""

    model_config = MAPPING

    name: str
    mask_of: str


class Text(BaseModel):
    """A BYTES tensor of shape [1, 1] that carries the text of the newest report."""

    model_config = MAPPING

    name: str
    text: Literal["newest_report"]


Tensor = Annotated[Numbers | Mask | Text, Field(union_mode="left_to_right")]


class Request(BaseModel):
    """``request`` in the tool file."""

    model_config = MAPPING

    model: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+$")  # in the path
    inputs_min: int = Field(default=0, ge=0)  # elements with a value, below which nobody is asked
    tensors: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[str, ...] = ()
    preliminary: bool = False


class RiskOutput(BaseModel):
    """One probability of an output tensor becomes a risk."""

    model_config = MAPPING

    kind: Literal["risk"]
    output: str
    index: int = Field(ge=0)
    risk: Risk


class Label(BaseModel):
    """One class of a classifier, in the order of its output."""

    model_config = MAPPING

    name: str
    code: Coding
    paired: bool = True  # whether a side can be meant


class LabelOutput(BaseModel):
    """One probability a label becomes an assertion a label.

    At or above ``present_from`` the label is present, below ``absent_below`` it is absent, and
    between the two it is indeterminate. ``side_output`` is a BYTES tensor with a side a label.
    """

    model_config = MAPPING

    kind: Literal["labels"]
    output: str
    labels: tuple[Label, ...] = Field(min_length=1)
    present_from: float = Field(gt=0, le=1)
    absent_below: float = Field(ge=0, lt=1)
    side_output: str | None = None
    sides: dict[str, Laterality | None] = Field(default_factory=dict)


Output = Annotated[RiskOutput | LabelOutput, Field(discriminator="kind")]


class Answer(BaseModel):
    """``answer`` in the tool file. Class order is only known for ``model_version``.

    With ``pin`` an answer of another version is refused, without it the findings carry a note.
    """

    model_config = MAPPING

    model_version: str | None = None
    pin: bool = False
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
    numbers = {tensor.name: tensor for tensor in request.tensors if isinstance(tensor, Numbers)}
    masked = {tensor.mask_of for tensor in request.tensors if isinstance(tensor, Mask)}
    problems = []
    if not unique(tensor.name for tensor in request.tensors):
        problems.append("request.tensors: a name occurs twice")
    if masked - set(numbers):
        problems.append("request.tensors: mask_of names no tensor of numbers")
    for tensor in numbers.values():
        optional = any(not element.required for element in tensor.elements)
        if optional and (tensor.absent is None or tensor.name not in masked):
            problems.append(
                f"request.tensors.{tensor.name}: optional elements want absent and mask"
            )
    if answer.pin and answer.model_version is None:
        problems.append("answer.pin: needs model_version")
    for output in answer.findings:
        if isinstance(output, RiskOutput):
            check_bands(output.risk, tool=tool, part="answer.findings")
        elif output.absent_below > output.present_from:
            problems.append("answer.findings: absent_below lies above present_from")
    if problems:
        raise ToolFileInvalid(f"{tool.tool}.yaml: " + "; ".join(problems))
