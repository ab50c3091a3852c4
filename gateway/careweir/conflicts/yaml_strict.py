"""Reading rule data: YAML in which no key may stand twice, checked against a closed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from careweir.errors import PolicyInvalid
from careweir_kit.strict_yaml import YamlRefused, load_mapping

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML mapping, or PolicyInvalid naming file and line."""
    try:
        return load_mapping(path.read_text(encoding="utf-8"))
    except YamlRefused as error:
        raise PolicyInvalid(f"{path.name}: {error}") from None
    except (OSError, UnicodeDecodeError):
        raise PolicyInvalid(f"{path.name}: cannot be read") from None


def overlay(shipped: dict[str, Any], site: dict[str, Any]) -> dict[str, Any]:
    """A site's rows over the shipped ones: a row with the same key replaces the whole row.

    Sections (the top level) are merged by key; inside a section a row is taken whole, so that
    half a threshold never stays behind. A row that is null is taken out.
    """
    merged = dict(shipped)
    for section, rows in site.items():
        below = merged.get(section)
        if isinstance(below, dict) and isinstance(rows, dict):
            together = {**below, **rows}
            merged[section] = {key: row for key, row in together.items() if row is not None}
        else:
            merged[section] = rows
    return merged


def checked(model: type[Model], value: dict[str, Any], *, name: str) -> Model:
    """The data as its model, or PolicyInvalid naming file and place."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PolicyInvalid(f"{name}: {place}: {first['msg']}") from None
