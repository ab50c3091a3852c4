"""``policy diff --charts``: what two policies let out of a set of charts, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from careweir.access import PolicySet
from careweir.access.diff import Case, cases
from careweir.minimise.chart import Chart
from careweir.minimise.command import numbered
from careweir.minimise.manifest import payload_counts
from careweir.minimise.minimise import minimise
from careweir.minimise.moment import read_moment
from careweir_kit.tool import Tool


class Change(NamedTuple):
    """Of one path: how many charts lose or gain it, and how many elements."""

    path: str
    charts: int
    elements: int


def counted(
    old: PolicySet,
    new: PolicySet,
    tools: Iterable[Tool],
    charts: Sequence[Chart],
    *,
    as_of: datetime | None = None,
) -> list[dict[str, Any]]:
    """``[{role, purpose, capability, site, break_glass, tool, gained: [Change], lost: […]}]``.

    Unlike the comparison of rules this sees codes, words and labels too: everything that decides.
    ``as_of`` None: each chart is looked at as of its newest dated resource.
    """
    before, after = _Sent(old, charts, as_of), _Sent(new, charts, as_of)
    rows = []
    tools = tuple(tools)
    for case in sorted(cases(old, new), key=str):
        for tool in tools:
            if case.capability not in tool.capabilities:
                continue
            pairs = list(zip(before.of(case, tool), after.of(case, tool), strict=True))
            gained = _changes(now - was for was, now in pairs)
            lost = _changes(was - now for was, now in pairs)
            if gained or lost:
                row = {"tool": tool.tool, "gained": gained, "lost": lost}
                rows.append({**case._asdict(), **row})
    return rows


def _changes(differences: Iterable[Counter[str]]) -> list[dict[str, Any]]:
    charts: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    for difference in differences:
        charts.update(difference.keys())
        elements.update(difference)
    return [Change(path, charts[path], elements[path])._asdict() for path in sorted(charts)]


@dataclass(slots=True)
class _Sent:
    """What one policy lets out; equal rights are tried on a chart only once."""

    policies: PolicySet
    charts: Sequence[Chart]
    as_of: datetime | None
    known: dict[object, tuple[Counter[str], ...]] = field(default_factory=dict)

    def of(self, case: Case, tool: Tool) -> tuple[Counter[str], ...]:
        """How often each path would be sent, chart by chart."""
        decision = self.policies.decide(**case._asdict())
        key = (tool.tool, decision.rights, case.purpose)
        if key not in self.known:
            self.known[key] = tuple(self._counts(case, tool))
        return self.known[key]

    def _counts(self, case: Case, tool: Tool) -> Iterator[Counter[str]]:
        decision = self.policies.decide(**case._asdict())
        for chart in self.charts:
            found = minimise(
                chart,
                tool,
                decision,
                subject_pseudonym="subject",
                pseudonyms=numbered(),
                as_of=self.as_of or newest(chart),
                study=None,
                purpose=case.purpose,
                role=case.role,
                site=case.site,
            )
            yield Counter() if found.payload is None else payload_counts(found.payload)


def newest(chart: Chart) -> datetime:
    """The newest ``effectiveDateTime`` of a chart; now when it has none."""
    found = [read_moment(record.when) for record in chart.records if record.when]
    return max((moment for moment in found if moment is not None), default=datetime.now(UTC))
