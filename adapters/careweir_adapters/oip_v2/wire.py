"""The wire form of an inference answer, checked: names, shapes, datatypes, element by element."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from careweir_adapters.oip_v2.mapping import FLOATS
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE, unique

ELEMENTS_MAX = 65_536


class OutputTensor(BaseModel):
    """One output tensor; ``data`` may be flat or nested in row-major order."""

    model_config = WIRE

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferAnswer(BaseModel):
    """The answer of an infer call."""

    model_config = WIRE

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[OutputTensor] = Field(min_length=1)


def infer_answer(value: dict[str, Any]) -> InferAnswer:
    """Read an answer. Raises VendorProtocolBroken."""
    try:
        answer = InferAnswer.model_validate(value)
    except ValidationError:
        raise VendorProtocolBroken("not an infer answer") from None
    if not unique(output.name for output in answer.outputs):
        raise VendorProtocolBroken("two outputs have one name")
    return answer


def probabilities(answer: InferAnswer, name: str) -> list[float]:
    """The numbers of one output, one row. Raises VendorProtocolBroken."""
    tensor = _tensor(answer, name)
    if tensor.datatype not in FLOATS:
        raise VendorProtocolBroken("an output has another datatype than floating point")
    values = []
    for item in _row(tensor):
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise VendorProtocolBroken("an output element is not a number")
        values.append(float(item))
    return values


def strings(answer: InferAnswer, name: str) -> list[str]:
    """The strings of one BYTES output, one row. Raises VendorProtocolBroken."""
    tensor = _tensor(answer, name)
    if tensor.datatype != "BYTES":
        raise VendorProtocolBroken("an output has another datatype than BYTES")
    values = _row(tensor)
    if not all(isinstance(item, str) for item in values):
        raise VendorProtocolBroken("an output element is not a string")
    return values


def _tensor(answer: InferAnswer, name: str) -> OutputTensor:
    for output in answer.outputs:
        if output.name == name:
            return output
    raise VendorProtocolBroken("a configured output is not in the answer")


def _row(tensor: OutputTensor) -> list[Any]:
    """The elements of a tensor that holds one row, flat. Raises VendorProtocolBroken."""
    size = 1
    for extent in tensor.shape:
        if extent < 1 or size > ELEMENTS_MAX:
            raise VendorProtocolBroken("a shape cannot be used")
        size *= extent
    if not tensor.shape or size != (tensor.shape[-1]):
        raise VendorProtocolBroken("an output holds more than one row")
    nested = any(isinstance(item, list) for item in tensor.data)
    flat = _flatten(tensor.data, tensor.shape) if nested else tensor.data
    if len(flat) != size:
        raise VendorProtocolBroken("a shape and its data differ in size")
    return flat


def _flatten(data: Any, shape: list[int]) -> list[Any]:
    if not isinstance(data, list) or len(data) != shape[0]:
        raise VendorProtocolBroken("nested data does not follow its shape")
    if len(shape) == 1:
        return data
    return [item for part in data for item in _flatten(part, shape[1:])]
