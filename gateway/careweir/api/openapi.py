"""What the OpenAPI document says of routes that read and write bytes themselves."""

from __future__ import annotations

from typing import Any

from careweir.api.schemas import SCHEMAS

_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}


def _refused(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": _PROBLEM}}


_AUTH = {
    "401": _refused("No token, or one that does not hold."),
    "403": _refused("Known, and not allowed."),
    "429": _refused("This application asks too often; again after Retry-After."),
}
_ANSWER = {"schema": {"$ref": "#/components/schemas/Answer"}}
_BOTH = {"application/json": _ANSWER, "application/fhir+json": {"schema": {"type": "object"}}}

OPEN: dict[str, Any] = {"security": []}
LIST: dict[str, Any] = {"responses": _AUTH}
READ: dict[str, Any] = {"responses": {**_AUTH, "404": _refused("No such thing.")}}
_QUESTION = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Question"}}},
}
PREVIEW: dict[str, Any] = {
    "requestBody": _QUESTION,
    "responses": {
        "200": {"description": "What each tool would receive; nothing was sent."},
        **_AUTH,
        "413": _refused("The body is above the limit."),
        "422": _refused("The question or its chart cannot be used."),
    },
}
RELEASE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Release"}}},
    },
    "responses": {
        "200": {"description": "The tool, let go."},
        **_AUTH,
        "404": _refused("No such tool, or not held."),
        "422": _refused("No reason, or one that is not on the list."),
    },
}
CANCEL: dict[str, Any] = {
    "responses": {
        "204": {"description": "Ended; what was sent before stays on the record."},
        **_AUTH,
        "404": _refused("No such question, or not of this application."),
        "409": _refused("It has ended already."),
    },
}
RESUME: dict[str, Any] = {
    "responses": {
        "202": {"description": "It is being answered again."},
        **_AUTH,
        "404": _refused("No such question, or its chart is not kept any more."),
        "409": _refused("It was not given up."),
    },
}
INFERENCE: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 128},
            "description": "The same key with the same body gives the same answer once more.",
        },
        {
            "name": "Prefer",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "examples": ["respond-async"]},
            "description": "respond-async: 202 now, the answer at Location later.",
        },
    ],
    "requestBody": _QUESTION,
    "responses": {
        "200": {"description": "An answer: complete or degraded.", "content": _BOTH},
        "202": {"description": "Accepted; the answer will be at Location."},
        **_AUTH,
        "409": _refused("The Idempotency-Key belongs to another body, or is still in use."),
        "413": _refused("The body is above the limit."),
        "422": _refused("The question or its chart cannot be used."),
        "502": {"description": "No tool gave an answer.", "content": _BOTH},
        "503": {"description": "Not recorded, or no tool for now.", "content": _BOTH},
        "504": {"description": "Every tool timed out.", "content": _BOTH},
    },
}
_OUTCOME = {"schema": {"type": "object", "description": "An OperationOutcome."}}
_CDS_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}


def _cds(answer: str, **refusals: str) -> dict[str, Any]:
    content = {"application/fhir+json": _OUTCOME}
    return {
        "200": {"description": answer, "content": {"application/json": {"schema": {}}}},
        **{code[1:]: {"description": why, "content": content} for code, why in refusals.items()},
    }


_PLAIN = {"content": {"text/plain": {"schema": {"type": "string"}}}}
FIGURES: dict[str, Any] = {
    "security": [],
    "responses": {"200": {"description": "The text format of Prometheus.", **_PLAIN}},
}
READY: dict[str, Any] = {
    "security": [],
    "responses": {"503": {"description": "It cannot record now, so it does not disclose."}},
}
CHECKPOINT: dict[str, Any] = {
    "responses": {
        "200": {"description": "A signed note (C2SP) over the newest tree.", **_PLAIN},
        **_AUTH,
        "404": _refused("Nothing is sealed yet."),
    },
}
SMART: dict[str, Any] = {
    "security": [],
    "responses": {
        "200": {"description": "SMART App Launch 2.2: where tokens are had, and the scopes."},
        "404": _refused("It is not configured where tokens are had."),
        "503": _refused("The token issuer cannot be reached."),
    },
}
CDS_DISCOVERY: dict[str, Any] = {
    "security": [{}, {"bearer": []}],
    "responses": _cds("The services, by CDS Hooks 2.0."),
}
CDS_CALL: dict[str, Any] = {
    "requestBody": _CDS_BODY,
    "responses": _cds(
        "Cards.",
        _400="The call breaks CDS Hooks.",
        _401="No token, or one that does not hold.",
        _403="Known, and not allowed.",
        _404="No such service.",
        _429="This application asks too often.",
        _412="Prefetch is missing, and there is nowhere to fetch it from.",
        _422="The chart cannot be used, or is about another patient.",
        _503="It cannot be recorded, so nothing was sent.",
    ),
}
CDS_FEEDBACK: dict[str, Any] = {
    "requestBody": _CDS_BODY,
    "responses": _cds(
        "Taken; what was told before counts once.",
        _400="Not feedback of CDS Hooks.",
        _401="No token, or one that does not hold.",
        _404="No such service.",
        _429="This application asks too often.",
        _503="It cannot be kept now.",
    ),
}


def _fhir_refused(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/fhir+json": _OUTCOME}}


_FHIR = {"content": {"application/fhir+json": {"schema": {"type": "object"}}}}
FHIR_OPEN: dict[str, Any] = {
    "security": [],
    "responses": {"200": {"description": "The resource.", **_FHIR},
                  "406": _fhir_refused("Only JSON is served.")},
}  # fmt: skip
_FHIR_AUTH = {
    "401": _fhir_refused("No token, or one that does not hold."),
    "403": _fhir_refused("Not this role, or not this scope."),
    "406": _fhir_refused("Only JSON is served."),
    "429": _fhir_refused("This application asks too often; again after Retry-After."),
}
FHIR_SEARCH: dict[str, Any] = {
    "responses": {
        "200": {"description": "A Bundle of type searchset.", **_FHIR},
        "400": _fhir_refused("A parameter that cannot be used."),
        **_FHIR_AUTH,
    }
}
FHIR_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/fhir+json": {"schema": {"$ref": "#/components/schemas/Parameters"}}
        },
    },
    "responses": {
        "200": {"description": "A Bundle of type collection.", **_FHIR},
        "202": {"description": "Accepted; the answer will be at Content-Location."},
        **_FHIR_AUTH,
        "413": _fhir_refused("The body is above the limit."),
        "415": _fhir_refused("The body is not FHIR JSON."),
        "422": _fhir_refused("The question or its chart cannot be used."),
        "502": _fhir_refused("No tool gave an answer."),
        "503": _fhir_refused("Not recorded, or no tool for now."),
        "504": _fhir_refused("Every tool timed out."),
    },
}
FHIR_READ: dict[str, Any] = {
    "responses": {
        "200": {"description": "The resource.", **_FHIR},
        **_FHIR_AUTH,
        "404": _fhir_refused("No such resource, or not for this reader."),
    }
}
_NOT_MINE = _fhir_refused("No such export, or not for this reader.")
FHIR_EXPORT: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"},
         "description": words}
        for name, words in (
            ("_type", "Resource types with a comma between; without it all that are open."),
            ("_since", "Only what was recorded or made since this moment."),
            ("_outputFormat", "application/fhir+ndjson, which is the only one."),
        )
    ] + [{"name": "Prefer", "in": "header", "required": True,
          "schema": {"const": "respond-async"}, "description": "The only way."}],
    "responses": {
        "202": {"description": "Begun; the status is at Content-Location."},
        "400": _fhir_refused("A parameter that cannot be used."),
        **_FHIR_AUTH,
        "503": _fhir_refused("It cannot be remembered now."),
    },
}  # fmt: skip
FHIR_EXPORT_STATUS: dict[str, Any] = {
    "responses": {
        "200": {"description": "The manifest of Bulk Data."},
        "202": {"description": "Forgotten."},
        **_FHIR_AUTH,
        "404": _NOT_MINE,
    },
}
FHIR_EXPORT_FILE: dict[str, Any] = {
    "responses": {
        "200": {
            "description": "One resource a line.",
            "content": {"application/fhir+ndjson": {"schema": {"type": "string"}}},
        },
        **_FHIR_AUTH,
        "404": _NOT_MINE,
    },
}
RESULTS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "In the vendor's own format, with its media type.",
        "content": {
            "application/json": {"schema": {}},
            "application/hl7-v2": {"schema": {"type": "string"}},
            "application/dicom+json": {"schema": {}},
        },
    },
    "responses": {
        "200": {"description": "Stored, now or before; the reply is in the vendor's format."},
        "400": {"description": "Not in its format."},
        **_AUTH,
        "404": _refused("No such tool, or none that sends results by itself."),
        "413": _refused("The body is above the limit."),
        "415": _refused("The tool does not send this media type."),
        "422": {"description": "It answers nothing that this tool was asked."},
        "503": {"description": "It could not be stored: send it again."},
    },
}
KEPT: dict[str, Any] = {
    "responses": {
        "200": {"description": "The answer, whatever its outcome.", "content": _BOTH},
        "202": {"description": "Still being answered: ask again after Retry-After."},
        **_AUTH,
        "404": _refused("No such inference, or not for this reader."),
    },
}

_STEP = {
    **_AUTH,
    "404": _refused("No such conflict, or not for this reader."),
    "409": _refused("The conflict is not in a state for this step."),
    "422": _refused("The body cannot be used."),
}
CONFLICTS: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": words}
        for name, schema, words in (
            ("state", {"enum": ["open", "claimed", "settled", "unsettled"]}, "Only in this state."),
            ("severity", {"enum": ["high", "moderate", "low"]}, "Only of this severity."),
            ("type", {"type": "string"}, "Only of this type."),
            ("queue", {"type": "string"}, "Only in this queue."),
            ("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "Rows a page (50)."),
            ("after", {"type": "string", "minLength": 1}, "`next` of the page before."),
        )
    ],
    "responses": {**_AUTH, "422": _refused("A filter cannot be used.")},
}
STEP: dict[str, Any] = {"responses": _STEP}


def _asks(schema: str) -> dict[str, Any]:
    named = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {
        "requestBody": {"required": True, "content": {"application/json": named}},
        "responses": _STEP,
    }


ADJUDICATION: dict[str, Any] = _asks("Adjudication")
REOPEN: dict[str, Any] = _asks("Reopening")

_FASTAPIS = "HTTPValidationError"  # what FastAPI would answer by itself


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schemas and the bearer scheme to FastAPI's document."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if _FASTAPIS in str(operation.get("responses", {}).get("422", "")):
                operation["responses"]["422"] = _refused("A parameter is missing or wrong.")
    components = document.setdefault("components", {})
    for name in (_FASTAPIS, "ValidationError"):
        components.get("schemas", {}).pop(name, None)
    components.setdefault("schemas", {}).update(SCHEMAS)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    document["security"] = [{"bearer": []}]
    return document
