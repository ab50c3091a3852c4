"""From the minimised chart to the parts of LACE: the stay, how it began, what came before it.

Source of the codes: HL7 v3-ActEncounterCode (IMP, ACUTE, NONACUTE, EMER), v3-ActPriority (EM, UR,
EL, R), FHIR admit-source (emd).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from careweir_adapters.published_score.bedside import ADULT_YEARS
from careweir_adapters.published_score.lace import comorbidities, lace
from careweir_adapters.published_score.mapping import Request
from careweir_adapters.published_score.score import Scored
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import codings, moment, patient_age_years, resources

_INPATIENT: Final = frozenset({"IMP", "ACUTE", "NONACUTE"})
_ACUTE: Final = frozenset({"EM", "UR", "emd"})
_PLANNED: Final = frozenset({"EL", "R"})
_VISITS_WITHIN: Final = timedelta(days=183)  # six months
_STANDS: Final = frozenset({"in-progress", "onleave", "finished"})


def lace_of(request: Request, ask: Ask) -> Scored:
    """Read and score. Raises InputsMissing, which names each part that is not there."""
    now = moment(ask.as_of)
    stays = list(_stays(ask, now))
    index = _index(stays)
    problems = list(_problems(ask))
    missing = _unfit(ask)
    if index is None or now is None:
        raise InputsMissing((*missing, "stay: no inpatient stay in the chart"))
    began, ended, stay = index
    acute = _acute(stay)
    if acute is None:
        missing.append("kind of admission: not in the chart")
    if not problems:
        missing.append("problems: none in the chart, which is not the same as none at all")
    if missing or acute is None:
        raise InputsMissing(tuple(missing))
    days = (min(ended or now, now).date() - began.date()).days
    visits = sum(
        _class(other) == "EMER" and began - _VISITS_WITHIN <= at < began and other is not stay
        for at, _, other in stays
    )
    return lace(days=days, acute=acute, comorbid=comorbidities(problems), visits=visits)


_Stay = tuple[datetime, datetime | None, Mapping[str, Any]]


def _stays(ask: Ask, now: datetime | None) -> Iterator[_Stay]:
    """Encounters that stand and have begun, with their first and last moment."""
    for encounter in resources(ask.payload, "Encounter"):
        period = encounter.get("period")
        status = encounter.get("status")
        began = moment(period.get("start")) if isinstance(period, Mapping) else None
        stands = isinstance(status, str) and status in _STANDS
        if began is not None and now is not None and began <= now and stands:
            assert isinstance(period, Mapping)
            yield began, moment(period.get("end")), encounter


def _index(stays: Sequence[_Stay]) -> _Stay | None:
    """The newest inpatient stay."""
    inpatient = [stay for stay in stays if _class(stay[2]) in _INPATIENT]
    return max(inpatient, key=lambda stay: stay[0], default=None)


def _class(encounter: Mapping[str, Any]) -> str | None:
    found = encounter.get("class")
    code = found.get("code") if isinstance(found, Mapping) else None
    return code if isinstance(code, str) else None


def _acute(encounter: Mapping[str, Any]) -> bool | None:
    """Whether the admission was urgent; None where nothing says so or two things contradict."""
    said = {code for _, code in codings(encounter.get("priority"))}
    hospital = encounter.get("hospitalization")
    source = hospital.get("admitSource") if isinstance(hospital, Mapping) else None
    said |= {code for _, code in codings(source)}
    acute, planned = bool(said & _ACUTE), bool(said & _PLANNED)
    return None if acute == planned else acute


def _problems(ask: Ask) -> Iterator[tuple[str, str]]:
    """The codes of the problems that stand; one that is over still counts as history."""
    for condition in resources(ask.payload, "Condition"):
        verification = {code for _, code in codings(condition.get("verificationStatus"))}
        if not verification & {"refuted", "entered-in-error"}:
            yield from codings(condition.get("code"))


def _unfit(ask: Ask) -> list[str]:
    age = patient_age_years(ask.payload)
    if age is None:
        return ["age: not in the chart"]
    return ["age: the score is not for patients under 18"] if age < ADULT_YEARS else []
