"""CURB-65, as a pure function of its five criteria.

Source: Lim WS et al. Defining community acquired pneumonia severity on presentation to hospital.
Thorax 2003;58:377-382: confusion; urea above 7 mmol/L; respiratory rate 30/min or more; systolic
below 90 or diastolic 60 mm[Hg] or less; age 65 or more. 0-1 low, 2 intermediate, 3-5 high.
"""

from __future__ import annotations

from typing import Final

from careweir_adapters.published_score.score import Scored

CITATION: Final = "Lim WS et al., Thorax 2003;58:377 (CURB-65)"


def curb65(
    *,
    confused: bool,
    urea: float,
    respiration: float,
    systolic: float,
    diastolic: float,
    age_years: int,
    oldest: str | None,
) -> Scored:
    """Urea in mmol/L, respiration per minute, pressures in mm[Hg]; 0 to 5 points."""
    points = {
        "confusion": int(confused),
        "urea": int(urea > 7),
        "respiration rate": int(respiration >= 30),
        "blood pressure": int(systolic < 90 or diastolic <= 60),
        "age": int(age_years >= 65),
    }
    total = sum(points.values())
    band = "high" if total >= 3 else "intermediate" if total == 2 else "low"
    remarks = ("for pneumonia acquired in the community only",)
    return Scored("CURB-65", "CURB-65 score", points, band, CITATION, "P30D", remarks, oldest)
