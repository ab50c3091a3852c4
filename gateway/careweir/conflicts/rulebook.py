"""Everything that conflict rules know that is not code: loaded once, checked, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from careweir.conflicts.amounts import QuantityRow, QuantityTable
from careweir.conflicts.concepts import ConceptRow, ConceptTable, read_words, target_tokens
from careweir.conflicts.drugs import DrugsFile, DrugTable
from careweir.conflicts.grades import GradeTable, TriageTable
from careweir.conflicts.sites import SiteRow, SiteTable
from careweir.conflicts.tables import (
    ActionsFile,
    CodingFile,
    CrossKindFile,
    CrossRow,
    ScalesFile,
    TableFile,
)
from careweir.conflicts.units import UnitTable, build_table
from careweir.conflicts.words import plain
from careweir.conflicts.yaml_strict import checked, overlay, read_yaml
from careweir.errors import PolicyInvalid

Model = TypeVar("Model", bound=BaseModel)
_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class _Concepts(TableFile):
    modifiers: frozenset[str]
    concepts: dict[str, ConceptRow]


class _Sites(TableFile):
    sites: dict[str, SiteRow]


class _Units(TableFile):
    units: dict[str, tuple[str, float, float, tuple[str, ...]]]


class _Quantities(TableFile):
    default: QuantityRow
    quantities: dict[str, QuantityRow]


class Windows(BaseModel):
    """Hours within which two facts without a common study or specimen are one occasion."""

    model_config = _STRICT

    assertion: float
    coding: float
    recommendation: float
    triage: float
    cross_kind: float
    contraindication: float
    risk_min: float
    risk_max: float


class General(TableFile):
    """Words and windows that every rule shares (``general.yaml``)."""

    withdrawn: frozenset[str]
    context_words: dict[str, str]
    polarity_words: dict[str, int]
    single_words: tuple[str, ...]
    several_words: tuple[str, ...]
    confidence_low: float
    window_h: Windows
    bucket_pairs_max: int


class ScoreRow(BaseModel):
    """Published bands of a named score."""

    model_config = _STRICT

    names: tuple[str, ...]
    medium: float
    high: float
    max: float
    source: str | None = None
    verified: bool = False


class Risk(TableFile):
    """Bands of risk (``risk.yaml``)."""

    probability_gap: float
    probability_bands: dict[str, tuple[float, float]]
    band_words: dict[str, int]
    probability_scales: dict[str, float]
    scores: dict[str, ScoreRow]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The tables of one configuration. Resolving memoises inside the tables, with bounds."""

    general: General
    concepts: ConceptTable
    sites: SiteTable
    units: UnitTable
    quantities: QuantityTable
    risk: Risk
    scores: Mapping[str, str]  # plain words -> name of a score
    drugs: DrugTable
    actions: ActionsFile
    verbs: Mapping[str, str]  # plain words -> verb of the contract
    exclusives: Mapping[frozenset[str], tuple[str, str, int]]  # (group, name, intensity)
    scales: ScalesFile
    grades: GradeTable
    triage: TriageTable
    cross_kind: CrossKindFile
    cross_rows: Mapping[str, tuple[CrossRow, ...]]  # concept -> rows of cross_kind
    coding: CodingFile


def load_rules(directory: Path, *, site: Path | None = None) -> RuleBook:
    """Read every table of ``directory``; rows of a ``site`` directory replace rows of equal key.

    Raises:
        PolicyInvalid: a file is missing or not readable, a key is unknown or stands twice, a
            value has the wrong shape, or a row points to a row that is not there.
    """
    general = _load(General, directory, site, "general.yaml")
    concepts = _load(_Concepts, directory, site, "concepts.yaml")
    sites = _load(_Sites, directory, site, "sites.yaml")
    units = build_table(_load(_Units, directory, site, "units.yaml").units)
    quantities = _load(_Quantities, directory, site, "quantities.yaml")
    risk = _load(Risk, directory, site, "risk.yaml")
    drugs = _load(DrugsFile, directory, site, "drugs.yaml")
    actions = _load(ActionsFile, directory, site, "actions.yaml")
    scales = _load(ScalesFile, directory, site, "scales.yaml")
    cross_kind = _load(CrossKindFile, directory, site, "cross_kind.yaml")
    coding = _load(CodingFile, directory, site, "coding.yaml")
    _check_links(concepts.concepts, sites.sites, quantities.quantities, units)
    return RuleBook(
        general=_plain_words(general),
        concepts=ConceptTable(concepts.concepts, concepts.modifiers),
        sites=SiteTable(sites.sites),
        units=units,
        quantities=QuantityTable(quantities.quantities, quantities.default, units),
        risk=risk,
        scores=_score_names(risk.scores),
        drugs=DrugTable(drugs),
        actions=actions,
        verbs={plain(word): verb for word, verb in actions.verbs.items()},
        exclusives=_exclusives(actions),
        scales=scales,
        grades=GradeTable(scales.grades),
        triage=TriageTable(scales.triage),
        cross_kind=cross_kind,
        cross_rows=_by_concept(cross_kind),
        coding=coding,
    )


def _load(model: type[Model], directory: Path, site: Path | None, name: str) -> Model:
    value: dict[str, Any] = read_yaml(directory / name)
    if site is not None and (site / name).exists():
        value = overlay(value, read_yaml(site / name))
    return checked(model, value, name=name)


def _plain_words(general: General) -> General:
    return general.model_copy(
        update={"withdrawn": frozenset(plain(word) for word in general.withdrawn)}
    )


def _score_names(scores: Mapping[str, ScoreRow]) -> dict[str, str]:
    return {
        read_words(words).key: name for name, row in scores.items() for words in (name, *row.names)
    }


def _exclusives(actions: ActionsFile) -> dict[frozenset[str], tuple[str, str, int]]:
    return {
        target_tokens(words): (group, name, intensity)
        for group, rows in actions.exclusive.items()
        for name, intensity, others in rows
        for words in (name, *others)
    }


def _by_concept(cross_kind: CrossKindFile) -> dict[str, tuple[CrossRow, ...]]:
    found: dict[str, tuple[CrossRow, ...]] = {}
    for row in cross_kind.rows.values():
        found[row.concept] = (*found.get(row.concept, ()), row)
    return found


def _check_links(
    concepts: Mapping[str, ConceptRow],
    sites: Mapping[str, SiteRow],
    quantities: Mapping[str, QuantityRow],
    units: UnitTable,
) -> None:
    for name, row in concepts.items():
        for parent in row.parents:
            if parent not in concepts:
                raise PolicyInvalid(f"concepts.yaml: {name}: parent {parent} is not a row")
    for name, place in sites.items():
        if place.parent is not None and place.parent not in sites:
            raise PolicyInvalid(f"sites.yaml: {name}: parent {place.parent} is not a row")
    for name, quantity in quantities.items():
        for unit in (quantity.unit, *quantity.units):
            if units.read(unit) is None and not quantity.unitless:
                raise PolicyInvalid(f"quantities.yaml: {name}: unit {unit} is not in units.yaml")
