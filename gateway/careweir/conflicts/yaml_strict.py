"""Reading rule data: YAML in which no key may stand twice, checked against a closed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from careweir.errors import PolicyInvalid
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _NoTwins(_Loader):  # type: ignore[misc]  # the base is libyaml's loader where it is built
    """A safe loader that refuses a mapping with two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem="a key stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML mapping, or PolicyInvalid naming file and line."""
    try:
        value = yaml.load(path.read_bytes(), Loader=_NoTwins)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PolicyInvalid(f"{path.name}:{line}: {error.problem}") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        raise PolicyInvalid(f"{path.name}: cannot be read") from None
    if not isinstance(value, dict):
        raise PolicyInvalid(f"{path.name}: not a mapping")
    return value


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
