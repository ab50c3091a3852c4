"""The shapes of bodies that the OpenAPI document names."""

from __future__ import annotations

from typing import Any

from careweir.holds import REASONS

_TEXT = {"type": ["string", "null"]}
SCHEMAS: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "code": {"type": "string"}, "detail": {"type": "string"}, "path": {"type": "string"},
            "because": {"type": "array", "items": {"type": "string"}},
        },
    },
    "Release": {
        "type": "object",
        "required": ["reason"],
        "additionalProperties": False,
        "properties": {"reason": {"enum": list(REASONS)}},
    },
    "Question": {
        "type": "object",
        "required": ["capability", "subject", "purpose"],
        "oneOf": [{"required": ["inputs"]}, {"required": ["source"]}],
        "additionalProperties": False,
        "properties": {
            "capability": {"type": "string", "examples": ["sepsis-risk"]},
            "subject": {
                "type": "string",
                "pattern": r"^(Patient/[A-Za-z0-9\-.]{1,64}|urn:uuid:[0-9a-fA-F-]{36})$",
                "examples": ["Patient/123"],
            },
            "purpose": {"type": "string", "examples": ["TREAT"]},
            "inputs": {
                "type": "object",
                "description": "A FHIR R4 Bundle.",
                "required": ["resourceType", "entry"],
                "properties": {"resourceType": {"const": "Bundle"}, "entry": {"type": "array"}},
            },
            "source": {
                "type": "object",
                "description": "A configured FHIR server, instead of inputs.",
                "required": ["fhir_server"],
                "additionalProperties": False,
                "properties": {"fhir_server": {"type": "string"}},
            },
            "context": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"encounter": _TEXT, "site": _TEXT, "study": _TEXT, "as_of": _TEXT},
            },
            "tools": {
                "type": ["array", "null"],
                "minItems": 1,
                "maxItems": 32,
                "items": {"type": "string"},
            },
            "strategy": {"enum": ["all", "first", "primary", "quorum"], "default": "all"},
            "deadline_ms": {"type": "integer", "minimum": 1, "maximum": 60000},
        },
    },
    "Parameters": {
        "type": "object",
        "required": ["resourceType", "parameter"],
        "properties": {
            "resourceType": {"const": "Parameters"},
            "parameter": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}},
                },
            },
        },
    },
    "Adjudication": {
        "type": "object",
        "required": ["verdict", "rationale"],
        "additionalProperties": False,
        "properties": {
            "verdict": {
                "type": "string",
                "description": "A verdict of adjudication.yaml, or another word listed for one.",
                "examples": ["prefer", "both_acceptable", "neither", "not_a_conflict", "undecided"],
            },
            "preferred_finding": {
                "type": ["integer", "string", "null"],
                "description": "With prefer: its position in findings, or its tool.",
            },
            "rationale": {"type": "string", "minLength": 3, "maxLength": 4000},
        },
    },
    "Reopening": {
        "type": "object",
        "required": ["rationale"],
        "additionalProperties": False,
        "properties": {"rationale": {"type": "string", "minLength": 3, "maxLength": 4000}},
    },
    "Answer": {
        "type": "object",
        "required": ["id", "capability", "subject", "outcome", "findings", "conflicts", "tools",
                     "policy", "audit"],
        "properties": {
            "id": {"type": "string"},
            "outcome": {"enum": ["complete", "degraded", "failed"]},
            "findings": {"type": "array", "items": {"type": "object"}},
            "conflicts": {"type": "array", "items": {"type": "object"}},
            "tools": {"type": "array", "items": {"type": "object"}},
            "previous": {"type": "array", "items": {"type": "object"}},
            "ladder": {"type": "array", "items": {"type": "object"}},
        },
    },
}  # fmt: skip
