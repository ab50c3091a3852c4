"""What a drill breaks, and what must hold of every answer meanwhile: pure."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from careweir.drill.target import Seen

SLACK_S: Final = 0.5
FAILED_HTTP: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Outage:
    """One way in which vendors fail, by a fault of the simulators, and the statuses it may give."""

    name: str
    fault: str
    statuses: frozenset[str]


DOWN: Final = Outage("down", "reset", frozenset({"unavailable", "unknown", "circuit_open"}))
OUTAGES: Final = (
    DOWN,
    Outage("slow", "hang", frozenset({"timed_out", "circuit_open"})),
    Outage("wrong", "wrong_schema", frozenset({"protocol_error", "circuit_open"})),
    Outage("another patient", "wrong_patient", frozenset({"wrong_patient", "circuit_open"})),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One rehearsed state: these tools fail in this way; None and no tools: all is well."""

    capability: str
    title: str
    tools: tuple[str, ...] = ()
    outage: Outage | None = None
    questions: int = 3
    timed: bool = True


def first_question(capability: str) -> Scene:
    """The first since the start may wait for code tables: shown, and not held to its deadline."""
    return Scene(capability, "the first question", questions=1, timed=False)


def all_is_well(capability: str) -> Scene:
    """What all others are compared with; the tools that are asked in it are rehearsed."""
    return Scene(capability, "all is well")


@dataclass(frozen=True, slots=True)
class Played:
    """What happened in one scene. ``broken`` names the promises that did not hold."""

    scene: Scene
    seen: tuple[Seen, ...]
    calls: int  # at all vendors together
    intents: int  # on the record
    broken: tuple[str, ...]


def scenes(
    capability: str, tools: Sequence[str], *, flood: int, nameless: Container[str] = ()
) -> Iterator[Scene]:
    """Each tool in each outage, then all tools down with ``flood`` questions.

    Answers of ``nameless`` tools name no patient in their format, so that none can be a wrong one.
    """
    for tool in tools:
        for outage in OUTAGES:
            if outage.fault == "wrong_patient" and tool in nameless:
                continue
            yield Scene(capability, f"{tool}: {outage.name}", (tool,), outage)
    yield Scene(capability, "all tools down", tuple(tools), DOWN, questions=flood)


def broken(
    scene: Scene, seen: Sequence[Seen], tools: Sequence[str], *, deadline_s: float, calls: int,
    intents: int,
) -> tuple[str, ...]:  # fmt: skip
    """The promises that one scene broke, in words; empty when all held."""
    checks = {
        "an answer came after its deadline":
            not scene.timed or all(one.seconds <= deadline_s + SLACK_S for one in seen),
        "a vendor was called without an intent on the record": calls <= intents,
        "a tool that failed has another status than promised":
            all(_says(scene, one) for one in seen),
        "something of a failed tool was delivered":
            not any(one.findings_of(tool) for one in seen for tool in scene.tools),
        "a tool that works was drawn in":
            all(one.statuses.get(tool) == "answered"
                for one in seen for tool in tools if tool not in scene.tools),
        "the HTTP status does not fit the outcome": all(_fits(one) for one in seen),
        "an answer was called complete that was not, or the other way round":
            all((one.body.get("outcome") == "complete") != bool(scene.tools) for one in seen),
    }  # fmt: skip
    return tuple(name for name, held in checks.items() if not held)


def _says(scene: Scene, one: Seen) -> bool:
    expected = scene.outage.statuses if scene.outage else frozenset({"answered"})
    return all(one.statuses.get(tool) in expected for tool in scene.tools)


def _fits(one: Seen) -> bool:
    failed = one.body.get("outcome") == "failed"
    return one.status in FAILED_HTTP if failed else one.status == 200


def broken_without_record(seen: Sequence[Seen], *, calls: int) -> tuple[str, ...]:
    """The promises while the record cannot be written: nothing is asked, and callers are told."""
    checks = {
        "a vendor was called though nothing could be recorded": calls == 0,
        "a caller was not told that nothing was recorded":
            all(one.status == 503 and one.body.get("code") == "audit_unavailable" for one in seen),
    }  # fmt: skip
    return tuple(name for name, held in checks.items() if not held)
