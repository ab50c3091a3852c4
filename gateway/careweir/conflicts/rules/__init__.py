"""The rules, one a file; a new file is added to ``RULES`` and to docs/conflict-rules.md."""

from __future__ import annotations

from careweir.conflicts.rules.assertion_contradiction import RULE as assertion_contradiction
from careweir.conflicts.rules.coding_discrepancy import RULE as coding_discrepancy
from careweir.conflicts.rules.contraindication import RULE as contraindication
from careweir.conflicts.rules.cross_kind_contradiction import RULE as cross_kind_contradiction
from careweir.conflicts.rules.drug_interaction import RULE as drug_interaction
from careweir.conflicts.rules.duplicate_therapy import RULE as duplicate_therapy
from careweir.conflicts.rules.grade_discrepancy import RULE as grade_discrepancy
from careweir.conflicts.rules.laterality_mismatch import RULE as laterality_mismatch
from careweir.conflicts.rules.measurement_discrepancy import RULE as measurement_discrepancy
from careweir.conflicts.rules.recommendation_contradiction import (
    RULE as recommendation_contradiction,
)
from careweir.conflicts.rules.risk_divergence import RULE as risk_divergence
from careweir.conflicts.rules.site_mismatch import RULE as site_mismatch
from careweir.conflicts.rules.subject_mismatch import RULE as subject_mismatch
from careweir.conflicts.rules.triage_discrepancy import RULE as triage_discrepancy
from careweir.conflicts.rules.unit_error_suspected import RULE as unit_error_suspected

RULES = (
    assertion_contradiction,
    laterality_mismatch,
    site_mismatch,
    measurement_discrepancy,
    unit_error_suspected,
    grade_discrepancy,
    risk_divergence,
    recommendation_contradiction,
    drug_interaction,
    duplicate_therapy,
    contraindication,
    triage_discrepancy,
    coding_discrepancy,
    cross_kind_contradiction,
    subject_mismatch,
)
