"""A query as the WHERE of a statement, for both databases. Values are always bound, never written.

Of the facts that are given, only the one that narrows most may drive the search through its
index; where a database would guess (SQLite keeps no statistics of its own accord), ``+`` before a
column tells it so.
"""

from __future__ import annotations

from collections.abc import Callable

from careweir.audit.entry import Query, Values, timestamp

# From the fact that few entries share to the one that many do.
FACTS = (
    "disclosure", "inference", "token", "patient_key", "actor", "tool", "client", "outcome",
    "purpose", "site", "policy", "type",
)  # fmt: skip
_WEAK = (None, *FACTS[FACTS.index("client") :])  # too many entries share these
Bound = list[str | int]


class Terms:
    """Collects conditions over ``table``, which the statement calls ``name``.

    ``mark`` writes the n-th bound value (``?`` or ``$3``); ``hint`` is for SQLite. ``few_ends``
    says that the outcomes that are asked for are few: then the search begins with them.
    """

    def __init__(
        self,
        table: str,
        name: str,
        mark: Callable[[int], str],
        *,
        hint: bool,
        few_ends: bool = True,
    ) -> None:
        self._table = table
        self._name = name
        self._mark = mark
        self._hint = hint
        self._few_ends = few_ends
        self.values: Bound = []
        self.weak = False  # does nothing narrow the search much?
        self.found: list[str] = []

    def all_of(self, query: Query) -> str:
        """The whole condition; with nothing asked for, one that always holds."""
        driver = next((name for name in FACTS if getattr(query, name) is not None), None)
        if query.ended is not None and self._few_ends and driver in _WEAK:
            driver = "ended"
        if query.writer is not None:
            self._add("writer =", query.writer)
            driver = "writer"
        self.weak = driver in _WEAK
        if query.within is not None:
            self._add("+site =" if self._hint else "site =", query.within)
        if query.seq is not None:
            self._add("seq =", query.seq)
        for name in FACTS:
            self._fact(name, getattr(query, name), drives=name == driver)
        self._none_of("type", query.type_not)
        self._none_of("outcome", query.outcome_not)
        self._ends(query)
        if query.since is not None:
            self._add("recorded >=", timestamp(query.since))
        if query.until is not None:
            self._add("recorded <", timestamp(query.until))
        if query.after is not None:
            self._add("position <" if query.newest_first else "position >", query.after)
        return " AND ".join(self.found) or "1 = 1"

    def _add(self, condition: str, value: str | int) -> None:
        self.found.append(f"{condition} {self._bind(value)}")

    def _bind(self, value: str | int) -> str:
        self.values.append(value)
        return self._mark(len(self.values))

    def _list(self, values: tuple[str, ...]) -> str:
        return f"({', '.join(map(self._bind, values))})"

    def _fact(self, name: str, value: Values, *, drives: bool) -> None:
        if value is None:
            return
        column = name if drives or not self._hint else f"+{name}"
        if isinstance(value, str):
            self._add(f"{column} =", value)
        elif value:
            self.found.append(f"{column} IN {self._list(value)}")
        else:
            self.found.append("1 = 0")

    def _none_of(self, name: str, values: tuple[str, ...]) -> None:
        if values:
            self.found.append(f"({name} IS NULL OR {name} NOT IN {self._list(values)})")

    def _ends(self, query: Query) -> None:
        """By what became of a disclosure, which stands in another entry."""
        ends = f"SELECT disclosure FROM {self._table} AS o WHERE o.type = 'outcome' AND"  # noqa: S608
        same = f"o.disclosure = {self._name}.disclosure AND o.outcome"
        if query.ended is not None and self._few_ends:
            self.found.append(f"disclosure IN ({ends} o.outcome IN {self._list(query.ended)})")
        elif query.ended is not None:
            self.found.append(f"EXISTS ({ends} {same} IN {self._list(query.ended)})")
        if query.ended_not is not None:
            self.found.append(f"EXISTS ({ends} {same} NOT IN {self._list(query.ended_not)})")
