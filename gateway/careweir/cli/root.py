"""``careweir``: the commands and what their exit codes mean."""

from __future__ import annotations

import sys

import typer

from careweir import __version__
from careweir.cli import adapter, audit, bench, conflicts, demo, drill, minimise, policy, serve
from careweir.cli.out import Refused, say
from careweir.errors import ConfigInvalid, GatewayError, PolicyInvalid

app = typer.Typer(
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
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("minimise")(minimise.minimise)
app.command("bench")(bench.bench)
app.command("drill")(drill.drill)
app.add_typer(conflicts.app, name="conflicts")
app.add_typer(adapter.app, name="adapter")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")


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
