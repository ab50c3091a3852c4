"""``POST /fhir/$infer``: the main job for FHIR clients, Parameters in and a Bundle out.

The Parameters are the same question as on ``/v1``: they are rewritten into one and read by the same
reader, so that nothing is laxer here. Where no tool answered, the body is the OperationOutcome
alone, under the status of ``/v1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response

from careweir import __version__
from careweir.api import openapi
from careweir.api.fhir.base import FhirRoute, Json, MediaTypeUnsupported, address, is_r4
from careweir.api.outcomes import FHIR_JSON, fhir_json, refused
from careweir.api.routes import asked
from careweir.api.services import services_of
from careweir.errors import QuestionInvalid
from careweir.jobs.kept import Kept
from careweir.question import cut_out
from careweir.stages import House
from careweir_fhir import validate
from careweir_kit.strict_json import JsonRefused, decode

NAME: Final = "infer"
_BODIES: Final = frozenset({"application/json", "text/json", FHIR_JSON})
_NOTHING: Final = msgspec.Raw(b"null")
# name -> (minimum, maximum, FHIR type, what it is)
PARAMETERS: Final[Mapping[str, tuple[int, str, str, str]]] = {
    "capability": (1, "1", "code", "The clinical question, as GET /v1/capabilities lists it."),
    "subject": (1, "1", "Reference", "The Patient."),
    "purpose": (1, "1", "code", "HL7 v3 PurposeOfUse."),
    "inputs": (0, "1", "Bundle", "The chart; or else source."),
    "source": (0, "1", "string", "A configured FHIR server to fetch the chart from."),
    "encounter": (0, "1", "Reference", "The Encounter."),
    "study": (0, "1", "Reference", "The ImagingStudy."),
    "site": (0, "1", "string", "The site of the institution."),
    "as-of": (0, "1", "dateTime", "The moment that windows and ages count back from."),
    "tool": (0, "*", "string", "Only these tools."),
    "strategy": (0, "1", "code", "all, first, primary or quorum."),
    "deadline-ms": (0, "1", "positiveInt", "Milliseconds until the answer must be there."),
}
_CONTEXT: Final = {"encounter": "encounter", "study": "study", "site": "site", "as-of": "as_of"}
_PLAIN: Final = {"capability": "capability", "subject": "subject", "purpose": "purpose",
                 "strategy": "strategy", "deadline-ms": "deadline_ms"}  # fmt: skip

router = APIRouter(route_class=FhirRoute)


class _Reference(msgspec.Struct, forbid_unknown_fields=True):
    reference: str
    type: str | None = None
    display: str | None = None


class _Parameter(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    resource: msgspec.Raw = _NOTHING
    valueCode: str | None = None
    valueString: str | None = None
    valueUri: str | None = None
    valueReference: _Reference | None = None
    valueDateTime: str | None = None
    valueInstant: str | None = None
    valueInteger: int | None = None
    valuePositiveInt: int | None = None


class _Parameters(msgspec.Struct):
    resourceType: str
    parameter: list[_Parameter]


@router.post("/$infer", openapi_extra=openapi.FHIR_INFER)
async def infer(request: Request) -> Response:
    """Ask every tool of a capability about one patient; the results as FHIR."""
    served = services_of(request)
    actor = await served.verifier.of(request)
    kind, *more = request.headers.get("content-type", FHIR_JSON).split(";")
    if kind.strip().lower() not in _BODIES or not is_r4(more):
        raise MediaTypeUnsupported(f"send {FHIR_JSON} of R4")
    try:
        kept = await asked(request, served, actor, question_body(await request.body()))
    except QuestionInvalid as error:
        error.place = _place(error.path)
        raise
    return _response(kept, served.gateway.house, address(request).removesuffix("/fhir"))


def _place(path: str | None) -> str | None:
    """Where in the Parameters a fault of the question is, as FHIRPath; None where nobody knows."""
    if path is None or path == "resourceType":
        return "Parameters" if path else None
    if path == "parameter":
        return "Parameters.parameter"
    named = re.fullmatch(r"parameter\[([a-z-]+)\]", path)
    first, _, rest = path.removeprefix("context.").partition(".")
    ours = {value: name for name, value in {**_PLAIN, **_CONTEXT, "tool": "tools"}.items()}
    name = named[1] if named else ours.get(first, first)
    if name not in PARAMETERS:
        return None
    below = f".resource.{rest}" if name == "inputs" and re.fullmatch(r"[A-Za-z.]+", rest) else ""
    return f"Parameters.parameter.where(name='{name}'){below}"


@router.get("/OperationDefinition/infer", openapi_extra=openapi.FHIR_OPEN)
async def definition(request: Request) -> Response:
    """What ``$infer`` takes and gives."""
    return fhir_json(operation_definition(address(request)))


def _response(kept: Kept, house: House, root: str) -> Response:
    if kept.state == "running":
        response = Response(status_code=202)
        response.headers["Content-Location"] = f"{root}/v1/inferences/{kept.inference}"
        return response
    if kept.problem is not None:
        found = kept.problem
        return refused(kept.status, found["code"], found["title"], found["detail"])
    body = kept.as_fhir(house)
    if kept.status >= 500:
        body = next(entry["resource"] for entry in body["entry"]
                    if entry["resource"]["resourceType"] == "OperationOutcome")  # fmt: skip
    response = fhir_json(body, status=kept.status)
    if kept.retry_after_s is not None:
        response.headers["Retry-After"] = str(kept.retry_after_s)
    return response


def question_body(body: bytes) -> bytes:
    """The body of ``POST /v1/inferences`` that Parameters stand for; raises QuestionInvalid."""
    given = _read(body)
    chart = b"null"
    question: dict[str, Any] = {}
    context: dict[str, Any] = {}
    tools: list[Any] = []
    seen: set[str] = set()
    for parameter in given.parameter:
        name = parameter.name
        if name not in PARAMETERS:
            raise QuestionInvalid("holds a parameter that $infer does not know", path="parameter")
        if name in seen and PARAMETERS[name][1] == "1":
            raise QuestionInvalid("a parameter is given twice", path=f"parameter[{name}]")
        seen.add(name)
        if name == "inputs":
            chart = bytes(parameter.resource)
        elif name == "tool":
            tools.append(_value(parameter))
        elif name == "source":
            question["source"] = {"fhir_server": _value(parameter)}
        elif name in _CONTEXT:
            context[_CONTEXT[name]] = _value(parameter)
        else:
            question[_PLAIN[name]] = _value(parameter)
    question |= {"context": context} | ({"tools": tools} if tools else {})
    shell = msgspec.json.encode(question)
    return shell[:-1] + b',"inputs":' + chart + b"}"


def _read(body: bytes) -> _Parameters:
    try:
        found = msgspec.json.decode(body, type=_Parameters)
        for one in found.parameter:
            body = cut_out(body, bytes(one.resource))
        decode(body)  # the chart is read strictly later; what is around it, here
    except (JsonRefused, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise QuestionInvalid("not a Parameters resource of $infer", path="parameter") from None
    if found.resourceType != "Parameters":
        raise QuestionInvalid("not a Parameters resource", path="resourceType")
    return found


def _value(parameter: _Parameter) -> str | int:
    """The one value of a parameter, of whichever type says it."""
    reference = parameter.valueReference
    values: list[str | int] = [
        value
        for value in (
            parameter.valueCode, parameter.valueString, parameter.valueUri,
            None if reference is None else reference.reference,
            parameter.valueDateTime, parameter.valueInstant,
            parameter.valueInteger, parameter.valuePositiveInt,
        )
        if value is not None
    ]  # fmt: skip
    if len(values) != 1:
        raise QuestionInvalid("a parameter needs one value", path=f"parameter[{parameter.name}]")
    return values[0]


def operation_definition(base: str) -> Json:
    """The resource; ``base`` is the absolute address of the FHIR base."""
    rows: list[Json] = [
        {"name": name, "use": "in", "min": low, "max": high, "documentation": words, "type": kind}
        for name, (low, high, kind, words) in PARAMETERS.items()
    ]
    result = "Results, one Provenance a tool, one DetectedIssue a conflict, what is missing."
    rows.append({"name": "return", "use": "out", "min": 1, "max": "1", "documentation": result,
                 "type": "Bundle"})  # fmt: skip
    found: Json = {
        "resourceType": "OperationDefinition",
        "id": NAME,
        "url": f"{base}/OperationDefinition/{NAME}",
        "version": __version__,
        "name": "Infer",
        "title": "Ask every tool of a capability about one patient",
        "status": "active",
        "kind": "operation",
        "affectsState": True,
        "code": NAME,
        "system": True,
        "type": False,
        "instance": False,
        "parameter": rows,
    }
    validate.check(found)
    return found
