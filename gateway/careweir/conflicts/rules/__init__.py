"""The rules, one a file; a new file is added to ``RULES`` and to docs/conflict-rules.md."""

from careweir.conflicts.rules.assertion_contradiction import RULE as _assertion_contradiction
from careweir.conflicts.rules.laterality_mismatch import RULE as _laterality_mismatch
from careweir.conflicts.rules.risk_divergence import RULE as _risk_divergence

RULES = (
    _assertion_contradiction,
    _laterality_mismatch,
    _risk_divergence,
)
