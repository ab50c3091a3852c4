"""Print the tour for a person: tables where one would rather look than read."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from careweir.demo.tour import Stop

WIRE_CHARS = 700
_COLOUR = {"complete": "green", "degraded": "yellow", "failed": "red"}


def show(console: Console, number: int, stop: Stop) -> None:
    """One stop: the answer, who was asked, what each received, what was withheld."""
    console.rule(f"[bold]{number}. {stop.title}")
    if stop.story:
        console.print(stop.story)
    if "outcome" not in stop.body:
        _refusal(console, stop)
        return
    outcome = stop.body["outcome"]
    console.print(
        f"asked as [bold]{stop.role}[/], HTTP {stop.status}, outcome "
        f"[bold {_COLOUR[outcome]}]{outcome}[/]; allowed by {stop.body['policy']['because'][0]}"
    )
    console.print(_tools(stop.body))
    console.print(_findings(stop.body))
    for conflict in stop.body["conflicts"]:
        console.print(
            Panel(
                conflict["reason"],
                title=f"conflict: {conflict['type']} ({conflict['severity']})",
                border_style="red",
            )
        )
    if stop.settled is not None:
        _settled(console, stop.settled)
    for tool, body in stop.received.items():
        _disclosed(console, tool, body, stop.manifests.get(tool))
    receipt = stop.body["audit"]
    console.print(f"[dim]on the record: writer {receipt['writer']}, seq {receipt['seq']}, "
                  f"hash {receipt['hash'][:16]}…[/]")  # fmt: skip


def _refusal(console: Console, stop: Stop) -> None:
    body = stop.body
    console.print(
        Panel(
            f"HTTP {stop.status} {body.get('code')}: {body.get('title')}.\n"
            + (f"{body['detail']}\n" if "detail" in body else "")
            + "".join(f"because: {reason}\n" for reason in body.get("because", []))
            + f"vendors that heard of it: {len(stop.received)}",
            title=f"refused (asked as {stop.role})",
            border_style="yellow",
        )
    )


def _tools(body: dict[str, Any]) -> Table:
    table = Table("tool", "mode", "status", "why", "ms", "attempts", "went without")
    for row in body["tools"]:
        table.add_row(
            row["tool"], row["mode"], row["status"], row["reason"] or "", str(row["latency_ms"]),
            str(row["attempts"]), ", ".join(row.get("without", ())),
        )  # fmt: skip
    return table


def _findings(body: dict[str, Any]) -> Table:
    table = Table("who says", "what", "value", "about", "note")
    for finding in body["findings"]:
        shown = _value(finding)
        band = finding["threshold_band"]
        table.add_row(
            f"{finding['tool']} {finding['tool_version'] or ''}",
            str(finding["code"]["display"] or finding["code"]["code"]),
            f"{shown} ({band})" if band and band != shown else shown,
            " ".join(filter(None, [finding["laterality"], finding["horizon"]])),
            "FALLBACK, not a vendor's prediction" if finding["fallback"] else "",
        )
    return table


def _value(finding: dict[str, Any]) -> str:
    if finding["action"]:
        return f"{finding['action']} {finding['target']['display'] or finding['target']['code']}"
    value = finding["value"] if finding["value"] is not None else finding["polarity"]
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _settled(console: Console, dispute: dict[str, Any]) -> None:
    """A conflict after a person settled it: by whom, how, why, and what it did to a score card."""
    ruling = dispute["history"][-1]
    chosen = dispute["findings"][dispute["preferred_finding"]]["finding"]
    total = dispute["score_card"]["total"]
    console.print(
        Panel(
            Text(
                f"{dispute['type'].replace('_', ' ')} between {' and '.join(dispute['tools'])}\n"
                f"verdict: {ruling['verdict']}, {chosen['tool']} ({chosen['polarity']})\n"
                f"by {ruling['actor']} as {ruling['role']}: {ruling['rationale']}\n"
                f"score card of {dispute['overruled']}: people ruled against it "
                f"{total['overruled']} time(s), for it {total['upheld']}\n"
                f"both findings stay as they were; the page is /console/conflicts/{dispute['id']}"
            ),
            title="settled by a person",
            border_style="green",
        )
    )


def _disclosed(console: Console, tool: str, body: Any, manifest: dict[str, Any] | None) -> None:
    """What went over the wire to one tool, and what was kept back and why."""
    wire = body if isinstance(body, str) else orjson.dumps(body).decode()
    cut = wire if len(wire) <= WIRE_CHARS else wire[:WIRE_CHARS] + " …"
    console.print(Panel(Text(cut), title=f"what {tool} received", border_style="blue"))
    if manifest is None:
        return
    console.print(f"  sent: {', '.join(manifest['sent'])}")
    reasons: dict[str, Counter[str]] = {}
    for row in manifest["withheld"]:
        reasons.setdefault(row["reason"], Counter())[row["path"]] += row["count"]
    for reason, paths in sorted(reasons.items()):
        top = ", ".join(f"{path} ×{count}" for path, count in paths.most_common(6))
        more = f" and {len(paths) - 6} more paths" if len(paths) > 6 else ""
        console.print(f"  withheld ({reason}): {top}{more}")
