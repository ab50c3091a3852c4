"""``careweir policy``: tools for the people who own the policy."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Test, explain and compare policies.")
