"""YAML for files that decide what a patient's data may do: a key that occurs twice is refused."""

from __future__ import annotations

from typing import Any

import yaml


class YamlRefused(ValueError):
    """A YAML document that is not used; the message names a line, never a value."""


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where it is built


class _Loader(_Safe):  # type: ignore[misc]  # its base is chosen when it is imported
    """The safe loader, which by itself takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlRefused(f"line {key_node.start_mark.line + 1}: a key is not plain text")
            if key_node.value in seen:
                raise YamlRefused(f"line {key_node.start_mark.line + 1}: a key occurs twice")
            seen.add(key_node.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def load_mapping(text: str) -> dict[str, Any]:
    """Read one YAML mapping, or raise YamlRefused."""
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise YamlRefused(f"line {line}: not valid YAML") from None
    except yaml.YAMLError:
        raise YamlRefused("not valid YAML") from None
    if not isinstance(value, dict):
        raise YamlRefused("line 1: not a mapping")
    return value
