"""Small faults that a programmer could make, one at a time, in the syntax tree of a module.

Not mutated: docstrings, annotations, imports, the words of an exception or an assertion, and calls
of a logger. Everything else counts, the words of a manifest included.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Final, NamedTuple

_COMPARED: Final = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: Final = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_LEFT_ALONE: Final = ("annotation", "returns", "type_params", "decorator_list")


class Site(NamedTuple):
    """A place where one fault can be made: the node in walking order, and which fault."""

    node: int
    fault: str
    line: int
    function: int | None  # first line of the innermost function, as its code object has it


def sites(tree: ast.Module) -> list[Site]:
    """Every place in a fixed order."""
    return [
        Site(index, fault, _line(node), function)
        for index, (node, function) in enumerate(_nodes(tree))
        for fault in _faults(node)
    ]


def _line(node: ast.AST) -> int:
    if isinstance(node, ast.comprehension):
        return node.target.lineno
    return getattr(node, "lineno", 0)


def mutated(tree: ast.Module, site: Site) -> ast.Module:
    """A copy of the tree with one fault."""
    changed = copy.deepcopy(tree)
    node = next(node for index, (node, _) in enumerate(_nodes(changed)) if index == site.node)
    _apply(node, site.fault)
    return ast.fix_missing_locations(changed)


def _nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, int | None]]:
    waiting: list[tuple[ast.AST, int | None]] = [(tree, None)]
    while waiting:
        node, function = waiting.pop()
        yield node, function
        inner = function
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorated = [one.lineno for one in node.decorator_list]
            inner = min([node.lineno, *decorated])
        elif isinstance(node, ast.Lambda):
            inner = node.lineno
        waiting += [(child, inner) for child in reversed(list(_children(node)))]


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.Assert | ast.JoinedStr):
        return
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Literal", "Annotated"):
        return  # a type: nothing runs it
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id in ("log", "logger"):
            return
    for name, value in ast.iter_fields(node):
        if name in _LEFT_ALONE:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_docstring(child):
                yield child


def _is_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str)


def _faults(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        yield "compare"
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _COMPUTED:
        yield "compute"
    elif isinstance(node, ast.BoolOp):
        yield "and/or"
        yield "first operand alone"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "drop not"
    elif isinstance(node, ast.Constant):
        yield from _constant_faults(node)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "never"
        if not isinstance(node, ast.While):
            yield "always"
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "return nothing"
    elif isinstance(node, ast.Continue):
        yield "break"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "leave out"
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield "no filter"


def _constant_faults(node: ast.Constant) -> Iterator[str]:
    if isinstance(node.value, bool):
        yield "other truth"
    elif isinstance(node.value, int | float):
        yield "one more"
    elif isinstance(node.value, str) and node.value:
        yield "other word"


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _apply(node: ast.AST, fault: str) -> None:
    match node, fault:
        case ast.Compare(), "compare":
            node.ops[0] = _COMPARED[type(node.ops[0])]()
        case ((ast.BinOp() | ast.AugAssign()), "compute"):
            node.op = _COMPUTED[type(node.op)]()
        case ast.BoolOp(), "and/or":
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.BoolOp(), "first operand alone":
            node.values = [node.values[0], node.values[0]]
        case ast.UnaryOp(), "drop not":
            node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
            node.op = ast.Not()
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
        case ast.Constant(), "other truth":
            node.value = not node.value
        case ast.Constant(), "one more":
            node.value = node.value + 1  # type: ignore[operator]
        case ast.Constant(), "other word":
            node.value = f"XX{node.value}"
        case ((ast.If() | ast.IfExp() | ast.While()), ("never" | "always")):
            node.test = ast.Constant(fault == "always")
        case ast.Return(), "return nothing":
            node.value = ast.Constant(None)
        case ast.Expr(), "leave out":
            node.value = ast.Constant(None)
        case ast.comprehension(), "no filter":
            node.ifs = []
        case ast.Continue(), "break":
            node.__class__ = ast.Break  # type: ignore[assignment]
