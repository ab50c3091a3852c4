"""The patient's own rules: R4 Consents in the chart, in the subset of IHE Privacy Consent on FHIR.

Every active privacy consent is applied and the strictest wins. A rule that cannot be read in full
is applied against disclosure: a permit with an unknown condition does not hold, a deny with one
does. The recipient of a disclosure is a tool, whom a consent cannot name as an actor, so a rule
about actors is such a condition.

Source: IHE ITI PCF (consentBasic, consentIntermediate, consentAdvanced); FHIR R4 Consent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from careweir.access import Vocabulary
from careweir.access.purposes import BREAK_GLASS, Purposes
from careweir.minimise.chart import Chart, Record
from careweir.minimise.moment import read_end, read_moment
from careweir.minimise.reading import items
from careweir.minimise.sensitive import sensitivities

_POLICIES: Final = "https://profiles.ihe.net/ITI/PCF/"
_PERMITTING: Final = frozenset({f"{_POLICIES}Policy-basic-normal", f"{_POLICIES}Policy-all-normal"})
_CONDITIONS: Final = ("purpose", "period", "dataPeriod", "securityLabel", "data")
_READ: Final = frozenset({*_CONDITIONS, "type", "provision", "id"})
_RESTRICTED: Final = "R"
_NORMAL: Final = "N"

# What a condition says of one resource: it holds, it does not, or it cannot be told.
Holds = bool | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request the consents look at."""

    purpose: str
    as_of: datetime
    purposes: Purposes
    vocabulary: Vocabulary
    when: Callable[[Record], datetime | None]


def refusing_consent(chart: Chart, record: Record | None, asked: Asked) -> str | None:
    """The consent that keeps a resource here, by its place in the chart; None when none does.

    Without a record: the consent that keeps everything here, whatever it is.
    """
    for number, consent in enumerate(_in_force(chart, asked), start=1):
        if not _permits(chart, consent, record, asked):
            return f"consent {number} of the chart"
    return None


def _in_force(chart: Chart, asked: Asked) -> list[dict[str, Any]]:
    key = ("consents", asked.as_of)
    found: list[dict[str, Any]] | None = chart.memo.get(key)
    if found is None:
        resources = [
            chart.resource(record)
            for record in chart.by_type.get("Consent", ())
            if chart.is_ours(record) or record.subject is None
        ]
        found = chart.memo[key] = [one for one in resources if _is_in_force(one, asked)]
    return found


def _is_in_force(consent: dict[str, Any], asked: Asked) -> bool:
    if consent.get("status") != "active":
        return False
    scopes = _codes(_codings(consent.get("scope")))
    if scopes and "patient-privacy" not in scopes:
        return False
    provision = consent.get("provision")
    period = provision.get("period") if isinstance(provision, dict) else None
    return _within(asked.as_of, period) is not False


def _permits(chart: Chart, consent: dict[str, Any], record: Record | None, asked: Asked) -> bool:
    root = consent.get("provision")
    if not isinstance(root, dict) or root.get("type") not in ("permit", "deny"):
        return _policy_permits(consent, asked)
    holds = _holds(chart, root, record, asked)
    permitted = holds is True if root["type"] == "permit" else holds is False
    if record is None and holds is None:
        permitted = True  # depends on the data: asked again for each resource

    verdicts = [
        (rule["type"], _holds(chart, rule, record, asked))
        for rule in items(root.get("provision"))
        if isinstance(rule, dict) and rule.get("type") in ("permit", "deny")
    ]
    allowed = any(kind == "permit" and held for kind, held in verdicts)
    if record is None and any(kind == "permit" and held is None for kind, held in verdicts):
        allowed = True
    unreadable = len(verdicts) < len(items(root.get("provision")))
    denied = unreadable or any(
        kind == "deny" and (held or (held is None and record is not None))
        for kind, held in verdicts
    )
    if asked.purpose == BREAK_GLASS and allowed:
        return True
    return (permitted or allowed) and not denied


def _policy_permits(consent: dict[str, Any], asked: Asked) -> bool:
    """A consent that only points to a policy: those of PCF, and the opt-in of HL7."""
    policies = [one.get("uri") for one in items(consent.get("policy")) if isinstance(one, dict)]
    uris = {uri for uri in policies if isinstance(uri, str)}
    if uris & _PERMITTING:
        return True
    if f"{_POLICIES}Policy-break-glass-only" in uris:
        return asked.purpose == BREAK_GLASS
    return _codes(_codings(consent.get("policyRule"))) == {"OPTIN"}


def _holds(chart: Chart, rule: dict[str, Any], record: Record | None, asked: Asked) -> Holds:
    """Whether every condition of a rule holds; None when one cannot be told and none fails."""
    results: list[Holds] = []
    if set(rule) - _READ:
        results.append(None)
    if "purpose" in rule:
        granted = _codes(items(rule["purpose"]))
        results.append(any(asked.purposes.covers(code, asked.purpose) for code in granted))
    if "period" in rule:
        results.append(_within(asked.as_of, rule["period"]))
    if any(name in rule for name in ("dataPeriod", "securityLabel", "data")):
        results.append(None if record is None else _of_data(chart, rule, record, asked))
    if False in results:
        return False
    return None if None in results else True


def _of_data(chart: Chart, rule: dict[str, Any], record: Record, asked: Asked) -> Holds:
    results: list[Holds] = []
    if "dataPeriod" in rule:
        moment = asked.when(record)
        results.append(None if moment is None else _within(moment, rule["dataPeriod"]))
    if "securityLabel" in rule:
        wanted = _codes(items(rule["securityLabel"]))
        results.append(bool(wanted) and wanted <= _labels(chart, record, asked))
    if "data" in rule:
        results.append(_any(_is_data(chart, one, record) for one in items(rule["data"])))
    if False in results:
        return False
    return None if None in results else True


def _labels(chart: Chart, record: Record, asked: Asked) -> frozenset[str]:
    """The labels of a resource; one without a restricting label is normal."""
    found = sensitivities(chart, record, asked.vocabulary)
    return found | {_RESTRICTED} if found else frozenset({_NORMAL})


def _is_data(chart: Chart, data: Any, record: Record) -> Holds:
    reference = data.get("reference") if isinstance(data, dict) else None
    target = reference.get("reference") if isinstance(reference, dict) else None
    named = chart.find(target)
    if named is None:
        return None
    if data.get("meaning") == "instance":
        return named is record
    if data.get("meaning") == "related":
        encounter = chart.resource(record).get("encounter")
        link = encounter.get("reference") if isinstance(encounter, dict) else None
        return named is record or chart.find(link) is named
    return None


def _any(results: Iterable[Holds]) -> Holds:
    found = list(results)
    if True in found:
        return True
    return None if None in found else False


def _within(moment: datetime, period: Any) -> Holds:
    """Whether a moment lies in a Period, its last day, month or year included."""
    if period is None:
        return True
    if not isinstance(period, dict):
        return None
    start, end = read_moment(period.get("start")), read_end(period.get("end"))
    if start is not None and moment < start:
        return False
    if end is not None and moment > end:
        return False
    unread = [name for name, limit in (("start", start), ("end", end)) if limit is None]
    return None if any(name in period for name in unread) else True


def _codings(concept: Any) -> list[Any]:
    return items(concept.get("coding")) if isinstance(concept, dict) else []


def _codes(codings: Iterable[Any]) -> frozenset[str]:
    return frozenset(
        coding["code"]
        for coding in codings
        if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    )
