"""NEWS2, as a pure function of its seven parameters.

Source: Royal College of Physicians. National Early Warning Score (NEWS) 2, London 2017, chart 1
(scoring system) and chart 2 (thresholds and triggers). © Royal College of Physicians 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Consciousness = Literal["A", "C", "V", "P", "U"]
Band = Literal["low", "low-medium", "medium", "high"]

# Rows of (upper limit, points): the first row whose limit is not exceeded gives the points.
_Rows = tuple[tuple[float, int], ...]
_END: Final = float("inf")
_RESPIRATION: Final[_Rows] = ((8, 3), (11, 1), (20, 0), (24, 2), (_END, 3))
_SPO2_SCALE_1: Final[_Rows] = ((91, 3), (93, 2), (95, 1), (_END, 0))
_SPO2_SCALE_2_AIR: Final[_Rows] = ((83, 3), (85, 2), (87, 1), (_END, 0))
_SPO2_SCALE_2_OXYGEN: Final[_Rows] = (
    (83, 3),
    (85, 2),
    (87, 1),
    (92, 0),
    (94, 1),
    (96, 2),
    (_END, 3),
)
_SYSTOLIC: Final[_Rows] = ((90, 3), (100, 2), (110, 1), (219, 0), (_END, 3))
_PULSE: Final[_Rows] = ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (_END, 3))
_TEMPERATURE: Final[_Rows] = ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (_END, 2))
_CONSCIOUSNESS: Final[Mapping[Consciousness, int]] = {"A": 0, "C": 3, "V": 3, "P": 3, "U": 3}


@dataclass(frozen=True, slots=True)
class Vitals:
    """The seven parameters: per minute, per cent, mm[Hg], degrees Celsius."""

    respiration: float
    spo2: float
    on_oxygen: bool
    systolic: float
    pulse: float
    consciousness: Consciousness
    temperature: float


@dataclass(frozen=True, slots=True)
class News2:
    """The points of each parameter, in the order of the chart."""

    points: Mapping[str, int]
    scale: Literal[1, 2]

    @property
    def total(self) -> int:
        """The aggregate score, 0 to 20."""
        return sum(self.points.values())

    @property
    def band(self) -> Band:
        """The clinical risk by chart 2; a single 3 lifts a low total to low-medium."""
        if self.total >= 7:
            return "high"
        if self.total >= 5:
            return "medium"
        return "low-medium" if 3 in self.points.values() else "low"


def news2(vitals: Vitals, *, scale: Literal[1, 2]) -> News2:
    """Score by the published table. ``scale`` 2 only where a clinician prescribed 88–92 %.

    Whole numbers are what the chart knows: a rate or saturation is rounded to the nearest whole,
    the temperature to one decimal, halves towards the next higher number.
    """
    spo2: _Rows = _SPO2_SCALE_1
    if scale == 2:
        spo2 = _SPO2_SCALE_2_OXYGEN if vitals.on_oxygen else _SPO2_SCALE_2_AIR
    points = {
        "respiration rate": _points(_whole(vitals.respiration), _RESPIRATION),
        "oxygen saturation": _points(_whole(vitals.spo2), spo2),
        "air or oxygen": 2 if vitals.on_oxygen else 0,
        "systolic blood pressure": _points(_whole(vitals.systolic), _SYSTOLIC),
        "pulse": _points(_whole(vitals.pulse), _PULSE),
        "consciousness": _CONSCIOUSNESS[vitals.consciousness],
        "temperature": _points(_whole(vitals.temperature * 10) / 10, _TEMPERATURE),
    }
    return News2(points, scale)


def _points(value: float, rows: _Rows) -> int:
    return next(points for limit, points in rows if value <= limit)


def _whole(value: float) -> int:
    """Nearest whole number, halves up; float noise of the tenth decimal is not a difference."""
    return int(round(value, 6) + 0.5)
