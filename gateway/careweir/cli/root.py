"""``careweir``: the commands and what their exit codes mean."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from careweir import __version__
from careweir.cli.out import Refused, say
from careweir.errors import ConfigInvalid, GatewayError, PolicyInvalid

COMMANDS = (
    "serve", "demo", "minimise", "bench", "drill", "conflicts", "adapter", "policy", "audit",
    "mllp",
)  # fmt: skip


class OneAtATime(TyperGroup):
    """Loads a command when it is called: ``audit verify`` waits for no web server's modules."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, from the module of that name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"careweir.cli.{cmd_name}")
        group = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False)
            group.command(cmd_name)(getattr(module, cmd_name))
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=OneAtATime,
    name="careweir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "One gate between a health system and all of its AI tools: minimised, mapped to FHIR, "
        "compared with the others, and on the record."
    ),
    epilog=(
        "Exit codes: 0 done · 1 the answer is no (tampered, a check failed) · 2 unusable input or "
        "configuration · 3 policy denies."
    ),
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"careweir {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """One gate between a health system and all of its AI tools."""


def main() -> None:
    """Run a command; what careweir refuses becomes one line on stderr and an exit code."""
    try:
        app()
    except (ConfigInvalid, PolicyInvalid) as error:
        say(f"careweir cannot use this configuration: {error}")
        sys.exit(2)
    except Refused as error:
        say(str(error))
        sys.exit(error.exit_code)
    except GatewayError as error:
        say(f"{error.code}: {error.detail or error.title}")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
