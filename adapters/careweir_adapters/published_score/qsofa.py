"""qSOFA, as a pure function of its three criteria.

Source: Singer M et al. The Third International Consensus Definitions for Sepsis and Septic Shock
(Sepsis-3). JAMA 2016;315:801-810, box 4: respiratory rate 22/min or more, altered mentation
(Glasgow score below 15), systolic pressure 100 mm[Hg] or less; two or more are positive.
"""

from __future__ import annotations

from typing import Final

from careweir_adapters.published_score.score import Scored

CITATION: Final = "Singer M et al., Sepsis-3, JAMA 2016;315:801, box 4 (qSOFA)"


def qsofa(*, respiration: float, systolic: float, altered: bool, oldest: str | None) -> Scored:
    """Respiration per minute, systolic pressure in mm[Hg]; 0 to 3 points."""
    points = {
        "respiration rate": int(respiration >= 22),
        "altered mentation": int(altered),
        "systolic blood pressure": int(systolic <= 100),
    }
    band = "positive" if sum(points.values()) >= 2 else "not positive"
    remarks = ("for patients with a suspected infection; not positive does not rule sepsis out",)
    return Scored("qSOFA", "quick SOFA score", points, band, CITATION, None, remarks, oldest)
