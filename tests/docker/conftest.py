"""What both files are held to: the command line of careweir."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer

from careweir.cli.root import app

Parse = Callable[[list[str]], tuple[str, dict[str, Any]]]


@pytest.fixture
def parse_command() -> Parse:
    """Arguments to the command's name and its parameters; the command does not run."""

    def parse(arguments: list[str]) -> tuple[str, dict[str, Any]]:
        group = typer.main.get_command(app)
        context = group.make_context("careweir", list(arguments))
        name, command, rest = group.resolve_command(context, list(arguments))  # type: ignore[attr-defined]
        return name, command.make_context(name, rest, parent=context).params

    return parse
