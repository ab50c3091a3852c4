"""Policy files as data with line numbers: a YAML reader that refuses what people overlook.

PyYAML takes the last of two equal keys, turns ``no`` into False and ``2951-2`` into whatever it
likes. Here every scalar is the text as written (the models turn it into a type), a key that occurs
twice, an anchor, an empty file and a second document are refused, and every value knows its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from careweir.errors import PolicyInvalid

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
BYTES_MAX = 1_048_576
# The same in C where PyYAML was built with it: ten times as fast.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Source:
    """One policy file, read: ``value`` is JSON-like with text scalars, ``lines`` its places."""

    name: str
    value: Any
    lines: Mapping[Place, int]

    def at(self, place: Place) -> str:
        """``file:line`` of the nearest known place."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.name}:{self.lines.get(place, 1)}"

    def refuse(self, place: Place, why: str) -> PolicyInvalid:
        """The refusal of one place of this file."""
        rule = ".".join(str(part) for part in place) or "file"
        return PolicyInvalid(f"{self.at(place)}: {rule}: {why}")


def read_source(name: str, body: bytes) -> Source:
    """Read one YAML document, or raise PolicyInvalid with file and line."""
    if len(body) > BYTES_MAX:
        raise PolicyInvalid(f"{name}:1: larger than {BYTES_MAX} bytes")
    try:
        text = body.decode("utf-8")
        root = yaml.compose(text, Loader=_LOADER)
    except UnicodeDecodeError:
        raise PolicyInvalid(f"{name}:1: not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyInvalid(f"{name}:{line}: not valid YAML ({error.problem})") from None
    except yaml.YAMLError:
        raise PolicyInvalid(f"{name}:1: not valid YAML") from None

    if root is None:
        raise PolicyInvalid(f"{name}:1: the file is empty")
    lines: dict[Place, int] = {}
    value = _value(name, root, (), lines, set())
    return Source(name=name, value=value, lines=lines)


def _value(
    name: str, node: yaml.Node, place: Place, lines: dict[Place, int], seen: set[int]
) -> Any:
    line = node.start_mark.line + 1
    lines[place] = line
    if id(node) in seen:
        raise PolicyInvalid(f"{name}:{line}: anchors and aliases are not used in policies")
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(name, item, (*place, index), lines, seen)
            for index, item in enumerate(node.value)
        ]

    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise PolicyInvalid(f"{name}:{key_line}: a key must be plain text")
        if key in found:
            raise PolicyInvalid(f"{name}:{key_line}: the key {key!r} occurs twice")
        found[key] = _value(name, value_node, (*place, key), lines, seen)
        lines[(*place, key)] = key_line
    return found


def parse(source: Source, model: type[Model]) -> Model:
    """Check a file against its model, or raise PolicyInvalid for the first fault."""
    try:
        return model.model_validate(source.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = tuple(first["loc"])
        raise source.refuse(place, str(first["msg"])) from None
