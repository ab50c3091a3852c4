"""The clinical questions that can be asked: ``policies/capabilities.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from careweir.errors import ConfigInvalid
from careweir_fhir.model import FindingKind
from careweir_kit.strict_yaml import YamlRefused, load_mapping
from careweir_kit.tool import Tool


class Capability(BaseModel):
    """One vendor-neutral question; its tools are those whose files name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    inputs: tuple[str, ...]  # in words: what a chart should hold for this question
    findings: tuple[FindingKind, ...]
    hook: str | None = None
    administrative: bool = False  # no identifier and nothing clinical may leave for it
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
    return {
        "name": capability.name,
        "title": capability.title,
        "inputs": list(capability.inputs),
        "tools": [tool.tool for tool in mine if tool.mode == "live"],
        "fallbacks": [tool.tool for tool in mine if tool.mode == "fallback"],
        "findings": list(capability.findings),
    }
