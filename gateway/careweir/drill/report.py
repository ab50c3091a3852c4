"""The report of a drill: one HTML file with one picture, no script, nothing from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final

from careweir.drill.goals import Goal
from careweir.drill.scenes import Played

_ROW, _LEFT, _CELL, _TOP = 26, 260, 165, 40
_COLOURS: Final = {
    "answered": "#d7efd9", "partial": "#f4efc3", "circuit_open": "#d9e2f2", "overloaded": "#d9e2f2",
    "wrong_patient": "#f3c6c6",
}  # fmt: skip
_FAILED: Final = "#f6ddc4"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3rem .6rem;"
    "text-align:left}svg text{font:13px system-ui,sans-serif}.no{font-weight:bold;color:#a00}"
)


def as_html(played: Sequence[Played], goals: Sequence[Goal], *, when: str, base_url: str) -> str:
    """The whole page."""
    missed = sum(bool(one.broken) for one in played)
    verdict = "Every promise held." if not missed else f"{missed} scenes broke a promise."
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>careweir drill</title>'
        f"<style>{_STYLE}</style><h1>Rehearsed outages</h1>"
        f"<p>{escape(when)}, at {escape(base_url)}: {len(played)} scenes. {verdict}</p>"
        f"{_pictures(played)}<h2>Scenes</h2>{_scenes(played)}<h2>Goals</h2>{_goals(goals)}"
        "<p>Timed goals depend on how busy the machine is: they are shown, and never decide. In "
        "a demonstration no breaker opens before 60 failures, so that every fault can be shown: "
        "there more calls reach a tool that is down than at a gateway in use.</p>"
        "</html>"
    )


def _pictures(played: Sequence[Played]) -> str:
    """One for each capability, whose tools are its own."""
    names = dict.fromkeys(one.scene.capability for one in played)
    return "".join(
        f"<h2>{escape(name)}</h2>"
        + picture([one for one in played if one.scene.capability == name])
        for name in names
    )


def picture(played: Sequence[Played]) -> str:
    """Scenes down, tools across: what callers were told of each tool, in colour and in words."""
    tools = list(dict.fromkeys(t for one in played for seen in one.seen for t in seen.statuses))
    width, height = _LEFT + _CELL * len(tools), _TOP + _ROW * len(played) + 4
    parts = [
        f'<svg role="img" aria-label="What callers were told of each tool in each scene" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    ]
    for column, tool in enumerate(tools):
        parts.append(_text(_LEFT + column * _CELL + 6, _TOP - 12, tool))
    for row, one in enumerate(played):
        top = _TOP + row * _ROW
        parts.append(_text(4, top + 17, one.scene.title))
        for column, tool in enumerate(tools):
            parts.append(_cell(_LEFT + column * _CELL, top, told(one, tool)))
        if refused := Counter(str(seen.body["code"]) for seen in one.seen if "code" in seen.body):
            parts.append(_bar(_LEFT, top, _CELL * max(1, len(tools)) - 4, refused))
    return "".join([*parts, "</svg>"])


def told(played: Played, tool: str) -> Counter[str]:
    """How often callers saw each status of one tool in one scene."""
    return Counter(s for seen in played.seen if (s := seen.statuses.get(tool)) is not None)


def _cell(left: int, top: int, statuses: Counter[str]) -> str:
    return _bar(left, top, _CELL - 4, statuses) if statuses else ""


def _bar(left: int, top: int, width: int, words: Counter[str]) -> str:
    """What callers were told, each in its share of the width; the most frequent in words."""
    total, at = sum(words.values()), float(left)
    whole = ", ".join(f"{count} {word}" for word, count in words.most_common())
    parts = [f"<g><title>{escape(whole)}</title>"]
    for word, count in words.most_common():
        share = width * count / total
        parts.append(
            f'<rect x="{at:.1f}" y="{top}" width="{share:.1f}" height="{_ROW - 4}" '
            f'fill="{_COLOURS.get(word, _FAILED)}"/>'
        )
        at += share
    ((most, count), *others) = words.most_common()
    parts.append(_text(left + 6, top + 16, f"{count} {most} …" if others else most))
    return "".join([*parts, "</g>"])


def _text(x: int, y: int, words: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(words)}</text>'


def _scenes(played: Sequence[Played]) -> str:
    head = ("capability", "scene", "answers", "slowest", "calls", "intents", "promises")
    rows = []
    for one in played:
        outcomes = Counter(f"{s.status} {s.body.get('outcome', s.body.get('code'))}"
                           for s in one.seen)  # fmt: skip
        kept = escape("; ".join(one.broken)) if one.broken else "kept"
        slowest = max((s.seconds for s in one.seen), default=0.0)
        cells = [one.scene.capability, one.scene.title,
                 ", ".join(f"{count} × {word}" for word, count in outcomes.most_common()),
                 f"{slowest * 1000:.0f} ms", str(one.calls), str(one.intents)]  # fmt: skip
        mark = ' class="no"' if one.broken else ""
        rows.append(
            "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f"<td{mark}>{kept}</td>"
        )
    return _table(head, rows)


def _goals(goals: Sequence[Goal]) -> str:
    rows = [
        f"<td>{escape(goal.what)}</td><td>{goal.value:.4g} {goal.unit}</td>"
        f"<td>≤ {goal.limit:g} {goal.unit}</td><td>{'met' if goal.met else 'missed'}</td>"
        for goal in goals
    ]
    return _table(("goal", "seen", "limit", ""), rows)


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{top}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
