"""AuditEvent's search parameters as queries of the record. Pure.

Every parameter narrows; values of one parameter are alternatives. What cannot be said in one
query becomes several, whose entries are merged afterwards. The reader's site narrows first, so
nothing that is counted, paged or linked can hint at what the reader may not see.

Source: FHIR R4 AuditEvent, search parameters; IHE ITI BALP, Audit Consumer (``agent.identifier``
and the like); ``purpose`` is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import unquote

from careweir.access import Actor
from careweir.access.scopes import EVERYTHING, Constraint, openings
from careweir.api.fhir.base import (
    FhirBase,
    ParameterInvalid,
    ParameterUnsupported,
    SearchTooCostly,
)
from careweir.api.fhir.parameters import Parameter, parameters, plain, spans, token
from careweir.audit import Query
from careweir.audit.audit_event import JTI, REASON, REVISION, place_of
from careweir.audit.entry import Values
from careweir.audit.event_kinds import ALL, Kind, Kinds, kinds_where, with_outcome

QUERIES_MAX = 40
_OUTCOME = "http://terminology.hl7.org/CodeSystem/audit-event-outcome"
_ACTION = "http://hl7.org/fhir/audit-event-action"


@dataclass(frozen=True, slots=True)
class Ask:
    """One way to satisfy the search: a query, kinds of entry, and outcomes of the event."""

    query: Query
    kinds: Kinds = ALL
    outcomes: frozenset[str] | None = None

    def queries(self) -> list[Query]:
        """The queries that find its entries."""
        if self.outcomes is None:
            narrowed = self.kinds.narrow(self.query)
            return [narrowed] if narrowed else []
        return [
            query
            for code in sorted(self.outcomes)
            for query in with_outcome(code, self.query, self.kinds)
        ]


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is looked for; ``used`` are the parameters as links may repeat them: a patient stands
    in them as a keyed hash. ``patient_key`` is set where one patient was asked for.
    """

    queries: tuple[Query, ...]
    used: tuple[tuple[str, str], ...]
    patient_key: str | None


Narrow = Callable[[Ask, str, FhirBase], list[Ask]]


def criteria(given: Iterable[Parameter], base: FhirBase, *, site: str | None) -> Criteria:
    """Read the parameters that narrow. Each must be a name of ``NARROWING``.

    Raises ParameterInvalid, ParameterUnsupported or SearchTooCostly.
    """
    asks = [Ask(Query(site=site, within=site))]
    used: list[tuple[str, str]] = []
    patient: str | None = None
    for parameter in given:
        name, values = _canonical(parameter, base)
        narrow = NARROWING[name]
        try:
            asks = [new for ask in asks for value in values for new in narrow(ask, value, base)]
        except ValueError:
            raise ParameterInvalid(parameter.name) from None
        if len(asks) > QUERIES_MAX:
            raise SearchTooCostly
        if name == "patient.identifier" and len(values) == 1:
            patient = token(values[0]).code
        used.append((name, ",".join(values)))
    queries = [query for ask in asks for query in ask.queries()]
    if len(queries) > QUERIES_MAX:
        raise SearchTooCostly
    return Criteria(tuple(queries), tuple(used), patient)


def opened(given: Sequence[Parameter], base: FhirBase, actor: Actor, right: str) -> Criteria:
    """The same, within what the actor's scopes open for a right; see ``criteria``.

    The conditions of one scope hold together; scopes are alternatives. One with a condition that
    cannot be followed here opens nothing. What a scope adds never stands in a link.
    """
    asked = criteria(given, base, site=actor.site)
    alternatives = openings(actor.scopes, "AuditEvent", right)
    if alternatives == (EVERYTHING,):
        return asked
    queries = [
        query for condition in alternatives for query in _within(given, condition, base, actor.site)
    ]
    if len(queries) > QUERIES_MAX:
        raise SearchTooCostly
    return replace(asked, queries=tuple(queries))


def _within(
    given: Sequence[Parameter], condition: Constraint, base: FhirBase, site: str | None
) -> tuple[Query, ...]:
    try:
        more = parameters(condition)
        known = len(more) == len(condition) and all(one.name in NARROWING for one in more)
        return criteria([*given, *more], base, site=site).queries if known else ()
    except (ValueError, ParameterInvalid, ParameterUnsupported):
        return ()


def _canonical(parameter: Parameter, base: FhirBase) -> tuple[str, tuple[str, ...]]:
    """``agent:identifier`` is ``agent.identifier``; a patient's reference becomes its hash."""
    name, values = parameter.name, parameter.values
    if parameter.modifier == "identifier" and f"{name}.identifier" in NARROWING:
        name = f"{name}.identifier"
    elif parameter.modifier == "Patient" and name == "patient":
        pass
    elif parameter.modifier is not None:
        raise ParameterUnsupported(f"{parameter.name} with that modifier")
    if name == "patient":
        return "patient.identifier", tuple(_patient(value, base) for value in values)
    if name == "entity":
        return name, tuple(_entity(value, base) for value in values)
    return name, values


def _patient(value: str, base: FhirBase) -> str:
    """A reference, absolute or not, or a bare id: as the identifier that the record has."""
    _, _, bare = plain(value).rpartition("Patient/")
    if not bare or "/" in bare:
        raise ParameterInvalid("patient")
    return f"{base.names.patient_system}|{base.patient_key(f'Patient/{bare}')}"


def _entity(value: str, base: FhirBase) -> str:
    if "Patient/" in value:
        return _patient(value, base)
    return value


# --- one parameter, one value ---------------------------------------------------------------------


def _date(ask: Ask, value: str, base: FhirBase) -> list[Ask]:
    found = []
    for since, until in spans(value, base.clock()):
        query = replace(
            ask.query, since=_later(ask.query.since, since), until=_sooner(ask.query.until, until)
        )
        found.append(replace(ask, query=query))
    return found


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((m for m in (one, other) if m is not None), default=None)


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((m for m in (one, other) if m is not None), default=None)


def _fact(ask: Ask, name: str, value: str) -> list[Ask]:
    """Ask for one value of a fact; nothing is left where another was asked for before."""
    before: Values = getattr(ask.query, name)
    if before is not None and before != value:
        return []
    facts: dict[str, str] = {name: value}
    return [replace(ask, query=replace(ask.query, **facts))]  # type: ignore[arg-type]


def _patient_identifier(ask: Ask, value: str, base: FhirBase) -> list[Ask]:
    found = token(value)
    if found.system not in (None, base.names.patient_system):
        return []
    return _fact(ask, "patient_key", found.code)


def _agent(ask: Ask, value: str, base: FhirBase) -> list[Ask]:
    """By reference there is only the gateway; everybody else stands as an identifier."""
    if plain(value) == base.names.gateway:
        return [ask]
    return _agent_identifier(ask, value, base)


def _agent_identifier(ask: Ask, value: str, base: FhirBase) -> list[Ask]:
    found, asks = token(value), list[Ask]()
    if found.system in (None, base.names.actor_system):
        asks += _fact(ask, "actor", found.code)
    if found.system in (None, ""):
        sent = replace(ask, kinds=ask.kinds.both(Kinds(frozenset({"intent"}), False)))
        asks += [*_fact(ask, "client", found.code), *_fact(sent, "tool", found.code)]
    return asks


def _entity_value(ask: Ask, value: str, base: FhirBase) -> list[Ask]:
    """A patient, a question, a disclosure, or the record itself by its place."""
    found = token(value)
    if found.system == base.names.patient_system:
        return _fact(ask, "patient_key", found.code)
    if found.system not in (None, ""):
        return []
    asks = [*_fact(ask, "inference", found.code), *_fact(ask, "disclosure", found.code)]
    return [*asks, *_id(ask, found.code, base)]


def _id(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    place = place_of(value)
    if place is None or (
        ask.query.writer is not None and (ask.query.writer, ask.query.seq) != place
    ):
        return []
    return [replace(ask, query=replace(ask.query, writer=place[0], seq=place[1]))]


def _source(ask: Ask, value: str, base: FhirBase) -> list[Ask]:
    return [ask] if plain(value) == base.names.gateway else []


def _kinds(ask: Ask, holds: Callable[[Kind], bool]) -> list[Ask]:
    return [replace(ask, kinds=ask.kinds.both(kinds_where(holds)))]


def _action(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    found = token(value)
    known = found.system in (None, _ACTION)
    return _kinds(ask, lambda kind: known and kind.action == found.code)


def _type(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    found = token(value)
    return _kinds(
        ask, lambda k: k.type.code == found.code and found.system in (None, k.type.system)
    )


def _subtype(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    found = token(value)

    def holds(kind: Kind) -> bool:
        return any(
            code.code == found.code and found.system in (None, code.system) for code in kind.subtype
        )

    return _kinds(ask, holds)


def _outcome(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    found = token(value)
    wanted = frozenset({found.code}) if found.system in (None, _OUTCOME) else frozenset[str]()
    before = ask.outcomes
    return [replace(ask, outcomes=wanted if before is None else wanted & before)]


def _policy(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    """The id of a token, or a revision of the policies; both are policies of an agent."""
    uri = plain(value)
    if uri.startswith(JTI):
        return _fact(ask, "token", unquote(uri.removeprefix(JTI)))
    if uri.startswith(REVISION):
        return _fact(ask, "policy", unquote(uri.removeprefix(REVISION)))
    return []


def _purpose(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    found = token(value)
    return _fact(ask, "purpose", found.code) if found.system in (None, REASON) else []


def _site(ask: Ask, value: str, _base: FhirBase) -> list[Ask]:
    found = token(value)
    return _fact(ask, "site", found.code) if found.system in (None, "") else []


NARROWING: Mapping[str, Narrow] = {
    "_id": _id,
    "_lastUpdated": _date,
    "action": _action,
    "agent": _agent,
    "agent.identifier": _agent_identifier,
    "date": _date,
    "entity": _entity_value,
    "entity.identifier": _entity_value,
    "outcome": _outcome,
    "patient": _patient_identifier,
    "patient.identifier": _patient_identifier,
    "policy": _policy,
    "purpose": _purpose,
    "site": _site,
    "source": _source,
    "subtype": _subtype,
    "type": _type,
}
