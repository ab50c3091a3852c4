"""``careweir policy``: tools for the people who own the policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from careweir.access import PolicySet
from careweir.access import decision_tables as tables
from careweir.access.diff import diff as policy_diff
from careweir.access.explain import explain as policy_explain
from careweir.access.lint import lint as policy_lint
from careweir.cli.options import Config
from careweir.cli.out import Refused, as_moment, emit, say
from careweir.cli.words import undeclared
from careweir.errors import QuestionInvalid
from careweir.minimise import Chart, read_chart
from careweir.minimise.compare import counted
from careweir.paths import policies_dir
from careweir.wiring.house import load_house

app = typer.Typer(no_args_is_help=True, help="Test, explain, compare and lint policies.")


@app.command("test")
def run_tables(config: Config = None) -> None:
    """Run the decision tables in POLICIES/tests/*.yaml. Exit 1 when a row fails.

    Example: careweir policy test
    """
    folder = policies_dir(config)
    result = tables.run_tables(PolicySet.load(folder), folder)
    for row in result["rows"]:
        if not row["passed"]:
            say(f"{row['at']}: {row['row']}: {'; '.join(row['why'])}")
    say(f"{result['passed']} rows passed, {result['failed']} failed")
    emit(result)
    raise typer.Exit(1 if result["failed"] else 0)


@app.command()
def explain(
    role: Annotated[str, typer.Option(help="Role of who asks.")],
    purpose: Annotated[str, typer.Option(help="Purpose of use, e.g. TREAT.")],
    capability: Annotated[str, typer.Option(help="The question that is asked.")],
    site: Annotated[str | None, typer.Option(help="Site of who asks.")] = None,
    tool: Annotated[str | None, typer.Option(help="Also what this tool would get.")] = None,
    break_glass: Annotated[bool, typer.Option(help="With an emergency override.")] = False,
    config: Config = None,
) -> None:
    """Say which rule on which line decides, and what it opens. Exit 3 when it denies.

    Example: careweir policy explain --role radiologist --purpose TREAT --capability sepsis-risk
    """
    house = load_house(config)
    if tool is not None and tool not in house.tools:
        raise Refused(f"no such tool: known are {', '.join(house.tools)}")
    for hint in undeclared(
        house.policies, role=role, purpose=purpose, capability=capability, site=site
    ):
        say(hint)
    found = policy_explain(
        house.policies,
        role=role,
        purpose=purpose,
        capability=capability,
        site=site,
        break_glass=break_glass,
        tool=None if tool is None else house.tools[tool],
    )
    for line in found["words"]:
        say(line)
    emit(found)
    raise typer.Exit(0 if found["effect"] == "permit" else 3)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="A folder of policies.")],
    new: Annotated[Path, typer.Argument(help="Another folder of policies.")],
    charts: Annotated[
        list[Path] | None, typer.Option(help="A chart or a folder of charts; may be repeated.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The moment asked about; default: a chart's newest.")
    ] = None,
) -> None:
    """Which role and tool would gain or lose which path. Exit 1 when anything changes.

    With --charts also counted: in how many charts, and how many elements. Nothing is sent.
    Example: careweir policy diff policies/ proposed/ --charts charts/
    """
    for folder in (old, new):
        if not (folder / "roles.yaml").is_file():
            raise Refused(f"{folder}: not a folder of policies (no roles.yaml there)")
    before, after = PolicySet.load(old), PolicySet.load(new)
    tools = load_house(new).tools.values()
    found = policy_diff(before, after, tools)
    for line in _changes(found["changes"]):
        say(line)
    if charts is not None:
        read = _charts(charts)
        found["charts"] = len(read)
        found["counted"] = counted(before, after, tools, read, as_of=as_moment(as_of))
        for line in _sentences(found["counted"]):
            say(line)
    changed = bool(found["changes"] or found.get("counted"))
    if not changed:
        say("nothing changes: no role gains or loses a path with any tool")
    emit(found)
    raise typer.Exit(1 if changed else 0)


def _charts(places: list[Path]) -> list[Chart]:
    """Every chart below these places, by name. Raises Refused with the file, never its content."""
    folders = [sorted(one.rglob("*.json")) if one.is_dir() else [one] for one in places]
    files = [file for folder in folders for file in folder]
    found = []
    for file in files:
        try:
            found.append(read_chart(file.read_bytes(), subject=None))
        except OSError:
            raise Refused(f"{file}: cannot be read") from None
        except QuestionInvalid as error:
            raise Refused(f"{file}: {error.path or 'input'}: {error.detail}") from None
    if not found:
        raise Refused("no chart found")
    return found


def _changes(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What a role gains or loses with a tool, said once for all purposes and sites."""
    alike: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["role"], row["tool"], tuple(row["gained"]), tuple(row["lost"]))
        alike.setdefault(key, []).append(row)
    for (role, tool, gained, lost), cases in alike.items():
        purposes = sorted({case["purpose"] for case in cases})
        sites = {case["site"] for case in cases}
        at = "" if None in sites else f" at {', '.join(sorted(sites))}"
        for verb, paths in (("gains", gained), ("loses", lost)):
            if paths:
                yield f"{role} for {', '.join(purposes)}{at}, {tool} {verb} {', '.join(paths)}"


def _sentences(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        at = f" at {row['site']}" if row["site"] else ""
        who = f"{row['role']} for {row['purpose']}{at}, {row['tool']}"
        for verb, changes in (("gains", row["gained"]), ("loses", row["lost"])):
            for one in changes:
                yield (
                    f"{who} {verb} {one['path']} in {one['charts']} charts, "
                    f"{one['elements']} elements"
                )


@app.command()
def lint(config: Config = None) -> None:
    """Rules that never apply, grants wider than any need, tools that no role can satisfy.

    Exit 1 when there is a fault; what is meant so is only told. Example: careweir policy lint
    """
    house = load_house(config)
    found = policy_lint(house.policies, house.tools.values())
    for remark in found["remarks"]:
        say(f"{remark['at']}: {remark['rule']}: {remark['message']}")
    for note in found["notes"]:
        say(f"{note['at']}: meant so: {note['message']}")
    say(f"{len(found['remarks'])} faults, {len(found['notes'])} meant so")
    emit(found)
    raise typer.Exit(1 if found["remarks"] else 0)
