"""One fault of one module: where it is, and how it gets into a running process."""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.machinery
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

from mutation.operators import Site, mutated

ROOT = Path(__file__).resolve().parents[2]


class Mutant(NamedTuple):
    """One fault of one module."""

    module: str
    file: Path
    site: Site

    def words(self) -> str:
        """Where and what."""
        return f"{self.file.relative_to(ROOT)}:{self.site.line}: {self.site.fault}"

    def source(self) -> str:
        """The faulty line as it stands in the file."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return lines[self.site.line - 1].strip() if self.site.line else ""

    def code(self) -> CodeType:
        """The module with its fault, compiled."""
        tree = ast.parse(self.file.read_text(encoding="utf-8"))
        return compile(mutated(tree, self.site), str(self.file), "exec")


def infect(mutant: Mutant) -> None:
    """Give every function of a module that is imported already its body with the fault."""
    bodies = {(one.co_qualname, one.co_firstlineno): one for one in _within(mutant.code())}
    for function in [one for one in gc.get_objects() if isinstance(one, FunctionType)]:
        old = function.__code__
        if old.co_filename == str(mutant.file):
            function.__code__ = bodies.get((old.co_qualname, old.co_firstlineno), old)


def _within(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _within(inner)


class Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the one module of a mutant with its fault."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Only the faulty module is found here."""
        if fullname != self._mutant.module:
            return None
        folder = [str(self._mutant.file.parent)] if self._mutant.file.stem == "__init__" else None
        return importlib.util.spec_from_file_location(
            fullname, self._mutant.file, loader=self, submodule_search_locations=folder
        )

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with its fault."""
        exec(self._mutant.code(), module.__dict__)
