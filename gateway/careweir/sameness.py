"""A tool that gives everybody the same score is stuck: say so in each answer, and raise an alarm.

A model server that lost its weights or its features often answers on, with a constant. No single
answer shows that. Here each process remembers, for each score of each tool, whether the last ones
were all the same, and about how many different patients; no value and no patient is kept beyond
that. Only risks in numbers are watched: that many patients in a row are in the band ``low``, or
measured 15 points on a scale that ends there, is no surprise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from careweir.log import log
from careweir.question import Reply
from careweir_fhir.model import Finding
from careweir_kit.tool import Tool

NOTE = "it has given the same score for many different patients in a row: it may be stuck"
RUNS_MAX = 10_000
_Score = tuple[str | None, ...]  # tool, version, code, horizon


@dataclass(slots=True)
class _Run:
    """Equal scores in a row, and hashes of whom they were about."""

    value: float
    patients: set[int] = field(default_factory=set)


class Sameness:
    """Watches the scores of live tools; ``stuck`` names those whose scores are all the same."""

    def __init__(self) -> None:
        self._runs: dict[_Score, _Run] = {}
        self._stuck: dict[_Score, str] = {}

    @property
    def stuck(self) -> set[str]:
        """The tools of which one score is stuck."""
        return set(self._stuck.values())

    def flagged(
        self, subject: str, replies: Sequence[Reply], tools: Mapping[str, Tool]
    ) -> list[Reply]:
        """The replies, with a note where a score is stuck."""
        return [
            dataclasses.replace(reply, notes=(*reply.notes, NOTE))
            if reply.mode == "live" and self._look(subject, reply, tools[reply.tool])
            else reply
            for reply in replies
        ]

    def _look(self, subject: str, reply: Reply, tool: Tool) -> bool:
        """Take one reply in; is a score in it stuck?"""
        same_max, found = tool.limits.same_scores_max, False
        for score, value in _scores(reply) if same_max else ():
            run = self._runs.get(score)
            if run is None or run.value != value:
                run = self._runs[score] = _Run(value)
                self._stuck.pop(score, None)
                if len(self._runs) > RUNS_MAX:  # codes are a vendor's words, and have no end
                    self._runs.pop(next(iter(self._runs)))
            if len(run.patients) < same_max:
                run.patients.add(hash(subject))
            if len(run.patients) < same_max:
                continue
            found = True
            if score not in self._stuck:
                self._stuck[score] = reply.tool
                log.error("tool may be stuck", tool=reply.tool)
        return found


def _scores(reply: Reply) -> Iterator[tuple[_Score, float]]:
    for one in reply.findings:
        if one.kind == "risk" and isinstance(one.value, int | float):
            yield _name(reply, one), float(one.value)


def _name(reply: Reply, finding: Finding) -> _Score:
    code: Any = finding.code
    return (reply.tool, reply.version, code.system, code.code or code.display, finding.horizon)
