"""Templates: ``{{name}}`` alone is the value itself, among other words it is its text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from careweir_kit.errors import InputsMissing

_ALONE: Final = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """A copy with its names replaced; a part whose value is missing is left out."""
    if isinstance(template, str):
        return _text(template, values)
    if isinstance(template, dict):
        pairs = ((key, filled(item, values)) for key, item in template.items())
        return {key: item for key, item in pairs if item is not None}
    if isinstance(template, list):
        return [item for item in (filled(one, values) for one in template) if item is not None]
    return template


def _text(template: str, values: Mapping[str, Any]) -> Any:
    alone = _ALONE.fullmatch(template)
    if alone is not None:
        return values.get(alone[1])
    names = _ALONE.findall(template)
    if any(values.get(name) is None for name in names):
        return None
    return _ALONE.sub(lambda match: str(values[match[1]]), template)


def path_of(template: str, values: Mapping[str, Any]) -> str:
    """A path whose values are quoted, so that none can lead elsewhere. Raises InputsMissing."""
    missing = tuple(name for name in _ALONE.findall(template) if values.get(name) is None)
    if missing:
        raise InputsMissing(missing)
    return _ALONE.sub(lambda match: _quoted(str(values[match[1]])), template)


def _quoted(text: str) -> str:
    """One segment: no slash, and never one or two dots, which mean another folder."""
    return quote(text, safe="") if text.strip(".") else quote(text, safe="").replace(".", "%2E")
