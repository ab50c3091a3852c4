"""The facts of ``r4.yaml`` as a tree that the validator walks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TypedDict

import yaml

ANY = "any"
DATATYPES = frozenset(
    {
        "Annotation",
        "Attachment",
        "Coding",
        "Extension",
        "Identifier",
        "Meta",
        "Narrative",
        "Period",
        "Quantity",
        "Range",
    }
)


class Source(TypedDict):
    """The shape of ``r4.yaml``."""

    codes: dict[str, str]
    types: dict[str, dict[str, str]]


@dataclass(slots=True)
class Rule:
    """What R4 asks of one element.

    ``codes`` and ``targets`` are None where R4 leaves them free; ``children`` has the rules of a
    backbone element.
    """

    datatype: str = ""
    codes: frozenset[str] | None = None
    targets: frozenset[str] | None = None
    children: Node | None = None


def _everywhere() -> dict[str, Rule]:
    """The rules of elements that every object may have."""
    return {"extension": Rule("Extension"), "modifierExtension": Rule("Extension")}


@dataclass(slots=True)
class Node:
    """The rules of one resource type, datatype or backbone element."""

    required: list[str] = field(default_factory=list)
    rules: dict[str, Rule] = field(default_factory=_everywhere)


@cache
def table() -> dict[str, Node]:
    """Read ``r4.yaml`` once: resource type or datatype -> its rules."""
    source: Source = yaml.safe_load(files("careweir_fhir").joinpath("r4.yaml").read_text("utf-8"))
    codes = {name: frozenset(words.split()) for name, words in source["codes"].items()}
    nodes = {name: _node(elements, codes) for name, elements in source["types"].items()}
    for name in nodes.keys() - DATATYPES:
        nodes[name].rules |= {"meta": Rule("Meta"), "text": Rule("Narrative")}
    return nodes


def _node(elements: dict[str, str], codes: dict[str, frozenset[str]]) -> Node:
    root = Node()
    for path, spec in elements.items():
        parent, name = _parent(root, path)
        if spec.startswith("required "):
            parent.required.append(name)
        datatype, *arguments = spec.removeprefix("required ").split()
        rule = parent.rules.setdefault(name, Rule())
        rule.datatype = datatype
        if datatype == "code":
            rule.codes = codes[arguments[0]] if arguments else None
        elif datatype == "Reference":
            rule.targets = None if arguments == [ANY] else frozenset(arguments)
        elif datatype == "Same":
            owner, other = _parent(root, arguments[0])
            rule.children = owner.rules[other].children
    return root


def _parent(root: Node, path: str) -> tuple[Node, str]:
    """Walk to the node that holds the last step of a path, making nodes on the way."""
    *steps, name = path.split(".")
    node = root
    for step in steps:
        rule = node.rules.setdefault(step, Rule("BackboneElement"))
        if rule.children is None:
            rule.children = Node()
        node = rule.children
    return node, name
