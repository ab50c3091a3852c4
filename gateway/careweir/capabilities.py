"""The clinical questions that can be asked: ``policies/capabilities.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from careweir.errors import ConfigInvalid
from careweir_fhir.model import FindingKind
from careweir_kit.strict_yaml import YamlRefused, load_mapping
from careweir_kit.tool import Tool

_STRICT = ConfigDict(frozen=True, extra="forbid")


class PreviousPolicy(BaseModel):
    """For how long, and for which purposes, a tool's last answer to the same inputs is shown."""

    model_config = _STRICT

    age_max: timedelta = Field(gt=timedelta(0), le=timedelta(days=7))  # an ISO 8601 duration
    purposes: tuple[str, ...] = Field(min_length=1)

    @field_validator("age_max", mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        """``PT1H``: a bare number would leave its unit to be guessed."""
        if not isinstance(value, str) or not value.startswith("P"):
            raise ValueError("must be an ISO 8601 duration")
        return value


class Ladder(BaseModel):
    """What may be given where a live tool gave no whole answer, beside the tools that did.

    ``scores`` None: every fallback tool that names the capability, in the order of their files.
    """

    model_config = _STRICT

    previous: PreviousPolicy | None = None  # None: never
    scores: tuple[str, ...] | None = None


class Capability(BaseModel):
    """One vendor-neutral question; its tools are those whose files name it."""

    model_config = _STRICT

    name: str
    title: str
    inputs: tuple[str, ...]  # in words: what a chart should hold for this question
    findings: tuple[FindingKind, ...]
    hook: str | None = None
    administrative: bool = False  # no identifier and nothing clinical may leave for it
    ladder: Ladder = Ladder()
    hedging: tuple[str, ...] = ()  # purposes for which a slow tool may be sent the same again
    scope: tuple[str, ...] = ()  # the data classes that the question is about: see access/lint.py


def load_capabilities(file: Path) -> dict[str, Capability]:
    """Read the file, in its order; raises ConfigInvalid."""
    try:
        rows = load_mapping(file.read_text(encoding="utf-8"))["capabilities"]
        loaded = [Capability(name=name, **row) for name, row in rows.items()]
    except YamlRefused as error:
        raise ConfigInvalid(f"{file.name}: {error}") from None
    except (OSError, ValidationError, KeyError, TypeError, AttributeError):
        raise ConfigInvalid(f"{file.name}: capabilities cannot be read") from None
    return {capability.name: capability for capability in loaded}


def described(capability: Capability, tools: Iterable[Tool]) -> Mapping[str, Any]:
    """The row of ``GET /v1/capabilities``."""
    mine = [tool for tool in tools if capability.name in tool.capabilities]
    fallbacks = [tool.tool for tool in mine if tool.mode == "fallback"]
    order = capability.ladder.scores or fallbacks
    return {
        "name": capability.name,
        "title": capability.title,
        "inputs": list(capability.inputs),
        "tools": [tool.tool for tool in mine if tool.mode == "live"],
        "fallbacks": [name for name in order if name in fallbacks],
        "findings": list(capability.findings),
    }
