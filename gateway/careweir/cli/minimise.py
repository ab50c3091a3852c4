"""``careweir minimise``: exactly what a tool would receive, without sending anything."""

from __future__ import annotations

from typing import Annotated

import typer

from careweir.app import load_house
from careweir.cli.out import Refused, as_moment, emit, read_input, say
from careweir.cli.serve import Config
from careweir.errors import QuestionInvalid
from careweir.minimise.command import minimise_document


def minimise(
    file: Annotated[str, typer.Argument(help="A FHIR R4 Bundle, or - for standard input.")],
    role: Annotated[str, typer.Option(help="Role of who asks, e.g. ed-physician.")],
    purpose: Annotated[str, typer.Option(help="Purpose of use, e.g. TREAT.")],
    tool: Annotated[str, typer.Option(help="Tool id, e.g. acme-sepsis.")],
    site: Annotated[str | None, typer.Option(help="Site of who asks.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Count time windows back from here.")] = None,
    explain: Annotated[bool, typer.Option(help="Say in words which rule decided what.")] = False,
    config: Config = None,
) -> None:
    """Show what a tool would receive for a chart, and the field manifest. Sends nothing.

    Exit 0 allowed, 3 denied (payload null, the manifest says why), 2 unreadable input.

    Example: careweir minimise --role ed-physician --purpose TREAT --tool acme-sepsis chart.json
    """
    house = load_house(config)
    if tool not in house.tools:
        raise Refused(f"no such tool: known are {', '.join(house.tools)}")
    try:
        shown, exit_code = minimise_document(
            read_input(file),
            role=role,
            purpose=purpose,
            tool=house.tools[tool],
            policies=house.policies,
            site=site,
            as_of=as_moment(as_of),
            explain=explain,
        )
    except QuestionInvalid as error:
        raise Refused(f"{error.path or 'input'}: {error.detail}") from None
    if exit_code == 3:
        say("denied by policy: nothing would be sent")
    emit(shown)
    raise typer.Exit(exit_code)
