"""What a risk finding claims: a probability or a score, its band and its horizon."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from careweir.conflicts.concepts import Concept, read_words
from careweir.conflicts.rulebook import Risk, RuleBook
from careweir.conflicts.words import horizon_seconds, number_from_text, plain
from careweir_fhir.model import Finding

BAND_NAMES = ("low", "medium", "high")


class RiskClaim(NamedTuple):
    """``probability`` is in [0, 1]; ``band`` is 0 low, 1 medium, 2 high, None when not known."""

    probability: float | None
    band: int | None
    horizon_s: int | None
    interval: tuple[float, float] | None
    score: str | None
    two_bands: bool
    written: str


def risk_claim(finding: Finding, concept: Concept, book: RuleBook) -> RiskClaim | None:
    """The claim of a risk finding, or None when neither number nor band can be read."""
    score = score_of(finding, book)
    horizon_s = _horizon(finding, concept, score)
    said_band = _said_band(finding, book.risk)
    if score is not None:
        return _scored(finding, score, said_band, horizon_s, book.risk)
    factor = _probability_factor(finding, book)
    number = _number(finding)
    probability = _probability(number, factor, finding)
    if probability is None and said_band is None:
        return None
    band = said_band
    if band is None and probability is not None:
        band = _default_band(probability, concept, book.risk)
    scale = factor or 1.0
    interval = finding.interval
    return RiskClaim(
        probability=probability,
        band=band,
        horizon_s=horizon_s,
        interval=(interval[0] * scale, interval[1] * scale) if interval else None,
        score=None,
        two_bands=False,
        written=BAND_NAMES[band or 0] if probability is None else f"{probability:.2f}",
    )


def _scored(
    finding: Finding, score: str, said_band: int | None, horizon_s: int | None, risk: Risk
) -> RiskClaim | None:
    row = risk.scores[score]
    number = _number(finding)
    if number is None or not 0 <= number <= row.max:
        number = None
    if number is None and said_band is None:
        return None
    band = said_band
    if band is None and number is not None:
        band = 2 if number >= row.high else 1 if number >= row.medium else 0
    written = f"{score.upper()} {number:g}" if number is not None else score.upper()
    return RiskClaim(
        None, band, horizon_s, finding.interval, score, row.medium == row.high, written
    )


def score_of(finding: Finding, book: RuleBook) -> str | None:
    """The row of a named score that a finding is of, by its scale or its words."""
    for text in (finding.scale, finding.code.display):
        if text:
            key = read_words(text).key
            bare = " ".join(word for word in key.split() if word not in ("score", "total"))
            name = book.scores.get(key) or book.scores.get(bare)
            if name is not None:
                return name
    return None


def _horizon(finding: Finding, concept: Concept, score: str | None) -> int | None:
    """Seconds; a score that names no horizon speaks of now; -1 is one that cannot be read."""
    if finding.horizon is not None:
        read = horizon_seconds(finding.horizon)
        return -1 if read is None else read
    if concept.horizon_s is not None:
        return concept.horizon_s
    return 0 if score is not None else None


def _said_band(finding: Finding, risk: Risk) -> int | None:
    for text in (finding.threshold_band, finding.value):
        if isinstance(text, str):
            words = plain(text).removesuffix(" risk")
            if words in risk.band_words:
                return risk.band_words[words]
    return None


def _number(finding: Finding) -> float | None:
    value = finding.value
    if isinstance(value, str):
        return number_from_text(value)
    return None if value is None or isinstance(value, bool) else float(value)


@lru_cache(maxsize=256)
def _scale_words(scale: str) -> str:
    return plain(scale.replace("-", " ").replace("–", " "))


def _probability_factor(finding: Finding, book: RuleBook) -> float | None:
    """What the number must be multiplied by to be a probability; None for odds and the unknown."""
    if finding.scale is not None:
        words = _scale_words(finding.scale)
        return book.risk.probability_scales.get(words)
    written = finding.unit
    if written is None and isinstance(finding.value, str) and finding.value.strip().endswith("%"):
        written = "%"
    if written is None:
        return 1.0
    unit = book.units.read(written)
    return unit.factor if unit is not None and unit.dimension == "fraction" else None


def _probability(number: float | None, factor: float | None, finding: Finding) -> float | None:
    if number is None:
        return None
    if factor is None:
        if finding.scale is not None and _scale_words(finding.scale) in ("odds", "odds ratio to 1"):
            return number / (1 + number) if number >= 0 else None
        return None
    probability = number * factor
    return probability if 0 <= probability <= 1 else None


def _default_band(probability: float, concept: Concept, risk: Risk) -> int:
    bands = risk.probability_bands
    name = next((i for i in concept.ids if i in bands), "default")
    medium, high = bands[name]
    return 0 if probability < medium else 1 if probability < high else 2
