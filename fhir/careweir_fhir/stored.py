"""The resources of an answer as a server keeps them: references by type and id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_fhir.elements import Json


def stored_resources(bundle: Mapping[str, Any]) -> list[Json]:
    """The resources of a Bundle of ours, each able to stand alone.

    A reference to another entry (``urn:uuid:…``) becomes ``Type/id``, the address under which a
    FHIR server has it; the caller's own references stay as they are. The Bundle is not changed.
    """
    names = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle["entry"]
    }
    return [_renamed(entry["resource"], names) for entry in bundle["entry"]]


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: names.get(item, item)
            if key == "reference" and isinstance(item, str)
            else _renamed(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value
