"""Every check of one adapter, tier by tier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.conformance.answers import check_answers, check_any_answers
from careweir_kit.conformance.folder import check_fhir, check_folder, check_golden, check_page
from careweir_kit.conformance.in_process import check_any_charts, check_scores
from careweir_kit.conformance.model import (
    TIERS,
    Call,
    Check,
    Report,
    Subject,
    Tier,
    graded,
)
from careweir_kit.conformance.questions import can_be_asked, check_any_questions, check_questions
from careweir_kit.conformance.recordings import Recording, recordings_of, tool_of_recordings
from careweir_kit.conformance.wire import (
    check_chaos,
    check_real,
    check_simulator,
    retry_after,
)
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.registry import LoadedAdapter, load_tool
from careweir_kit.tool import Tool


def check_adapter(
    adapter: LoadedAdapter,
    *,
    tool: Tool | None = None,
    call: Call | None = None,
    url: str | None = None,
    up_to: Tier = "gold",
) -> Report:
    """Run every check that applies; never raises.

    Args:
        adapter: what is checked.
        tool: the tool file to use; the adapter's own ``example_tool.yaml`` when None.
        call: how a server is asked. Without it nothing is checked over a socket, so an adapter
            over HTTP earns bronze at most.
        url: the base URL of a real server to ask as well.
        up_to: the highest tier that is looked at.

    Returns:
        Each check with its tier and evidence. A check of a tier is run whatever became of those
        below it, unless it has nothing to work with.
    """
    chosen = tool or adapter.example_tool
    loaded = replace(adapter, example_tool=chosen)
    checks = check_folder(loaded)
    try:
        recordings = recordings_of(adapter)
    except (ValueError, KeyError, TypeError) as error:
        checks.append(Check("the recordings can be read", False, type(error).__name__))
        recordings = []
    if chosen is not None and checks[-1].passed:
        checks.append(check_golden(Subject(loaded, chosen), recordings))
        for subject, own in _by_tool(Subject(loaded, chosen), recordings):
            found = (
                _of_scores(subject, own)
                if adapter.manifest.transport == "in_process"
                else _of_exchanges(subject, own, call, url, up_to)
            )
            checks += found if subject.tool is chosen else _named(found, subject.tool.tool)
        checks += graded("gold", check_page(adapter))
    looked_at = TIERS[: TIERS.index(up_to) + 1]
    checks = [check for check in checks if check.tier in looked_at]
    claimed = adapter.manifest.quality
    return Report(adapter.name, claimed, _exempted(checks, adapter.manifest.exemptions), url)


def check_tool_folder(
    folder: Path,
    adapters: Mapping[str, LoadedAdapter],
    *,
    call: Call | None = None,
    url: str | None = None,
) -> Report:
    """Check a tool of one's own: ``NAME/NAME.yaml`` with ``cassettes`` and ``golden`` beside it.

    A tool has no simulator unless its adapter knows the brain that it names, so bronze is what
    recordings alone can show. Raises ToolFileInvalid.
    """
    tool = load_tool(folder / f"{folder.resolve().name}.yaml", adapters)
    subject = Subject(replace(adapters[tool.adapter], folder=folder, example_tool=tool), tool)
    try:
        recordings = recordings_of(subject.adapter)
    except (ValueError, KeyError, TypeError) as error:
        unread = Check("the recordings can be read", False, type(error).__name__)
        return Report(tool.tool, "bronze", (unread,), url)
    checks = [check_golden(subject, recordings)]
    up_to: Tier = "gold" if tool.simulator else "bronze"
    if subject.adapter.manifest.transport == "in_process":
        checks += _of_scores(subject, recordings)
    else:
        checks += _of_exchanges(subject, recordings, call, url, up_to)
    if url is not None and up_to == "bronze":
        checks += _real_only(subject, recordings, call, url)
    return Report(tool.tool, "bronze", tuple(checks), url)


def _real_only(
    subject: Subject, recordings: list[Recording], call: Call | None, url: str
) -> list[Check]:
    """A real server and no simulator."""
    asks = [r.ask for r in recordings if r.ask and can_be_asked(subject, r.ask)]
    if not asks or call is None:
        return [Check("a real server answers", False, "it was not asked", "silver")]
    given = call

    async def work() -> list[Check]:
        try:
            return await check_real(subject, asks[0], given, url)
        finally:
            await given.close()

    return asyncio.run(work())


def _by_tool(
    subject: Subject, recordings: list[Recording]
) -> Iterator[tuple[Subject, list[Recording]]]:
    """The recordings of the example tool, then those of each further tool of the folder."""
    yield subject, [recording for recording in recordings if recording.tool is None]
    for name in sorted({recording.tool for recording in recordings if recording.tool}):
        try:
            tool = tool_of_recordings(subject.adapter, name)
        except (ToolFileInvalid, OSError):
            continue  # its recordings have no golden outcome, which is a failed check
        yield replace(subject, tool=tool), [r for r in recordings if r.tool == name]


def _named(checks: list[Check], tool: str) -> list[Check]:
    return [replace(check, name=f"{check.name} [{tool}]") for check in checks]


def _exempted(checks: list[Check], reasons: Mapping[str, str]) -> tuple[Check, ...]:
    """A reason holds for a check whichever tool file of the folder it was made with."""
    return tuple(
        replace(check, exempt=reasons.get(check.name.partition(" [")[0], "")) for check in checks
    )


def _of_scores(subject: Subject, recordings: list[Recording]) -> list[Check]:
    asks = [recording.ask for recording in recordings if recording.ask is not None]
    return [
        *check_scores(subject, asks),
        *graded("silver", [check_fhir(subject, recordings)]),
        *graded("gold", check_any_charts(subject, asks)),
    ]


def _of_exchanges(
    subject: Subject,
    recordings: list[Recording],
    call: Call | None,
    url: str | None,
    up_to: Tier,
) -> list[Check]:
    answers = [r.answer for r in recordings if r.answer and _is_usable(subject, r.answer)]
    asks = [r.ask for r in recordings if r.ask and can_be_asked(subject, r.ask)]
    checks = [*check_answers(subject, answers), *check_questions(subject, asks)]
    if up_to == "bronze":
        return checks
    silver = [retry_after(subject), check_fhir(subject, recordings)]
    gold = check_any_answers(subject, answers) if answers else []
    gold += check_any_questions(subject, asks)
    if asks and call is not None:
        over = asyncio.run(_over_sockets(subject, asks[0], call, url))
        silver, gold = [*silver, *over[0]], [*gold, *over[1]]
    else:
        silver.append(Check("the simulator answers over HTTP", False, "it was not asked"))
    return [*checks, *graded("silver", silver), *graded("gold", gold)]


async def _over_sockets(
    subject: Subject, ask: Ask, call: Call, url: str | None
) -> tuple[list[Check], list[Check]]:
    try:
        silver = await check_simulator(subject, ask, call)
        if url is not None:
            silver += await check_real(subject, ask, call, url)
        return silver, [await check_chaos(subject, ask, call)]
    finally:
        await call.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # the simulators' connections end with ours
            await asyncio.wait(left, timeout=1)


def _is_usable(subject: Subject, answer: VendorAnswer) -> bool:
    try:
        verdict = subject.adapter.http.classify_answer(subject.tool, answer)
    except Exception:
        return False
    return verdict.answer_class in ("ok", "partial")
