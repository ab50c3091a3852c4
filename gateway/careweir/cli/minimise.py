"""``careweir minimise``: exactly what a tool would receive, without sending anything."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from careweir.cli.options import Config
from careweir.cli.out import Refused, as_moment, emit, read_input, say
from careweir.cli.words import undeclared
from careweir.errors import QuestionInvalid
from careweir.minimise.command import minimise_document
from careweir.minimise.manifest import Manifest
from careweir.question import rfc3339
from careweir.wiring.house import load_house
from careweir.wiring.overrides import utc_now
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.registry import LoadedAdapter
from careweir_kit.tool import Tool

SUBJECT = "subject"  # the pseudonym that minimise_document gives to the patient


def minimise(
    file: Annotated[str, typer.Argument(help="A FHIR R4 Bundle, or - for standard input.")],
    role: Annotated[str, typer.Option(help="Role of who asks, e.g. ed-physician.")],
    purpose: Annotated[str, typer.Option(help="Purpose of use, e.g. TREAT.")],
    tool: Annotated[str, typer.Option(help="Tool id, e.g. acme-sepsis.")],
    site: Annotated[str | None, typer.Option(help="Site of who asks.")] = None,
    break_glass: Annotated[bool, typer.Option(help="With an emergency override.")] = False,
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
            break_glass=break_glass,
            as_of=as_moment(as_of),
            explain=explain,
        )
    except QuestionInvalid as error:
        raise Refused(f"{error.path or 'input'}: {error.detail}") from None
    for hint in undeclared(house.policies, role=role, purpose=purpose, site=site):
        say(hint)
    if shown["payload"] is not None:
        adapter, when = house.adapters[house.tools[tool].adapter], as_moment(as_of) or utc_now()
        _seal(shown, house.tools[tool], adapter, when=rfc3339(when), with_request=explain)
    if exit_code == 3:
        say("denied by policy: nothing would be sent")
    emit(shown)
    raise typer.Exit(exit_code)


def _seal(
    shown: dict[str, Any], tool: Tool, adapter: LoadedAdapter, *, when: str, with_request: bool
) -> None:
    """Fill size and digest of the request body that would leave; --explain shows the body too."""
    if adapter.manifest.transport != "http":
        return
    ask = Ask(subject=SUBJECT, request_id="preview", payload=shown["payload"], as_of=when)
    try:
        request = adapter.http.build_request(tool, ask)
    except InputsMissing as error:
        say(f"{tool.tool} would not be asked: {error}")
        return
    manifest = Manifest.model_validate(shown["manifest"]).sealed(id="", body=request.body)
    shown["manifest"] = manifest.model_dump(mode="json")
    if with_request:
        shown["request"] = request.body.decode("utf-8", "replace")
